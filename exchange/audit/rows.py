"""Inserting rows without the ORM's ceremony: what a metered query writes, it writes on its way out."""

from collections.abc import Iterable
from functools import cache
from itertools import groupby

from django.db import transaction
from django.db.models import Model


@cache
def _statement(model: type[Model]) -> str:
    """Both databases quote alike, so one statement serves."""
    columns = [f'"{field.column}"' for field in model._meta.local_concrete_fields]
    marks = ", ".join(["%s"] * len(columns))
    return f'INSERT INTO "{model._meta.db_table}" ({", ".join(columns)}) VALUES ({marks})'  # noqa: S608


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
                rows.append([field.get_db_prep_save(getattr(instance, field.attname), connection) for field in fields])
                instance._state.adding = False
                instance._state.db = connection.alias
            if len(rows) == 1:
                cursor.execute(_statement(model), rows[0])
            else:
                cursor.executemany(_statement(model), rows)
