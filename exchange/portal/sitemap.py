"""What search engines are told of: sitemap.xml with its parts, and robots.txt."""

from typing import Any

from django.contrib.sitemaps import Sitemap
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from catalog import demands
from exchange.portal import directory, zones

PER_FILE = 10_000
CLOSED = ("/admin/", "/v1/", "/oauth/", "/catalog/?", "/catalog.json")  # searches are endless


class Pages(Sitemap):
    """The pages that are always there."""

    def items(self) -> list[str]:
        return ["front", "catalog", "authorizations", "zones", "demands", "notices"]

    def location(self, name: str) -> str:
        return reverse(name)


class Rows(Sitemap):
    """A page for each row, by its code or key."""

    limit = PER_FILE

    def __init__(self, name: str, rows: QuerySet[Any], key: str = "code") -> None:
        self.name, self.rows, self.key = name, rows, key

    def items(self) -> QuerySet[Any]:
        return self.rows.select_related(None).only(self.key).order_by("pk")

    def location(self, row: Any) -> str:
        return reverse(self.name, args=[getattr(row, self.key)])


SITEMAPS = {
    "pages": Pages(),
    "resources": Rows("catalog-resource", directory.RESOURCES),
    "products": Rows("catalog-product", directory.PRODUCTS),
    "authorizations": Rows("authorization", zones.PUBLISHED),
    "zones": Rows("zone", zones.ZONES),
    "demands": Rows("demand", demands.BOARD, "pk"),
}


def robots(request: HttpRequest) -> HttpResponse:
    """GET /robots.txt."""
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in CLOSED), ""]
    lines += [f"Sitemap: {request.build_absolute_uri(reverse('sitemap'))}", ""]
    return HttpResponse("\n".join(lines), content_type="text/plain; charset=utf-8")
