"""The credit ledger: its rules, its event log, and the one way to write to it."""
