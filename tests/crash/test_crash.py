"""SIGKILL after every step of the path, in the exchange and in each process of the node.

Afterwards the query was charged once or not at all, what was spent stays spent, no second noise was drawn, and
log, ledger and journal agree.
"""

import dataclasses
import itertools
import os
import select
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from django.conf import settings
from django.test import override_settings

from exchange.audit import sequencer
from exchange.portal import fsck
from licensing.models import PopulationMeter
from settlement import recovery
from settlement.models import MeteredQuery, StoredRelease, Usage
from tests import databases, nodes, servers
from tests.market import GUARDED, Market, endpoint_of, fill, make_node, obey, open_market, sell_carriers

EXCHANGE = ("parsed", "decided", "reserved", "ordered", "released", "settled")
GATE = ("debited", "ran", "released", "sent")
VAULT = ("received", "ran", "answered")
_queries = itertools.product(("COUNT(*)", "SUM(distance)"), range(1, 5), ("EWR", "JFK", "LGA"))


@dataclass
class World:
    """A market whose node and web server can be told where to die, once."""

    market: Market
    home: Path  # its node listens on the same port whenever it runs
    dying: Path
    mark: int  # a FIFO that whoever dies writes into
    node: ExitStack
    start: servers.Starter
    web: servers.Served

    def arm(self, step: str) -> None:
        """The next process that reaches `step` dies there; of a node's, the next that starts after this."""
        (self.dying / "die_at").write_text(step)
        if self.died():
            os.read(self.mark, 100)

    def died(self) -> bool:
        return bool(select.select([self.mark], [], [], 0)[0])

    def run_node(self) -> int:
        """Start the node afresh; its launcher's process id."""
        self.node.close()
        launcher = self.node.enter_context(nodes.running(self.home))
        nodes.wait_for_vaults(launcher)
        return launcher.pid

    def run_web(self) -> None:
        """Start the web server afresh; nothing of the old one is left."""
        self.web.kill()
        self.web = self.start()
        self.market.buyer.url = self.web.url

    def ask(self, sql: str, key: str) -> requests.Response | None:
        """None where the connection broke, or nobody listens."""
        try:
            return self.market.buyer.ask(sql, key=key)
        except requests.RequestException:
            return None


@pytest.fixture(scope="module")
def world(template: databases.Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all tests here, so that every crash happens to an exchange with a past."""
    folder = tmp_path_factory.mktemp("crash")
    (folder / "var").mkdir()
    dying = folder / "dying"
    shutil.copytree(Path(__file__).parent / "dying", dying)
    (dying / "die_at").write_text("")
    os.mkfifo(dying / "died")
    mark = os.open(dying / "died", os.O_RDWR | os.O_NONBLOCK)
    home, order_key = make_node(folder, listen=f"127.0.0.1:{servers.free_port()}", start_ms=1000)
    fill(home)
    name = template.copy(90_000)
    environment = {"SLUICE_VAR": str(folder / "var"), "DATABASE_URL": template.url(name), "PYTHONPATH": str(dying)}
    environment["SLUICE_WEB_WORKERS"] = "1"
    environment["SLUICE_SECRET_KEY"] = settings.SECRET_KEY
    before = {variable: os.environ.get(variable) for variable in environment}
    os.environ |= environment
    mine = dataclasses.replace(settings.SLUICE, var=folder / "var")
    with ExitStack() as stack:
        stack.enter_context(override_settings(SLUICE=mine, VAR=folder / "var"))
        stack.enter_context(databases.switched_to(name))
        start = stack.enter_context(servers.Starter())
        node = stack.enter_context(ExitStack())
        node.enter_context(nodes.running(home))
        obey(folder / "var", order_key)
        web = start()
        market = open_market(web.url, endpoint_of(home))
        sell_carriers(market)
        yield World(market, home, dying, mark, node, start, web)
    for variable, value in before.items():
        if value is None:
            del os.environ[variable]
        else:
            os.environ[variable] = value
    os.close(mark)
    template.drop(name)


def a_new_query(table: str = GUARDED) -> str:
    measure, month, origin = next(_queries)
    where = f"month = {month} AND origin = '{origin}'"
    return f"SELECT carrier, {measure} AS n FROM {table} WHERE {where} GROUP BY carrier"


def by_retry(world: World, sql: str, key: str) -> None:
    answer = settled_answer(world, sql, key)
    assert answer.status_code == 200, answer.text


def by_the_worker(world: World, sql: str, key: str) -> None:
    from django.utils import timezone

    MeteredQuery.objects.filter(state="reserved").update(send_again_at=timezone.now())
    recovery.run_due()


def check(key: str, charged: int, spent_before: int) -> None:
    """Charged as often as it should be, and everything agrees with everything, the node's journal too."""
    query = MeteredQuery.objects.filter(idempotency_key=key)
    assert Usage.objects.filter(query__in=query).count() == charged
    assert not MeteredQuery.objects.filter(state="reserved").exists()
    assert PopulationMeter.objects.get().spent == spent_before + charged
    assert StoredRelease.objects.filter(meteredquery__in=query).count() == charged
    sequencer.run_once()
    assert [finding.text for finding in fsck.check() if not finding.ok] == []


def spent() -> int:
    return sum(PopulationMeter.objects.values_list("spent", flat=True))


@pytest.mark.parametrize("recover", [by_retry, by_the_worker])
@pytest.mark.parametrize("step", EXCHANGE)
def test_an_exchange_killed_after_a_step_charges_once_or_not_at_all(
    world: World, step: str, recover: Callable[[World, str, str], None]
) -> None:
    """With a joined product, whose licence counts and is paid too: its path has every step of a plain one's."""
    sql, key, before = a_new_query(f"{GUARDED} JOIN carriers ON carrier = code"), str(uuid4()), spent()
    world.arm(f"sluice.exchange.{step}")
    assert world.ask(sql, key) is None
    assert world.died()
    world.run_web()
    recover(world, sql, key)
    reserved = step not in ("parsed", "decided")
    check(key, charged=int(reserved or recover is by_retry), spent_before=before)


@pytest.mark.parametrize(
    ("process", "step"), [*(("gate", step) for step in GATE), *(("vault", step) for step in VAULT)]
)
def test_a_node_whose_process_is_killed_after_a_step_answers_once(world: World, process: str, step: str) -> None:
    sql, key, before = a_new_query(), str(uuid4()), spent()
    world.arm(f"sluice.{process}.{step}")
    world.run_node()
    by_retry(world, sql, key)
    assert world.died()
    check(key, charged=1, spent_before=before)


def test_a_killed_launcher_takes_its_processes_along_and_the_next_one_goes_on(world: World) -> None:
    sql, key, before = a_new_query(), str(uuid4()), spent()
    world.arm("")
    launcher = world.run_node()
    pids = children(launcher)
    os.kill(launcher, signal.SIGKILL)
    until = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "a process outlived its launcher"
        time.sleep(0.02)
    unreachable = world.ask(sql, key)
    assert unreachable is not None
    assert (unreachable.status_code, unreachable.json()["code"]) == (503, "node_unreachable")
    assert MeteredQuery.objects.get(idempotency_key=key).state == "reserved"
    world.run_node()
    by_retry(world, sql, key)
    check(key, charged=1, spent_before=before)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = [int(child) for child in text.split()]
    assert len(found) >= 2, "a gate and a vault"
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def settled_answer(world: World, sql: str, key: str, seconds: float = 60) -> requests.Response:
    """Ask again under the same key until it is no longer uncertain."""
    until = time.monotonic() + seconds
    while True:
        answer = world.ask(sql, key)
        if answer is not None and answer.status_code != 503:
            return answer
        assert time.monotonic() < until, "it stays uncertain"
        time.sleep(0.2)
