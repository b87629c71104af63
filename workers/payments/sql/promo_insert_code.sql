-- Add a code; one that is there already stays as it is, for good.
-- Returns: the code as it is kept, if it is new.
INSERT INTO promo_codes (code, credits, max_uses, expires_at, credits_expire_after_days, created_by)
VALUES (%(code)s, %(credits)s, %(max_uses)s, %(expires_at)s, %(credits_expire_after_days)s, %(created_by)s)
ON CONFLICT ON CONSTRAINT promo_codes_code DO NOTHING
RETURNING
    code, credits, max_uses, uses, expires_at, credits_expire_after_days, disabled_at, created_at, created_by
