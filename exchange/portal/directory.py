"""The catalog for everybody: search with facets, and a page of each resource and product. No login.

Only what is registered or listed now is found; everything else is not there, whoever asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from catalog import facts, search
from catalog.models import Product, Registration, Resource
from catalog.snapshots import COLUMN_FIELDS
from exchange.parties.models import Party
from exchange.portal import labels
from exchange.portal.texts import described, named

LONGEST = 100  # characters of a search
MOST_VALUES = 20  # of a facet that are shown
MOST_LISTED = 100  # products on the page of a resource
DOMAIN_SHOWN = 12  # values of a dimension
FACETS = {
    "what": _("what"), "sector": _("sector"), "data_class": _("data class"), "holder": _("data holder"),
    "kind": _("kind"), "profile": _("profile"), "use": _("class and price"), "mode": _("authorization mode"),
}  # fmt: skip
RESOURCES = search.RESOURCES.select_related("holder", "domain", "snapshot")
PRODUCTS = search.PRODUCTS.select_related(
    "merchant", "resource__holder", "resource__snapshot", "authorization__operator", "authorization__authority"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a facet, how many it finds, and where a click leads: to choose it, or to drop it if `on`."""

    label: str
    number: int
    url: str
    on: bool


def catalog(request: HttpRequest) -> HttpResponse:
    """GET /catalog/: what is public and fits, with facets."""
    query = asked(request.GET)
    found = search.find(query)
    if query.page > max(found.pages, 1):
        raise Http404
    page = {
        "query": query, "found": found, "cards": [card(thing) for thing in found.things],
        "facets": _facets(query, found.counts), "json": url(query, "catalog-json"), "narrowed": bool(query.chosen),
        "before": url(query, page=query.page - 1) if query.page > 1 else "",
        "after": url(query, page=query.page + 1) if query.page < found.pages else "",
    }  # fmt: skip
    return render(request, "portal/catalog.html", page)


def catalog_json(request: HttpRequest) -> JsonResponse:
    """GET /catalog.json: the same for programs; codes instead of names, and `next` where there is more."""
    query = asked(request.GET)
    found = search.find(query)
    more = url(query, "catalog-json", page=query.page + 1) if query.page < found.pages else None
    items = [_item(thing) for thing in found.things]
    body = {"total": found.total, "page": query.page, "items": items, "facets": found.counts, "next": more}
    return JsonResponse(body, json_dumps_params={"ensure_ascii": False})


def resource(request: HttpRequest, code: str) -> HttpResponse:
    """GET /catalog/resources/CODE/."""
    found = get_object_or_404(RESOURCES, code=code)
    products = found.products.filter(state=Product.State.LISTED).select_related("merchant").order_by("code")
    page = {
        "resource": found, "title": named(found), "description": described(found), "holder": named(found.holder),
        "quality": described(found, "quality"), "sector": labels.sector(found.sector), "domain": named(found.domain),
        "columns": [_column(column) for column in found.columns.all()], "entry": _entry(found),
        "authorizations": [(each, named(each), named(each.operator)) for each in facts.covering(found)],
        "products": [(each, named(each), named(each.merchant)) for each in products[:MOST_LISTED]],
    }  # fmt: skip
    return render(request, "portal/resource.html", page)


def product(request: HttpRequest, code: str) -> HttpResponse:
    """GET /catalog/products/CODE/: what can be asked, at what price, and by what right."""
    found = get_object_or_404(PRODUCTS, code=code)
    above, by = found.resource, found.authorization
    schema = above.snapshot.manifest["schema"]["columns"] if above.snapshot else []
    page = {
        "product": found, "title": named(found), "description": described(found), "merchant": named(found.merchant),
        "resource": above, "resource_name": named(above), "resource_public": above.state == Resource.State.REGISTERED,
        "holder": named(above.holder), "resource_entry": _entry(above), "entry": _entry(found),
        "authorization": by, "authorization_name": named(by), "operator": named(by.operator),
        "authority": named(by.authority), "works": facts.works(found),
        "profile": labels.label("profile", found.profile),
        "columns": [_column(column) for column in schema if column["name"] in found.columns],
        "price": labels.PRICES[found.use],
    }  # fmt: skip
    return render(request, "portal/product.html", page)


def asked(said: Mapping[str, str]) -> search.Query:
    """The search that an address names; what is no facet, and pages that are none, are passed over."""
    chosen = {facet: said[facet][:60] for facet in FACETS if said.get(facet)}
    number = said.get("page", "1")
    page = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 1
    return search.Query(said.get("q", "").strip()[:LONGEST].replace("\0", ""), chosen, max(page, 1))


def card(thing: Resource | Product) -> dict[str, Any]:
    """What the list shows of a thing."""
    if isinstance(thing, Resource):
        said = [(_("data holder"), named(thing.holder)), (_("sector"), labels.sector(thing.sector))]
    else:
        said = [
            (_("data merchant"), named(thing.merchant)),
            (_("profile"), labels.label("profile", thing.profile)),
            (_("class and price"), f"{thing.get_use_display()} · {labels.PRICES[thing.use]}"),
        ]
    return {
        "title": named(thing), "code": thing.code, "what": thing._meta.verbose_name, "url": address(thing),
        "description": described(thing), "facts": [(label, value) for label, value in said if value],
    }  # fmt: skip


def sectors() -> list[tuple[str, str, int]]:
    """The sectors of what is registered: name, address of the search, number; the largest first. One SQL query."""
    tally = search.RESOURCES.exclude(sector="").values_list("sector")
    found = tally.annotate(n=Count("*")).order_by("-n", "sector")[:MOST_VALUES]
    return [(labels.sector(code), url(search.Query(), sector=code), n) for code, n in found]


def address(thing: Resource | Product) -> str:
    """Where the page of a thing is."""
    return reverse("catalog-resource" if isinstance(thing, Resource) else "catalog-product", args=[thing.code])


def _facets(query: search.Query, counts: Mapping[str, Mapping[str, int]]) -> list[tuple[Any, list[Choice], bool]]:
    """Each facet that tells anything apart, its most frequent values and the one chosen, and whether it is unfolded."""
    holders = Party.objects.in_bulk(list(counts["holder"])[:MOST_VALUES])
    names = {str(pk): named(party) for pk, party in holders.items()}
    found = []
    for facet, title in FACETS.items():
        values = dict(list(counts[facet].items())[:MOST_VALUES])
        if (chosen := query.chosen.get(facet)) and chosen not in values:
            values[chosen] = counts[facet].get(chosen, 0)
        choices = [
            Choice(
                names.get(value) or labels.label(facet, value), number, url(query, **{facet: "" if on else value}), on
            )
            for value, number in values.items()
            for on in [value == chosen]
        ]
        if choices:
            found.append((title, choices, not found or any(choice.on for choice in choices)))
    return found


def url(query: search.Query, name: str = "catalog", page: int = 1, **changed: str) -> str:
    """The address of a search, the same for the same search: parameters in the order of FACETS, no empty ones."""
    said = {"q": query.text} | {facet: (query.chosen | changed).get(facet, "") for facet in FACETS}
    said |= {"page": str(page) if page > 1 else ""}
    text = urlencode({key: value for key, value in said.items() if value})
    return reverse(name) + (f"?{text}" if text else "")


def _item(thing: Resource | Product) -> dict[str, Any]:
    whole = thing if isinstance(thing, Resource) else thing.resource
    item = {
        "what": thing._meta.model_name, "code": thing.code, "name_zh": thing.name_zh, "name_en": thing.name_en,
        "sector": whole.sector, "data_class": whole.data_class, "holder": whole.holder.name_zh, "url": address(thing),
    }  # fmt: skip
    if isinstance(thing, Product):
        item |= {
            "kind": thing.kind, "use": thing.use, "profile": thing.profile, "merchant": thing.merchant.name_zh,
            "resource": whole.code, "authorization": thing.authorization.code, "mode": thing.authorization.mode,
        }  # fmt: skip
    return item


def _column(column: Any) -> dict[str, Any]:
    """A column as people read it, from the catalog or from a manifest; its values where it is public ones."""
    said = column if isinstance(column, dict) else {field: getattr(column, field) for field in COLUMN_FIELDS}
    domain = [str(value) for value in said.get("domain", [])]
    return {
        "name": said["name"], "label": described(said, "label"), "kind": labels.KINDS.get(said["kind"], said["kind"]),
        "role": labels.ROLES.get(said["role"], said["role"]), "domain": domain[:DOMAIN_SHOWN],
        "more": max(len(domain) - DOMAIN_SHOWN, 0),
    }  # fmt: skip


def _entry(thing: Resource | Product) -> Registration | None:
    """The registration in force, whose certificate has a page."""
    return thing.registrations.filter(state="in_force").exclude(certificate="").first()
