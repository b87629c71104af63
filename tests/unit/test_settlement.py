"""Who pays what, by how a generation ended."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ledger.amounts import MAX_AMOUNT_MICROCREDITS
from ledger.commands import Charge, Confirm, Rollback
from workers.errors import InvalidPrice
from workers.generations import GenerationStatus
from workers.pricing import MAX_RATE, Prices
from workers.providers import Usage
from workers.providers.usage import MAX_TOKENS_PER_CALL
from workers.settlement import EndedAs, Ending, Settlement, decide_settlement
from workers.streams.terminal import Failure

MEASURES = ("images", "pixels", "duration_ms", "characters", "compute_ms")
ACCOUNT, GENERATION = UUID(int=1), UUID(int=2)
FAILURE = Failure(code="unavailable", message="Try again.")


def prices(**per_mtok: int) -> Prices:
    given_prices = {"input_per_mtok": 0, "output_per_mtok": 0, "cache_read_per_mtok": 0, "cache_write_per_mtok": 0}
    return Prices(**{**given_prices, **per_mtok})


def settle(ended_as: EndedAs, *, used: int | None = 10, frozen: int = 1_000, per_token: int = 10) -> Settlement:
    ending = Ending(
        ended_as=ended_as,
        usage=None if used is None else Usage(output_tokens=used),
        error=FAILURE if ended_as == "failed" else None,
    )
    return decide_settlement(
        ending,
        account_id=ACCOUNT,
        generation_id=GENERATION,
        frozen_microcredits=frozen,
        prices=prices(output_per_mtok=per_token * 1_000_000),
    )


def test_completed_pays_what_was_used() -> None:
    (confirm,) = settle("completed", used=10).commands

    assert isinstance(confirm, Confirm)
    assert (confirm.amount_microcredits, confirm.freeze_id) == (100, GENERATION)
    assert confirm.command_key == f"holdfast:settle:{GENERATION}"


def test_completed_without_cost_confirms_nothing() -> None:
    (confirm,) = settle("completed", used=0).commands

    assert isinstance(confirm, Confirm)
    assert confirm.amount_microcredits == 0


def test_cancelled_pays_what_was_delivered() -> None:
    settlement = settle("cancelled", used=10)

    assert settlement.status is GenerationStatus.cancelled
    assert settlement.confirmed_microcredits == 100


def test_cancelled_before_anything_was_delivered_is_rolled_back() -> None:
    (rollback,) = settle("cancelled", used=None).commands

    assert isinstance(rollback, Rollback)
    assert rollback.reason == "cancelled"


@pytest.mark.parametrize("used", [None, 0, 10, 1_000_000])
def test_failed_pays_nothing_whatever_was_used(used: int | None) -> None:
    settlement = settle("failed", used=used)

    (rollback,) = settlement.commands
    assert isinstance(rollback, Rollback)
    assert rollback.reason == "unavailable"
    assert (settlement.confirmed_microcredits, settlement.overage_microcredits) == (0, 0)


@pytest.mark.parametrize(("used", "overage"), [(99, 0), (100, 0), (101, 10)])
def test_what_exceeds_the_freeze_is_charged_as_far_as_it_goes(used: int, overage: int) -> None:
    settlement = settle("completed", used=used, frozen=1_000)

    assert settlement.overage_microcredits == overage
    assert settlement.confirmed_microcredits == min(used * 10, 1_000)
    charges = [command for command in settlement.commands if isinstance(command, Charge)]
    assert [(charge.amount_microcredits, charge.at_most) for charge in charges] == (
        [(overage, True)] if overage else []
    )


def test_a_free_model_has_nothing_to_tell_the_ledger() -> None:
    for ended_as in ("completed", "cancelled", "failed"):
        assert settle(ended_as, frozen=0, per_token=0).commands == ()


def test_ten_thousand_generations_at_0_0004_credits_cost_exactly_4() -> None:
    total = sum(settle("completed", used=40).confirmed_microcredits for _ in range(10_000))

    assert total == 4_000_000


@pytest.mark.parametrize(("tokens", "cost"), [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2)])
def test_a_cost_is_rounded_up_once(tokens: int, cost: int) -> None:
    assert prices(input_per_mtok=1).cost(Usage(input_tokens=tokens)) == cost


def test_parts_of_microcredits_are_added_before_they_are_rounded() -> None:
    usage = Usage(input_tokens=300_000, output_tokens=100_000, cache_read_tokens=100_000, cache_write_tokens=100_000)
    each = prices(input_per_mtok=1, output_per_mtok=1, cache_read_per_mtok=1, cache_write_per_mtok=1)

    assert each.cost(usage) == 1


def test_cached_tokens_have_prices_of_their_own() -> None:
    usage = Usage(input_tokens=10, cache_read_tokens=3, cache_write_tokens=2, output_tokens=1, reasoning_tokens=1)
    per_mtok = {"input": 1_000_000, "output": 100_000_000, "cache_read": 10_000_000, "cache_write": 1_000_000_000}

    cost = prices(**{f"{name}_per_mtok": price for name, price in per_mtok.items()}).cost(usage)

    assert cost == 5 * 1 + 1 * 100 + 3 * 10 + 2 * 1_000


@given(data=st.data())
def test_no_usage_within_the_bound_costs_more_than_the_bound(data: st.DataObject) -> None:
    price = st.integers(0, MAX_RATE)
    rates = Prices(**{name: data.draw(price) for name in Prices.__struct_fields__})
    most = Usage(**{name: data.draw(st.integers(0, 10**9)) for name in MEASURES})
    input_bound = data.draw(st.integers(0, MAX_TOKENS_PER_CALL))
    output_bound = data.draw(st.integers(0, MAX_TOKENS_PER_CALL))
    input_tokens = data.draw(st.integers(0, input_bound))
    read = data.draw(st.integers(0, input_tokens))
    usage = Usage(
        input_tokens=input_tokens,
        output_tokens=data.draw(st.integers(0, output_bound)),
        cache_read_tokens=read,
        cache_write_tokens=data.draw(st.integers(0, input_tokens - read)),
        **{name: data.draw(st.integers(0, getattr(most, name))) for name in MEASURES},
    )

    bound = rates.bound(structs.replace(most, input_tokens=input_bound, output_tokens=output_bound))

    assert 0 <= rates.cost(usage) <= bound


def test_the_dearest_call_of_tokens_is_an_amount_the_ledger_takes() -> None:
    dearest = Prices(input_per_mtok=MAX_RATE, output_per_mtok=MAX_RATE)

    bound = dearest.bound(Usage(input_tokens=MAX_TOKENS_PER_CALL, output_tokens=MAX_TOKENS_PER_CALL))

    assert bound <= MAX_AMOUNT_MICROCREDITS


def test_media_are_priced_by_what_came_out() -> None:
    rates = Prices(per_image=7, per_megapixel=1_000, per_second=10, per_kchar=100, per_job=3, per_compute_second=1)
    usage = Usage(images=2, pixels=2_500_000, duration_ms=1_500, characters=50, compute_ms=4_000)

    assert rates.cost(usage) == 2 * 7 + 2_500 + 15 + 5 + 3 + 4


def test_what_delivered_nothing_is_no_job() -> None:
    assert Prices(per_job=3).cost(Usage(input_tokens=10)) == 0


def test_compute_time_can_be_a_cost_and_no_price() -> None:
    Prices(per_compute_second=1).check()
    with pytest.raises(InvalidPrice):
        Prices(per_compute_second=1).check_sellable()


@pytest.mark.parametrize(("percent", "pays"), [(100, 4), (10, 1), (0, 0)])
def test_an_answer_from_the_cache_costs_its_share_rounded_up(percent: int, pays: int) -> None:
    ending = Ending(ended_as="completed", usage=Usage(output_tokens=4), price_percent=percent)

    settlement = decide_settlement(
        ending,
        account_id=ACCOUNT,
        generation_id=GENERATION,
        frozen_microcredits=100,
        prices=prices(output_per_mtok=1_000_000),
    )

    assert settlement.confirmed_microcredits == pays


@pytest.mark.parametrize("price", [-1, MAX_RATE + 1, 1.5, "1", None, True])
def test_what_cannot_be_a_price_is_refused(price: Any) -> None:
    with pytest.raises(InvalidPrice):
        prices(output_per_mtok=price).check()
