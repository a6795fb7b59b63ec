"""The chain of one query, read at one moment: resource → authorization → product → licence.

Four SQL queries, whatever the size of the catalog. The same function reads it before the decision and again
under the lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from uuid import UUID

from django.db.models import Exists, OuterRef

from catalog.covers import Grant, Item, Mode
from catalog.models import Authorization, Product, Resource, Snapshot
from exchange.errors import Problem
from exchange.sandbox.query import Profile
from exchange.sandbox.query.joins import ENTITY_HINT, HINT
from exchange.sandbox.schema import Manifest, Schema, manifest_from_json
from exchange.sandbox.terms import Terms, strictest
from exchange.statements import Arg, Select
from licensing.decide import LicenceTerms, Offer
from licensing.models import Licence, PopulationMeter

_of = {
    name: getattr(Authorization, name).through.objects.filter(authorization=OuterRef("authorization"))
    for name in ("listed", "excluded", "merchants")
}
_PRODUCT = Select(
    Product.objects.filter(code=Arg("code"))
    .exclude(state=Product.State.DRAFT)
    .select_related("authorization", "resource", "resource__domain", "resource__snapshot")
    .defer("resource__snapshot__manifest", "resource__snapshot__release")
    .annotate(
        is_listed=Exists(_of["listed"].filter(resource=OuterRef("resource"))),
        is_excluded=Exists(_of["excluded"].filter(resource=OuterRef("resource"))),
        is_sub_licensed=Exists(_of["merchants"].filter(party=OuterRef("merchant"))),
    )
)
_held = Licence.objects.filter(buyer=Arg("buyer"), product=Arg("product")).select_related("meter").order_by("-id")
_NAMED = Select(_held.filter(pk=Arg("pk")))
_HELD = Select(_held[:100])
_POPULATION = Select(PopulationMeter.objects.filter(domain=Arg("domain"), population=Arg("population")))

NO_CAP = 2**62  # an `open` resource has no population, hence nothing to use up


@dataclass(frozen=True, slots=True)
class Chain:
    """One product as one party may ask it, and those joined to it. `licence` is None where the party has none.

    `disclosure` is that of a query: with products joined, of each term the strictest.
    """

    product: Product
    licence: Licence | None
    offer: Offer
    terms: LicenceTerms | None
    disclosure: Terms
    calls: int
    spent: int
    population_left: int
    joined: "tuple[Chain, ...]" = ()

    @property
    def resource(self) -> Resource:
        return self.product.resource

    def manifest(self) -> Manifest:
        """The manifest of the snapshot in service. Raises Problem snapshot_missing."""
        if self.resource.snapshot_id is None:
            raise Problem("snapshot_missing")
        return manifest_of(self.resource.snapshot_id)

    @property
    def policy(self) -> dict:
        """The holder's policy, as last signed by the node; empty where it said nothing yet."""
        return self.resource.snapshot.policy if self.resource.snapshot else {}

    def cost(self, looks: int) -> int:
        """What a query that looks so often (plan.looks) takes of its population's budget; 0 where there is none:
        micro-ρ where the population is `private`, else looks."""
        if not self.policy.get("budget"):
            return 0
        return self.disclosure.rho if self.policy["profile"] == Profile.PRIVATE else looks

    def schema(self) -> Schema:
        """The columns the product shows."""
        return self.manifest().schema.only(frozenset(self.product.columns))

    def shown(self) -> Manifest:
        """The manifest with the columns the product shows."""
        return replace(self.manifest(), schema=self.schema())

    def check_joins(self) -> None:
        """Raises Problem join_not_allowed unless each joined product lies in the same node, and is about nobody or
        may be joined to this one by the entity, as the holder's policy says."""
        for other in self.joined:
            code = other.product.code
            if other.resource.domain_id != self.resource.domain_id:
                raise Problem("join_not_allowed", f"{code} is of another data domain", "join what lies in one node")
            if other.about_nobody:
                continue
            if not self.policy.get("population") or other.policy.get("population") != self.policy["population"]:
                detail = f"{code} is not open, nor about the same population"
                raise Problem("join_not_allowed", detail, f"{HINT}; {ENTITY_HINT}")
            if other.resource.code not in self.policy.get("joins", ()):
                detail = f"the holder's policy does not name {code} as what may be joined to {self.product.code}"
                raise Problem("join_not_allowed", detail, ENTITY_HINT)

    @property
    def about_nobody(self) -> bool:
        """Whether it protects nobody, nor limits what is asked of it."""
        profiles = {self.product.profile, self.policy.get("profile", Profile.OPEN.value)}
        return profiles == {Profile.OPEN.value} and not self.policy.get("budget")


def load_chain(
    party: UUID, product_code: str, purpose: str, licence: UUID | None = None,
    joined: Mapping[str, UUID | None] | None = None,
) -> Chain:  # fmt: skip
    """The chain for `party`, with those of the products `joined`, by code with the licence if one is named.

    Raises Problem not_found for a product that is not there or still a draft.
    """
    chain = _load(party, product_code, purpose, licence)
    others = tuple(_load(party, code, purpose, named) for code, named in sorted((joined or {}).items()))
    disclosure = strictest(each.disclosure for each in (chain, *others))
    return replace(chain, joined=others, disclosure=disclosure) if joined else chain


def _load(party: UUID, product_code: str, purpose: str, licence: UUID | None) -> Chain:
    product = _product(product_code)
    held = _licence(party, product, purpose, licence)
    snapshot = product.resource.snapshot
    policy = snapshot.policy if snapshot else {}
    return Chain(
        product=product,
        licence=held,
        offer=_offer(product, policy),
        terms=_terms(held) if held else None,
        disclosure=_disclosure(product),
        calls=held.meter.calls if held else 0,
        spent=held.meter.spent if held else 0,
        population_left=_population_left(product, policy),
    )


@lru_cache(maxsize=256)
def manifest_of(snapshot: UUID) -> Manifest:
    """A snapshot's manifest; a snapshot never changes, so a process reads it once."""
    return manifest_from_json(Snapshot.objects.values_list("manifest", flat=True).get(pk=snapshot))


def _product(code: str) -> Product:
    found = _PRODUCT.first(code=code)
    if found is None:
        raise Problem("not_found", f"there is no product {code!r}")
    return found


def _licence(party: UUID, product: Product, purpose: str, wanted: UUID | None) -> Licence | None:
    """The party's licence: the one it names, else one in force that names the purpose, else its newest."""
    if wanted is not None:
        return _NAMED.first(buyer=party, product=product.pk, pk=wanted)
    mine = _HELD.all(buyer=party, product=product.pk)
    fitting = (each for each in mine if each.state == Licence.State.IN_FORCE and purpose in each.purposes)
    return next(fitting, mine[0] if mine else None)


def _disclosure(product: Product) -> Terms:
    match Profile(product.profile):
        case Profile.OPEN:
            return Terms(Profile.OPEN.value)
        case Profile.GUARDED:
            return Terms(Profile.GUARDED.value, product.threshold)
        case Profile.PRIVATE:
            return Terms(Profile.PRIVATE.value, rows=product.rows, rho=product.rho)


def _offer(product: Product, policy: dict) -> Offer:
    authorization, resource = product.authorization, product.resource
    merchant = str(product.merchant_id)
    grant = Grant(
        mode=Mode(authorization.mode),
        in_force=authorization.state == Authorization.State.IN_FORCE,
        since=authorization.since,
        until=authorization.until,
        operator=str(authorization.operator_id),
        sector=authorization.sector,
        grantee=str(authorization.grantee_id or ""),
        merchants=frozenset({merchant} if product.is_sub_licensed else ()),  # type: ignore[attr-defined]
        listed=frozenset({resource.code} if product.is_listed else ()),  # type: ignore[attr-defined]
        excluded=frozenset({resource.code} if product.is_excluded else ()),  # type: ignore[attr-defined]
        purposes=frozenset(authorization.purposes),
    )
    return Offer(
        item=Item(resource.code, resource.state == Resource.State.REGISTERED, resource.sector),
        grant=grant,
        merchant=merchant,
        listed=product.state == Product.State.LISTED,
        queryable=product.kind == Product.Kind.AGGREGATE,
        strictness=Profile(product.profile).strictness,
        threshold=product.threshold,
        least_strictness=Profile(policy.get("profile", "open")).strictness,
        least_threshold=policy.get("threshold", 0),
        has_snapshot=resource.snapshot_id is not None,
    )


def _terms(licence: Licence) -> LicenceTerms:
    return LicenceTerms(
        in_force=licence.state == Licence.State.IN_FORCE,
        since=licence.since,
        until=licence.until,
        purposes=frozenset(licence.purposes),
        quota=licence.quota,
        share=licence.share,
    )


def _population_left(product: Product, policy: dict) -> int:
    if not policy.get("budget"):
        return NO_CAP
    meter = _POPULATION.first(domain=product.resource.domain_id, population=policy["population"])
    return int(policy["budget"]) - (meter.spent if meter else 0)
