"""Signing checkpoints, and putting them where whoever can change the database cannot change them."""
