"""The market most tests play in: the city of fixtures/city.py with one node, one guarded and one open product.

The node is a real one, started once per run; every test has a database of its own and asks it.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from exchange.crypto.keys import b64url, load_or_create, raw
from exchange.sandbox.node.home import Home
from tests import nodes, samples, scratch

GUARDED, OPEN = "flight_delays", "air_quality"
PURPOSE = "insurance"
BY_CARRIER = f"SELECT carrier, COUNT(*) AS n, AVG(dep_delay) AS mean FROM {GUARDED} GROUP BY carrier"
BY_STATION = f"SELECT station, COUNT(*) AS n, AVG(pm25) AS mean FROM {OPEN} GROUP BY station"


@dataclass
class Node:
    """A running node and the exchange key it obeys."""

    home: Path
    order_key: Path
    endpoint: dict[str, Any]


@dataclass
class Buyer:
    """An API client over real HTTP."""

    url: str
    client_id: str
    secret: str
    token: str = field(default="", repr=False)

    def login(self) -> str:
        basic = base64.b64encode(f"{self.client_id}:{self.secret}".encode()).decode()
        response = requests.post(
            f"{self.url}/oauth/token",
            data={"grant_type": "client_credentials"},
            headers={"Authorization": f"Basic {basic}"},
            timeout=30,
        )
        self.token = response.json()["access_token"]
        return self.token

    def ask(self, sql: str, purpose: str = PURPOSE, key: str = "", **more: Any) -> requests.Response:
        """POST /v1/queries; a fresh idempotency key unless one is given."""
        headers = {"Idempotency-Key": key or str(uuid4()), "Accept-Language": "en"} | more.pop("headers", {})
        return self.send("POST", "/v1/queries", json={"sql": sql, "purpose": purpose} | more, headers=headers)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.send("GET", path, headers=headers)

    def send(self, method: str, path: str, headers: dict[str, str], **rest: Any) -> requests.Response:
        token = self.token or self.login()
        headers = {"Authorization": f"Bearer {token}"} | headers
        return requests.request(method, f"{self.url}{path}", headers=headers, timeout=60, **rest)


@dataclass
class Market:
    """What a test may change; everything is a row of this test's own database."""

    people: Any
    domain: Any
    flights: Any
    air: Any
    authorization: Any
    guarded: Any
    open: Any
    licence: Any
    open_licence: Any
    buyer: Buyer
    stranger: Buyer


def make_node(folder: Path, queries: int = 1_000_000, **settings: Any) -> tuple[Path, Path]:
    """A node's home with the samples' policies, and the file of the exchange's order key."""
    order_key = folder / "order.pem"
    key = load_or_create(order_key)
    home = folder / "home"
    flights, air = samples.flights()[1], samples.air()[1]
    nodes.make_node(
        home,
        populations={
            "aircraft": {"profile": "guarded", "entity": "tailnum", "threshold": 10, "queries": queries},
            "pilots": {"profile": "private", "entity": "tailnum", "rho": 100_000},
            "air": {"profile": "open"},
        },
        resources={
            "flights": {
                "population": "aircraft",
                "columns": [column.name for column in flights.columns],
                "joins": ["fleet"],
            },
            "fleet": {"population": "aircraft", "columns": ["tailnum", "maker", "seats"], "one_row": True},
            "rides": {
                "population": "pilots",
                "columns": [column.name for column in flights.columns],
                "most_rows": 10_000,
                "joins": ["planes"],
            },
            "planes": {
                "population": "pilots",
                "columns": ["tailnum", "maker", "seats"],
                "most_rows": 1_000,
                "one_row": True,
            },
            "air": {"population": "air", "columns": [column.name for column in air.columns]},
            "carriers": {"population": "air", "columns": ["code", "kind", "planes"]},
        },
        exchange_key=b64url(raw(key.public)),
        **settings,
    )
    return home, order_key


def fill(home: Path) -> None:
    """Give a home of `make_node` the samples."""
    nodes.take_over(home, Home(scratch.once("market", _take_in) / "home"))


def _take_in(folder: Path) -> None:
    home, _ = make_node(folder)
    flights, open_ones = samples.flights(), {"air": samples.air(), "carriers": samples.carriers()}
    for name, (frame, schema) in ({"flights": flights, "rides": flights} | open_ones).items():
        source = folder / f"{name}.parquet"
        frame.to_parquet(source, index=False)
        nodes.take_in(home, name, source, schema)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The run's node, shared by all tests that don't hurt it."""
    folder = tmp_path_factory.mktemp("node")
    home, order_key = make_node(folder)
    fill(home)
    with nodes.running(home):
        yield Node(home, order_key, endpoint_of(home))


def endpoint_of(home: Path) -> dict[str, Any]:
    return json.loads((home / "run" / "endpoint.json").read_text())


def obey(var: Path, order_key: Path) -> None:
    """This test's exchange signs orders with the key the node knows."""
    (var / "keys").mkdir(exist_ok=True)
    shutil.copy(order_key, var / "keys" / "order.pem")


def open_market(url: str, endpoint: dict[str, Any]) -> Market:
    """The city with its products and licences, in the current database."""
    from catalog import snapshots
    from fixtures import city

    people = city.found_city()
    domain = city.join(endpoint, "haizhou", "海州数据域", "Haizhou domain")
    flights = city.register("flights", "航班", "Flights", people.holder, domain, sector="transport")
    air = city.register("air", "空气质量", "Air quality", people.holder, domain, sector="environment")
    for resource in (flights, air):
        snapshots.refresh(resource, actor="test")
    authorization = city.authorize(people, "haizhou-full")
    columns = {r.code: [c["name"] for c in r.snapshot.manifest["schema"]["columns"]] for r in (flights, air)}
    guarded = city.offer(people, GUARDED, authorization, flights, columns["flights"])
    public = city.offer(people, OPEN, authorization, air, columns["air"], profile="open", threshold=0)
    licence = city.license_to(people.buyer, guarded, [PURPOSE])
    open_licence = city.license_to(people.buyer, public, [PURPOSE])
    city.fund(people.buyer, 10_000_000)
    return Market(
        people, domain, flights, air, authorization, guarded, public, licence, open_licence,
        Buyer(url, *city.client_of(people.buyer)), Buyer(url, *city.client_of(people.stranger)),
    )  # fmt: skip


def sell_carriers(market: Market, per_call: int = 7) -> tuple[Any, Any, Any]:
    """A neighbour's table of carriers as an open product to be joined: resource, product, the buyer's licence."""
    from catalog import snapshots
    from fixtures import city

    people = market.people
    resource = city.register("carriers", "航空公司", "Carriers", people.neighbour, market.domain, sector="transport")
    snapshots.refresh(resource, actor="test")
    terms = {"profile": "open", "threshold": 0, "merchant_share": 6500}
    product = city.offer(people, "carriers", market.authorization, resource, ["code", "kind", "planes"], **terms)
    tariff = {"per_call": per_call, "per_cell": 1000}
    return resource, product, city.license_to(people.buyer, product, [PURPOSE], tariff=tariff)


@pytest.fixture
def market(server: str, var: Path, node: Node) -> Market:
    """The market over real HTTP, on this test's own database."""
    obey(var, node.order_key)
    return open_market(server, node.endpoint)
