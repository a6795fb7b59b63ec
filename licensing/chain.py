"""The chain of one query, read at one moment: resource → authorization → product → licence.

Four SQL queries, whatever the size of the catalog. The same function reads it before the decision and again
under the lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from django.db.models import BooleanField, Exists, OuterRef
from django.utils import timezone

from catalog.composition import Composition, stricter
from catalog.covers import Grant, Item, Mode
from catalog.models import Authorization, Product, Resource, SubLicence, Version
from catalog.snapshots import manifest_of
from exchange.errors import Problem
from exchange.sandbox.query import Profile
from exchange.sandbox.query.joins import ENTITY_HINT, HINT
from exchange.sandbox.schema import Manifest, Schema
from exchange.sandbox.terms import Terms, strictest
from exchange.statements import Arg, Select
from licensing.decide import LicenceTerms, Offer
from licensing.models import Licence, PopulationMeter

_of = {
    name: getattr(Authorization, name).through.objects.filter(authorization=OuterRef("authorization"))
    for name in ("listed", "excluded")
}
_SUB_LICENCES = SubLicence.objects.filter(
    authorization=OuterRef("authorization"), merchant=OuterRef("merchant"), state=SubLicence.State.IN_FORCE,
    since__lte=Arg("day"), until__gte=Arg("day"),
)  # fmt: skip
_products = (
    Product.objects.filter(code=Arg("code"))
    .select_related("authorization", "resource", "resource__domain", "resource__snapshot")
    .defer("resource__snapshot__manifest", "resource__snapshot__release")
    .annotate(
        is_listed=Exists(_of["listed"].filter(resource=OuterRef("resource"))),
        is_excluded=Exists(_of["excluded"].filter(resource=OuterRef("resource"))),
        is_sub_licensed=Exists(_SUB_LICENCES),
    )
)
_PRODUCT = Select(_products.exclude(state=Product.State.DRAFT))
_REVIEWED = Select(_products)
_held = Licence.objects.filter(buyer=Arg("buyer"), product=Arg("product"), review=Arg("review", BooleanField()))
_held = _held.select_related("meter", "version").order_by("-id")
_NAMED = Select(_held.filter(pk=Arg("pk")))
_HELD = Select(_held[:100])
_POPULATION = Select(PopulationMeter.objects.filter(domain=Arg("domain"), population=Arg("population")))

NO_CAP = 2**62  # an `open` resource has no population, hence nothing to use up


@dataclass(frozen=True, slots=True)
class Chain:
    """One product as one party may ask it, and those joined to it. `licence` is None where the party has none.

    `composition` is what may be asked: of the live version and of that which the licence was given under, the
    stricter; in a delivery review, the version's that is reviewed. `disclosure` is that of a query: with products
    joined, of each term the strictest.
    """

    product: Product
    licence: Licence | None
    offer: Offer
    terms: LicenceTerms | None
    composition: Composition
    disclosure: Terms
    calls: int
    spent: int
    population_left: int
    joined: "tuple[Chain, ...]" = ()

    @property
    def resource(self) -> Resource:
        return self.product.resource

    @property
    def version(self) -> int:
        """The number of the version that is asked."""
        reviewed = self.licence is not None and self.licence.review and self.licence.version
        return reviewed.number if reviewed else self.product.version

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
        """The columns that may be asked."""
        return self.manifest().schema.only(self.composition.columns)

    def shown(self) -> Manifest:
        """The manifest with the columns that may be asked."""
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
        profiles = {self.composition.profile, self.policy.get("profile", Profile.OPEN.value)}
        return profiles == {Profile.OPEN.value} and not self.policy.get("budget")


def load_chain(
    party: UUID, product_code: str, purpose: str, licence: UUID | None = None,
    joined: Mapping[str, UUID | None] | None = None, review: bool = False,
) -> Chain:  # fmt: skip
    """The chain for `party`, with those of the products `joined`, by code with the licence if one is named.

    With `review`, that of the version that `licence`, a licence for its delivery review, names; no other is.
    Raises Problem not_found for a product that is not there or still a draft.
    """
    chain = _load(party, product_code, purpose, licence, review)
    others = tuple(_load(party, code, purpose, named, False) for code, named in sorted((joined or {}).items()))
    disclosure = strictest(each.disclosure for each in (chain, *others))
    return replace(chain, joined=others, disclosure=disclosure) if joined else chain


def _load(party: UUID, product_code: str, purpose: str, licence: UUID | None, review: bool) -> Chain:
    product = _product(product_code, review)
    held = _licence(party, product, purpose, licence, review)
    snapshot = product.resource.snapshot
    policy = snapshot.policy if snapshot else {}
    made = _composition(product, held)
    return Chain(
        product=product,
        licence=held,
        offer=_offer(product, policy, made, _offered(product, held)),
        terms=_terms(held) if held else None,
        composition=made,
        disclosure=made.disclosure,
        calls=held.meter.calls if held else 0,
        spent=held.meter.spent if held else 0,
        population_left=_population_left(product, policy),
    )


def _product(code: str, review: bool) -> Product:
    found = (_REVIEWED if review else _PRODUCT).first(code=code, day=timezone.localdate())
    if found is None:
        raise Problem("not_found", f"there is no product {code!r}")
    return found


def _licence(party: UUID, product: Product, purpose: str, wanted: UUID | None, review: bool) -> Licence | None:
    """The party's licence: the one it names, else one in force that names the purpose, else its newest."""
    if wanted is not None:
        return _NAMED.first(buyer=party, product=product.pk, pk=wanted, review=review)
    mine = _HELD.all(buyer=party, product=product.pk, review=review)
    fitting = (each for each in mine if each.state == Licence.State.IN_FORCE and purpose in each.purposes)
    return next(fitting, mine[0] if mine else None)


def _composition(product: Product, licence: Licence | None) -> Composition:
    """A licence keeps what it was given under: a later version widens it only where somebody moves it there, and
    narrows it at once."""
    given = licence.version if licence else None
    if given is not None and licence is not None and licence.review:
        return given.composition
    live = product.composition
    return live if given is None or given.number == product.version else stricter(live, given.composition)


def _offered(product: Product, licence: Licence | None) -> bool:
    """Whether it may be asked now: a product where it is listed with a live version, a version while it is reviewed."""
    if licence is not None and licence.review:
        return licence.version is not None and licence.version.state == Version.State.SUBMITTED
    return product.offered


def _offer(product: Product, policy: dict, made: Composition, offered: bool) -> Offer:
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
        listed=offered,
        queryable=product.kind == Product.Kind.AGGREGATE,
        strictness=made.profile.strictness,
        threshold=made.threshold,
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
