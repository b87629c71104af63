"""HTTP in, HTTP out, server-sent events. Holds no rules: those are in `ledger` and `workers`."""
