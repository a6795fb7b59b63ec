"""The story of one metered query, told on real data through real processes and real HTTP.

Everything is what a city would run: web server, worker and a confined node under the supervisor. The state
stays in var/, so that `make serve` serves the same exchange afterwards.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import requests
from django.conf import settings
from django.core.management import call_command

from catalog import snapshots
from catalog.models import Resource, Sample
from exchange.money import show
from exchange.parties.models import Membership, Party
from exchange.portal.opening import Opening
from exchange.sandbox.node import home as node_home
from fixtures import city
from fixtures.sources import FLIGHTS, WEATHER
from fixtures.tables import Source
from settlement.models import Transfer

PURPOSE = "travel-insurance"
FEW_AIRCRAFT = ["HA", "JFK", 1]  # 9 aircraft, of which a release says nothing


class Demo(Opening):
    """One run. `say` prints a line."""

    def __init__(self, say: Callable[[str], Any]) -> None:
        super().__init__("demo", say)
        host, port = settings.SLUICE.listen
        self.url = f"http://{host}:{port}"
        self.number = 0

    def run(self) -> None:
        self.clear()
        call_command("migrate", verbosity=0)
        people = self.found()
        homes = [self.make_node(each.domain, [each], number) for number, each in enumerate((FLIGHTS, WEATHER))]
        served = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=settings.BASE_DIR,
            env=os.environ | {"SLUICE_VAR": str(settings.VAR)},
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )
        try:
            self.wait("starting web, worker and two nodes", lambda: self.healthy(homes), served)
            self.step("The transport bureau registers its flights; its node takes the snapshot in.")
            taken = self.take_in(FLIGHTS, homes[0])
            self.say(f"   clamped {taken['clamped']}, nulled {taken['nulled']}, without aircraft {taken['dropped']:,}")
            flights = self.register(FLIGHTS, homes[0], people.holder, "交通", "航班运行数据", "Flight operations")
            self.step("The environment bureau does so with its weather, at a node of its own.")
            taken = self.take_in(WEATHER, homes[1])
            self.say(f"   clamped {taken['clamped']}, nulled {taken['nulled']}")
            weather = self.register(WEATHER, homes[1], people.neighbour, "生态环境", "机场气象", "Airport weather")
            self.list_products(people, flights, weather)
            self.ask()
            self.ask_again()
            self.ask_the_other()
            self.refusals()
            self.verify()
            self.recompute()
        finally:
            served.send_signal(signal.SIGTERM)
            served.wait(30)
        self.say(f"\nDone. The state is in {settings.VAR}; logins in demo/logins.txt there; `make serve` serves it.")

    def step(self, text: str) -> None:
        self.number += 1
        self.say(f"\n{self.number}. {text}")

    def found(self) -> city.City:
        people = city.found_city()
        self.say("Haizhou 海州 (a city that does not exist) opens its exchange. The cast:")
        for role, (zh, en, _) in city.PARTIES.items():
            self.say(f"   {role:<10} {zh} · {en}")
        return people

    def register(
        self, source: Source, home: node_home.Home, holder: Party, field: str, name_zh: str, name_en: str
    ) -> Resource:
        """The resource in the catalog, with the snapshot that its node has in service."""
        endpoint = json.loads(home.endpoint.read_text())
        domain = city.join(endpoint, source.domain, f"海州市{field}数据域", f"Data domain of {holder.name_en}")
        resource = city.register(source.code, name_zh, name_en, holder, domain, sector=source.domain, **source.about)
        snapshot = snapshots.refresh(resource, actor=str(holder.pk))
        columns, law = snapshot.manifest["schema"]["columns"], snapshot.policy
        self.say(f"   the exchange knows: snapshot {snapshot.code}, {len(columns)} columns;")
        limits = f", k = {law['threshold']} {law['population']}, {law['budget']} queries in all"
        self.say(f"   the holder's law: {law['profile']}{limits if law['budget'] else ''}")
        return resource

    def list_products(self, people: city.City, flights: Resource, weather: Resource) -> None:
        self.step("An operator is authorized; it reviews two products of a merchant; a buyer gets licences.")
        authorization = city.authorize(people, "haizhou-2026")
        product = city.offer(
            people, FLIGHTS.product, authorization, flights, FLIGHTS.columns,
            name_zh="航班延误统计", name_en="Flight delay statistics",
            description_zh="按航空公司、机场和月份统计延误和航程。",
            description_en="Delays and distances by carrier, airport and month.", sampled=True,
        )  # fmt: skip
        other = city.offer(
            people, WEATHER.product, authorization, weather, WEATHER.columns,
            name_zh="机场气象统计", name_en="Airport weather statistics", profile="open", threshold=0,
            description_zh="按机场和月份统计气温、降水和风速。",
            description_en="Temperature, precipitation and wind by airport and month.", sampled=True,
        )  # fmt: skip
        licence = city.license_to(people.buyer, product, [PURPOSE])
        city.license_to(people.buyer, other, [PURPOSE])
        city.fund(people.buyer, 1_000_000)
        self.client = city.client_of(people.buyer)
        self.hire(people)
        self.say(f"   {authorization.name_zh}, mode {authorization.mode}")
        for each in (product, other):
            asked = Sample.objects.filter(version__product=each)
            spent = sum(sample.cost for sample in asked)
            told = f"{asked.count()} sample answers, which took {spent} of the population's budget"
            self.say(f"   {each.code} ({each.profile}): reviewed on {told}")
        prices = f"{show(licence.tariff['per_call'])} a call and {show(licence.tariff['per_cell'])} a cell"
        self.say(f"   each licence for {licence.purposes}, {licence.quota} calls, {prices}")

    def hire(self, people: city.City) -> None:
        """Logins for the admin, and the buyer's client, written where only their owner reads them."""
        logins = []
        for role in ("holder", "neighbour", "authority", "operator", "merchant"):
            logins.append((role, city.hire(getattr(people, role), role)[1]))
        logins.append(("platform", city.hire(people.platform, "platform", Membership.Duty.APPROVER)[1]))
        logins += [("admin", city.break_glass("admin")[1])]
        logins += [("client_id", self.client[0]), ("client_secret", self.client[1])]
        self.write_logins("Logins of the demo's people for /admin/, and the buyer's API client", logins)

    def ask(self) -> None:
        self.step("The buyer gets a token and asks, over HTTP.")
        answer = requests.post(
            f"{self.url}/oauth/token", data={"grant_type": "client_credentials"}, auth=self.client, timeout=30
        )
        answer.raise_for_status()
        self.token = answer.json()["access_token"]
        self.say(f"   {FLIGHTS.asked}")
        body = self.post("first", FLIGHTS.asked)
        self.answer = body
        self.table(body)
        price = body["price"]
        lines = ", ".join(f"{line['quantity']} {line['what']} × {show(line['unit_price'])}" for line in price["lines"])
        self.say(f"   price {show(price['amount'])} ({lines})")
        for transfer in Transfer.objects.filter(query=body["id"]).select_related("debit__party", "credit__party"):
            whose = transfer.credit.party.name_en if transfer.credit.party else "the exchange"
            self.say(f"   ledger: {transfer.kind:<5} {show(transfer.amount):>12}  → {whose} {transfer.role}")
        self.say(f"   receipt: {body['receipt'][:60]}… ({len(body['receipt'])} characters)")

    def table(self, body: dict[str, Any], most: int = 8) -> None:
        names = [column["name"] for column in body["columns"]]
        released = [row for row in body["rows"] if row[-1] == "released"]
        hidden = [row for row in body["rows"] if row[-1] != "released"]
        self.say("   " + "  ".join(f"{name:>10}" for name in names))
        for row in released[: most - 2] + hidden[:2]:
            shown = (
                f"{value:.2f}" if isinstance(value, float) else "·" if value is None else str(value) for value in row
            )
            self.say("   " + "  ".join(f"{value:>10}" for value in shown))
        if hidden:
            self.say(f"   … {len(body['rows'])} cells: {len(released)} released, {len(hidden)} suppressed (fewer than "
                     "10 aircraft, dominated, or empty: they look the same)")  # fmt: skip

    def ask_again(self) -> None:
        self.step("The same query again: the stored release, metered as a call, no new query of the population.")
        body = self.post("second", FLIGHTS.asked)
        same = body["rows"] == self.answer["rows"]
        self.say(f"   stored: {body['stored']}, same answer: {same}, price {show(body['price']['amount'])}")
        if not (body["stored"] and same):
            raise SystemExit("the second answer is not the stored one")

    def ask_the_other(self) -> None:
        self.step("The other domain's node answers through the same exchange: open data, exact.")
        self.say(f"   {WEATHER.asked}")
        body = self.post("weather", WEATHER.asked)
        self.table(body)
        self.say(f"   price {show(body['price']['amount'])}")

    def refusals(self) -> None:
        self.step("What is refused, and what is hidden.")
        one_aircraft = f"SELECT COUNT(*) FROM {FLIGHTS.product} WHERE tailnum = 'N14228'"  # noqa: S608
        self.refused("for one aircraft", one_aircraft, PURPOSE)
        by_aircraft = f"SELECT tailnum, COUNT(*) FROM {FLIGHTS.product} GROUP BY tailnum"  # noqa: S608
        self.refused("by aircraft", by_aircraft, PURPOSE)
        self.refused("under another purpose", FLIGHTS.asked, "marketing")
        small = next(row for row in self.answer["rows"] if row[:3] == FEW_AIRCRAFT)
        self.say(f"   a cell with too few aircraft: {small}")

    def verify(self) -> None:
        self.step("The receipt, its place in the log, and the stand-alone verifier.")
        links = self.answer["links"]
        self.wait("the log takes the record in", lambda: self.get(links["proof"]).ok)
        (self.folder / "receipt.jws").write_text(self.get(links["receipt"]).text)
        (self.folder / "receipt.tlog-proof").write_text(self.get(links["proof"]).text)
        (self.folder / "log.vkey").write_text(requests.get(f"{self.url}/log.vkey", timeout=30).text)
        (self.folder / "jwks.json").write_text(requests.get(f"{self.url}/.well-known/jwks.json", timeout=30).text)
        command = [
            sys.executable, "-m", "exchange.audit.verify", "receipt.jws", "--proof", "receipt.tlog-proof",
            "--vkey", "log.vkey", "--jwks", "jwks.json",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=self.folder, env=os.environ | {"PYTHONPATH": str(settings.BASE_DIR)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            self.say(f"   {line}")
        if done.returncode:
            raise SystemExit("the receipt does not verify")

    def recompute(self) -> None:
        self.step("manage.py fsck recomputes all of it: log, receipts, ledger, usage, meters, the node's journal.")
        call_command("fsck")

    def post(self, key: str, sql: str, purpose: str = PURPOSE, expect: int = 200) -> dict[str, Any]:
        response = requests.post(
            f"{self.url}/v1/queries",
            json={"sql": sql, "purpose": purpose},
            headers={
                "Authorization": f"Bearer {self.token}",
                "Idempotency-Key": f"demo-{key}",
                "Accept-Language": "en",
            },
            timeout=60,
        )
        if response.status_code != expect:
            raise SystemExit(f"expected {expect}, got {response.status_code}: {response.text}")
        return dict(response.json())

    def refused(self, key: str, sql: str, purpose: str) -> None:
        body = self.post(key, sql, purpose, expect=403)
        self.say(f"   {key}: {body['status']} {body['code']}: {body['title']}")

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"}, timeout=30)

    def healthy(self, homes: list[node_home.Home]) -> bool:
        if not all(home.endpoint.exists() for home in homes):
            return False
        try:
            return requests.get(f"{self.url}/health", timeout=10).ok
        except requests.RequestException:
            return False
