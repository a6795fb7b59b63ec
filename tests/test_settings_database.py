"""Durability and locking are settings, and a wrong one is silent: each is read back from the database.

DESIGN: commits are on disk before they are answered, and append-only triggers cannot be walked around.
"""

import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, connections, transaction


def asked(statement: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


SQLITE = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL
    "foreign_keys": 1,
    "recursive_triggers": 1,  # or INSERT OR REPLACE would delete a row past its trigger
}
POSTGRES = {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}


@pytest.fixture
def settings_of_this_database(db: str) -> dict[str, object]:
    if connection.vendor == "sqlite":
        return {name: (asked(f"PRAGMA {name}"), wanted) for name, wanted in SQLITE.items()}
    return {name: (asked(f"SHOW {name}"), wanted) for name, wanted in POSTGRES.items()}


def test_a_commit_is_durable_and_triggers_hold(settings_of_this_database):
    assert {name: found for name, (found, _) in settings_of_this_database.items()} == {
        name: wanted for name, (_, wanted) in settings_of_this_database.items()
    }


def test_a_session_cannot_be_left_with_softer_commits(db):
    """What the settings ask for is asked for by every connection, whatever the server's default."""
    options = settings.DATABASES["default"]["OPTIONS"]
    if connection.vendor == "sqlite":
        assert "synchronous=FULL" in options["init_command"]
    else:
        assert "synchronous_commit=on" in options["options"]


def test_no_request_is_wrapped_in_a_transaction(db):
    assert connections.settings["default"]["ATOMIC_REQUESTS"] is False
    assert connection.get_autocommit()


def test_a_test_really_commits(db):
    """`durable=True` refuses to be nested, so a suite that wraps tests in transactions would fail here."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE committed (n integer)")
    seen = []
    thread = threading.Thread(target=lambda: seen.append(asked("SELECT count(*) FROM committed")))
    thread.start()
    thread.join()
    assert seen == [0]


def test_two_writers_wait_for_each_other_from_the_start(db):
    """SQLite only: IMMEDIATE takes the write lock at BEGIN, so a transaction never fails half way."""
    if connection.vendor == "sqlite":
        assert settings.DATABASES["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE tally (n integer)")
        cursor.execute("INSERT INTO tally VALUES (0)")

    def add() -> None:
        for _ in range(20):
            with transaction.atomic(durable=True), connection.cursor() as cursor:
                cursor.execute("SELECT n FROM tally" + (" FOR UPDATE" if connection.vendor == "postgresql" else ""))
                number = cursor.fetchone()[0]
                cursor.execute("UPDATE tally SET n = %s", [number + 1])

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked("SELECT n FROM tally") == 80


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_has_a_database_of_its_own(db, turn):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE mine (n integer)")  # fails where another test left one


def test_the_exchange_answers_over_http_from_this_tests_database(server):
    import requests

    assert requests.get(f"{server}/health", timeout=10).status_code == 200


KILLED_IN_A_TRANSACTION = """
import django, os, signal
django.setup()
from django.db import transaction
with transaction.atomic():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_writer_that_is_killed_leaves_its_place_to_the_next(db):
    died = subprocess.run([sys.executable, "-c", KILLED_IN_A_TRANSACTION], timeout=60)
    assert died.returncode == -signal.SIGKILL
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE free (n integer)")


def test_a_transaction_that_fails_leaves_its_place_to_the_next(db):
    def fail() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")

    for _ in range(2):
        with pytest.raises(DatabaseError):
            fail()
    done: list[int] = []

    def write() -> None:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute("CREATE TABLE free (n integer)")
        done.append(1)

    other = threading.Thread(target=write, daemon=True)
    other.start()
    other.join(20)
    assert done == [1]
