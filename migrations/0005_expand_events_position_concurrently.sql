-- Projections and auditors read events in the sealed order, which names them by position.
--
-- Locks: none that stop writers; waits for transactions that were open before it.
-- Undo:  DROP INDEX CONCURRENTLY events_position. If it was interrupted, drop what it left and run it again.
-- squawk-ignore require-lock-timeout, require-statement-timeout -- a SET beside it would be a transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_position ON events (position);
