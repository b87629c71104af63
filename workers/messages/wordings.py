"""What each message says: the one text that its plain and its HTML form are made from, in English.

Places are named as the values in `workers.messages.kinds`, without the unit. A part whose values are not all there is
left out, so one wording suits what a gateway tells and what it does not.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from workers.messages.kinds import MessageKind
from workers.messages.texts import Text

GREETING: Final = Text("Hello,")
LINE: Final = Text("{label}: {value}")
"""How a fact and its label, or a link and what it is for, stand on one line."""

FOOTER: Final = Text("This message was sent automatically because it concerns your account.")


class Paragraph(msgspec.Struct, frozen=True):
    """A sentence or two. Its plural is chosen by the value `counted`."""

    text: Text
    counted: str = ""
    unless_none: bool = False
    """Left out where `counted` is zero: nothing happened then."""


class Line(msgspec.Struct, frozen=True):
    """A line of the table of facts."""

    label: Text
    value: str


class Action(msgspec.Struct, frozen=True):
    """A link to where the reader can do something about it, if the message has a `url`."""

    label: Text


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says, from its subject to the link at its end."""

    subject: Text
    paragraphs: tuple[Paragraph, ...]
    lines: tuple[Line, ...] = ()
    action: Action | None = None

    def texts(self) -> tuple[Text, ...]:
        """Return all its texts."""
        action = () if self.action is None else (self.action.label,)
        return (self.subject, *(part.text for part in self.paragraphs), *(line.label for line in self.lines), *action)


_AMOUNT: Final = Text("Amount")
_DATE: Final = Text("Date")
_METHOD: Final = Line(Text("Paid with"), "method")
_GATEWAY: Final = Line(Text("Paid through"), "gateway")
_PRODUCT: Final = Line(Text("Paid for"), "product")
_REFERENCE: Final = Line(Text("Reference"), "reference")

_TAKEN_BACK: Final = Paragraph(
    Text(
        "{credits} credit that came with the payment has been taken back.",
        "{credits} credits that came with the payment have been taken back.",
    ),
    counted="credits",
    unless_none=True,
)
_RETURNED: Final = Paragraph(
    Text(
        "{credits} credit has been returned to your account.", "{credits} credits have been returned to your account."
    ),
    counted="credits",
    unless_none=True,
)
_DISPUTE_LINES: Final = (_PRODUCT, Line(_AMOUNT, "amount"), Line(_DATE, "changed_at"), _GATEWAY, _REFERENCE)
_REFUND_LINES: Final = (
    _PRODUCT,
    Line(Text("Refund"), "amount"),
    Line(Text("Original payment"), "price"),
    Line(_DATE, "refunded_at"),
    _GATEWAY,
    _REFERENCE,
)

WORDINGS: Final[Mapping[MessageKind, Wording]] = {
    MessageKind.receipt: Wording(
        subject=Text("Your receipt for {product}"),
        paragraphs=(
            Paragraph(Text("Thank you for your payment.")),
            Paragraph(
                Text(
                    "{credits} credit has been added to your account.",
                    "{credits} credits have been added to your account.",
                ),
                counted="credits",
            ),
        ),
        lines=(
            _PRODUCT,
            Line(_AMOUNT, "price"),
            Line(Text("Including tax"), "tax"),
            Line(_DATE, "paid_at"),
            _METHOD,
            _GATEWAY,
            Line(Text("Period"), "period"),
            Line(Text("Credits valid until"), "expires_at"),
            _REFERENCE,
        ),
    ),
    MessageKind.refund: Wording(
        subject=Text("Your refund of {amount}"),
        paragraphs=(
            Paragraph(Text("{amount} is being refunded to you. Your bank may need a few days until you can see it.")),
            _TAKEN_BACK,
        ),
        lines=_REFUND_LINES,
    ),
    MessageKind.payment_failed: Wording(
        subject=Text("Your payment for {product} did not go through"),
        paragraphs=(
            Paragraph(Text("A payment of {price} for {product} failed. You have not been charged.")),
            Paragraph(Text("We will try again on {retry_at}.")),
            Paragraph(Text("Without a payment your plan ends on {ends_at}.")),
            Paragraph(Text("Please check your means of payment, or use another one.")),
        ),
        lines=(_PRODUCT, Line(_AMOUNT, "price"), Line(_DATE, "failed_at"), _METHOD),
        action=Action(Text("Check the means of payment")),
    ),
    MessageKind.low_balance: Wording(
        subject=Text("Your balance is running low"),
        paragraphs=(
            Paragraph(
                Text("Your account has {available} credit left.", "Your account has {available} credits left."),
                counted="available",
            ),
            Paragraph(Text("You receive this message because that is less than {threshold}.")),
        ),
        action=Action(Text("Buy credits")),
    ),
    MessageKind.plan_changed: Wording(
        subject=Text("Your new plan: {plan}"),
        paragraphs=(Paragraph(Text("From {effective_at} on, your plan is {plan}.")),),
        lines=(
            Line(Text("Previous plan"), "previous_plan"),
            Line(Text("New plan"), "plan"),
            Line(Text("Price"), "price"),
            Line(Text("Credits per period"), "credits"),
            Line(Text("Next payment"), "renews_at"),
        ),
    ),
    MessageKind.plan_cancelled: Wording(
        subject=Text("Your plan {plan} has been cancelled"),
        paragraphs=(
            Paragraph(Text("Your plan {plan} has been cancelled and ends on {ends_at}.")),
            Paragraph(Text("You will not be charged for it again.")),
        ),
        action=Action(Text("Keep the plan")),
    ),
    MessageKind.auto_top_up_suspended: Wording(
        subject=Text("Automatic top-ups are suspended"),
        paragraphs=(
            Paragraph(
                Text(
                    "{attempts} attempt to charge your means of payment failed, so automatic top-ups are suspended.",
                    "{attempts} attempts to charge your means of payment failed, so automatic top-ups are suspended.",
                ),
                counted="attempts",
            ),
            Paragraph(Text("Please check your means of payment and then turn automatic top-ups on again.")),
        ),
        lines=(Line(_AMOUNT, "price"), _METHOD),
        action=Action(Text("Check the means of payment")),
    ),
    MessageKind.dispute: Wording(
        subject=Text("Your payment of {amount} is disputed"),
        paragraphs=(
            Paragraph(Text("A bank has asked us to return a payment of {amount} that was made for your account.")),
            Paragraph(
                Text(
                    "{credits} credit has been withheld until this is settled.",
                    "{credits} credits have been withheld until this is settled.",
                ),
                counted="credits",
                unless_none=True,
            ),
            Paragraph(Text("If this is a mistake, please let your bank know.")),
        ),
        lines=_DISPUTE_LINES,
    ),
}

_BY_STATUS: Final[Mapping[tuple[MessageKind, object], Wording]] = {
    (MessageKind.refund, "failed"): Wording(
        subject=Text("Your refund of {amount} failed"),
        paragraphs=(
            Paragraph(Text("A refund of {amount} did not reach you: the money came back to us.")),
            _RETURNED,
        ),
        lines=_REFUND_LINES,
    ),
    (MessageKind.dispute, "won"): Wording(
        subject=Text("The dispute about your payment of {amount} is settled"),
        paragraphs=(Paragraph(Text("The bank has decided that the payment of {amount} stands.")), _RETURNED),
        lines=_DISPUTE_LINES,
    ),
    (MessageKind.dispute, "lost"): Wording(
        subject=Text("The dispute about your payment of {amount} is settled"),
        paragraphs=(
            Paragraph(Text("The bank has decided that the payment of {amount} is returned.")),
            _TAKEN_BACK,
        ),
        lines=_DISPUTE_LINES,
    ),
}


def wording_of(kind: MessageKind, values: Mapping[str, object]) -> Wording:
    """Return what a message with these values says."""
    return _BY_STATUS.get((kind, values.get("status")), WORDINGS[kind])


def wordings_of(kind: MessageKind) -> tuple[Wording, ...]:
    """Return everything that messages of a kind may say."""
    return (WORDINGS[kind], *(wording for (of, _), wording in _BY_STATUS.items() if of is kind))
