"""The node's journal: what it took stands for ever, on disk, once."""

import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sandbox.node.journal import AlreadyReleased, Answer, Entry, Exhausted, Journal, Lost

ROOT = Path(__file__).parents[2]
RELEASED = Answer("released", "", "a.release.token", b"the result")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db")


def debit(journal: Journal, order_id: str, population: str = "aircraft", most: int = 0) -> Entry:
    return journal.debit(order_id, f"digest of {order_id}", "sluice", population, most, 1_700_000_000)


def refuse(journal: Journal, order_id: str) -> Entry:
    answer = Answer("not_executed", "policy_refused", "a.refusal.token")
    return journal.refuse(order_id, f"digest of {order_id}", "sluice", 1_700_000_000, lambda entry: answer)[0]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_debit_has_a_number_and_counts_its_population(journal):
    assert [debit(journal, order).spent for order in ("one", "two")] == [1, 2]
    assert debit(journal, "three", "households").spent == 1
    assert [entry["number"] for entry in journal.since(0, 10)] == [1, 2, 3]
    assert (journal.spent("aircraft"), journal.spent("households"), journal.spent("nobody")) == (2, 1, 0)


def test_an_unknown_order_is_not_found(journal):
    assert journal.find("never seen") is None


def test_a_debited_order_without_a_release_is_found_without_one(journal):
    debit(journal, "one")
    found = journal.find("one")
    assert (found.number, found.digest, found.token, found.result) == (1, "digest of one", "", b"")


def test_a_release_is_given_back_as_it_was_kept(journal):
    journal.release(debit(journal, "one").number, RELEASED)
    found = journal.find("one")
    assert (found.token, found.result) == (RELEASED.token, RELEASED.result)


def test_the_first_release_stands(journal):
    number = debit(journal, "one").number
    journal.release(number, RELEASED)
    with pytest.raises(AlreadyReleased):
        journal.release(number, Answer("failed", "query_failed", "another.token", b"other bytes"))
    assert journal.find("one").token == RELEASED.token


def test_a_release_needs_its_entry(journal):
    with pytest.raises((sqlite3.Error, AlreadyReleased)):
        journal.release(99, RELEASED)
    assert journal.since(0, 10) == []


def test_a_refused_order_is_barred_and_spends_nothing(journal):
    refuse(journal, "one")
    with pytest.raises(sqlite3.IntegrityError):
        debit(journal, "one")
    assert journal.spent("aircraft") == 0
    assert journal.find("one").token == "a.refusal.token"


def test_a_refusal_that_cannot_be_signed_leaves_nothing(journal):
    def fail(entry: Entry) -> Answer:
        raise ValueError("no key")

    with pytest.raises(ValueError, match="no key"):
        journal.refuse("one", "digest", "sluice", 1, fail)
    assert journal.find("one") is None
    assert debit(journal, "two").number == 1


def test_an_order_is_debited_once(journal):
    debit(journal, "one")
    with pytest.raises(sqlite3.IntegrityError):
        debit(journal, "one")
    assert journal.spent("aircraft") == 1


def spend(journal: Journal, order_id: str, cost: int, at: int) -> int:
    """Of a budget of 100 in all and 30 a day."""
    return journal.debit(order_id, order_id, "sluice", "patients", 100, at, cost, 30).spent


def test_a_budget_is_spent_by_its_cost_and_by_the_day(journal):
    day = 86_400
    assert [spend(journal, "a", 20, 1000), spend(journal, "b", 10, 1001)] == [20, 30]
    with pytest.raises(Exhausted):
        spend(journal, "c", 1, 1000 + day - 1)
    assert spend(journal, "d", 20, 1000 + day) == 50  # the first 20 are a day old
    with pytest.raises(Exhausted):
        spend(journal, "e", 1, 1000 + day)
    assert spend(journal, "f", 30, 1001 + 2 * day) == 80
    with pytest.raises(Exhausted):
        spend(journal, "g", 21, 1001 + 4 * day)
    assert spend(journal, "h", 20, 1001 + 4 * day) == 100
    assert [entry["cost"] for entry in journal.since(0, 10)] == [20, 10, 20, 30, 20]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 50_000)), max_size=30))
def test_no_day_and_no_lifetime_takes_more_than_its_budget(asked: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal, now, taken = Journal(Path(folder) / "journal.db"), 0, []
        for number, (cost, passed) in enumerate(asked):
            now += passed
            with suppress(Exhausted):
                spend(journal, str(number), cost, now)
                taken.append((now, cost))
        journal.close()
    assert sum(cost for _, cost in taken) <= 100
    for at, _ in taken:
        assert sum(cost for when, cost in taken if at - 86_400 < when <= at) <= 30


def test_the_hard_number_of_queries_is_hard(journal):
    debit(journal, "one", most=2)
    debit(journal, "two", most=2)
    with pytest.raises(Exhausted):
        debit(journal, "three", most=2)
    assert journal.find("three") is None


def test_failures_and_open_ends_spend_like_releases(journal):
    journal.release(debit(journal, "one", most=2).number, Answer("failed", "query_failed", "t"))
    debit(journal, "two", most=2)
    with pytest.raises(Exhausted):
        debit(journal, "three", most=2)


def test_a_blocked_plan_stays_blocked(journal, tmp_path):
    journal.release(debit(journal, "one").number, Answer("failed", "query_failed", "t"), block="a plan")
    journal.release(debit(journal, "two").number, Answer("failed", "query_failed", "t"), block="a plan")
    journal.close()
    assert Journal(tmp_path / "journal.db").blocked() == {"a plan"}


def test_entries_are_listed_from_a_number_on(journal):
    for order in ("one", "two", "three"):
        debit(journal, order)
    journal.release(2, RELEASED)
    assert [(entry["order"], entry["outcome"]) for entry in journal.since(1, 1)] == [("two", "released")]
    assert [(entry["order"], entry["outcome"]) for entry in journal.since(2, 9)] == [("three", "")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET spent = 0",
        "UPDATE release SET token = 'forged'",
        "UPDATE blocked SET plan = 'another'",
        "DELETE FROM entry",
        "DELETE FROM release",
        "DELETE FROM blocked",
        "UPDATE lost SET spent = 0",
        "DELETE FROM lost",
        "INSERT OR REPLACE INTO release VALUES (1, 'released', '', 'forged', x'')",
        "REPLACE INTO entry VALUES (1, 'one', 'forged', 'sluice', 'aircraft', 0, 0, 0)",
    ],
)
def test_the_journal_is_append_only(journal, tmp_path, statement):
    journal.release(debit(journal, "one").number, RELEASED, block="a plan")
    journal.recall(came_back("nine", 9, 7))
    before = journal.since(0, 9), journal.find("one"), journal.blocked(), journal.missing()
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("PRAGMA recursive_triggers=ON")
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            other.execute(statement)
    assert (journal.since(0, 9), journal.find("one"), journal.blocked(), journal.missing()) == before


def test_many_threads_spend_one_population_without_a_gap_or_a_repeat(journal):
    spent = []

    def work(number: int) -> None:
        spent.extend(debit(journal, f"{number}-{turn}").spent for turn in range(25))

    in_threads(8, work)
    assert sorted(spent) == list(range(1, 201))
    assert journal.spent("aircraft") == 200


def test_the_hard_number_holds_under_concurrency(journal):
    taken, refused = [], []

    def work(number: int) -> None:
        for turn in range(10):
            try:
                taken.append(debit(journal, f"{number}-{turn}", most=30))
            except Exhausted:
                refused.append(number)

    in_threads(8, work)
    assert (len(taken), len(refused), journal.spent("aircraft")) == (30, 50, 30)


def test_of_many_that_debit_one_order_at_once_one_does(journal):
    won, lost = [], []

    def work(number: int) -> None:
        try:
            won.append(debit(journal, "the same"))
        except sqlite3.IntegrityError:
            lost.append(number)

    in_threads(8, work)
    assert (len(won), len(lost), journal.spent("aircraft")) == (1, 7, 1)


def killed(path: Path, steps: str) -> Journal:
    """The journal as it is after a process took `steps` and was killed."""
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from exchange.sandbox.node.journal import Answer, Journal\n"
        f"journal = Journal(Path({str(path)!r}))\n"
        "die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{steps}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    return Journal(path)


def test_a_debit_survives_a_kill(tmp_path):
    journal = killed(tmp_path / "journal.db", "journal.debit('one', 'd', 'sluice', 'aircraft', 5, 1)\ndie()")
    assert (journal.find("one").number, journal.find("one").token, journal.spent("aircraft")) == (1, "", 1)
    journal.release(1, RELEASED)
    assert debit(journal, "two", most=5).spent == 2


def test_a_release_survives_a_kill(tmp_path):
    steps = (
        "journal.debit('one', 'd', 'sluice', 'aircraft', 5, 1)\njournal.release(1, Answer('released', '', 't', b'r'))"
    )
    journal = killed(tmp_path / "journal.db", f"{steps}\ndie()")
    assert (journal.find("one").token, journal.find("one").result) == ("t", b"r")


def test_a_kill_inside_a_transaction_leaves_nothing_of_it(tmp_path):
    journal = killed(tmp_path / "journal.db", "journal.refuse('one', 'd', 'sluice', 1, die)")
    assert journal.find("one") is None
    assert journal.since(0, 9) == []
    assert debit(journal, "one").number == 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["debit", "refuse"])), max_size=30), st.integers(1, 6))
def test_it_agrees_with_a_counter_per_population(tmp_path_factory, steps, most):
    journal = Journal(tmp_path_factory.mktemp("journal") / "journal.db")
    counted = {"a": 0, "b": 0}
    for number, (population, step) in enumerate(steps):
        if step == "refuse":
            refuse(journal, str(number))
            continue
        try:
            assert debit(journal, str(number), population, most).spent == counted[population] + 1
            counted[population] += 1
        except Exhausted:
            assert counted[population] == most
    assert {name: journal.spent(name) for name in counted} == counted
    journal.close()


# A journal that was restored from a backup


def came_back(order_id: str, number: int, spent: int, population: str = "aircraft", at: int = 1_700_000_001) -> Lost:
    """The release of an order, as the exchange has it."""
    return Lost(order_id, f"digest of {order_id}", "sluice", number, population, spent, at, "released", "", "a.token")


def test_a_release_of_a_known_order_is_not_missing(journal):
    journal.release(debit(journal, "one").number, RELEASED)
    journal.recall(came_back("one", 1, 1))
    assert journal.missing() == []
    assert journal.adopt() == []


def test_a_release_of_an_order_it_does_not_know_is_missing_until_it_is_adopted(journal, tmp_path):
    debit(journal, "one")
    journal.recall(came_back("nine", 9, 7))
    journal.recall(came_back("nine", 9, 7))
    journal.close()
    journal = Journal(tmp_path / "journal.db")
    assert [lost.order_id for lost in journal.missing()] == ["nine"]
    assert [(entry.number, entry.spent) for entry in journal.adopt()] == [(9, 7)]
    assert journal.missing() == []
    assert journal.spent("aircraft") == 7
    assert debit(journal, "ten").number == 10
    assert [entry["cost"] for entry in journal.since(0, 9)] == [1, 6, 1]


def test_an_adopted_order_is_barred(journal):
    journal.recall(came_back("nine", 9, 7))
    journal.adopt()
    assert (journal.find("nine").token, journal.find("nine").result) == ("a.token", b"")
    with pytest.raises(sqlite3.IntegrityError):
        debit(journal, "nine")


def test_what_was_spent_after_the_backup_was_restored_is_added(journal):
    """Restored at 2, forgot 5 more, and spent 1 before anybody noticed: 8, not 7 and not 3."""
    debit(journal, "one"), debit(journal, "two")
    journal.debit("three", "digest", "another", "aircraft", 0, 1_700_009_000)
    journal.recall(came_back("lost", 7, 7, at=1_700_005_000))
    journal.adopt()
    assert journal.spent("aircraft") == 8


def test_of_several_releases_the_largest_total_counts_once(journal):
    journal.recall(came_back("seven", 7, 5))
    journal.recall(came_back("nine", 9, 7))
    journal.recall(came_back("eight", 8, 3, "households"))
    journal.adopt()
    assert (journal.spent("aircraft"), journal.spent("households")) == (7, 3)
    assert all(journal.find(order) for order in ("seven", "eight", "nine"))


def test_what_was_adopted_counts_within_its_day(journal):
    now = 1_700_000_000
    journal.recall(came_back("lost", 9, 25, "patients", at=now))
    journal.adopt()
    with pytest.raises(Exhausted):
        spend(journal, "a", 6, now + 1)
    assert spend(journal, "b", 6, now + 86_401) == 31
