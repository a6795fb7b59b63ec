"""What 27号 has published: who was authorized to do what, in which scope, for how long; what the operator made of it,
and how it was used. And the zones 专区, which are authorizations of one sector with rules of their own. No login.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from catalog.models import Authorization, Product, Resource
from catalog.models.authorizations import Mode
from exchange.portal import directory, labels
from exchange.portal.texts import described, named
from settlement import disclosure

MOST = 200  # products, resources, authorizations on a page
PUBLISHED = Authorization.objects.exclude(published_on=None).select_related(
    "authority", "operator", "grantee", "plan__body"
)
ZONES = PUBLISHED.filter(mode=Mode.SECTOR, state__in=("in_force", "suspended"))
_LISTED = Count("products", filter=Q(products__state=Product.State.LISTED))


def authorizations(request: HttpRequest) -> HttpResponse:
    """GET /authorizations/: the disclosure by the implementing bodies, the newest first."""
    found = PUBLISHED.annotate(listed_products=_LISTED).order_by("-published_on", "code")[:MOST]
    return render(request, "portal/authorizations.html", {"authorizations": [_shown(each) for each in found]})


def authorization(request: HttpRequest, code: str) -> HttpResponse:
    """GET /authorizations/CODE/: one of them, with the operator's list of products and how they were used."""
    found = get_object_or_404(PUBLISHED, code=code)
    page = {"authorization": _shown(found), "listed": _resources(found.listed), "excluded": _resources(found.excluded)}
    return render(request, "portal/authorization.html", page | _use(found))


def zones(request: HttpRequest) -> HttpResponse:
    """GET /zones/."""
    found = ZONES.annotate(listed_products=_LISTED).order_by("sector", "code")[:MOST]
    return render(request, "portal/zones.html", {"zones": [_shown(each) for each in found]})


def zone(request: HttpRequest, code: str) -> HttpResponse:
    """GET /zones/CODE/: its operator, rules, products and their use."""
    found = get_object_or_404(ZONES, code=code)
    registered = Resource.objects.filter(state=Resource.State.REGISTERED, sector=found.sector).count()
    page = {"zone": _shown(found), "rules": described(found, "rules"), "registered": registered}
    return render(request, "portal/zone.html", page | _use(found))


def _shown(found: Authorization) -> Authorization:
    """The authorization with its texts in the reader's language; `body` is who implements it."""
    found.title, found.by, found.run_by = map(named, (found, found.authority, found.operator))
    found.body = named(found.plan.body) if found.plan else found.by
    found.sector_name = labels.sector(found.sector)
    found.grantee_name = named(found.grantee) if found.grantee else ""
    return found


def _resources(rows: Any) -> Sequence[Any]:
    """The name, and where it is public the address, of each."""
    return [
        (named(each), directory.address(each) if each.state == Resource.State.REGISTERED else "")
        for each in rows.exclude(state=Resource.State.DRAFT).order_by("code")[:MOST]
    ]


def _use(found: Authorization) -> dict[str, Any]:
    """The listed products with their calls in the last months, for the table they share."""
    rows = list(found.products.filter(state=Product.State.LISTED).select_related("merchant").order_by("code")[:MOST])
    today = timezone.localdate()
    calls = disclosure.calls([each.pk for each in rows], today)
    products = [(each, named(each), named(each.merchant), calls[each.pk]) for each in rows]
    return {"products": products, "months": disclosure.months(today), "floor": disclosure.FLOOR}
