"""A city with something to look for: resources and products of two holders, a zone, a scenario; no node."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client as Browser

from catalog import registry, versions
from catalog.models import Authorization, Column, Product, Resource, Snapshot, Version
from catalog.snapshots import COLUMN_FIELDS
from fixtures import city

COLUMNS: list[dict[str, Any]] = [
    {"name": "carrier", "kind": "string", "role": "dimension", "domain": ["AA", "UA"], "label_zh": "航空公司",
     "label_en": "carrier"},
    {"name": "month", "kind": "integer", "role": "dimension", "domain": list(range(1, 15)),
     "label_zh": "月份", "label_en": "month"},
    {"name": "delay", "kind": "decimal", "role": "measure", "domain": [], "label_zh": "延误", "label_en": "delay"},
    {"name": "tailnum", "kind": "string", "role": "entity", "domain": [], "label_zh": "飞机", "label_en": "aircraft"},
]  # fmt: skip


@dataclass
class Scape:
    """The cast and what it has; `zone` is the transport zone, `full` the region's authorization."""

    people: city.City
    domain: Any
    full: Authorization
    zone: Authorization
    flights: Resource
    air: Resource
    delays: Product
    quality: Product

    def resource(self, code: str, name_zh: str, **more: Any) -> Resource:
        terms = {"name_en": "", "holder": self.people.holder, "domain": self.domain, "sector": "transport"} | more
        made = Resource(code=code, name_zh=name_zh, **terms)
        registry.do_create(made, actor="test")
        Resource.objects.filter(pk=made.pk).update(state="registered")
        made.state = "registered"
        return made

    def product(self, code: str, name_zh: str, resource: Resource, **more: Any) -> Product:
        authorization = more.pop("authorization", self.full)
        return offer(self.people, code, authorization, resource, ["carrier"], name_zh=name_zh, **more)


def offer(
    people: city.City, code: str, authorization: Any, resource: Resource, columns: list[str], **more: Any
) -> Product:
    """A listed product as it stands after its release, which there is no node here to review."""
    terms = {name: more.pop(name) for name in ("profile", "threshold", "use") if name in more}
    terms = {"profile": "guarded", "threshold": 10, "merchant_share": 4000, "resource": resource} | terms
    product = Product(code=code, authorization=authorization, merchant=people.merchant, **{"name_zh": code} | more)
    version = versions.do_compose(product, Version(columns=columns, **terms), by=None)
    Version.objects.filter(pk=version.pk).update(state="live")
    Product.objects.filter(pk=product.pk).update(state="listed", version=1)
    return Product.objects.get(pk=product.pk)


@pytest.fixture
def scape(db: str) -> Scape:
    people = city.found_city()
    home = {"node": "n", "url": "grpc://localhost:1", "public_jwk": {}}
    domain = city.join(home, "city", "海州市数据域", "Haizhou data domain")
    flights = city.register("flights", "航班运行数据", "Flight operations", people.holder, domain, sector="transport")
    air = city.register("air", "空气质量监测", "Air quality", people.neighbour, domain, sector="environment")
    take_in(flights)
    full = city.authorize(people, "haizhou-full")
    zone = city.authorize(
        people, "transport-zone", "sector", sector="transport", name_zh="交通专区", name_en="Transport zone",
        rules_zh="一、只作统计。\n二、每季评估。", rules_en="1. Statistics only.\n2. Reviewed every quarter.",
    )  # fmt: skip
    delays = offer(
        people, "flight_delays", zone, flights, ["carrier", "tailnum"], name_zh="航班延误统计",
        name_en="Flight delay statistics", description_zh="按航空公司和月份统计延误。",
        description_en="Delays by carrier.",
    )  # fmt: skip
    quality = offer(
        people, "air_quality", full, air, ["station"], name_zh="空气质量指数", name_en="Air quality index",
        profile="open", threshold=0, use="public_good",
    )  # fmt: skip
    return Scape(people, domain, full, zone, flights, air, delays, quality)


def take_in(resource: Resource) -> None:
    """As if a node had described its snapshot."""
    manifest = {"schema": {"columns": COLUMNS}}
    resource.snapshot = Snapshot.objects.create(resource=resource, code="s1", manifest=manifest, policy={}, release="")
    resource.save(update_fields=["snapshot"])
    for position, column in enumerate(COLUMNS):
        said = {field: column[field] for field in COLUMN_FIELDS}
        Column.objects.create(resource=resource, position=position, **said)


def visitor(language: str = "zh-CN") -> Browser:
    """Somebody without a login."""
    return Browser(HTTP_HOST="localhost", headers={"accept-language": language})
