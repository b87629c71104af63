"""What makes two requests under one key the same request. Keys are kept for ever, so the answer must never change."""

from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger.commands import Command
from tests.builders import (
    FREEZE_ID,
    adjust,
    charge,
    confirm,
    expire_freeze,
    expire_lot,
    freeze,
    grant,
    open_account,
    reinstate,
    reverse,
    rollback,
    top_up,
)

STORED_DIGESTS: list[tuple[Command, int]] = [
    (open_account(owner="user-1"), -859396589232098399),
    (
        top_up(5, reference="r", paid_amount="1", paid_currency="EUR", expires_at_us=7, effective_at_us=8),
        -5720262285791408357,
    ),
    (grant(5), -8683936552328028716),
    (freeze(5, reference="r"), 1305453945199357075),
    (confirm(FREEZE_ID), 4852653903123175196),
    (confirm(FREEZE_ID, 0), -5197872699030588965),
    (rollback(FREEZE_ID, reason="r"), 1691814302953777514),
    (expire_freeze(FREEZE_ID), 7313778209247117526),
    (charge(5, reference="r"), 6001017588755372381),
    (charge(5, at_most=True), 5130204256820782447),
    (adjust(-5, allow_negative=True), 5270387312665494051),
    (expire_lot(2), -8853165919703147585),
    (expire_lot(2, keep_microcredits=5), -3882640719666552859),
    (reverse(2, 5, reason="r"), -8385583854646510204),
    (reinstate(3), 202427300094652599),
]

NOT_THE_REQUEST = {"account_id", "command_key", "actor", "lot_id"}
"""The key's own scope, who asked, and ids that the edge draws anew for each attempt."""

IGNORED: dict[str, set[str]] = {"OpenAccount": {"name"}, "Freeze": {"freeze_id"}}


def name_of(value: Any) -> str:
    return type(value).__name__ if isinstance(value, Command) else ""


@pytest.mark.parametrize(("command", "digest"), STORED_DIGESTS, ids=name_of)
def test_a_request_is_recognised_by_the_digest_it_was_stored_with(command: Command, digest: int) -> None:
    assert command.digest() == digest


@pytest.mark.parametrize("command", [command for command, _ in STORED_DIGESTS], ids=name_of)
def test_a_repeated_request_has_the_same_digest_and_any_other_field_makes_it_another(command: Command) -> None:
    identity = set(command.__struct_fields__) - NOT_THE_REQUEST - IGNORED.get(type(command).__name__, set())
    assert set(command.IDENTITY) == identity

    for field in command.__struct_fields__:
        changed = msgspec.structs.replace(command, **{field: another(getattr(command, field))})
        assert (changed.digest() != command.digest()) == (field in identity), field


def test_commands_of_different_kinds_with_equal_fields_are_different_requests() -> None:
    assert rollback(FREEZE_ID).digest() != expire_freeze(FREEZE_ID).digest()
    assert len({digest for _, digest in STORED_DIGESTS}) == len(STORED_DIGESTS)


def test_confirming_all_by_default_and_confirming_nothing_are_different_requests() -> None:
    assert confirm(FREEZE_ID).digest() != confirm(FREEZE_ID, 0).digest()


def another(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "'"
        case None:
            return 77
        case _:
            return uuid4()
