"""One item, one source 一数一源: claims, conflicts between them, and what a registration has to do with both.

A resource claims the items it is the authoritative source of. While two claim the same item neither of them is entered
in the register; the registrar decides for one. A claim that nobody contests is upheld with the registration.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from catalog.models import Claim, DataItem, Resource
from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.acts import By

LIVE = ("made", "upheld")


def do_claim(claim: Claim, by: By) -> Claim:
    """Save a claim. Raises Problem column_unknown where the resource has no such column, claim_made."""
    if not claim.resource.columns.filter(name=claim.column).exists():
        raise Problem("column_unknown", claim.column)
    claim.state = claim.machine.first
    try:
        with transaction.atomic():
            claim.save(force_insert=True)
            acts.record(claim, "claim.made", by)
            for other in contesting(claim):
                _tell(other, "contested", "另有资源主张为该数据项的数源", "another resource claims to be the source")
    except IntegrityError:
        raise Problem("claim_made") from None
    return claim


def do_step(claim: Claim, name: str, by: By, reason: str = "") -> Claim:
    """Take a step of machines.CLAIM. Raises Problem."""
    with transaction.atomic():
        DataItem.objects.select_for_update().get(pk=claim.item_id)  # of two decided at once, one waits
        return acts.take(claim, name, by, reason, _BEFORE.get(name), _AFTER.get(name))[0]


def contesting(claim: Claim) -> QuerySet[Claim]:
    """The live claims of other resources to the same item."""
    return Claim.objects.filter(item=claim.item_id, state__in=LIVE).exclude(resource=claim.resource_id)


def contested(items: QuerySet[DataItem]) -> QuerySet[DataItem]:
    """Of `items` those that more than one live claim is made to."""
    return items.annotate(live=Count("claims", filter=Q(claims__state__in=LIVE))).filter(live__gt=1)


def with_source(items: QuerySet[DataItem]) -> QuerySet[DataItem]:
    """The items with the name of the resource that is their source as `upheld`, None where none is."""
    upheld = Claim.objects.filter(item=OuterRef("pk"), state="upheld").values("resource__name_zh")
    return items.annotate(upheld=Subquery(upheld))


def check_uncontested(resource: Resource) -> None:
    """Raises Problem source_contested, naming the items, while another claims what the resource claims undecided."""
    mine = resource.claims.filter(state="made").select_related("item")
    if codes := sorted(claim.item.code for claim in mine if contesting(claim).exists()):
        raise Problem("source_contested", ", ".join(codes))


def settle(resource: Resource) -> None:
    """With the registration of `resource` entered, what it claims and nobody contests is upheld."""
    for claim in resource.claims.filter(state="made"):
        if not contesting(claim).exists():
            do_step(claim, "settle", None)


def close(resource: Resource) -> None:
    """With the registration gone, `resource` is the source of nothing."""
    for claim in resource.claims.filter(state__in=LIVE):
        do_step(claim, "close", None)


def _replace(claim: Claim) -> None:
    """One source: what was upheld before is replaced."""
    for other in Claim.objects.filter(item=claim.item_id, state="upheld").exclude(pk=claim.pk):
        do_step(other, "replace", None)


def _check_settled(claim: Claim) -> None:
    if contesting(claim).exists():
        raise Problem("source_contested", claim.item.code)


def _tell(claim: Claim, kind: str, zh: str, en: str) -> None:
    name = claim.item.name_zh
    notices.tell(claim.resource.holder, f"claim.{kind}", f"{name}：{zh}", f"{name}: {en}")


def _decided(claim: Claim) -> None:
    zh, en = {
        "upheld": ("已确定为数源", "your resource is the source"),
        "dismissed": ("未确定为数源", "your resource is not the source"),
        "replaced": ("数源已变更", "the source is another one now"),
    }[claim.state]
    _tell(claim, claim.state, zh, en)


_BEFORE: dict[str, Any] = {"uphold": _replace, "settle": _check_settled}
_AFTER: dict[str, Any] = {"uphold": _decided, "dismiss": _decided, "settle": _decided, "replace": _decided}
