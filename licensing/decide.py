"""May this be asked? One pure function of terms, request and history.

Pure: no Django, no I/O. The answer depends on nothing in the data, so a refusal tells nothing about it. The
checks stand in the order of `exchange.errors`, the first that fails is the answer.
"""

from dataclasses import dataclass
from datetime import date

from catalog.covers import Grant, Item, Reason, covers


@dataclass(frozen=True, slots=True)
class Offer:
    """The product and what stands above it. `strictness` ranks its profile, `least_strictness` and
    `least_threshold` are the holder's policy, as last signed by the node."""

    item: Item
    grant: Grant
    merchant: str
    listed: bool
    queryable: bool
    strictness: int
    threshold: int
    least_strictness: int
    least_threshold: int
    has_snapshot: bool


@dataclass(frozen=True, slots=True)
class LicenceTerms:
    """What the buyer's licence says; days are Asia/Shanghai's, both inclusive.

    `share` is what it has reserved of the population's budget; 0 is no share of its own.
    """

    in_force: bool
    since: date
    until: date
    purposes: frozenset[str]
    quota: int  # calls in all
    share: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """`price` is the most it can cost (minor units); `fresh` says that the node will be asked, so that the
    population is charged `cost`: looks at it, or micro-ρ."""

    purpose: str
    day: date
    price: int
    fresh: bool
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Usage:
    """History, before this query: calls made, what the licence has spent of its share, what is left."""

    calls: int
    population_left: int
    credit_left: int
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Allow:
    """It may be asked, at no more than `price`."""

    price: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """It may not; `code` is of `exchange.errors`, `reason` says more where there is more to say."""

    code: str
    reason: str = ""


Verdict = Allow | Refuse


def decide(offer: Offer, licence: LicenceTerms | None, request: Request, usage: Usage) -> Verdict:
    """The verdict on one query. Total: every combination of arguments has an answer."""
    if not offer.item.registered:
        return Refuse("resource_not_in_force")
    why = covers(offer.grant, offer.item, request.purpose, offer.merchant, request.day)
    if why in (Reason.NOT_IN_FORCE, Reason.NOT_YET, Reason.EXPIRED):
        return Refuse("authorization_not_in_force", str(why))
    if why is not None and why is not Reason.OTHER_PURPOSE:
        return Refuse("authorization_does_not_cover", str(why))
    if not offer.listed:
        return Refuse("product_not_listed")
    if not offer.queryable:
        return Refuse("product_not_queryable")
    if licence is None:
        return Refuse("licence_missing")
    if not (licence.in_force and licence.since <= request.day <= licence.until):
        return Refuse("licence_not_in_force")
    if why is Reason.OTHER_PURPOSE or request.purpose not in licence.purposes:
        return Refuse("purpose_not_allowed")
    if offer.strictness < offer.least_strictness or offer.threshold < offer.least_threshold:
        return Refuse("profile_too_weak")
    if not offer.has_snapshot:
        return Refuse("snapshot_missing")
    if usage.calls >= licence.quota:
        return Refuse("quota_exhausted")
    if request.fresh and licence.share and usage.spent + request.cost > licence.share:
        return Refuse("budget_exhausted")
    if request.fresh and usage.population_left < request.cost:
        return Refuse("population_exhausted")
    if request.price > usage.credit_left:
        return Refuse("credit_exhausted")
    return Allow(request.price)
