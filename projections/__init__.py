"""Read models built from the sealed log. Each can be dropped and rebuilt; nothing is written here that is not in it.

None is needed yet: balances are the ledger's inline projection, and statements are read from the events themselves.
"""
