"""Holding a gateway's books against ours: each payment and refund against our rows and the ledger's events."""
