"""`holdfast doctor` on payments: what is half configured, and what waits for somebody."""

import psycopg
import pytest

from ops.checks.finding import Finding, State
from ops.checks.payments import check_gateways, check_payments
from ops.endpoints import Endpoints

SECRET = "whsec_0123456789abcdef0123456789abcdef"
STRIPE = {"STRIPE_API_KEY": "sk_test_0123456789abcdef", "STRIPE_WEBHOOK_SECRET": SECRET}


async def look(**environment: str) -> dict[str, Finding]:
    return {finding.name: finding async for finding in check_gateways(environment)}


async def waiting(url: str) -> dict[str, Finding]:
    return {finding.name: finding async for finding in check_payments(Endpoints(url, url, ""))}


def keep(url: str, *, state: int, due: str = "0 s") -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO payment_inbox (gateway, event_id, kind, object_id, request_id, headers, body, state, due_at)"
            " VALUES ('stripe', gen_random_uuid(), 'x', 'y', 'z', '{}', '', %s, now() + %s::interval)",
            [state, due],
        )


async def test_an_installation_without_gateways_is_fine() -> None:
    found = await look()

    assert {name: finding.state for name, finding in found.items()} == dict.fromkeys(
        ("paddle", "paypal", "stripe", "yookassa", "mail"), State.fine
    )
    assert found["stripe"].found == "not configured"


async def test_a_gateway_whose_settings_are_whole_is_fine() -> None:
    assert (await look(**STRIPE))["stripe"] == Finding("stripe", State.fine, "configured")


@pytest.mark.parametrize(
    ("environment", "name", "says"),
    [
        ({"YOOKASSA_SHOP_ID": "1"}, "yookassa", "YOOKASSA_SECRET_KEY not"),
        ({"STRIPE_WEBHOOK_SECRET": SECRET}, "stripe", "STRIPE_API_KEY not"),
        ({**STRIPE, "STRIPE_WEBHOOK_SECRET": " , "}, "stripe", "every webhook is refused"),
        ({**STRIPE, "STRIPE_BASE_URL": "ftp://stripe.test"}, "stripe", "STRIPE_BASE_URL"),
        ({**STRIPE, "STRIPE_BASE_URL": "http://stripe.test"}, "stripe", "in the clear"),
        ({"SMTP_URL": "nonsense", "HOLDFAST_MAIL_FROM": "us@example.com"}, "mail", "SMTP_URL"),
    ],
)
async def test_settings_that_are_half_there_or_make_no_sense_are_told(
    environment: dict[str, str], name: str, says: str
) -> None:
    found = (await look(**environment))[name]

    assert found.state is State.wrong
    assert says in found.found
    assert found.mend
    assert SECRET not in f"{found}"


async def test_a_gateway_on_this_machine_may_speak_plain_http() -> None:
    for url in ("http://127.0.0.1:9", "http://localhost:9"):
        assert (await look(**STRIPE, STRIPE_BASE_URL=url))["stripe"].state is State.fine


async def test_webhooks_that_come_and_go_are_fine(database_url: str) -> None:
    keep(database_url, state=0)
    keep(database_url, state=1, due="-1 day")

    assert {finding.state for finding in (await waiting(database_url)).values()} == {State.fine}


@pytest.mark.parametrize(("state", "due", "says"), [(2, "0 s", "1 given up"), (0, "-6 minutes", "1 due for")])
async def test_webhooks_that_nobody_processes_are_told(database_url: str, state: int, due: str, says: str) -> None:
    keep(database_url, state=state, due=due)

    found = (await waiting(database_url))["payment webhooks"]

    assert found.state is State.wrong
    assert says in found.found


async def test_mismatches_are_told_until_they_are_resolved(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO payment_mismatches (gateway, payment_id, reason, amount_minor, currency, detail)"
            " VALUES ('stripe', 'pi_1', 'order', 1, 'USD', '')"
        )
        assert (await waiting(database_url))["payment mismatches"].found == "1 open"

        connection.execute("UPDATE payment_mismatches SET resolved_at = now()")
        assert (await waiting(database_url))["payment mismatches"].state is State.fine
