"""Times as PayPal writes them: RFC 3339, with or without a fraction, in UTC or with an offset."""

from datetime import UTC, datetime


def parse_us(text: str) -> int | None:
    """Return microseconds since the epoch; `None` for what is not a time with a time zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    whole = int(at.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + at.microsecond


def first_us(*texts: str) -> int | None:
    """Return the first of these that is a time."""
    return next((at_us for at_us in map(parse_us, texts) if at_us is not None), None)


def format_s(at_s: int) -> str:
    """Write seconds since the epoch."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
