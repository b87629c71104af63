"""What the providers that work in the background have in common: see `provider.py`."""
