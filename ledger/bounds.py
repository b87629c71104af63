"""What can be kept and read back: a value outside would be stored once and then break every reading of its account."""

from typing import Final

from ledger import errors
from ledger.commands import COMMAND_KEY_MAX_CHARACTERS

MAX_TIME_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999, which is as far as Python and RFC 3339 go."""

MAX_PRIORITY: Final = 2**31 - 1


def check_command_key(command_key: str) -> None:
    """Refuse a key that has no place in the log.

    Raises:
        InvalidCommandKey: empty, or longer than `COMMAND_KEY_MAX_CHARACTERS`.
    """
    if not 1 <= len(command_key) <= COMMAND_KEY_MAX_CHARACTERS:
        raise errors.InvalidCommandKey(len(command_key))


def check_time(field: str, time_us: int | None) -> None:
    """Refuse a time before 1970 or after the year 9999.

    Raises:
        OutOfRange: it is.
    """
    if time_us is not None and not 0 <= time_us <= MAX_TIME_US:
        raise errors.OutOfRange(field)


def check_priority(priority: int) -> None:
    """Refuse a priority that is no 32-bit integer.

    Raises:
        OutOfRange: it is not.
    """
    if not -MAX_PRIORITY - 1 <= priority <= MAX_PRIORITY:
        raise errors.OutOfRange("priority")


def end_of(now_us: int, ttl_us: int) -> int:
    """Return when something that begins now and lasts `ttl_us` is over.

    Raises:
        OutOfRange: before it begins, or after the year 9999.
    """
    if not 0 <= ttl_us <= MAX_TIME_US - now_us:
        raise errors.OutOfRange("ttl")
    return now_us + ttl_us
