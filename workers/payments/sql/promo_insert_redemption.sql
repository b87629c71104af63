-- Note who redeemed a code, and what they got.
-- Returns: nothing.
INSERT INTO promo_redemptions (account_id, code, credits, expires_at, idempotency_sha256)
VALUES (%(account_id)s, %(code)s, %(credits)s, %(expires_at)s, %(idempotency_sha256)s)
