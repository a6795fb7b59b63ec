"""Money moves here and nowhere else: top-up, hold, post with its shares, void.

Every `do_` is called inside the caller's transaction. Amounts are minor units; nothing is written for 0.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, F, Sum

from exchange.errors import Problem
from exchange.money import CURRENCY, split
from exchange.statements import Arg, Select, Update, insert
from settlement.models import Account, Balance, MeteredQuery, Transfer

_accounts = Account.objects.filter(kind=Arg("kind"), currency=CURRENCY)
_OF_PARTY = Select(_accounts.filter(party=Arg("party")))
_OWN = Select(_accounts.filter(party=None))
_WALLET = Select(Balance.objects.filter(account__party=Arg("party"), account__kind=Account.Kind.WALLET))
_amount = Arg("amount", BigIntegerField())
_balance = Balance.objects.filter(account=Arg("account"))
_HOLD = Update(_balance.filter(credits__gte=F("debits") + F("held") + _amount), held=F("held") + _amount)
_RESOLVE = Update(_balance, held=F("held") - Arg("held", BigIntegerField()), debits=F("debits") + _amount)
_HELD = Select(Transfer.objects.filter(query=Arg("query"), kind=Transfer.Kind.HOLD))


def account_of(party: UUID | None, kind: str) -> Account:
    """The party's account of that kind, opened if need be (`party` None: the exchange's own)."""
    found = _OF_PARTY.first(party=party, kind=kind) if party else _OWN.first(kind=kind)
    if found:
        return found
    account, made = Account.objects.get_or_create(party_id=party, kind=kind, currency=CURRENCY)
    if made and kind == Account.Kind.WALLET:
        Balance.objects.create(account=account)
    return account


def credit_left(party: UUID) -> int:
    """What the party's wallet can still pay."""
    row = _WALLET.first(party=party)
    return row.credits - row.debits - row.held if row else 0


def do_top_up(party: UUID, amount: int) -> Transfer:
    """Money that came from outside into the party's wallet."""
    wallet = account_of(party, Account.Kind.WALLET)
    Balance.objects.filter(account=wallet).update(credits=F("credits") + amount)
    return _move(Transfer.Kind.TOP_UP, account_of(None, Account.Kind.BANK).pk, wallet.pk, amount)


def do_hold(query: MeteredQuery, amount: int) -> None:
    """Hold `amount` of the buyer's wallet for `query`. Raises Problem credit_exhausted.

    The condition is in the UPDATE itself, so that a wallet is never overdrawn whoever else spends.
    """
    if not amount:
        return
    wallet = account_of(query.party_id, Account.Kind.WALLET)
    if not _HOLD.run(account=wallet.pk, amount=amount):
        raise Problem("credit_exhausted")
    _move(Transfer.Kind.HOLD, wallet.pk, account_of(None, Account.Kind.CLEARING).pk, amount, query=query)


def do_post(
    query: MeteredQuery, amount: int, shares: Mapping[str, int], owners: Mapping[str, UUID | None]
) -> dict[str, int]:
    """Take `amount` of what was held for `query` and pay the shares out of it; each share's amount by role.

    `shares` are basis points by role, `owners` the parties by role. What was held beyond `amount` is freed.
    """
    parts = split(amount, shares)
    hold = _resolve(query, Transfer.Kind.POST, amount)
    if hold is None:
        return parts
    for role, part in parts.items():
        if part:
            income = account_of(owners[role], Account.Kind.INCOME)
            _move(Transfer.Kind.SHARE, hold.credit_id, income.pk, part, query=query, role=role)
    return parts


def do_void(query: MeteredQuery) -> None:
    """Free all that was held for `query`."""
    _resolve(query, Transfer.Kind.VOID, 0)


def balance(account: Account) -> int:
    """Credits less debits, derived from the transfers; holds and voids move nothing."""
    moved = Transfer.objects.exclude(kind__in=[Transfer.Kind.HOLD, Transfer.Kind.VOID])
    credited = moved.filter(credit=account).aggregate(sum=Sum("amount"))["sum"] or 0
    debited = moved.filter(debit=account).aggregate(sum=Sum("amount"))["sum"] or 0
    return credited - debited


def _resolve(query: MeteredQuery, kind: str, amount: int) -> Transfer | None:
    """Post or void the query's hold; None where nothing was held. A second try fails in the database."""
    hold = _HELD.first(query=query.pk)
    if hold is None:
        return None
    if amount > hold.amount:
        raise ValueError("a post is at most its hold")
    _RESOLVE.run(account=hold.debit_id, held=hold.amount, amount=amount)
    _move(kind, hold.debit_id, hold.credit_id, amount, query=query, hold=hold)
    return hold


def _move(kind: str, debit: UUID, credit: UUID, amount: int, **more: Any) -> Transfer:
    transfer = Transfer(kind=kind, debit_id=debit, credit_id=credit, amount=amount, **more)
    insert(transfer)
    return transfer
