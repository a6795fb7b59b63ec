"""The row of a query as it is reserved, and what every record of it says."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from catalog.models import Product
from catalog.registry import shares
from catalog.snapshots import order_for
from exchange.api.tokens import Caller
from exchange.audit import keys
from exchange.ids import new_id
from exchange.sandbox.orders import Joined, OrderKind, sign_order
from exchange.sandbox.query import joins_from_json, product_of
from exchange.statements import Arg, Select
from settlement.models import JoinedProduct, MeteredQuery, StoredRelease
from settlement.prepared import Ask, Prepared

_of_population = StoredRelease.objects.filter(domain=Arg("domain"), population=Arg("population"), spent__gt=0)
_LATEST = Select(_of_population.order_by("-spent").only("jws")[:1])


def new_query(caller: Caller, ask: Ask, prepared: Prepared) -> MeteredQuery:
    """The row to reserve, with its signed order where the node will be asked. Its id is the order's."""
    pk, product = new_id(), prepared.chain.product
    return MeteredQuery(
        id=pk,
        client_id=caller.client,
        party_id=caller.party,
        licence=prepared.licence,
        product=product,
        idempotency_key=ask.idempotency_key,
        body_digest=ask.body_digest,
        purpose=ask.purpose,
        query=prepared.query,
        outputs=prepared.outputs,
        snapshot=prepared.snapshot,
        release_key=prepared.release_key,
        terms={
            "tariff": prepared.tariff_json,
            **sharing(product),
            "version": prepared.chain.version,
            "cost": prepared.cost,
            "population": prepared.chain.resource.snapshot.policy["population"],
            "privacy": privacy(prepared),
        },
        order="" if prepared.stored else signed_order(pk, prepared),
        price=prepared.price,
        cells=prepared.cells,
        release=prepared.stored,
        stored=prepared.stored is not None,
        send_again_at=timezone.now() + timedelta(seconds=settings.SLUICE.order_seconds),
    )


def signed_order(pk: UUID, prepared: Prepared) -> str:
    """The order for the node of the product's domain, signed by the exchange."""
    chain = prepared.chain
    order = order_for(
        chain.resource.domain,
        OrderKind.QUERY,
        id=pk,
        resource=chain.resource.code,
        snapshot=prepared.snapshot,
        terms=chain.disclosure,
        query=prepared.query,
        columns=tuple(sorted(chain.composition.columns)),
        seen=latest(chain.resource.domain_id, chain.resource.snapshot.policy["population"]),
        joins=joins(prepared),
    )
    return sign_order(order, keys.current("order"))


def latest(domain: UUID, population: str) -> str:
    """The population's release with the largest total spent, as the node signed it: a node whose journal does not
    know it has forgotten what was spent, and says so instead of answering."""
    release = _LATEST.first(domain=domain, population=population)
    return release.jws if release else ""


def joins(prepared: Prepared) -> tuple[Joined, ...]:
    """What each of the query's joins is with."""
    chains = {chain.product.code: chain for chain in prepared.chain.joined}
    named = [(join.name, chains[product_of(join)]) for join in joins_from_json(prepared.query)]
    return tuple(
        Joined(name, chain.resource.code, chain.manifest().snapshot, tuple(sorted(chain.composition.columns)))
        for name, chain in named
    )


def privacy(prepared: Prepared) -> tuple[int, int] | None:
    """What the answer costs in micro-ρ (0 where it is from store), and n for the δ = 10⁻ⁿ it is shown at."""
    terms, snapshot = prepared.chain.disclosure, prepared.chain.resource.snapshot
    if not terms.rho or snapshot is None:
        return None
    return (0 if prepared.stored else terms.rho), snapshot.policy["delta"]


def sharing(product: Product) -> dict[str, dict[str, Any]]:
    """Who gets which part of the product's price."""
    return {"shares": shares(product.authorization, product.merchant_share), "owners": owners(product)}


def owners(product: Product) -> dict[str, str]:
    """Whose income each share is, by role; the platform's own account has no party."""
    return {
        "holder": str(product.resource.holder_id),
        "operator": str(product.authorization.operator_id),
        "merchant": str(product.merchant_id),
        "platform": "",
    }


def facts(query: MeteredQuery, rows: Sequence[JoinedProduct] = ()) -> dict[str, object]:
    """What every record of a query says; `rows` are what it joins."""
    joined = [told(row) for row in rows]
    return ({"joined": joined} if joined else {}) | {
        "v": 1, "query": str(query.pk), "licence": str(query.licence_id), "product": query.product.code,
        "buyer": str(query.party_id), "client": str(query.client_id), "purpose": query.purpose,
        "version": query.terms.get("version", 0), "snapshot": query.snapshot, "asked": query.query, "held": query.price,
    }  # fmt: skip


def told(row: JoinedProduct) -> dict[str, object]:
    """What records say of a joined product."""
    return {
        "product": row.product.code, "licence": str(row.licence_id), "snapshot": row.snapshot, "held": row.price,
    }  # fmt: skip
