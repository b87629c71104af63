"""The rules: given an account and a command, one event or a refusal.

Pure functions of state, command and the time that is passed in. A decision never changes the account; `evolve` does.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID

from ledger import commands, errors, events
from ledger.account import Account, Decision, FreezeState, OpenFreeze
from ledger.amounts import MAX_AMOUNT_MICROCREDITS, MAX_TOTAL_MICROCREDITS, format_credits
from ledger.bounds import check_command_key, check_priority, check_time, end_of
from ledger.events import Kind, Portion
from ledger.lots import Origin, draw, split, total


def decide(account: Account, command: commands.Command, *, now_us: int) -> Decision:
    """Decide one command on the account as it is.

    Raises:
        InvalidCommandKey: the key is empty or too long.
        Refused: one of the errors that the decision of this command names.
    """
    check_command_key(command.command_key)
    if account.version == 0 and not isinstance(command, commands.OpenAccount):
        raise errors.AccountNotFound(account.id)
    return _DECIDE[type(command)](account, command, now_us)


def decide_open(account: Account, command: commands.OpenAccount, now_us: int) -> Decision:
    """Open the account; only its first event can do that."""
    assert account.version == 0, "an account opens once: its command key is fixed"
    return Decision(
        Kind.account_opened, 0, events.AccountOpened(actor=command.actor, owner=command.owner, name=command.name)
    )


def decide_top_up(account: Account, command: commands.TopUp, now_us: int) -> Decision:
    """Bring in bought credits as a lot; what the account owes is paid from them first.

    Raises:
        InvalidAmount: not from 1 to `MAX_AMOUNT_MICROCREDITS`.
        BalanceLimitExceeded: the account's lifetime total would pass its limit.
        OutOfRange: a time or the priority cannot be kept.
    """
    amount = _incoming(account, command.amount_microcredits)
    check_time("expires_at", command.expires_at_us)
    check_time("effective_at", command.effective_at_us)
    check_priority(command.priority)
    body = events.CreditsToppedUp(
        actor=command.actor,
        effective_at_us=command.effective_at_us,
        lot_id=command.lot_id,
        source=command.source,
        priority=command.priority,
        reference=command.reference,
        paid_amount=command.paid_amount,
        paid_currency=command.paid_currency,
        expires_at_us=command.expires_at_us,
        debt_paid_microcredits=min(account.debt, amount),
    )
    return Decision(Kind.credits_topped_up, amount, body)


def decide_grant(account: Account, command: commands.Grant, now_us: int) -> Decision:
    """Bring in given credits as a lot; what the account owes is paid from them first.

    Raises:
        InvalidAmount: not from 1 to `MAX_AMOUNT_MICROCREDITS`.
        BalanceLimitExceeded: the account's lifetime total would pass its limit.
        OutOfRange: the expiry or the priority cannot be kept.
    """
    amount = _incoming(account, command.amount_microcredits)
    check_time("expires_at", command.expires_at_us)
    check_priority(command.priority)
    body = events.CreditsGranted(
        actor=command.actor,
        lot_id=command.lot_id,
        priority=command.priority,
        reason=command.reason,
        expires_at_us=command.expires_at_us,
        debt_paid_microcredits=min(account.debt, amount),
    )
    return Decision(Kind.credits_granted, amount, body)


def decide_freeze(account: Account, command: commands.Freeze, now_us: int) -> Decision:
    """Set aside credits for one piece of work, or refuse.

    The amount leaves what is available at once, so two jobs can never be promised the same credits.

    Raises:
        InvalidAmount: not from 1 to `MAX_AMOUNT_MICROCREDITS`.
        AccountInDebt: the account owes credits after a reversal or an override.
        InsufficientCredits: less is available than was asked for.
        FreezeExists: the id is taken.
        OutOfRange: it would end before it begins, or too late to be kept.
    """
    amount = _positive(command.amount_microcredits)
    expires_at_us = end_of(now_us, command.ttl_us)
    if command.freeze_id in account.freezes:
        raise errors.FreezeExists(command.freeze_id)
    body = events.CreditsFrozen(
        actor=command.actor,
        freeze_id=command.freeze_id,
        draws=_draw_all(account, amount, now_us),
        expires_at_us=expires_at_us,
        reference=command.reference,
    )
    return Decision(Kind.credits_frozen, amount, body)


def decide_confirm(account: Account, command: commands.Confirm, now_us: int) -> Decision:
    """Take all or part of a freeze, in the order its lots were drawn on, and release the rest.

    Raises:
        FreezeNotFound: the account has no such freeze.
        FreezeAlreadyResolved: it was resolved under another key.
        InvalidAmount: negative.
        AmountExceedsFreeze: more than was frozen.
    """
    freeze = _open_freeze(account, command.freeze_id)
    amount = freeze.amount if command.amount_microcredits is None else command.amount_microcredits
    if amount < 0:
        raise errors.InvalidAmount(format_credits(amount), "a confirm takes nothing or more")
    if amount > freeze.amount:
        raise errors.AmountExceedsFreeze(amount_microcredits=amount, frozen_microcredits=freeze.amount)
    spent, released = (freeze.draws, ()) if amount == freeze.amount else split(freeze.draws, amount)
    back = _give_back(account, released, now_us)
    body = events.FreezeConfirmed(
        actor=command.actor,
        freeze_id=freeze.id,
        draws=spent,
        returned=back.returned,
        expired=back.expired,
        debt_paid_microcredits=back.debt_paid,
    )
    return Decision(Kind.freeze_confirmed, amount, body)


def decide_rollback(account: Account, command: commands.Rollback, now_us: int) -> Decision:
    """Release a whole freeze.

    Raises:
        FreezeNotFound: the account has no such freeze.
        FreezeAlreadyResolved: it was resolved under another key.
    """
    return _roll_back(account, _open_freeze(account, command.freeze_id), command.actor, command.reason, now_us)


def decide_expire_freeze(account: Account, command: commands.ExpireFreeze, now_us: int) -> Decision:
    """Release a whole freeze because its time is over.

    Raises:
        FreezeNotFound: the account has no such freeze.
        FreezeAlreadyResolved: it was resolved before.
        FreezeNotExpired: its time is not over.
    """
    freeze = _open_freeze(account, command.freeze_id)
    if now_us < freeze.expires_at_us:
        raise errors.FreezeNotExpired(freeze.id)
    return _roll_back(account, freeze, command.actor, "expired", now_us)


def decide_charge(account: Account, command: commands.Charge, now_us: int) -> Decision:
    """Debit in one step; with `at_most`, what is there, recording what was not.

    Raises:
        InvalidAmount: not from 1 to `MAX_AMOUNT_MICROCREDITS`.
        AccountInDebt: the account owes credits (not with `at_most`).
        InsufficientCredits: less is available than was asked for (not with `at_most`).
    """
    amount = _positive(command.amount_microcredits)
    shortfall = 0
    if command.at_most:
        draws, shortfall = draw(account.lots.values(), amount, now_us)
    else:
        draws = _draw_all(account, amount, now_us)
    body = events.CreditsCharged(
        actor=command.actor, draws=draws, reference=command.reference, shortfall_microcredits=shortfall
    )
    return Decision(Kind.credits_charged, amount - shortfall, body)


def decide_adjust(account: Account, command: commands.Adjust, now_us: int) -> Decision:
    """Correct the balance up or down; only an explicit override ends below zero.

    Raises:
        InvalidAmount: zero, or beyond `MAX_AMOUNT_MICROCREDITS` either way.
        BalanceLimitExceeded: the account's lifetime total would pass its limit.
        InsufficientCredits: it would end below zero without `allow_negative`.
    """
    if command.amount_microcredits > 0:
        amount = _incoming(account, command.amount_microcredits)
        body = events.CreditsAdjusted(
            actor=command.actor,
            reason=command.reason,
            lot_id=command.lot_id,
            priority=commands.DEFAULT_PRIORITY,
            debt_paid_microcredits=min(account.debt, amount),
        )
        return Decision(Kind.credits_adjusted, amount, body)
    amount = _positive(-command.amount_microcredits)
    if account.credited - amount < -MAX_TOTAL_MICROCREDITS or account.available - amount < -MAX_TOTAL_MICROCREDITS:
        raise errors.BalanceLimitExceeded
    draws, shortfall = draw(account.lots.values(), amount, now_us)
    if shortfall and not command.allow_negative:
        raise errors.InsufficientCredits(
            required_microcredits=amount, available_microcredits=_spendable(account, now_us)
        )
    body = events.CreditsAdjusted(actor=command.actor, reason=command.reason, draws=draws)
    return Decision(Kind.credits_adjusted, -amount, body)


def decide_expire_lot(account: Account, command: commands.ExpireLot, now_us: int) -> Decision:
    """Remove what remains of a lot whose time is over, or before that what it has beyond the credits to keep.

    What of it is frozen stays frozen and is not counted as kept. Once its time is over, nothing is kept.

    Raises:
        InvalidAmount: less than nothing is to be kept, or more than `MAX_AMOUNT_MICROCREDITS`.
        LotNotFound: the account has no such lot.
        LotNotExpirable: its time is not over and nothing is to be kept, or no more remains than that.
    """
    if command.keep_microcredits:
        _positive(command.keep_microcredits)
    lot = account.lots.get(command.lot_number)
    if lot is None:
        raise errors.LotNotFound(command.lot_number)
    is_over = lot.is_expired(now_us)
    kept = 0 if is_over else command.keep_microcredits
    if lot.remaining <= kept or not (is_over or kept):
        raise errors.LotNotExpirable(command.lot_number)
    body = events.CreditsExpired(actor=command.actor, lot_number=lot.number, kept_microcredits=kept)
    return Decision(Kind.credits_expired, lot.remaining - kept, body)


def decide_reverse_top_up(account: Account, command: commands.ReverseTopUp, now_us: int) -> Decision:
    """Take back bought credits: from their own lot, from what had expired of it, from the other lots, then as debt.

    What expired unused is counted before other lots are touched: nobody owes credits for a payment that was returned
    and whose credits were never used.

    Raises:
        LotNotFound: the account has no such lot, or it was not bought.
        InvalidAmount: not from 1 to `MAX_AMOUNT_MICROCREDITS`.
        AmountExceedsLot: all reversals of this top-up together would take more than it brought in.
        BalanceLimitExceeded: the account would owe more than its totals can hold.
    """
    amount = _positive(command.amount_microcredits)
    lot = account.lots.get(command.lot_number)
    if lot is None or lot.origin is not Origin.top_up:
        raise errors.LotNotFound(command.lot_number)
    reversible = lot.amount - lot.reversed
    if amount > reversible:
        raise errors.AmountExceedsLot(amount_microcredits=amount, reversible_microcredits=reversible)
    from_lot = min(lot.remaining, amount)
    already_expired = min(lot.expired, amount - from_lot)
    others = (other for other in account.lots.values() if other is not lot)
    from_others, debt = draw(others, amount - from_lot - already_expired, now_us)
    if account.available - (amount - already_expired) < -MAX_TOTAL_MICROCREDITS:
        raise errors.BalanceLimitExceeded
    body = events.TopUpReversed(
        actor=command.actor,
        lot_number=lot.number,
        draws=((lot.number, from_lot), *from_others) if from_lot else from_others,
        already_expired_microcredits=already_expired,
        debt_microcredits=debt,
        reason=command.reason,
    )
    return Decision(Kind.top_up_reversed, amount, body)


def decide_reinstate(account: Account, command: commands.ReinstateReversal, now_us: int) -> Decision:
    """Undo a reversal: each lot gets back what it gave; what had become debt pays debt, or becomes a new lot.

    The debt was paid with later credits by now, so they come back as a lot that does not expire, not into one that
    may have expired meanwhile.

    Raises:
        ReversalNotFound: the account has no such reversal, or it is reinstated already.
    """
    reversal = account.reversals.get(command.reversal_version)
    if reversal is None or reversal.reinstated:
        raise errors.ReversalNotFound(command.reversal_version)
    paid_at_once = min(account.debt, reversal.debt)
    new_lot = reversal.debt - paid_at_once
    back = _give_back(account, reversal.draws, now_us, debt=account.debt - paid_at_once)
    body = events.ReversalReinstated(
        actor=command.actor,
        reversal_version=reversal.version,
        lot_number=reversal.lot_number,
        returned=back.returned,
        expired=back.expired,
        already_expired_microcredits=reversal.already_expired,
        debt_paid_microcredits=paid_at_once + back.debt_paid,
        lot_id=command.lot_id if new_lot else None,
        priority=account.lots[reversal.lot_number].priority,
        new_lot_microcredits=new_lot,
        reason=command.reason,
    )
    return Decision(Kind.reversal_reinstated, reversal.amount, body)


class _Back(NamedTuple):
    returned: tuple[Portion, ...]
    expired: tuple[Portion, ...]
    debt_paid: int


def _give_back(account: Account, portions: Iterable[Portion], now_us: int, *, debt: int | None = None) -> _Back:
    """Say where released credits go: those of expired lots expire, the rest pays debt first and then returns."""
    returned: list[Portion] = []
    expired: list[Portion] = []
    for portion in portions:
        (expired if account.lots[portion[0]].is_expired(now_us) else returned).append(portion)
    owed = account.debt if debt is None else debt
    if owed == 0:
        return _Back(tuple(returned), tuple(expired), 0)
    paying, rest = split(returned, owed)
    return _Back(rest, tuple(expired), total(paying))


def _roll_back(account: Account, freeze: OpenFreeze, actor: str, reason: str, now_us: int) -> Decision:
    back = _give_back(account, freeze.draws, now_us)
    body = events.FreezeRolledBack(
        actor=actor,
        freeze_id=freeze.id,
        returned=back.returned,
        expired=back.expired,
        debt_paid_microcredits=back.debt_paid,
        reason=reason,
    )
    return Decision(Kind.freeze_rolled_back, freeze.amount, body)


def _open_freeze(account: Account, freeze_id: UUID) -> OpenFreeze:
    freeze = account.freezes.get(freeze_id)
    if freeze is None:
        raise errors.FreezeNotFound(freeze_id)
    if freeze.state is not FreezeState.open:
        raise errors.FreezeAlreadyResolved(freeze_id, state=freeze.state.name)
    return freeze


def _positive(amount: int) -> int:
    if not 0 < amount <= MAX_AMOUNT_MICROCREDITS:
        raise errors.InvalidAmount(format_credits(amount), "it must be above zero and within the limit")
    return amount


def _incoming(account: Account, amount: int) -> int:
    if account.credited + _positive(amount) > MAX_TOTAL_MICROCREDITS:
        raise errors.BalanceLimitExceeded
    return amount


def _spendable(account: Account, now_us: int) -> int:
    if account.available < 0:
        return account.available
    return sum(lot.remaining for lot in account.lots.values() if not lot.is_expired(now_us))


def _draw_all(account: Account, amount: int, now_us: int) -> tuple[Portion, ...]:
    if account.available < 0:
        raise errors.AccountInDebt(required_microcredits=amount, available_microcredits=account.available)
    draws, missing = draw(account.lots.values(), amount, now_us)
    if missing:
        raise errors.InsufficientCredits(
            required_microcredits=amount, available_microcredits=_spendable(account, now_us)
        )
    return draws


_DECIDE: Final[dict[type[commands.Command], Callable[[Account, Any, int], Decision]]] = {
    commands.OpenAccount: decide_open,
    commands.TopUp: decide_top_up,
    commands.Grant: decide_grant,
    commands.Freeze: decide_freeze,
    commands.Confirm: decide_confirm,
    commands.Rollback: decide_rollback,
    commands.ExpireFreeze: decide_expire_freeze,
    commands.Charge: decide_charge,
    commands.Adjust: decide_adjust,
    commands.ExpireLot: decide_expire_lot,
    commands.ReverseTopUp: decide_reverse_top_up,
    commands.ReinstateReversal: decide_reinstate,
}
