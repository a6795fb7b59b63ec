"""Statements of the metered path, compiled once: the ORM's own queries without building their SQL each time.

The ORM takes about a millisecond to turn a query into SQL, and one metered query makes some thirty. Here the
query is written as ever, with `Arg("name")` where a value will stand, and turned into SQL at its first use:

    HELD = Select(Licence.objects.filter(buyer=Arg("buyer")).select_related("meter"))
    HELD.all(buyer=party)

Rows are the instances (or tuples, for `values_list`) that the ORM would have made.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from itertools import groupby
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import ModelIterable, get_related_populators
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler
from django.db.transaction import TransactionManagementError

Row = TypeVar("Row")


class Arg(Expression):
    """A value that is given when the statement runs; it needs a field only within arithmetic."""

    def __init__(self, name: str, output_field: "Field[Any, Any] | None" = None) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, list[Any]]:
        return "%s", [self]


@dataclass(frozen=True, slots=True)
class _Compiled:
    sql: str
    params: tuple[Any, ...]
    rows: Callable[[Iterable[Any]], list[Any]]

    def given(self, values: dict[str, Any], connection: BaseDatabaseWrapper) -> list[Any]:
        """The parameters with each Arg's value in its place. Raises KeyError for a value not given."""
        return [_bound(values[p.name], connection) if isinstance(p, Arg) else p for p in self.params]


def _bound(value: Any, connection: BaseDatabaseWrapper) -> Any:
    """What the driver takes for `value`."""
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, date):
        return connection.ops.adapt_datefield_value(value)
    return value


class Select(Generic[Row]):
    """A query set compiled once for each kind of database."""

    def __init__(self, queryset: "QuerySet[Any, Row]") -> None:
        self._queryset = queryset
        self._compiled: dict[str, _Compiled] = {}

    def all(self, **values: Any) -> list[Row]:
        """Its rows. Raises TransactionManagementError where it locks them outside a transaction."""
        connection = transaction.get_connection()
        if self._queryset.query.select_for_update and not connection.in_atomic_block:
            raise TransactionManagementError("what is locked is locked until the end of a transaction")
        compiled = self._compiled.get(connection.vendor)
        if compiled is None:
            compiled = self._compiled[connection.vendor] = _select(self._queryset, connection)
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.given(values, connection))
            return compiled.rows(cursor.fetchall())

    def first(self, **values: Any) -> Row | None:
        """Its first row; the query set should ask for no more than one."""
        return next(iter(self.all(**values)), None)

    def get(self, **values: Any) -> Row:
        """The row there must be. Raises the model's DoesNotExist."""
        for row in self.all(**values):
            return row
        raise self._queryset.model.DoesNotExist(f"{self._queryset.model.__name__} {values}")


class Update:
    """An update compiled once; what is set are expressions, `Arg`s among them."""

    def __init__(self, queryset: "QuerySet[Any, Any]", **changes: Any) -> None:
        self._queryset = queryset
        self._changes = changes
        self._compiled: dict[str, _Compiled] = {}

    def run(self, **values: Any) -> int:
        """How many rows it changed."""
        connection = transaction.get_connection()
        compiled = self._compiled.get(connection.vendor)
        if compiled is None:
            query = self._queryset.query.chain(UpdateQuery)
            query.add_update_values(self._changes)
            sql, params = query.get_compiler(connection=connection).as_sql()
            compiled = self._compiled[connection.vendor] = _Compiled(sql, tuple(params), list)
        with connection.cursor() as cursor:
            cursor.execute(compiled.sql, compiled.given(values, connection))
            return int(cursor.rowcount)


def insert(*instances: Model) -> None:
    """Insert fresh instances, keys included, in their order; no signals, no defaults of the database.

    Raises IntegrityError as a save would.
    """
    connection = transaction.get_connection()
    with connection.cursor() as cursor:
        group: Iterable[Model]
        model: type[Model]
        for model, group in groupby(instances, type):
            fields = model._meta.local_concrete_fields
            rows = []
            for instance in group:
                rows.append([field.get_db_prep_save(field.pre_save(instance, True), connection) for field in fields])
                instance._state.adding = False
                instance._state.db = connection.alias
            if len(rows) == 1:
                cursor.execute(_insertion(model), rows[0])
            else:
                cursor.executemany(_insertion(model), rows)


@cache
def _insertion(model: type[Model]) -> str:
    """Both databases quote alike, so one statement serves."""
    columns = [f'"{field.column}"' for field in model._meta.local_concrete_fields]
    marks = ", ".join(["%s"] * len(columns))
    return f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) VALUES ({marks})'  # noqa: S608


def _select(queryset: "QuerySet[Any, Any]", connection: BaseDatabaseWrapper) -> _Compiled:
    compiler = queryset.query.chain().get_compiler(connection=connection)
    sql, params = compiler.as_sql()
    converters = compiler.get_converters([column for column, *_ in compiler.select]).items()
    instances = issubclass(queryset._iterable_class, ModelIterable)
    make = _maker(compiler, connection.alias) if instances else tuple

    def rows(found: Iterable[Any]) -> list[Any]:
        made, connection = [], transaction.get_connection()
        for raw in found:
            row = list(raw)
            for place, (convert, expression) in converters:
                for each in convert:
                    row[place] = each(row[place], expression, connection)
            made.append(make(row))
        return made

    return _Compiled(sql, tuple(params), rows)


def _maker(compiler: SQLCompiler, db: str) -> Callable[[list[Any]], Model]:
    """From a row to the instance with its relations and annotations, as django.db.models.query.ModelIterable."""
    info, select = compiler.klass_info, compiler.select
    model, places = info["model"], info["select_fields"]
    first, after = places[0], places[-1] + 1
    names = [column.target.attname for column, *_ in select[first:after]]
    related = get_related_populators(info, select, db)
    annotations = list(compiler.annotation_col_map.items())

    def make(row: list[Any]) -> Model:
        instance: Model = model.from_db(db, names, row[first:after])
        for populator in related:
            populator.populate(row, instance)
        for name, place in annotations:
            setattr(instance, name, row[place])
        return instance

    return make
