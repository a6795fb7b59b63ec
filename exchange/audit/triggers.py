"""The triggers that make a table append-only: what they say, and what stands in the database now.

One small class per database; `append_only` chooses. Both refuse with an IntegrityError whose text is
`append-only: <table>`.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model, UniqueConstraint


class Triggers(Protocol):
    def missing(self, model: type[Model]) -> bool:
        """Whether the table exists without exactly these triggers."""

    def install(self, model: type[Model]) -> None:
        """Put them in place, over whatever has their names."""


def triggers(using: str) -> Triggers:
    connection = connections[using]
    return Postgres(connection) if connection.vendor == "postgresql" else Sqlite(connection)


def unique_columns(model: type[Model]) -> Iterator[list[str]]:
    """The columns of every unconditional uniqueness of a model, the primary key first."""
    meta = model._meta
    yield [field.column for field in meta.pk_fields]
    fields = (field for field in meta.local_concrete_fields if field.unique and not field.primary_key)
    yield from ([field.column] for field in fields)
    groups = [*meta.unique_together, *(constraint.fields for constraint in meta.total_unique_constraints)]
    yield from (_columns(model, group) for group in groups)


def _columns(model: type[Model], names: Iterable[str]) -> list[str]:
    return [model._meta.get_field(name).column for name in names]


def conditional(model: type[Model]) -> list[UniqueConstraint]:
    """The uniquenesses that hold under a condition."""
    constraints = model._meta.constraints
    return [found for found in constraints if isinstance(found, UniqueConstraint) and found.condition]


class Sqlite:
    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def wanted(self, model: type[Model]) -> dict[str, str]:
        """Name and statement of each trigger.

        The ones on INSERT are for REPLACE, which fires the one on DELETE only while `recursive_triggers` is
        on, and any statement may switch that off. REPLACE also takes a row by its hidden rowid; before an
        insert that names none NEW.rowid is -1, so no row may have that one.
        """
        quote, table = self.connection.ops.quote_name, model._meta.db_table
        taken = [self._taken(model, columns) for columns in [*unique_columns(model), ["rowid"]]]
        taken += [self._taken_where(model, constraint) for constraint in conditional(model)]
        events = {
            "update": ("BEFORE UPDATE", ""),
            "delete": ("BEFORE DELETE", ""),
            "insert": ("BEFORE INSERT", f" WHEN {' OR '.join(taken)}"),
            "unplaced": ("AFTER INSERT", " WHEN NEW.rowid = -1"),
        }
        return {
            f"{table}_no_{name}": (
                f"CREATE TRIGGER {quote(f'{table}_no_{name}')} {event} ON {quote(table)} FOR EACH ROW"
                f"{when} BEGIN SELECT RAISE(ABORT, 'append-only: {table}'); END"
            )
            for name, (event, when) in events.items()
        }

    def _taken(self, model: type[Model], columns: list[str], condition: str = "") -> str:
        """SQL: a row with NEW's values in these columns is there."""
        quote = self.connection.ops.quote_name
        same = [f"{quote(column)} = NEW.{quote(column)}" for column in columns]
        where = " AND ".join([*same, f"({condition})"] if condition else same)
        return f"EXISTS (SELECT 1 FROM {quote(model._meta.db_table)} WHERE {where})"  # noqa: S608

    def _taken_where(self, model: type[Model], constraint: UniqueConstraint) -> str:
        """SQL: such a row is there, and the constraint's condition holds for it and for NEW."""
        quote = self.connection.ops.quote_name
        condition = constraint._get_condition_sql(model, self.connection.schema_editor())
        names = (quote(field.column) for field in model._meta.local_concrete_fields)
        new = ", ".join(f"NEW.{name} AS {name}" for name in names)
        taken = self._taken(model, _columns(model, constraint.fields), condition)
        return f"({taken} AND EXISTS (SELECT 1 FROM (SELECT {new}) WHERE {condition}))"  # noqa: S608

    def missing(self, model: type[Model]) -> bool:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT name, sql, type FROM sqlite_master WHERE tbl_name = %s", [model._meta.db_table])
            rows = cursor.fetchall()
        present = {name: statement for name, statement, kind in rows if kind == "trigger"}
        return any(kind == "table" for *_, kind in rows) and not self.wanted(model).items() <= present.items()

    def install(self, model: type[Model]) -> None:
        with self.connection.cursor() as cursor:
            for name, statement in self.wanted(model).items():
                cursor.execute(f"DROP TRIGGER IF EXISTS {self.connection.ops.quote_name(name)}")
                cursor.execute(statement)


class Postgres:
    """An upsert is an UPDATE here, so inserting needs no trigger."""

    BODY = "BEGIN RAISE EXCEPTION 'append-only: %', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END"
    EVENTS = {
        # pg_trigger.tgtype: row 1, before 2, delete 8, update 16, truncate 32
        "no_change": ("UPDATE OR DELETE", "ROW", 1 + 2 + 8 + 16),
        "no_truncate": ("TRUNCATE", "STATEMENT", 2 + 32),
    }

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection

    def missing(self, model: type[Model]) -> bool:
        table = self.connection.ops.quote_name(model._meta.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)::oid", [table])
            (oid,) = cursor.fetchone()
            cursor.execute(
                "SELECT tgname, tgtype FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid"
                " WHERE tgrelid = %s AND tgenabled = 'A' AND tgqual IS NULL AND tgattr = ''"
                " AND proname = 'sluice_append_only' AND prosrc = %s",
                [oid, self.BODY],
            )
            present = dict(cursor.fetchall())
        wanted = {name: kind for name, (*_, kind) in self.EVENTS.items()}
        return oid is not None and not wanted.items() <= present.items()

    def install(self, model: type[Model]) -> None:
        table = self.connection.ops.quote_name(model._meta.db_table)
        with self.connection.cursor() as cursor:
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION sluice_append_only() RETURNS trigger LANGUAGE plpgsql AS $${self.BODY}$$"
            )
            for name, (events, level, _) in self.EVENTS.items():
                cursor.execute(
                    f"CREATE OR REPLACE TRIGGER {name} BEFORE {events} ON {table}"
                    f" FOR EACH {level} EXECUTE FUNCTION sluice_append_only()"
                )
                # ALWAYS: also under session_replication_role = replica.
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")
