"""Money that comes in through payment gateways and goes back, and the credits it buys."""
