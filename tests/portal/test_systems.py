"""Systems that cities run: each loaded, and shown by what it allows and what it refuses, with the reason."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.management import call_command
from django.utils import timezone

from catalog import versions
from catalog.covers import Reason, covers
from catalog.facts import grant_of, item_of
from catalog.models import Product, Registration, Version
from exchange.crypto.keys import b64url, load_or_create, raw
from exchange.errors import Problem
from exchange.parties import uscc
from exchange.parties.models import Party
from exchange.portal.opening import MARK
from exchange.sandbox.node.home import BadConfiguration, Home
from fixtures import city
from fixtures.city import found_city
from fixtures.systems import SYSTEMS
from fixtures.systems.system import EXAMPLE, Made, about, load
from tests import nodes, scratch, servers
from tests.market import Buyer, Node, endpoint_of, obey
from tests.portal.cityscape import visitor

pytestmark = pytest.mark.timeout(600)  # five tables are taken in first
ROOT = Path(__file__).parents[2]
SOURCES = [source for system in SYSTEMS.values() for source in system.sources]
YEAR = 365  # days from the first to the last of the fixtures' authorizations
Row = tuple[str, str, str, str, int, Reason | None]


def make_node(folder: Path) -> tuple[Path, Path]:
    """A node's home with the law of every system's holders, and the file of the exchange's order key."""
    home, order_key = folder / "home", folder / "order.pem"
    nodes.make_node(
        home,
        populations={source.population: source.law for source in SOURCES},
        resources={each.code: {"population": each.population, "columns": each.columns} for each in SOURCES},
        exchange_key=b64url(raw(load_or_create(order_key).public)),
    )
    return home, order_key


def take_in(folder: Path) -> None:
    home, _ = make_node(folder)
    for source in SOURCES:
        file = folder / f"{source.code}.parquet"
        source.write(file)
        nodes.take_in(home, source.code, file, source.schema)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node with the tables of all systems: which exchange asks is all the same to it."""
    home, order_key = make_node(tmp_path_factory.mktemp("systems"))
    nodes.take_over(home, Home(scratch.once("systems", take_in) / "home"))
    with nodes.running(home):
        yield Node(home, order_key, endpoint_of(home))


@pytest.fixture
def opened(db: str, var: Path, node: Node) -> Callable[[str], Made]:
    obey(var, node.order_key)
    return lambda name: load(SYSTEMS[name], node.endpoint)


def verdicts(made: Made, table: list[Row]) -> list[Row]:
    """The table as `covers` fills it in."""
    found: list[Row] = []
    for authorization, resource, grantee, purpose, days, _ in table:
        day = timezone.localdate() + timedelta(days=days)
        grant = grant_of(made.authorizations[authorization], day)
        reason = covers(grant, item_of(made.resources[resource]), purpose, str(made.people[grantee].pk), day)
        found.append((authorization, resource, grantee, purpose, days, reason))
    return found


def refusal(made: Made, authorization: str, resource: str, merchant: str, bases: list[str] | None = None) -> str:
    """What a merchant is told who submits a product: the problem's code, or its detail where that says more."""
    party = made.people[merchant]
    product = Product(
        code="attempt", name_zh="试", authorization=made.authorizations[authorization], merchant=party,
        kind="external",
    )  # fmt: skip
    version = Version(
        resource=made.resources[resource], columns=[], profile="guarded", threshold=10, merchant_share=4000
    )
    named = Product.objects.filter(code__in=bases or [])
    version = versions.do_compose(product, version, city.person(party), named)
    with pytest.raises(Problem) as raised:
        versions.do_step(version, "submit", city.person(party))
    told = raised.value
    return str(told.detail) if told.code == "authorization_does_not_cover" else str(told.code)


def buyer(made: Made, url: str) -> Buyer:
    return Buyer(url, *city.client_of(made.people.buyer))


def ask(made: Made, url: str, system: str) -> list[list[Any]]:
    """The answer to the system's own question."""
    purpose, sql = SYSTEMS[system].asked
    answer = buyer(made, url).ask(sql, purpose)
    assert answer.status_code == 200, answer.text
    return [row for row in answer.json()["rows"] if row[-1] == "released"]


# What all have


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_the_cast_is_accredited_and_says_that_it_is_made_up(system: Any, db: str) -> None:
    people = found_city(system.parties, system.division)
    for name, (_zh, _en, *roles) in system.parties.items():
        party = people[name]
        assert {each.role for each in party.accreditations.all()} == set(roles), name
        assert uscc.is_valid(party.credit_code)
        assert party.credit_code[2:8] == system.division
        assert party.name_zh.endswith(EXAMPLE[0])
        assert party.name_en.endswith(EXAMPLE[1])


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.code)
def test_the_same_rows_are_drawn_every_time_and_the_resource_says_that_they_are_synthetic(source: Any) -> None:
    assert source.rows().equals(source.rows())
    assert "合成数据" in source.about["description_zh"]
    assert "Synthetic data" in source.about["description_en"]


# Beijing: zones of one sector

FINANCE, MEDICAL = "finance-zone", "medical-zone"
BEIJING: list[Row] = [
    (FINANCE, "enterprise_labels", "merchant", "any", 0, None),
    (FINANCE, "enterprise_labels", "operator", "any", 0, None),
    (FINANCE, "enterprise_labels", "merchant", "any", YEAR, None),
    (FINANCE, "enterprise_labels", "merchant", "any", YEAR + 1, Reason.EXPIRED),
    (FINANCE, "enterprise_labels", "merchant", "any", -1, Reason.NOT_YET),
    (FINANCE, "hospital_visits", "merchant", "any", 0, Reason.OTHER_SECTOR),
    (FINANCE, "enterprise_labels", "outsider", "any", 0, Reason.OTHER_GRANTEE),
    (FINANCE, "enterprise_labels", "medical_operator", "any", 0, Reason.OTHER_GRANTEE),
    (MEDICAL, "hospital_visits", "medical_operator", "any", 0, None),
    (MEDICAL, "enterprise_labels", "medical_operator", "any", 0, Reason.OTHER_SECTOR),
    (MEDICAL, "hospital_visits", "merchant", "any", 0, Reason.OTHER_GRANTEE),
]


def test_beijings_zones_cover_their_sector_and_whom_their_operator_admitted(opened: Callable[[str], Made]) -> None:
    made = opened("beijing")
    assert verdicts(made, BEIJING) == BEIJING
    assert refusal(made, FINANCE, "hospital_visits", "merchant") == "resource_of_another_sector"
    Product.objects.filter(code="attempt").update(code="attempt-1")
    assert refusal(made, FINANCE, "enterprise_labels", "outsider") == "grantee_not_named"


def test_beijings_finance_zone_answers_statistics_and_no_question_about_one_enterprise(
    server: str, opened: Callable[[str], Made]
) -> None:
    made = opened("beijing")
    assert len(ask(made, server, "beijing")) == 6
    bank, purpose = buyer(made, server), SYSTEMS["beijing"].asked[0]
    for sql in (
        "SELECT district, COUNT(*) AS n FROM new_enterprises WHERE founded = 2024 GROUP BY district",
        "SELECT district, SUM(penalties) AS n FROM risk_monitoring GROUP BY district",
    ):
        assert bank.ask(sql, purpose).status_code == 200
    check = bank.ask("SELECT COUNT(*) FROM enterprise_check", purpose)
    assert (check.status_code, check.json()["code"]) == (403, "product_not_queryable")
    assert Buyer(server, *city.client_of(made.people.stranger)).ask(
        SYSTEMS["beijing"].asked[1], purpose
    ).json()["code"] == "licence_missing"  # fmt: skip
    zone = visitor("en").get("/zones/finance-zone/").content.decode()
    for said in ("Finance zone operator", "Zones are by sector", "Risk monitoring", "Enterprise check"):
        assert said in zone, said


# Chengdu: the whole region, two levels

FULL = "chengdu-full"
CHENGDU: list[Row] = [
    (FULL, "parking_stays", "operator", "any", 0, None),
    (FULL, "parking_stays", "merchant", "any", 0, None),
    (FULL, "parking_stays", "fuser", "any", YEAR, None),
    (FULL, "shop_areas", "fuser", "any", 0, None),
    (FULL, "bus_lanes", "merchant", "any", 0, None),  # registered after the agreement
    (FULL, "population_register", "merchant", "any", 0, Reason.EXCLUDED),
    (FULL, "population_register", "operator", "any", 0, Reason.EXCLUDED),
    (FULL, "parking_stays", "former", "any", 0, Reason.OTHER_GRANTEE),
    (FULL, "parking_stays", "outsider", "any", 0, Reason.OTHER_GRANTEE),
    (FULL, "parking_stays", "merchant", "any", YEAR + 1, Reason.EXPIRED),
]


def test_chengdu_covers_future_resources_less_the_exclusions_on_two_levels(opened: Callable[[str], Made]) -> None:
    made = opened("chengdu")
    made.register("bus_lanes", "holder", **about("公交专用道", "Bus lanes", "。", ".", "transport"))
    assert verdicts(made, CHENGDU) == CHENGDU
    for number, (resource, merchant, told) in enumerate(
        (
            ("population_register", "merchant", "resource_excluded"),
            ("parking_stays", "former", "grantee_not_named"),
        )
    ):
        assert refusal(made, FULL, resource, merchant) == told
        Product.objects.filter(code="attempt").update(code=f"attempt-{number}")


def test_chengdus_second_level_lists_and_the_first_redevelops_nothing(
    server: str, opened: Callable[[str], Made]
) -> None:
    made = opened("chengdu")
    listed = Product.objects.filter(state="listed").values_list("code", "merchant")
    merchant, fuser = made.people.merchant.pk, made.people["fuser"].pk
    assert dict(listed) == {"parking_demand": merchant, "retail_areas": fuser, "parking_by_retail": fuser}
    assert refusal(made, FULL, "parking_stays", "operator", ["parking_demand"]) == "redevelopment_barred"
    assert {row[0] for row in ask(made, server, "chengdu")} == {"housing", "offices", "old town"}


# Hangzhou: one scenario, one list, one review

SITES, CHARGING = "site-selection", "charging-network"
HANGZHOU: list[Row] = [
    (SITES, "transit_trips", "merchant", SITES, 0, None),
    (SITES, "transit_trips", "merchant", SITES, YEAR, None),
    (SITES, "transit_trips", "merchant", SITES, YEAR + 1, Reason.EXPIRED),
    (SITES, "taxi_trips", "merchant", SITES, 0, Reason.NOT_LISTED),
    (SITES, "charging_stations", "merchant", SITES, 0, Reason.NOT_LISTED),
    (SITES, "transit_trips", "merchant", "marketing", 0, Reason.OTHER_PURPOSE),
    (SITES, "transit_trips", "operator", SITES, 0, Reason.OTHER_GRANTEE),
    (SITES, "transit_trips", "second", SITES, 0, Reason.OTHER_GRANTEE),
    (SITES, "transit_trips", "outsider", SITES, 0, Reason.OTHER_GRANTEE),
    (CHARGING, "charging_stations", "second", CHARGING, 0, None),
    (CHARGING, "charging_stations", "merchant", CHARGING, 0, Reason.OTHER_GRANTEE),
    (CHARGING, "transit_trips", "second", CHARGING, 0, Reason.NOT_LISTED),
    (CHARGING, "charging_stations", "second", SITES, 0, Reason.OTHER_PURPOSE),
]


def test_hangzhous_scenarios_cover_their_list_for_their_grantee_and_purpose(opened: Callable[[str], Made]) -> None:
    made = opened("hangzhou")
    assert verdicts(made, HANGZHOU) == HANGZHOU
    for number, (resource, merchant, told) in enumerate(
        (
            ("taxi_trips", "merchant", "resource_not_listed"),
            ("transit_trips", "second", "grantee_not_named"),
            ("transit_trips", "operator", "grantee_not_named"),
        )
    ):
        assert refusal(made, SITES, resource, merchant) == told
        Product.objects.filter(code="attempt").update(code=f"attempt-{number}")


def test_hangzhous_plans_were_decided_each_on_its_own_list(opened: Callable[[str], Made]) -> None:
    made = opened("hangzhou")
    plans = {code: made.authorizations[code].plan for code in (SITES, CHARGING)}
    assert plans[SITES] != plans[CHARGING]
    for code, listed in ((SITES, "transit_trips"), (CHARGING, "charging_stations")):
        assert plans[code].state == "filed"
        assert plans[code].minutes is not None
        assert listed in plans[code].items["resources"]


def test_hangzhou_answers_under_the_scenarios_purpose_and_no_other(server: str, opened: Callable[[str], Made]) -> None:
    made = opened("hangzhou")
    assert len(ask(made, server, "hangzhou")) == 24
    answer = buyer(made, server).ask(SYSTEMS["hangzhou"].asked[1], "marketing")
    assert (answer.status_code, answer.json()["code"]) == (403, "purpose_not_allowed")


# The command


def test_it_does_not_load_over_an_exchange_that_no_demo_made(db: str, var: Path) -> None:
    found_city()
    parties = Party.objects.count()
    with pytest.raises(SystemExit, match="holds an exchange that no demo made"):
        call_command("load_system", "beijing")
    assert Party.objects.count() == parties
    assert not (var / "node").exists()


def test_a_node_that_cannot_be_leaves_no_folder(db: str, var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_DEMO_NODE", "nowhere:70000")
    with pytest.raises(BadConfiguration):
        call_command("load_system", "beijing")
    assert not (var / "node" / "beijing").exists()
    assert not (var / "beijing").exists()
    assert not Party.objects.exists()


def test_a_login_alone_is_an_exchange_too(db: str, var: Path) -> None:
    city.break_glass("root")
    with pytest.raises(SystemExit, match="holds an exchange that no demo made"):
        call_command("load_system", "beijing")


def test_a_database_elsewhere_is_not_emptied_though_a_demo_made_the_folder(db: str, var: Path) -> None:
    found_city()
    (var / MARK).touch()
    (var / "kept").touch()
    with pytest.raises(SystemExit, match="another database"):
        call_command("load_system", "beijing")
    assert (var / "kept").exists()


def test_a_node_that_is_not_believed_leaves_nobody(opened: Callable[[str], Made], node: Node) -> None:
    wrong = node.endpoint | {"public_jwk": node.endpoint["public_jwk"] | {"x": "A" * 43}}
    with pytest.raises(Problem):
        load(SYSTEMS["beijing"], wrong)
    assert not Party.objects.exists()
    assert not Registration.objects.exists()


def test_the_command_fills_a_fresh_folder_that_serve_then_serves(tmp_path: Path) -> None:
    var, port, node_port = tmp_path / "var", servers.free_port(), servers.free_port()
    environment = os.environ | {
        "SLUICE_VAR": str(var), "DATABASE_URL": "", "SLUICE_LISTEN": f"127.0.0.1:{port}",
        "SLUICE_DEMO_NODE": f"127.0.0.1:{node_port}",
    }  # fmt: skip
    run = {"cwd": ROOT, "env": environment, "stdin": subprocess.DEVNULL}
    loaded = subprocess.run([sys.executable, "manage.py", "load_system", "hangzhou"], capture_output=True, **run)
    assert loaded.returncode == 0, loaded.stderr.decode()
    said = loaded.stdout.decode()
    assert "authorization site-selection (scenario)" in said
    logins = var / "hangzhou" / "logins.txt"
    assert str(logins) in said
    assert stat.S_IMODE(logins.stat().st_mode) == 0o600
    known = dict(line.split("\t") for line in logins.read_text().splitlines()[1:])
    assert known.keys() >= SYSTEMS["hangzhou"].parties.keys()
    with subprocess.Popen([sys.executable, "manage.py", "serve"], **run) as served:
        try:
            servers.wait_for_port(port, served, 90)
            servers.wait_for_port(node_port, served, 90)
            client = Buyer(f"http://127.0.0.1:{port}", known["client_id"], known["client_secret"])
            purpose, sql = SYSTEMS["hangzhou"].asked
            answer: requests.Response = client.ask(sql, purpose)
        finally:
            served.send_signal(signal.SIGTERM)
    assert answer.status_code == 200, json.dumps(answer.json())
