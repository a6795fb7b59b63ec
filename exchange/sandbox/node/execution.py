"""What the gate does with an order, and in which order: the journal before the vault, the disk before the wire.

Look up the id → judge → debit on disk → run in a vault → release on disk → send. An id seen before gets the
release it got; one that was debited and never answered runs again, free, for nothing has left the vault.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace

import pyarrow as pa

from exchange.crypto import jws
from exchange.crypto.canonical import canonical, digest
from exchange.crypto.keys import SigningKey
from exchange.errors import Problem
from exchange.sandbox import answer, plan
from exchange.sandbox.frames import SUPPRESSED, BadFrame, Cells, Status
from exchange.sandbox.node import judge, policy
from exchange.sandbox.node.home import Settings
from exchange.sandbox.node.journal import Answer, Entry, Exhausted, Journal, Lost
from exchange.sandbox.node.judge import Task
from exchange.sandbox.node.manifests import Manifests
from exchange.sandbox.node.policy import Policy
from exchange.sandbox.node.pool import NoVault, Overran, Pool, Vault, VaultDied
from exchange.sandbox.orders import Order, OrderKind, Outcome, Release, read_order, read_release, sign_release
from exchange.sandbox.schema import Manifest

VAULT_SHARE = 0.8  # of a deadline; the rest is for making, signing and keeping the answer
PATIENCE = 60.0  # seconds for a vault to come free or start, and to load a snapshot: no query's own time
ENTRIES = 5_000  # of the journal in one answer


class Conflict(Exception):
    """The order's id stands in the journal for another order."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a run ended: cells, or a code."""

    outcome: Outcome
    code: str = ""
    cells: Cells | None = None
    block: bool = False


FAILURES = {
    Status.SNAPSHOT_UNREADABLE: Run(Outcome.NOT_EXECUTED, "snapshot_unreadable"),
    Status.ENGINE_FAILED: Run(Outcome.FAILED, "engine_failed"),
}


@dataclass(slots=True)
class Turn:
    """One order id in work: how many hold it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    takers: int = 0


LOST = Run(Outcome.NOT_EXECUTED, "engine_failed")
"""No vault took it up, or none lived to answer where there is nothing to hide."""

OVERRUN = Run(Outcome.FAILED, "query_failed", block=True)
"""Too slow, out of memory or killed: with a deadline these look the same, and the plan is not tried again."""


class Execution:
    """One node's orders. Any number of threads."""

    def __init__(
        self, settings: Settings, key: SigningKey, law: Policy, journal: Journal, manifests: Manifests, pool: Pool
    ) -> None:
        self._settings, self._key, self._law = settings, key, law
        self._journal, self._manifests, self._pool = journal, manifests, pool
        self._keys, self._names = law.keys, law.names
        self._blocked = journal.blocked()
        self._turns: dict[str, Turn] = {}
        self._guard = threading.Lock()

    def answer(self, token: str) -> tuple[str, str, bytes]:
        """(order id, release as JWS, result) for an order's JWS. Raises BadSignature, Conflict."""
        order = read_order(token, self._keys)
        judge.check_form(order)
        if self._names[jws.header(token)["kid"]] != order.exchange:
            raise jws.BadSignature("signed by another exchange")
        release = Release(
            order.id, digest(token.encode()), order.exchange, self._settings.name, Outcome.NOT_EXECUTED,
            policy=self._law.digest, issued_at=int(time.time()),
        )  # fmt: skip
        if order.kind is not OrderKind.QUERY:
            return order.id, *self._tell(order, release)
        with self._turn(order.id):
            return order.id, *self._answer_query(order, release)

    def _answer_query(self, order: Order, release: Release) -> tuple[str, bytes]:
        release = replace(release, snapshot=order.snapshot)
        entry = self._journal.find(order.id)
        if entry and (entry.digest != release.order_digest or entry.exchange != order.exchange):
            raise Conflict(order.id)
        if entry and entry.token:
            return entry.token, entry.result
        try:
            if entry is None:
                judge.check_validity(order, self._settings.name, release.issued_at)
            task = self._task(order)
            if entry is None:
                self._recall(order, task.population.name)
                entry = self._debit(order, release, task)
        except Problem as problem:
            return self._refuse(entry, replace(release, code=problem.code))
        sys.audit("sluice.gate.debited", order.id)
        return self._execute(order, entry, release, task)

    def _task(self, order: Order) -> Task:
        """Raises Problem."""
        manifest = self._manifest(order.resource, order.snapshot)
        others = {each.name: self._manifest(each.resource, each.snapshot) for each in order.joins}
        task = judge.task(order, self._law, manifest, self._settings, others)
        if task.plan in self._blocked:
            raise Problem("plan_blocked")
        return task

    def _manifest(self, resource: str, snapshot: str) -> Manifest:
        """The manifest of what the holder offers and has not stopped. Raises Problem."""
        policy.offered(self._law, resource)
        if self._manifests.stopped(resource):
            raise Problem("stopped_by_holder")
        return self._manifests.get(resource, snapshot)

    def _recall(self, order: Order, population: str) -> None:
        """Whether the journal knows the release that the exchange has seen last. A journal that was restored from a
        backup does not, and would let what was spent since be spent again. Raises Problem."""
        if order.seen:
            try:
                seen = read_release(order.seen, {self._key.kid: self._key.public})
            except jws.BadSignature:
                raise Problem("node_refused", "the order names a release that this node has not signed") from None
            self._journal.recall(
                Lost(
                    seen.order, seen.order_digest, seen.exchange, seen.journal, seen.population, seen.spent,
                    seen.issued_at, seen.outcome, seen.code, order.seen,
                )
            )  # fmt: skip
        if any(lost.population == population for lost in self._journal.missing()):
            raise Problem("journal_behind")

    def _debit(self, order: Order, release: Release, task: Task) -> Entry:
        whom = task.population
        try:
            return self._journal.debit(
                order.id, release.order_digest, order.exchange, whom.name, whom.budget, release.issued_at,
                whom.cost(task.terms, plan.looks(task.query)), whom.budget_per_day,
            )  # fmt: skip
        except Exhausted:
            raise Problem("population_exhausted") from None

    def _refuse(self, entry: Entry | None, release: Release) -> tuple[str, bytes]:
        def made(entry: Entry) -> Answer:
            return self._sign(_numbered(release, entry), b"")

        if entry is None:
            kept = self._journal.refuse(
                release.order, release.order_digest, release.exchange, release.issued_at, made
            )[1]  # fmt: skip
        else:
            kept = made(entry)
            self._journal.release(entry.number, kept)
        return kept.token, kept.result

    def _execute(self, order: Order, entry: Entry, release: Release, task: Task) -> tuple[str, bytes]:
        """Run a debited order. A vault that dies before the query starts is no matter of the query."""
        request = {
            "number": entry.number, "order": order.id, "query": order.query, "resource": order.resource,
            "snapshot": order.snapshot, "terms": asdict(task.terms),
            "joins": {each.name: (each.resource, each.snapshot) for each in order.joins},
        }  # fmt: skip
        try:
            try:
                kept = self._try(request, entry, release, task)
            except VaultDied:
                kept = self._try(request, entry, release, task)
        except (VaultDied, NoVault):
            kept = self._keep(entry, release, task, LOST)
        return kept.token, kept.result

    def _try(self, request: dict[str, object], entry: Entry, release: Release, task: Task) -> Answer:
        """One run. With a deadline it keeps its vault until then and answers then, however it went: neither
        the answer's time nor the next order's start tells anything of the data. Raises VaultDied, NoVault."""
        with self._pool.borrow(PATIENCE) as vault:
            run = self._load(vault, request, time.monotonic() + PATIENCE)
            started, leaves_at = time.monotonic(), time.time() + task.deadline
            until = started + (task.deadline * VAULT_SHARE or self._settings.seconds)
            try:
                run = run or self._run(vault, task, until)
            except VaultDied:
                run = self._again(request, task, until)
            sys.audit("sluice.gate.ran", release.order)
            if any(map(self._manifests.stopped, task.resources)):  # meanwhile
                run = replace(run, outcome=Outcome.NOT_EXECUTED, code="stopped_by_holder", cells=None)
            kept = self._keep(entry, replace(release, issued_at=int(leaves_at)), task, run)
            if task.deadline:
                time.sleep(max(0.0, started + task.deadline - time.monotonic()))
            return kept

    def _again(self, request: dict[str, object], task: Task, until: float) -> Run:
        """A vault died over the query: once more on another, in what is left of the same time. That draws no
        second noise, for noise follows from the rows and the node's secret."""
        with suppress(NoVault, VaultDied), self._pool.borrow(until - time.monotonic()) as vault:
            run = self._load(vault, request, until) or self._run(vault, task, until)
            if run.cells is not None or not task.deadline:
                return run
        return OVERRUN if task.deadline else LOST

    def _load(self, vault: Vault, request: dict[str, object], until: float) -> Run | None:
        """Have the vault load the snapshot, which takes as long for every query. Raises VaultDied."""
        try:
            status = vault.ask(request, until)
        except VaultDied:
            self._pool.end(vault)
            raise
        except (Overran, BadFrame):
            self._pool.end(vault)
            return LOST
        return None if status == Status.DONE else FAILURES[status]

    def _run(self, vault: Vault, task: Task, until: float) -> Run:
        """The query's own time. Raises VaultDied."""
        try:
            status, cells = vault.cells(task.shape, until)
        except VaultDied:
            self._pool.end(vault)
            raise
        except BadFrame:
            self._pool.end(vault)
            return FAILURES[Status.ENGINE_FAILED]
        except Overran:
            self._pool.end(vault)
            return replace(OVERRUN, block=task.deadline > 0)
        if status == Status.ENGINE_FAILED and task.deadline:
            return OVERRUN
        return Run(Outcome.RELEASED, cells=cells) if status == Status.DONE else FAILURES[status]

    def _keep(self, entry: Entry, release: Release, task: Task, run: Run) -> Answer:
        """Sign how a run ended, on disk before it returns."""
        result, suppressed = b"", 0
        cells = task.shape.cells if run.outcome is Outcome.FAILED and task.deadline else 0
        if run.cells is not None:
            result = _stream(answer.table(run.cells, task.query, task.manifest, task.terms))
            cells, suppressed = len(run.cells), int((run.cells["status"] == SUPPRESSED).sum())
        release = replace(
            _numbered(release, entry), outcome=run.outcome, code=run.code, cells=cells, suppressed=suppressed
        )
        kept = self._sign(release, result)
        self._journal.release(entry.number, kept, block=task.plan if run.block else "")
        if run.block:
            self._blocked.add(task.plan)
        sys.audit("sluice.gate.released", release.order)
        return kept

    def _tell(self, order: Order, release: Release) -> tuple[str, bytes]:
        """Answer an order that asks about the node itself; nothing is spent and nothing kept."""
        try:
            judge.check_validity(order, self._settings.name, release.issued_at)
            told = self._describe(order) if order.kind is OrderKind.DESCRIBE else self._entries(order)
        except Problem as problem:
            made = self._sign(replace(release, code=problem.code), b"")
        else:
            made = self._sign(replace(release, outcome=Outcome.RELEASED), canonical(told))
        return made.token, made.result

    def _describe(self, order: Order) -> dict[str, object]:
        offered = policy.offered(self._law, order.resource)
        whom = offered.population
        return {
            "manifest": self._manifests.current(order.resource).to_json() | {"most_rows": 0},
            "policy": {
                "population": whom.name, "profile": whom.profile.value, "entity": whom.entity,
                "threshold": whom.threshold, "dominance": whom.dominance, "p_ratio": whom.p_ratio,
                "budget": whom.budget, "budget_per_day": whom.budget_per_day, "delta": whom.delta,
                "spent": self._journal.spent(whom.name), "columns": sorted(offered.columns),
                "joins": sorted(offered.joins),
            },
        }  # fmt: skip

    def _entries(self, order: Order) -> dict[str, object]:
        """The journal after `order.since`; of another exchange's orders only what they spent."""
        entries = self._journal.since(order.since, ENTRIES)
        return {
            "entries": [
                {
                    "order": row["order"] if row["exchange"] == order.exchange else "",
                    **{name: row[name] for name in ("number", "population", "cost", "spent", "outcome")},
                }
                for row in entries
            ]
        }

    def _sign(self, release: Release, result: bytes) -> Answer:
        release = replace(release, result=digest(result))
        return Answer(release.outcome.value, release.code, sign_release(release, self._key), result)

    @contextmanager
    def _turn(self, order_id: str) -> Iterator[None]:
        """One at a time for each id: who comes second finds the release of the first."""
        with self._guard:
            turn = self._turns.setdefault(order_id, Turn())
            turn.takers += 1
        try:
            with turn.lock:
                yield
        finally:
            with self._guard:
                turn.takers -= 1
                if not turn.takers:
                    del self._turns[order_id]


def _numbered(release: Release, entry: Entry) -> Release:
    return replace(release, journal=entry.number, population=entry.population, spent=entry.spent)


def _stream(table: pa.Table) -> bytes:
    """`table` as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())
