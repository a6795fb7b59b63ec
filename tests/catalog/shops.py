"""A merchant's shop for tests of products: the city, a resource whose snapshot is known, and no node."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from catalog import versions
from catalog.models import Authorization, Product, Resource, Snapshot, Version
from exchange.audit.models import Record
from exchange.errors import Problem
from exchange.parties.models import Membership, Party, User
from exchange.parties.second_factor import Verified
from exchange.sandbox.schema import Manifest
from fixtures import city
from licensing.chain import load_chain
from licensing.decide import Request, Usage, decide
from tests import samples

COLUMNS = ["carrier", "origin", "month", "tailnum", "dep_delay"]
POLICY = {"population": "aircraft", "profile": "guarded", "entity": "tailnum", "threshold": 10, "budget": 1000,
          "digest": "0" * 64, "delta": 9}  # fmt: skip


@dataclass
class Shop:
    """The merchant's clerk composes and releases; at the operator a clerk looks and a head approves."""

    people: city.City
    authorization: Authorization
    resource: Resource
    merchant: User
    clerk: User
    head: Verified
    stranger: Verified

    def draft(self, code: str = "delays", merchant: Party | None = None, **more: Any) -> Version:
        line = {"code": code, "name_zh": code, "authorization": more.pop("authorization", self.authorization)}
        product = Product(**line, merchant=merchant or self.people.merchant, kind=more.pop("kind", "aggregate"))
        terms = {"resource": self.resource, "columns": COLUMNS, "profile": "guarded", "threshold": 10,
                 "merchant_share": 4000} | more  # fmt: skip
        bases = terms.pop("bases", ())
        return versions.do_compose(product, Version(**terms), city.person(product.merchant), bases)

    def approved(self, version: Version) -> Version:
        version = versions.do_step(version, "submit", city.person(version.product.merchant))
        reviewer = city.verified(city.person(version.reviewer, Membership.Duty.APPROVER))
        return versions.do_step(version, "approve", reviewer, "无样例")

    def released(self, code: str = "delays", **more: Any) -> Product:
        city.release(self.draft(code, **more))
        product = Product.objects.get(code=code)
        return versions.do_product_step(product, "list", city.person(product.merchant))


def known(resource: Resource, **policy: Any) -> Snapshot:
    """Take a snapshot into service here that no node has."""
    manifest = Manifest(resource.code, f"{resource.code}-1", samples.flights()[1], 4000, 169)
    snapshot = Snapshot.objects.create(
        resource=resource, code=manifest.snapshot, manifest=manifest.to_json(), policy=POLICY | policy, release=""
    )
    resource.snapshot = snapshot
    resource.save(update_fields=["snapshot"])
    return snapshot


def open_shop() -> Shop:
    """In the current database."""
    people = city.found_city()
    domain = city.join({"node": "n", "url": "grpc://127.0.0.1:1", "public_jwk": {"x": "x"}}, "d", "域", "Domain")
    resource = city.register("flights", "航班", "Flights", people.holder, domain, sector="transport")
    known(resource)
    approver = Membership.Duty.APPROVER
    return Shop(
        people, city.authorize(people, "whole"), resource, city.person(people.merchant), city.person(people.operator),
        city.verified(city.person(people.operator, approver)), city.verified(city.person(people.stranger, approver)),
    )  # fmt: skip


def refused(act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Problem) as problem:
        act(*arguments)
    return problem.value.code


def told(kind: str) -> dict[str, Any]:
    """The last record of that kind."""
    return dict(json.loads(Record.objects.filter(kind=kind).order_by("-id").first().content.body))


def together(*acts: Callable[[], Any]) -> list[str]:
    """What became of each: "" or its problem's code."""

    def run(act: Callable[[], Any]) -> str:
        try:
            act()
        except Problem as problem:
            return problem.code
        finally:
            connection.close()
        return ""

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def asked(shop: Shop, product: Product) -> Any:
    chain = load_chain(shop.people.buyer.pk, product.code, "insurance")
    request = Request("insurance", timezone.localdate(), price=0, fresh=True)
    return chain, decide(chain.offer, chain.terms, request, Usage(0, 1000, 0))
