"""Attacks on a real node by whoever may send it orders, and by whoever restores its journal."""

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.crypto.keys import signing_key
from exchange.errors import Problem
from exchange.sandbox.frames import BadFrame, Status, encode
from exchange.sandbox.node import adopting
from exchange.sandbox.node.home import Home
from exchange.sandbox.orders import Order, Outcome, sign_order
from exchange.sandbox.terms import Terms
from tests import nodes
from tests.attacks.conftest import Write
from tests.sandbox import test_node as orders
from tests.sandbox import test_pool as vaults
from tests.sandbox.shops import KEY, PRIVATE, Running, make

ON_STAFF = "SELECT COUNT(*) AS n FROM staff"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, str]]:
    """A node's home that was never in service, and its snapshots."""
    return make(tmp_path_factory.mktemp("made"), rows_per_second=500_000, start_ms=800)


@pytest.fixture(scope="module")
def node(made: tuple[Home, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    home = copied(made[0], tmp_path_factory.mktemp("node") / "home")
    with started(home, made[1]) as running:
        yield running


def copied(home: Home, folder: Path) -> Home:
    shutil.copytree(home.root, folder)
    return Home(folder)


@contextmanager
def started(home: Home, snapshots: dict[str, str]) -> Iterator[Running]:
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), snapshots)


def answered(node: Running, token: str) -> bool:
    """Whether a signed order brings data out."""
    try:
        return node.client.send(token).release.outcome is Outcome.RELEASED
    except Problem as problem:
        assert problem.code == "node_untrusted", "only an answer that the node did not sign"
        return False


def forged(node: Running) -> list[str]:
    """Orders that a buyer, or somebody on the wire, could make of what they have."""
    honest = sign_order(node.order(), KEY)
    stranger = signing_key(Ed25519PrivateKey.generate())
    header, body, signature = honest.split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"sluice-order+jws"}').rstrip(b"=").decode()
    other_body = sign_order(node.order(), stranger).split(".")[1]
    tokens = [f"{header}.{body}.", f"{unsigned}.{body}.", f"{header}.{other_body}.{signature}"]
    tokens += [f"{header}.{body}.{_flipped(signature, place)}" for place in range(0, 80, 8)]
    tokens += [f"{header}.{_flipped(body, place)}.{signature}" for place in range(0, 400, 20)]
    return [*tokens, *(sign_order(node.order(), stranger) for _ in range(7))]


def _flipped(text: str, place: int) -> str:
    return text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]


def test_forged_orders(node: Running, board: Write) -> None:
    """Signed by a stranger, by nobody, or altered on the way: 40 ways."""
    tokens = forged(node)
    through = [answered(node, token) for token in tokens]
    board("node", sum(through) / len(tokens), chance=0, trials=len(tokens), at_most=0)
    honest = [answered(node, sign_order(node.open_order(), KEY)) for _ in range(10)]
    board("control", sum(honest) / 10, chance=0, trials=10, at_least=1)


def test_orders_of_a_hostile_exchange(node: Running, board: Write) -> None:
    """Signed by the exchange itself, and asking for what the holder's policy does not give: softer terms, other
    columns, other people's orders, more than the budget. The rows are those of tests/sandbox/test_node.py."""
    asked: list[Order] = [replace(node.order(), **changes) for _, changes, _ in orders.REFUSED]
    asked += [replace(node.order(orders.ON_STAFF, PRIVATE), terms=terms) for _, terms, _ in orders.PRIVATE_REFUSED]
    through = [answered(node, sign_order(order, KEY)) for order in asked]
    board("node", sum(through) / len(asked), chance=0, trials=len(asked), at_most=0)
    honest = [node.order(), node.open_order(), node.order(orders.ON_STAFF, replace(PRIVATE, rho=100))]
    board(
        "control", sum(answered(node, sign_order(order, KEY)) for order in honest) / 3, chance=0, trials=3, at_least=1
    )


def test_replay(node: Running, board: Write) -> None:
    """One order sent ten times: fresh noise each time could be averaged away. Different answers, of all sent."""
    order = sign_order(node.order(ON_STAFF, replace(PRIVATE, rho=100)), KEY)
    same = {node.client.send(order).result for _ in range(10)}
    board("private", len(same) / 10, chance=1 / 10, trials=10, at_most=1 / 10)
    fresh = {node.send(node.order(ON_STAFF, replace(PRIVATE, rho=100))).result for _ in range(10)}
    board("control, paid for each time", len(fresh) / 10, chance=1 / 10, trials=10, at_least=0.5)


def test_exploited_engine(board: Write) -> None:
    """A vault that is taken over sends what is no frame of its plan: the rows of tests/sandbox/test_pool.py."""

    def believed(*said: bytes) -> bool:
        try:
            vaults.talk(*said)
        except BadFrame:
            return False
        return True

    tried = [(vaults.LOADED, said) for _, said in vaults.HOSTILE]
    taken = sum(believed(*said) for said in tried) / len(tried)
    board("gate", taken, chance=0, trials=len(tried), at_most=0)
    honest = believed(vaults.LOADED, encode(7, Status.DONE, vaults.cells(1, 2, 3)))
    board("control", float(honest), chance=0, trials=1, at_least=1)


# A journal restored from a backup

RHO = 15_000  # of a population's 30,000 a day: two queries
TRIED = 3


def answered_with_an_old_journal(home: Home, snapshots: dict[str, str], shown: bool) -> int:
    """How many private queries are answered where the journal is restored from one backup after each.

    `shown` says whether the exchange shows the node the last release it has; the operator adopts what is missing.
    """
    backup, seen, done = home.root / "backup", "", 0
    terms = Terms("private", rows=2, rho=RHO)
    for number in range(TRIED):
        with started(home, snapshots) as node:
            if number == 0:
                node.send(node.open_order())
                shutil.copytree(home.journal, backup)
            answer = node.send(node.order(ON_STAFF, terms, seen=seen))
            if answer.release.code == "journal_behind":
                assert adopting.adopt(home)
                answer = node.send(node.order(ON_STAFF, terms, seen=seen))
        if answer.release.outcome is Outcome.RELEASED:
            done, seen = done + 1, answer.release_jws if shown else ""
        shutil.rmtree(home.journal)
        shutil.copytree(backup, home.journal)
    return done


def test_journal_restored_from_a_backup(made: tuple[Home, dict[str, str]], tmp_path: Path, board: Write) -> None:
    """Spent budget comes back with an old journal: of the queries beyond the budget, how many are answered?"""
    paid = 30_000 // RHO
    loose = answered_with_an_old_journal(copied(made[0], tmp_path / "loose"), made[1], shown=False)
    board("control", (loose - paid) / (TRIED - paid), chance=0, trials=TRIED - paid, at_least=1)
    held = answered_with_an_old_journal(copied(made[0], tmp_path / "held"), made[1], shown=True)
    board("private", (held - paid) / (TRIED - paid), chance=0, trials=TRIED - paid, at_most=0)


def test_a_node_behind_what_the_exchange_has_seen_answers_nothing_until_the_totals_are_adopted(
    made: tuple[Home, dict[str, str]], tmp_path: Path
) -> None:
    home = copied(made[0], tmp_path / "home")
    with started(home, made[1]) as node:
        seen = [node.send(node.order()) for _ in range(3)][-1]
    for file in home.journal.iterdir():
        file.unlink()
    with started(home, made[1]) as node:
        refused = node.order(seen=seen.release_jws)
        assert node.code(refused) == (Outcome.NOT_EXECUTED, "journal_behind")
        assert node.code(node.order()) == (Outcome.NOT_EXECUTED, "journal_behind"), "whoever asks"
        assert node.code(node.open_order())[0] is Outcome.RELEASED, "other populations are not concerned"
        assert adopting.adopt(home) == [f"firms: {seen.release.spent} spent in all, journal number 4"]
        assert node.code(refused)[1] == "journal_behind", "a refused order stays refused"
        assert node.send(node.order(seen=seen.release_jws)).release.spent == seen.release.spent + 1


def test_a_release_that_the_node_has_not_signed_is_no_proof(node: Running) -> None:
    release = node.send(node.order()).release_jws
    header, body, signature = release.split(".")
    for seen in (f"{header}.{body}.{_flipped(signature, 8)}", sign_order(node.order(), KEY), "x.y.z"):
        assert node.code(node.order(seen=seen)) == (Outcome.NOT_EXECUTED, "node_refused")
    assert node.code(node.order(seen=release))[0] is Outcome.RELEASED
