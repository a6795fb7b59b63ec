"""Invariant 3: no record is lost or altered without fsck seeing it, whoever owns the tables."""

import os
from pathlib import Path

import pytest
from django.db import connection, transaction

from exchange.audit import append_only, fsck, keys
from exchange.audit.sequencer import log_folder, run_once
from tests.audit.acts import append

pytestmark = pytest.mark.usefixtures("db")
POSTGRES = os.environ["DATABASE_URL"].startswith("postgres")


def wrong() -> list[str]:
    return [text for ok, text in fsck.check() if not ok]


def as_owner(statement: str) -> None:
    """What a table's owner can do: take the triggers away, do it, put them back."""
    with connection.cursor() as cursor:
        for model in append_only.models():
            table = model._meta.db_table
            if POSTGRES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            else:
                for name in ("update", "delete", "insert", "unplaced"):
                    cursor.execute(f"DROP TRIGGER {table}_no_{name}")
        cursor.execute(statement)
        if POSTGRES:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # what is still to be checked bars changes of triggers
    for model in append_only.models():
        append_only.triggers("default").install(model)


@pytest.fixture(autouse=True)
def log_of_300(db: str) -> None:
    write_log()


def write_log() -> None:
    """Two licences and 300 records more, in two checkpoints."""
    append(3, licence="L-1")
    append(2, licence="L-2")
    run_once()
    append(295)
    run_once()


def test_a_log_that_agrees_says_what_was_looked_at() -> None:
    found = list(fsck.check())
    assert all(ok for ok, _ in found)
    assert {text.partition(":")[0] for _, text in found} == {
        "append-only tables",
        "leaves and checkpoints",
        "tile hashes",
        "records in the log or in its queue",
        "numbering within licences",
        "published files",
    }


def test_records_that_wait_are_nothing_wrong() -> None:
    append(2, licence="L-3")
    assert wrong() == []


FIRST = "(SELECT id FROM audit_record WHERE licence = 'L-1' AND seq = 1)"
CRIMES = [
    ("UPDATE audit_record SET entry = replace(entry, 'done', 'gone') WHERE licence = 'L-1'", "its hash is not"),
    ("UPDATE audit_record SET kind = 'thing.else' WHERE licence = 'L-1' AND seq = 2", "something else than its"),
    ("UPDATE audit_record SET licence = 'L-9' WHERE licence = 'L-1' AND seq = 3", "something else than its"),
    (f"UPDATE audit_recordbody SET body = '{{}}' WHERE record_id = {FIRST}", "commits to another body"),
    (f"DELETE FROM audit_recordbody WHERE record_id = {FIRST}", "the body of its record is gone"),
    (f"DELETE FROM audit_leaf WHERE record_id = {FIRST}", "is missing"),
    (f"DELETE FROM audit_leaf WHERE record_id = {FIRST}", "has no leaf"),
    (f"INSERT INTO audit_unsequenced (record_id) SELECT {FIRST}", "waits and has a leaf"),
    ('DELETE FROM audit_leaf WHERE "index" > 290', "beyond what the database holds"),
    ("UPDATE audit_checkpoint SET root = (SELECT hash FROM audit_leaf WHERE \"index\" = 0)", "does not follow"),
    ("UPDATE audit_checkpoint SET note = replace(note, 'sluice', 'another')", "has not signed"),
    ("DELETE FROM audit_checkpoint WHERE size > 6", "no checkpoint covers leaf 300"),
    ("DELETE FROM audit_checkpoint WHERE size > 6", "is not a checkpoint of this database"),
    ("UPDATE audit_tilehash SET hash = (SELECT hash FROM audit_leaf WHERE \"index\" = 0)", "not the hash of its tile"),
    ("DELETE FROM audit_tilehash", "not the hash of its tile"),
    ("DELETE FROM audit_verificationkey WHERE purpose = 'log'", "there is no key of the log"),
]  # fmt: skip


def test_what_an_owner_changed_is_found() -> None:
    """Each in a transaction that is rolled back: both databases take triggers away in one."""
    unseen = []
    for statement, finding in CRIMES:
        with transaction.atomic():
            as_owner(statement)
            if not any(finding in text for text in wrong()):
                unseen.append((statement, wrong()))
            transaction.set_rollback(True)
    assert unseen == []
    assert wrong() == []


def test_a_record_that_vanished_from_a_licence_is_found() -> None:
    append(1, licence="L-2", first=4)
    assert wrong() == ["numbering within licences: licence L-2 has 3 records up to number 4"]


def test_missing_triggers_are_found() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER no_change ON audit_leaf" if POSTGRES else "DROP TRIGGER audit_leaf_no_unplaced")
    assert wrong() == ["append-only tables: audit_leaf"]


def spoil(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


def test_a_published_file_that_was_changed_or_lost_is_found() -> None:
    for name in ("tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1", "tile/entries/000"):
        path = log_folder() / name
        whole = path.read_bytes()
        spoil(path)
        assert wrong() == [f"published files: {name} has other bytes than the database says"]
        path.unlink()
        assert wrong() == [f"published files: {name} is missing"]
        path.write_bytes(whole)
    assert wrong() == []


def test_a_stray_file_or_a_lost_checkpoint_is_found() -> None:
    (log_folder() / "tile" / "0" / "x").write_bytes(b"")
    assert wrong() == ["published files: tile/0/x is no tile"]
    (log_folder() / "checkpoint").unlink()
    assert any("checkpoint is missing" in text for text in wrong())


def test_a_rotated_log_key_leaves_its_checkpoints_valid() -> None:
    keys.rotate("log")
    run_once()
    assert wrong() == []
