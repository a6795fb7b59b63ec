"""Money moves here and nowhere else: top-up, hold, post with its shares, void.

Every `do_` is called inside the caller's transaction. Amounts are minor units; nothing is written for 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import BigIntegerField, F, Q, Sum

from exchange.errors import Problem
from exchange.money import CURRENCY, split
from exchange.statements import Arg, Select, Update, insert
from settlement.models import Account, Balance, JoinedProduct, MeteredQuery, Transfer

Side = tuple[UUID | None, str]  # whose account (None: the exchange's own), and of which kind

_owner = Q(party=None) | Q(party=Arg("first")) | Q(party=Arg("second")) | Q(party=Arg("third"))
_ACCOUNTS = Select(Account.objects.filter(_owner, currency=CURRENCY).values_list("party_id", "kind", "id"))
_WALLET = Select(Balance.objects.filter(account__party=Arg("party"), account__kind=Account.Kind.WALLET))
_amount = Arg("amount", BigIntegerField())
_balance = Balance.objects.filter(account=Arg("account"))
_HOLD = Update(_balance.filter(credits__gte=F("debits") + F("held") + _amount), held=F("held") + _amount)
_RESOLVE = Update(_balance, held=F("held") - Arg("held", BigIntegerField()), debits=F("debits") + _amount)
_HELD = Select(Transfer.objects.filter(query=Arg("query"), kind=Transfer.Kind.HOLD))


def accounts(*sides: Side) -> list[UUID]:
    """The accounts of these sides, in their order, opened if need be; of three parties at most."""
    parties = {party: party for party, _ in sides if party}
    first, second, third = [*parties, *[None] * (3 - len(parties))]
    found = {(party, kind): pk for party, kind, pk in _ACCOUNTS.all(first=first, second=second, third=third)}
    return [found.get(side) or _open(*side) for side in sides]


def _open(party: UUID | None, kind: str) -> UUID:
    account, made = Account.objects.get_or_create(party_id=party, kind=kind, currency=CURRENCY)
    if made and kind == Account.Kind.WALLET:
        Balance.objects.create(account=account)
    return account.pk


def credit_left(party: UUID) -> int:
    """What the party's wallet can still pay."""
    row = _WALLET.first(party=party)
    return row.credits - row.debits - row.held if row else 0


def do_top_up(party: UUID, amount: int) -> Transfer:
    """Money that came from outside into the party's wallet."""
    wallet, bank = accounts((party, Account.Kind.WALLET), (None, Account.Kind.BANK))
    Balance.objects.filter(account=wallet).update(credits=F("credits") + amount)
    transfer = _transfer(Transfer.Kind.TOP_UP, bank, wallet, amount)
    insert(transfer)
    return transfer


def do_hold(query: MeteredQuery, amount: int) -> None:
    """Hold `amount` of the buyer's wallet for `query`. Raises Problem credit_exhausted.

    The condition is in the UPDATE itself, so that a wallet is never overdrawn whoever else spends.
    """
    if not amount:
        return
    wallet, clearing = accounts((query.party_id, Account.Kind.WALLET), (None, Account.Kind.CLEARING))
    if not _HOLD.run(account=wallet, amount=amount):
        raise Problem("credit_exhausted")
    insert(_transfer(Transfer.Kind.HOLD, wallet, clearing, amount, query=query))


@dataclass(frozen=True)
class Due:
    """What a product earns by a query; `terms` has shares, in basis points by role, and their owners."""

    amount: int
    terms: Mapping[str, Any]
    joined: JoinedProduct | None = None  # None: the product asked

    @property
    def parts(self) -> dict[str, int]:
        """Each share's amount by role; they sum to `amount`."""
        return split(self.amount, self.terms["shares"])


def do_post(query: MeteredQuery, dues: Sequence[Due]) -> None:
    """Take what is due of what was held for `query`, and pay the shares out of it.

    What was held beyond is freed.
    """
    post = _resolved(query, Transfer.Kind.POST, sum(due.amount for due in dues))
    if post is not None:
        insert(post, *(share for due in dues for share in _shares(query, post, due)))


def _shares(query: MeteredQuery, post: Transfer, due: Due) -> list[Transfer]:
    paid = {role: part for role, part in due.parts.items() if part}
    owners = {role: UUID(owner) if owner else None for role, owner in due.terms["owners"].items()}
    incomes = accounts(*[(owners[role], Account.Kind.INCOME) for role in paid])
    return [
        _transfer(Transfer.Kind.SHARE, post.credit_id, income, part, query=query, role=role, joined=due.joined)
        for (role, part), income in zip(paid.items(), incomes, strict=True)
    ]


def do_void(query: MeteredQuery) -> None:
    """Free all that was held for `query`."""
    void = _resolved(query, Transfer.Kind.VOID, 0)
    if void is not None:
        insert(void)


def balance(account: Account) -> int:
    """Credits less debits, derived from the transfers; holds and voids move nothing."""
    moved = Transfer.objects.exclude(kind__in=[Transfer.Kind.HOLD, Transfer.Kind.VOID])
    credited = moved.filter(credit=account).aggregate(sum=Sum("amount"))["sum"] or 0
    debited = moved.filter(debit=account).aggregate(sum=Sum("amount"))["sum"] or 0
    return credited - debited


def _resolved(query: MeteredQuery, kind: str, amount: int) -> Transfer | None:
    """The post or void of the query's hold, to be inserted; None where nothing was held.

    A second one fails in the database.
    """
    hold = _HELD.first(query=query.pk)
    if hold is None:
        return None
    if amount > hold.amount:
        raise ValueError("a post is at most its hold")
    _RESOLVE.run(account=hold.debit_id, held=hold.amount, amount=amount)
    return _transfer(kind, hold.debit_id, hold.credit_id, amount, query=query, hold=hold)


def _transfer(kind: str, debit: UUID, credit: UUID, amount: int, **more: Any) -> Transfer:
    return Transfer(kind=kind, debit_id=debit, credit_id=credit, amount=amount, **more)
