"""Invariant 10: append-only means append-only, for every SQL statement the application's role can send."""

import os
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models.functions import Lower

from exchange.audit import append_only
from exchange.audit.models import Checkpoint, Leaf, Record, RecordBody, TileHash, VerificationKey
from exchange.audit.sequencer import run_once
from exchange.audit.triggers import triggers
from tests.audit.acts import append

pytestmark = pytest.mark.usefixtures("db")
POSTGRES = os.environ["DATABASE_URL"].startswith("postgres")

CHANGES = [
    "UPDATE audit_record SET kind = 'x'",
    "UPDATE audit_record SET kind = kind",
    "UPDATE audit_record SET id = id WHERE seq = 1",
    "DELETE FROM audit_record",
    "DELETE FROM audit_record WHERE seq = 1",
    "WITH old AS (SELECT id FROM audit_record) DELETE FROM audit_record WHERE id IN (SELECT id FROM old)",
    'UPDATE audit_leaf SET "index" = "index" + 100',
    "UPDATE audit_leaf SET hash = (SELECT hash FROM audit_leaf LIMIT 1)",
    "DELETE FROM audit_leaf",
    "UPDATE audit_checkpoint SET note = 'x'",
    "UPDATE audit_checkpoint SET size = size + 1",
    "DELETE FROM audit_checkpoint",
    "UPDATE audit_recordbody SET body = '{}'",
    "DELETE FROM audit_recordbody",
    "DELETE FROM audit_verificationkey",
    "UPDATE audit_verificationkey SET purpose = 'order'",
    "INSERT INTO audit_record SELECT * FROM audit_record WHERE seq = 1 ON CONFLICT (id) DO UPDATE SET kind = 'x'",
    "INSERT INTO audit_record SELECT * FROM audit_record WHERE seq = 1"
    " ON CONFLICT (licence, seq) DO UPDATE SET kind = 'x'",
    "INSERT INTO audit_checkpoint SELECT * FROM audit_checkpoint WHERE true"
    " ON CONFLICT (size) DO UPDATE SET note = 'x'",
]
CHANGES += (
    [
        "TRUNCATE audit_record CASCADE",
        "TRUNCATE audit_leaf",
        "TRUNCATE audit_recordbody, audit_leaf",
        "UPDATE ONLY audit_record SET kind = 'x'",
        "WITH gone AS (DELETE FROM audit_leaf RETURNING *) SELECT * FROM gone",
        "DELETE FROM audit_leaf USING audit_record WHERE audit_leaf.record_id = audit_record.id",
        "MERGE INTO audit_record USING (SELECT 1 AS one) AS it ON seq = it.one WHEN MATCHED THEN UPDATE SET kind = 'x'",
        'MERGE INTO audit_leaf USING (SELECT 0 AS zero) AS it ON "index" = it.zero WHEN MATCHED THEN DELETE',
    ]
    if POSTGRES
    else [
        "REPLACE INTO audit_record SELECT * FROM audit_record",
        "INSERT OR REPLACE INTO audit_record SELECT * FROM audit_record",
        "INSERT OR REPLACE INTO audit_record SELECT lower(hex(randomblob(16))), 'x', time, licence, seq, entry"
        " FROM audit_record WHERE seq = 1",
        'REPLACE INTO audit_leaf SELECT "index" + 100, hash, record_id FROM audit_leaf',
        "REPLACE INTO audit_record (rowid, id, kind, time, entry)"
        " SELECT min(rowid), 'x', 'x', '2026-01-01', '{}' FROM audit_record",
        "UPDATE OR REPLACE audit_record SET seq = 2 WHERE seq = 1",
        "UPDATE OR IGNORE audit_record SET kind = 'x'",
        "REPLACE INTO audit_recordbody SELECT * FROM audit_recordbody",
        "REPLACE INTO audit_checkpoint SELECT * FROM audit_checkpoint",
        "INSERT INTO audit_record SELECT * FROM audit_record WHERE true ON CONFLICT DO UPDATE SET kind = 'x'",
        "UPDATE audit_record SET kind = 'x' WHERE rowid = (SELECT min(rowid) FROM audit_record)",
    ]
)


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def everything() -> list[object]:
    found = (Record, RecordBody, Leaf, Checkpoint, VerificationKey)
    return [sorted(map(repr, model.objects.values_list())) for model in found]


def refusal(statement: str) -> str:
    """What the database says to a statement, in a transaction of its own; nothing where it obeys."""
    try:
        run(statement)
    except IntegrityError as error:
        return str(error).partition(":")[0]
    return ""


def test_every_statement_that_would_change_a_row_is_refused():
    append(2, licence="p1")
    run_once()
    before = everything()
    assert {statement: refusal(statement) for statement in CHANGES} == dict.fromkeys(CHANGES, "append-only")
    assert everything() == before


def test_a_refused_statement_takes_its_transaction_with_it():
    append(2, licence="p1")
    before = everything()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        append(licence="p2")
        run(CHANGES[0])
    assert everything() == before


if not POSTGRES:

    def test_it_does_not_rely_on_a_pragma_that_any_statement_may_change():
        append(2, licence="p1")
        run_once()
        before = everything()
        run("PRAGMA recursive_triggers = OFF")
        replacing = [found for found in CHANGES if "REPLACE" in found]
        assert {statement: refusal(statement) for statement in replacing} == dict.fromkeys(replacing, "append-only")
        assert everything() == before

else:

    @pytest.mark.parametrize(
        "statement",
        ["SET session_replication_role = replica", "ALTER SYSTEM SET session_replication_role = 'replica'"],
    )
    def test_the_role_cannot_switch_triggers_off_for_its_session(statement):
        with pytest.raises(DatabaseError, match="permission denied"):
            run(statement)

    def test_the_triggers_fire_even_for_a_replica(db):
        run("SELECT 1")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT DISTINCT tgenabled::text FROM pg_trigger WHERE tgname IN ('no_change', 'no_truncate')"
            )
            assert cursor.fetchall() == [("A",)]


def test_the_orm_is_refused_too():
    (record,) = append()
    record.kind = "thing.else"
    for change in (record.save, record.delete, Record.objects.all().delete):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()
    with pytest.raises(IntegrityError, match="append-only"):
        Record.objects.update(kind="thing.else")


def test_a_plain_insert_is_as_good_as_ever():
    append(3)
    run_once()
    append(3)
    assert run_once() == 3


def test_every_guarded_table_of_every_app_has_its_triggers():
    assert append_only.missing() == []
    assert all(model._meta.db_table in connection.introspection.table_names() for model in append_only.models())


def test_the_evidence_is_guarded():
    assert {Record, RecordBody, Leaf, TileHash, Checkpoint, VerificationKey} <= set(append_only.models())


LOSSES = (
    [
        "DROP TRIGGER no_change ON audit_leaf",
        "DROP TRIGGER no_truncate ON audit_leaf",
        "ALTER TABLE audit_leaf DISABLE TRIGGER no_change",
        "ALTER TABLE audit_leaf DISABLE TRIGGER USER",
        "ALTER TABLE audit_leaf ENABLE TRIGGER no_change",
        "CREATE OR REPLACE TRIGGER no_change BEFORE UPDATE OR DELETE ON audit_leaf"
        " FOR EACH ROW WHEN (false) EXECUTE FUNCTION sluice_append_only()",
    ]
    if POSTGRES
    else [
        "DROP TRIGGER audit_leaf_no_update",
        "DROP TRIGGER audit_leaf_no_delete",
        "DROP TRIGGER audit_leaf_no_insert",
    ]
)


def test_a_trigger_that_is_gone_is_found_and_put_back():
    for statement in LOSSES:
        run(statement)
        assert append_only.missing() == ["audit_leaf"], statement
        append_only.install_for(apps.get_app_config("audit"), using="default")
        assert append_only.missing() == [], statement


def test_the_checks_say_what_is_missing_and_migrate_repairs_it(capsys):
    run(LOSSES[0])
    call_command("check", databases=["default"])
    assert "audit_leaf is not append-only" in capsys.readouterr().err
    call_command("migrate", verbosity=0)
    assert append_only.missing() == []


def test_a_trigger_that_was_softened_is_found():
    if POSTGRES:
        run(
            "CREATE OR REPLACE FUNCTION sluice_append_only() RETURNS trigger LANGUAGE plpgsql"
            " AS $$BEGIN RETURN NEW; END$$"
        )
    else:
        run("DROP TRIGGER audit_leaf_no_update")
        run("CREATE TRIGGER audit_leaf_no_update BEFORE UPDATE ON audit_leaf BEGIN SELECT 1; END")
    assert "audit_leaf" in append_only.missing()
    append_only.install_for(apps.get_app_config("audit"), using="default")
    assert append_only.missing() == []


class Lot(models.Model):
    """A table with every kind of uniqueness; guarded by hand here, for the length of a test."""

    code = models.CharField(max_length=9, unique=True)
    hall = models.IntegerField()
    place = models.IntegerField()
    state = models.CharField(max_length=9)

    class Meta:
        app_label = "tests_audit"
        constraints = [
            models.UniqueConstraint(fields=["hall", "place"], name="lot_place"),
            models.UniqueConstraint(fields=["hall"], condition=models.Q(state__in=["open", "it's"]), name="lot_open"),
        ]


@pytest.fixture
def lots(db: str) -> Iterator[None]:
    with connection.schema_editor() as editor:
        editor.create_model(Lot)
    triggers("default").install(Lot)
    Lot.objects.create(code="a", hall=1, place=1, state="open")
    yield


@pytest.mark.usefixtures("lots")
@pytest.mark.parametrize(
    "row",
    [
        {"id": 1, "code": "b", "hall": 2, "place": 2, "state": "done"},
        {"code": "a", "hall": 2, "place": 2, "state": "done"},
        {"code": "b", "hall": 1, "place": 1, "state": "done"},
        {"code": "b", "hall": 1, "place": 2, "state": "it's"},
    ],
)
def test_no_uniqueness_lets_a_row_be_taken_away(row):
    values = ", ".join(
        repr(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'" for value in row.values()
    )
    verb = "INSERT" if POSTGRES else "REPLACE"
    if not POSTGRES:
        run("PRAGMA recursive_triggers = OFF")
    with pytest.raises(IntegrityError):
        run(f"{verb} INTO tests_audit_lot ({', '.join(row)}) VALUES ({values})")
    assert list(Lot.objects.values_list("id", "code")) == [(1, "a")]


@pytest.mark.usefixtures("lots")
def test_a_condition_that_does_not_hold_is_in_nobodys_way():
    Lot.objects.create(code="b", hall=1, place=2, state="done")
    Lot.objects.create(code="c", hall=1, place=3, state="done")
    Lot.objects.create(code="d", hall=2, place=3, state="it's")
    assert Lot.objects.count() == 4


def test_uniqueness_over_an_expression_cannot_be_guarded():
    class Odd(models.Model):
        name = models.TextField()

        class Meta:
            app_label = "tests_audit"
            constraints = [models.UniqueConstraint(Lower("name"), name="odd")]

    with pytest.raises(ImproperlyConfigured, match="odd"):
        append_only.guarded(Odd)
