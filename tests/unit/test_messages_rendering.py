"""What messages look like to their readers, whatever is in their values."""

import re
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from babel import Locale

from tests.messages import VALUES_OF_KIND, values_of
from workers.messages.formats import MAX_SHOWN_CHARACTERS, grammatical_count, one_line, show_money
from workers.messages.kinds import VALUES, MessageKind, ValueForm
from workers.messages.languages import LANGUAGES
from workers.messages.outbox import queue_message
from workers.messages.rendering import MAX_SUBJECT_CHARACTERS, Rendered, UnreadableValues, render
from workers.messages.wordings import wordings_of

HOSTILE = 'Pro</td><script>alert(1)</script>\r\nBcc: spy@example.com\x00\u2028" {price} {0} %s {{ 7*7 }}\u202e'


def rendered(kind: MessageKind, locale: str = "en", time_zone: str = "UTC", **values: Any) -> Rendered:
    return render(kind, values or values_of(kind), locale=locale, time_zone=time_zone)


@pytest.mark.parametrize("locale", [*LANGUAGES, "de-AT", "zh-Hant-TW", "en-GB", "fr-CA", "es-MX"])
@pytest.mark.parametrize("kind", MessageKind)
def test_every_message_is_whole_in_every_language(kind: MessageKind, locale: str) -> None:
    for values in VALUES_OF_KIND[kind]:
        message = rendered(kind, locale, **values)

        assert message.subject
        for text in (message.subject, message.plain, unescape(message.html)):
            assert not re.search(r"\{\w+\}|None|\.\.", text), text
        for shown in ("Starter",) if "product" in values else ():
            assert shown in message.plain
            assert shown in message.html


@pytest.mark.parametrize("kind", MessageKind)
def test_what_is_not_known_is_left_out_and_the_rest_stands(kind: MessageKind) -> None:
    needed = {name: value for name, value in values_of(kind).items() if name in VALUES[kind].needed}

    message = rendered(kind, **needed)

    assert message.subject
    assert "{" not in message.subject + message.plain


@pytest.mark.parametrize("kind", MessageKind)
def test_a_thing_without_a_name_keeps_no_message_from_being_written(kind: MessageKind) -> None:
    forms = VALUES[kind].forms
    nameless = {name: "" for name in values_of(kind) if forms[name] in (ValueForm.text, ValueForm.link)}

    message = rendered(kind, "ru", **(values_of(kind) | nameless))

    assert message.subject
    assert "{" not in message.plain


@pytest.mark.parametrize("kind", MessageKind)
def test_a_subject_and_a_message_without_options_need_only_what_is_always_there(kind: MessageKind) -> None:
    needed = {name.removesuffix("_us") for name in VALUES[kind].needed}

    for wording in wordings_of(kind):
        assert wording.subject.placeholders <= needed
        known = needed | {name.removesuffix("_us") for name in VALUES[kind].optional}
        assert {name for part in wording.paragraphs for name in part.text.placeholders} <= known
        assert {line.value for line in wording.lines} <= known | {"period"}
        assert all(part.counted in part.text.placeholders for part in wording.paragraphs if part.text.plural)


@pytest.mark.parametrize("kind", MessageKind)
@pytest.mark.parametrize("locale", LANGUAGES)
def test_no_value_can_become_markup_or_a_header(kind: MessageKind, locale: str) -> None:
    forms = VALUES[kind].forms
    hostile = {
        name: HOSTILE if forms[name] is ValueForm.text else "javascript:alert(1)"
        for name in forms
        if forms[name] in (ValueForm.text, ValueForm.link)
    }

    message = rendered(kind, locale, **(values_of(kind) | hostile))

    assert "<script" not in message.html
    assert "javascript:" not in message.html + message.plain
    assert message.html.count("<td") == message.html.count("</td>")
    assert not re.search(r"[\x00-\x1f\u2028\u202e]", message.subject)
    assert not any(line.startswith("Bcc:") for line in message.plain.splitlines())
    assert len(message.subject) <= MAX_SUBJECT_CHARACTERS


def test_what_is_in_a_value_is_never_taken_for_a_place() -> None:
    message = rendered(MessageKind.receipt, **(values_of(MessageKind.receipt) | {"product": "{price}"}))

    assert message.subject == "Your receipt for {price}"


def test_a_receipt_has_the_numbers_and_days_of_its_reader() -> None:
    values = values_of(MessageKind.receipt) | {"credits": "1234.5", "price": {"minor": 123_456, "currency": "EUR"}}

    english = rendered(MessageKind.receipt, "en", "America/New_York", **values).plain.replace("\u202f", " ")
    german = rendered(MessageKind.receipt, "de-AT", "Europe/Vienna", **values).plain.replace("\xa0", " ")
    japanese = rendered(MessageKind.receipt, "ja", "Asia/Tokyo", **values).plain

    assert "1,234.5 credits have been added" in english
    assert "Amount: €1,234.56" in english
    assert "Date: December 31, 2026, 6:30 PM (GMT-05:00)" in english
    assert "1.234,5 Credits wurden" in german
    assert "Betrag: € 1.234,56" in german
    assert "Datum: 1. Jänner 2027, 00:30 (GMT+01:00)" in german
    assert "1,234.5クレジット" in japanese
    assert "日時：2027年1月1日 8:30 (GMT+09:00)" in japanese  # noqa: RUF001 - the colon that Japanese has


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "shown"),
    [
        (1050, "USD", "en", "$10.50"),
        (1050, "USD", "fr", "10,50 $US"),
        (1050, "JPY", "ja", "¥1,050"),
        (1050, "JPY", "en", "¥1,050"),
        (1050, "KWD", "en", "KWD 1.050"),
        (10500, "IQD", "en", "IQD 10.500"),  # CLDR would round it to 11
        (1050, "CLP", "es", "1.050 CLP"),
        (100, "UGX", "en", "UGX 100"),
        (1050, "HUF", "en", "HUF 10.50"),
        (99_900, "RUB", "ru", "999,00 ₽"),
        (1050, "CNY", "zh", "¥10.50"),
        (0, "EUR", "de", "0,00 €"),
        (10**15, "JPY", "en", "¥1,000,000,000,000,000"),
    ],
)
def test_money_has_the_places_it_is_paid_in(minor: int, currency: str, locale: str, shown: str) -> None:
    text = show_money(minor, currency, Locale.parse(locale)).replace("\xa0", " ").replace("\uffe5", "¥")

    assert text == shown


def test_the_pattern_of_a_locale_is_not_changed_by_using_it() -> None:
    before = Locale("en").currency_formats["standard"].frac_prec

    show_money(1, "KWD", Locale("en"))

    assert Locale("en").currency_formats["standard"].frac_prec == before


@pytest.mark.parametrize(
    ("value", "locale", "count"),
    [
        ("1", "en", 1),
        ("1.0", "en", 1),
        ("-21", "ru", 21),
        ("1.5", "en", 2),
        ("1.5", "fr", 1),
        ("0.5", "fr", 1),
        ("2.5", "fr", 2),
        ("12.5", "ru", 2),
        ("0.000001", "de", 2),
        (3, "ru", 3),
    ],
)
def test_fractions_have_a_plural_too(value: str | int, locale: str, count: int) -> None:
    assert grammatical_count(value, Locale(locale)) == count


def test_a_sentence_about_no_credits_at_all_is_left_out_but_an_empty_balance_is_told() -> None:
    refund = rendered(MessageKind.refund, **(values_of(MessageKind.refund) | {"credits": "0"}))
    low = rendered(MessageKind.low_balance, available="0", threshold="5")

    assert "taken back" not in refund.plain
    assert "0 credits left" in low.plain


@pytest.mark.parametrize(
    ("status", "subject", "part"),
    [
        ("opened", "Your payment of $10.00 is disputed", "withheld"),
        ("won", "The dispute about your payment of $10.00 is settled", "returned to your account"),
        ("lost", "The dispute about your payment of $10.00 is settled", "taken back"),
    ],
)
def test_a_dispute_is_told_as_it_stands(status: str, subject: str, part: str) -> None:
    message = rendered(MessageKind.dispute, **(values_of(MessageKind.dispute) | {"status": status}))

    assert message.subject == subject
    assert part in message.plain


def test_a_refund_that_failed_is_not_called_a_refund_that_was_made() -> None:
    message = rendered(MessageKind.refund, **(values_of(MessageKind.refund) | {"status": "failed"}))

    assert message.subject == "Your refund of $10.00 failed"
    assert "returned to your account" in message.plain
    assert "taken back" not in message.plain


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "https://a b", "https://é"]
)
def test_a_link_that_is_not_plainly_one_is_left_out(link: str) -> None:
    message = rendered(MessageKind.low_balance, available="1", threshold="5", url=link)

    assert "Buy credits" not in message.plain
    assert "href" not in message.html


def test_a_link_is_there_in_both_forms_and_escaped_in_one() -> None:
    message = rendered(MessageKind.low_balance, available="1", threshold="5", url="https://acme.example/?a=1&b=2")

    assert "Buy credits: https://acme.example/?a=1&b=2" in message.plain
    assert 'href="https://acme.example/?a=1&amp;b=2"' in message.html


def test_a_reader_of_a_language_that_we_do_not_have_reads_english() -> None:
    message = rendered(MessageKind.low_balance, "pt-BR", available="1", threshold="5")

    assert (message.language, message.subject) == ("en", "Your balance is running low")


@pytest.mark.parametrize(
    "broken",
    [
        {"credits": "many"},
        {"credits": None},
        {"price": {"minor": "x", "currency": "USD"}},
        {"price": {}},
        {"paid_at_us": 10**30},
        {"product": 5},
    ],
)
def test_values_that_make_no_sense_are_one_kind_of_error(broken: dict[str, Any]) -> None:
    with pytest.raises(UnreadableValues):
        rendered(MessageKind.receipt, **(values_of(MessageKind.receipt) | broken))


@pytest.mark.parametrize(
    ("locale", "time_zone"), [("xx", "UTC"), ("en", "Mars/Olympus"), ("en", "../../etc/passwd"), ("", "UTC")]
)
def test_a_reader_who_makes_no_sense_is_one_kind_of_error(locale: str, time_zone: str) -> None:
    with pytest.raises(UnreadableValues):
        rendered(MessageKind.low_balance, locale, time_zone)


def test_a_long_text_is_cut_and_says_so() -> None:
    assert one_line("x" * 1_000) == "x" * (MAX_SHOWN_CHARACTERS - 1) + "…"
    assert one_line("x" * MAX_SHOWN_CHARACTERS) == "x" * MAX_SHOWN_CHARACTERS
    assert one_line(" a\t\r\n b\x85c ") == "a b c"


@pytest.mark.parametrize("kind", MessageKind)
def test_a_message_that_lacks_or_adds_a_value_is_a_bug_that_shows_at_once(kind: MessageKind) -> None:
    whole = values_of(kind)
    missing = {name: value for name, value in whole.items() if name != next(iter(VALUES[kind].needed))}

    queue_message(UUID(int=1), kind, key="k", values=whole)
    for wrong in (missing, whole | {"colour": "red"}, dict.fromkeys(whole, object())):
        with pytest.raises(AssertionError):
            queue_message(UUID(int=1), kind, key="k", values=wrong)
