"""Steps 2 and 3 before any lock: from what the caller sent to a bound, priced query."""

import dataclasses
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from exchange.crypto.canonical import canonical, digest
from exchange.errors import Problem
from exchange.sandbox import plan, query, sql
from exchange.sandbox.orders import Outcome
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Manifest
from exchange.statements import Arg, Select
from licensing import tariff
from licensing.chain import Chain, load_chain
from licensing.models import Licence
from licensing.tariff import Tariff
from settlement.models import StoredRelease
from settlement.rating import rate, total

_stored = StoredRelease.objects.filter(key=Arg("key"), outcome=Outcome.RELEASED).order_by("id")
_STORED = Select(_stored[:1])
_OWN = Select(_stored.filter(meteredquery__party=Arg("party"))[:1])


@dataclass
class Ask:
    """What a caller sent: SQL or a JSON query, for a purpose, under an idempotency key.

    `product`, and those `joined` to it, are known once the text is parsed.
    """

    question: str | dict[str, Any]
    purpose: str
    idempotency_key: str
    body_digest: str
    licence: UUID | None = None
    product: str = ""
    joined: tuple[str, ...] = ()
    review: bool = False  # a sample question of a delivery review, under its licence; the API cannot say so

    def licence_of(self, party: UUID) -> Licence | None:
        """The licence a refusal is numbered under, if the party has one for the product."""
        held = Licence.objects.filter(buyer=party, product__code=self.product).order_by("-id")
        if self.licence:
            held = held.filter(pk=self.licence)
        return held.first()


@dataclass(frozen=True)
class Prepared:
    """A query that is bound and priced. `cells` and `price` are the most it can be charged (minor units); of the
    price, the joined products' parts are those of one call each."""

    party: UUID
    chain: Chain
    query: dict[str, Any]
    outputs: dict[str, Any]
    snapshot: str
    release_key: str
    stored: StoredRelease | None
    tariff_json: dict[str, int]
    cells: int
    price: int
    looks: int

    @property
    def cost(self) -> int:
        """What it takes of its population's budget."""
        return 0 if self.stored else self.chain.cost(self.looks)

    @property
    def licence(self) -> Licence:
        if self.chain.licence is None:
            raise Problem("licence_missing")
        return self.chain.licence

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The chain of the product asked, and those of the products joined to it."""
        return (self.chain, *self.chain.joined)

    @property
    def licences(self) -> list[Licence]:
        """Theirs, in the same order, all there once `decide` has allowed the query."""
        return [self.licence, *(chain.licence for chain in self.chain.joined if chain.licence)]

    @property
    def named(self) -> dict[str, UUID | None]:
        """The joined products with their licences, to be read again."""
        return {chain.product.code: chain.licence and chain.licence.pk for chain in self.chain.joined}

    def under(self, chain: Chain) -> "Prepared":
        """The same with the chain as it stands under the lock."""
        for now, before in zip((chain, *chain.joined), self.chains, strict=True):
            if now.resource.snapshot_id != before.resource.snapshot_id:
                raise Problem("snapshot_gone", hint="A new snapshot came into service meanwhile; ask again.")
            if now.composition != before.composition:  # the order is signed under the old ones, and costs as much
                raise Problem("snapshot_gone", hint="The product's terms changed meanwhile; ask again.")
        return dataclasses.replace(self, chain=chain)


def prepare(party: UUID, ask: Ask, only_own: bool = False) -> Prepared:
    """Parse, bind and price. Raises Problem; what is refused depends on terms and public metadata only.

    `only_own` leaves out releases that none of the party's own queries had: what others asked is not told for free.
    """
    question = sql.parse(ask.question) if isinstance(ask.question, str) else query.parse_json(ask.question)
    ask.product, ask.joined = question.product, tuple(sorted({asked.product for asked in question.joins}))
    chain = load_chain(party, question.product, ask.purpose, ask.licence, dict.fromkeys(ask.joined), ask.review)
    chain.check_joins()
    shown = {other.product.code: other.shown() for other in chain.joined}
    bound = query.bind(question, chain.schema(), Profile(chain.disclosure.profile), shown)
    manifest = joined_manifest(chain, bound.query)
    plan.shape(bound.query, manifest, chain.disclosure)  # refuses what the node would
    asked = query.to_json(bound.query)
    key = release_key(chain, asked)
    stored = _OWN.first(key=key, party=party) if only_own else _STORED.first(key=key)
    cells = stored.cells if stored else plan.most_cells(bound.query, manifest, chain.disclosure)
    rates = rates_of(chain)
    price = total(rate(rates, calls=1, cells=cells)) + sum(call_price(other) for other in chain.joined)
    return Prepared(
        party=party,
        chain=chain,
        query=asked,
        outputs=query.shown_json(bound),
        snapshot=chain.manifest().snapshot,
        release_key=key,
        stored=stored,
        tariff_json=dataclasses.asdict(rates),
        cells=cells,
        price=price,
        looks=plan.looks(bound.query),
    )


def joined_manifest(chain: Chain, asked: query.AggregateQuery) -> Manifest:
    """The manifest of the snapshot in service with what is joined to it."""
    manifests = {other.product.code: other.manifest() for other in chain.joined}
    named = {join.name: manifests[query.product_of(join)] for join in asked.joins}
    return query.joined(chain.manifest(), asked.joins, named)


def rates_of(chain: Chain) -> Tariff:
    """What the party pays for a product by its licence."""
    if chain.licence is None or chain.composition.free:
        return tariff.FREE
    return tariff.from_json(chain.licence.tariff)


def call_price(chain: Chain) -> int:
    """What one call costs, without cells: the price of joining a product."""
    return total(rate(rates_of(chain), calls=1, cells=0))


def release_key(chain: Chain, asked: dict[str, Any]) -> str:
    """The digest of all that determines an answer: resource, snapshot, the holder's policy, terms, query; of what is
    joined, the same."""
    snapshot = chain.resource.snapshot
    parts: dict[str, Any] = {
        "resource": chain.resource.code,
        "snapshot": snapshot.code if snapshot else "",
        "policy": snapshot.policy["digest"] if snapshot else "",
        "terms": dataclasses.asdict(chain.disclosure),
        "query": asked,
    }
    if chain.joined:
        parts["joined"] = [
            [other.product.code, other.resource.code, other.manifest().snapshot, other.policy["digest"]]
            for other in chain.joined
        ]
    return digest(canonical(parts))
