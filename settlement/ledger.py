"""Money moves here and nowhere else: top-up, hold, post with its shares, void.

Every `do_` is called inside the caller's transaction. Amounts are minor units; nothing is written for 0.
"""

from collections.abc import Mapping
from uuid import UUID

from django.db.models import F, Q, Sum

from exchange.errors import Problem
from exchange.ids import new_id
from exchange.money import CURRENCY, split
from settlement.models import Account, Balance, MeteredQuery, Transfer


def account_of(party: UUID | None, kind: str, currency: str = CURRENCY) -> Account:
    """The party's account of that kind, opened if need be (`party` None: the exchange's own)."""
    account, made = Account.objects.get_or_create(party_id=party, kind=kind, currency=currency)
    if made and kind == Account.Kind.WALLET:
        Balance.objects.create(account=account)
    return account


def incomes_of(parties: set[UUID | None]) -> dict[UUID | None, Account]:
    """The parties' income accounts, in one query where all are open already."""
    mine = Q(party__in=[party for party in parties if party]) | (Q(party=None) if None in parties else Q(pk__in=[]))
    found = {
        account.party_id: account
        for account in Account.objects.filter(mine, kind=Account.Kind.INCOME, currency=CURRENCY)
    }
    return found | {party: account_of(party, Account.Kind.INCOME) for party in parties - found.keys()}


def credit_left(party: UUID) -> int:
    """What the party's wallet can still pay."""
    row = Balance.objects.filter(account__party=party, account__kind=Account.Kind.WALLET).first()
    return row.credits - row.debits - row.held if row else 0


def do_top_up(party: UUID, amount: int) -> Transfer:
    """Money that came from outside into the party's wallet."""
    wallet = account_of(party, Account.Kind.WALLET)
    Balance.objects.filter(account=wallet).update(credits=F("credits") + amount)
    return _move(Transfer.Kind.TOP_UP, account_of(None, Account.Kind.BANK), wallet, amount)


def do_hold(query: MeteredQuery, amount: int) -> None:
    """Hold `amount` of the buyer's wallet for `query`. Raises Problem credit_exhausted.

    The condition is in the UPDATE itself, so that a wallet is never overdrawn whoever else spends.
    """
    if not amount:
        return
    wallet = account_of(query.party_id, Account.Kind.WALLET)
    enough = Q(credits__gte=F("debits") + F("held") + amount)
    if not Balance.objects.filter(enough, account=wallet).update(held=F("held") + amount):
        raise Problem("credit_exhausted")
    _move(Transfer.Kind.HOLD, wallet, account_of(None, Account.Kind.CLEARING), amount, query=query)


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
    incomes = incomes_of({owners[role] for role, part in parts.items() if part})
    rows = [
        Transfer(
            id=new_id(), kind=Transfer.Kind.SHARE, debit=hold.credit, amount=part, query=query, role=role,
            credit=incomes[owners[role]],
        )
        for role, part in parts.items()
        if part
    ]  # fmt: skip
    Transfer.objects.bulk_create(rows)
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
    hold = Transfer.objects.select_related("debit", "credit").filter(query=query, kind=Transfer.Kind.HOLD).first()
    if hold is None:
        return None
    if amount > hold.amount:
        raise ValueError("a post is at most its hold")
    Balance.objects.filter(account=hold.debit).update(held=F("held") - hold.amount, debits=F("debits") + amount)
    _move(kind, hold.debit, hold.credit, amount, query=query, hold=hold)
    return hold


def _move(
    kind: str,
    debit: Account,
    credit: Account,
    amount: int,
    query: MeteredQuery | None = None,
    hold: Transfer | None = None,
) -> Transfer:
    return Transfer.objects.create(kind=kind, debit=debit, credit=credit, amount=amount, query=query, hold=hold)
