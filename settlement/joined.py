"""The products that a query joins: their part of reserve and settle, and nothing where there are none.

Each is one call of its own licence: counted on its meter, paid at its tariff, shared among its owners, and told in
records that this licence numbers. One about the population of the product asked has the query's cost taken from its
licence's share as well; the population itself is debited once. The release, the hold, the post and the receipt are
the query's.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from exchange.audit import log
from exchange.ids import new_id
from exchange.statements import Arg, Select
from licensing import meters
from licensing.models import LicenceMeter
from settlement.ledger import Due
from settlement.models import JoinedProduct, MeteredQuery
from settlement.prepared import Prepared, call_price, rates_of
from settlement.rating import rate, total
from settlement.rows import sharing, told

_rows = JoinedProduct.objects.filter(query=Arg("query")).select_related("product", "licence").order_by("product__code")
_ROWS = Select(_rows)


def new_rows(query: MeteredQuery, prepared: Prepared) -> list[JoinedProduct]:
    """What is reserved for each joined product, in the order of `prepared.licences`."""
    found = zip(prepared.chain.joined, prepared.licences[1:], strict=True)
    return [
        JoinedProduct(
            id=new_id(),
            query=query,
            product=chain.product,
            licence=licence,
            snapshot=chain.manifest().snapshot,
            terms={
                "tariff": asdict(rates_of(chain)),
                **sharing(chain.product),
                "cost": prepared.cost if chain.policy.get("budget") else 0,
            },
            price=call_price(chain),
        )
        for chain, licence in found
    ]


def of(query: MeteredQuery) -> list[JoinedProduct]:
    """The products that a reserved query joins, by code."""
    return _ROWS.all(query=query.pk) if query.query.get("joins") else []


def amount(row: JoinedProduct) -> int:
    """What it costs: one call, at the tariff it was reserved at."""
    return total(rate(row.tariff, calls=1, cells=0))


def lines_of(rows: Sequence[JoinedProduct]) -> list[dict[str, Any]]:
    """The lines of the query's price that are theirs."""
    priced = [(row.product.code, line) for row in rows for line in rate(row.tariff, calls=1, cells=0)]
    return [line.to_json() | {"product": product} for product, line in priced]


def shares_of(dues: Sequence[Due]) -> dict[str, Any]:
    """Who gets what of them, for the query's record; nothing where none is joined."""
    found = {due.joined.product.code: due.parts for due in dues if due.joined}
    return {"shares_of_joined": found} if found else {}


def do_count(rows: Sequence[JoinedProduct], locked: Sequence[LicenceMeter]) -> None:
    """Count a call of each licence, debit its share, and record it. Needs the meters' locks."""
    for row, meter in zip(rows, locked, strict=True):
        meters.do_spend_share(meter, row.terms["cost"])
        _record("query.joined", row, meters.do_count_call(meter))


def do_end(rows: Sequence[JoinedProduct], locked: Sequence[LicenceMeter], voided: bool) -> None:
    """Record how the query ended for each licence; a call that was voided goes back. Needs the meters' locks."""
    for row, meter in zip(rows, locked, strict=True):
        number = meters.do_number_record(meter, give_back=voided)
        _record("query.joined_voided" if voided else "query.joined_settled", row, number)


def _record(kind: str, row: JoinedProduct, number: int) -> None:
    body = {"v": 1, "query": str(row.query_id), **told(row)}
    log.append(kind, body, licence=row.licence.pseudonym, seq=number)
