-- Reconciliation finds the top-ups of a payment by their command key, on whatever accounts, and those that belong to no payment.
-- One event in many is a top-up, so others pay for one comparison of a number.
--
-- Locks: none that stop writers; waits for transactions that were open before it.
-- Undo:  DROP INDEX CONCURRENTLY events_top_ups. If it was interrupted, drop what it left and run it again.
-- squawk-ignore require-lock-timeout, require-statement-timeout -- a SET beside it would be a transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_top_ups ON events (command_key) INCLUDE (recorded_at) WHERE kind = 2;
