"""`holdfast audit`: what finance and auditors ask of the log."""
