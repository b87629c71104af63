"""Checking the log and everything kept beside it, from the events alone. Nothing here writes."""
