"""From rows to the values that the pure rules take."""

from datetime import date

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from catalog.covers import Grant, Item, Mode, covers
from catalog.models import Authorization, Product, Resource, SubLicence


def sub_licences(authorization: Authorization, day: date | None = None) -> QuerySet[SubLicence]:
    """Those in force on that day, else today."""
    day = day or timezone.localdate()
    live = SubLicence.State.IN_FORCE
    return SubLicence.objects.filter(authorization=authorization, state=live, since__lte=day, until__gte=day)


def grant_of(authorization: Authorization, day: date | None = None) -> Grant:
    """Every fact of an authorization on that day, else today: four SQL queries.

    The path of a query uses `licensing.chain`.
    """
    return Grant(
        mode=Mode(authorization.mode),
        in_force=authorization.state == Authorization.State.IN_FORCE,
        since=authorization.since,
        until=authorization.until,
        operator=str(authorization.operator_id),
        sector=authorization.sector,
        grantee=str(authorization.grantee_id or ""),
        merchants=frozenset(map(str, sub_licences(authorization, day).values_list("merchant", flat=True))),
        listed=frozenset(authorization.listed.values_list("code", flat=True)),
        excluded=frozenset(authorization.excluded.values_list("code", flat=True)),
        purposes=frozenset(authorization.purposes),
    )


def item_of(resource: Resource) -> Item:
    return Item(resource.code, resource.state == Resource.State.REGISTERED, resource.sector)


def covering(resource: Resource, day: date | None = None) -> list[Authorization]:
    """The authorizations that cover the resource on that day, for whoever they name; one SQL query."""
    day = day or timezone.localdate()
    mine = {"authorization_id": OuterRef("pk"), "resource_id": resource.pk}
    live = Authorization.objects.filter(state=Authorization.State.IN_FORCE).select_related("operator", "authority")
    found = live.annotate(
        lists=Exists(Authorization.listed.through.objects.filter(**mine)),
        excludes=Exists(Authorization.excluded.through.objects.filter(**mine)),
    )
    return [each for each in found.order_by("code") if _reason(each, resource, each.lists, each.excludes, day) is None]


def works(product: Product, day: date | None = None) -> bool:
    """Whether the chain above a listed product holds on that day: else it is shown, and cannot be asked."""
    day = day or timezone.localdate()
    grant, purpose = grant_of(product.authorization, day), next(iter(product.authorization.purposes), "")
    why = covers(grant, item_of(product.resource), purpose, str(product.merchant_id), day)
    return product.state == Product.State.LISTED and why is None


def _reason(authorization: Authorization, resource: Resource, lists: bool, excludes: bool, day: date) -> object:
    """What `covers` says to the one whom the authorization names first, for a purpose that it names."""
    code = frozenset({resource.code})
    who = str(authorization.grantee_id or "") if authorization.mode == Mode.SCENARIO else str(authorization.operator_id)
    grant = Grant(
        mode=Mode(authorization.mode), in_force=True, since=authorization.since, until=authorization.until,
        operator=str(authorization.operator_id), sector=authorization.sector,
        grantee=str(authorization.grantee_id or ""), listed=code if lists else frozenset(),
        excluded=code if excludes else frozenset(),
    )  # fmt: skip
    return covers(grant, item_of(resource), "", who, day)
