-- Append a batch of events, in the order given; positions are taken in this order, under the accounts' locks.
-- Returns: nothing.
-- Raises:  events_account_version   another writer appended first
--          events_account_command   this command is already recorded
INSERT INTO events (
    account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest, body,
    hash
)
SELECT
    new.account_id, new.version, new.kind, new.amount, new.available_after, new.frozen_after, new.recorded_at,
    new.command_key, new.request_digest, new.body, new.hash
FROM (
    SELECT
        unnest(%(account_ids)s) AS account_id,
        unnest(%(versions)s) AS version,
        unnest(%(kinds)s) AS kind,
        unnest(%(amounts)s) AS amount,
        unnest(%(availables)s) AS available_after,
        unnest(%(frozens)s) AS frozen_after,
        unnest(%(recorded_ats)s) AS recorded_at,
        unnest(%(command_keys)s) AS command_key,
        unnest(%(request_digests)s) AS request_digest,
        unnest(%(bodies)s) AS body,
        unnest(%(hashes)s) AS hash
) AS new
