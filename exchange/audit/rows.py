"""Inserting rows without the ORM's ceremony: what a metered query writes, it writes on its way out."""

from functools import cache

from django.db import transaction
from django.db.models import Model


@cache
def _statement(model: type[Model], vendor: str) -> str:
    quote = transaction.get_connection().ops.quote_name
    columns = [quote(field.column) for field in model._meta.local_concrete_fields]
    marks = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608


def insert(*instances: Model) -> None:
    """Insert fresh instances of one model in one round, keys included; no signal, no default of the database.

    Raises IntegrityError as a save would.
    """
    if not instances:
        return
    connection, model = transaction.get_connection(), type(instances[0])
    fields = model._meta.local_concrete_fields
    values = [
        [field.get_db_prep_save(getattr(instance, field.attname), connection) for field in fields]
        for instance in instances
    ]
    statement = _statement(model, connection.vendor)
    with connection.cursor() as cursor:
        if len(values) == 1:
            cursor.execute(statement, values[0])
        else:
            cursor.executemany(statement, values)
    for instance in instances:
        instance._state.adding = False
        instance._state.db = connection.alias
