"""Circuit breakers: when a provider's model is left alone, and when it is tried again."""

import pytest

from workers.breakers import FORGETS_AFTER_S, OPENS_AFTER, PROBE_LIMIT_S, STAYS_OPEN_S, Breakers, RouteKey
from workers.providers.errors import ContentRefused, Overloaded, ProviderError, QuotaExhausted, RequestRejected

KEY = RouteKey("openai", "gpt-5.5")
OTHER = RouteKey("openai", "gpt-5.4-mini")


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def fail(breakers: Breakers, times: int, error: ProviderError | None = None) -> None:
    for _ in range(times):
        breakers.failed(KEY, error or Overloaded(provider="openai"))


def test_it_opens_after_so_many_failures_in_a_row(breakers: Breakers) -> None:
    fail(breakers, OPENS_AFTER - 1)
    assert breakers.allows(KEY)

    fail(breakers, 1)

    assert not breakers.allows(KEY)
    assert breakers.allows(OTHER)


def test_a_success_between_them_closes_it(breakers: Breakers) -> None:
    fail(breakers, OPENS_AFTER - 1)
    breakers.succeeded(KEY)
    fail(breakers, OPENS_AFTER - 1)

    assert breakers.allows(KEY)


def test_failures_far_apart_are_no_row(breakers: Breakers, clock: Clock) -> None:
    for _ in range(OPENS_AFTER):
        fail(breakers, 1)
        clock.now_s += FORGETS_AFTER_S + 1

    assert breakers.allows(KEY)


def test_after_a_while_one_call_tries_and_the_others_wait_for_it(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, OPENS_AFTER)
    clock.now_s += STAYS_OPEN_S

    assert [breakers.allows(KEY) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("is_success", [True, False])
def test_the_probe_decides_for_all(breakers: Breakers, clock: Clock, *, is_success: bool) -> None:
    fail(breakers, OPENS_AFTER)
    clock.now_s += STAYS_OPEN_S
    assert breakers.allows(KEY)

    if is_success:
        breakers.succeeded(KEY)
    else:
        fail(breakers, 1)

    assert breakers.allows(KEY) is is_success


def test_a_probe_that_was_stopped_or_never_came_back_lets_another_try(breakers: Breakers, clock: Clock) -> None:
    fail(breakers, OPENS_AFTER)
    clock.now_s += STAYS_OPEN_S
    assert breakers.allows(KEY)
    breakers.stopped(KEY)
    assert breakers.allows(KEY)
    clock.now_s += PROBE_LIMIT_S
    assert breakers.allows(KEY)


@pytest.mark.parametrize("error", [RequestRejected(provider="openai"), ContentRefused(provider="openai")])
def test_a_request_that_is_wrong_in_itself_opens_nothing(breakers: Breakers, error: ProviderError) -> None:
    fail(breakers, 10 * OPENS_AFTER, error)

    assert breakers.allows(KEY)


def test_what_no_second_call_can_mend_opens_it_at_once(breakers: Breakers) -> None:
    fail(breakers, 1, QuotaExhausted(provider="openai"))

    assert not breakers.allows(KEY)
