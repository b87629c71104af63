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
FROM unnest(
    %(account_ids)s, %(versions)s, %(kinds)s, %(amounts)s, %(availables)s, %(frozens)s, %(recorded_ats)s,
    %(command_keys)s, %(request_digests)s, %(bodies)s, %(hashes)s
) AS new (
    account_id, version, kind, amount, available_after, frozen_after, recorded_at, command_key, request_digest, body,
    hash
)
