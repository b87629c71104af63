"""Stand-ins for services of other companies: real sockets, real wire formats, real ways to fail."""
