"""Tables that only grow, held by the database itself.

`@guarded` on a model puts triggers on its table that refuse UPDATE, DELETE, TRUNCATE and inserting over an
existing row. They are installed after every migrate, because SQLite drops them when it rebuilds a table,
and `missing()` finds the tables whose triggers are not exactly these. What a trigger cannot stop is said
in docs/evidence.md.
"""

from typing import Any, TypeVar

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model, UniqueConstraint

from exchange.audit.triggers import triggers

Guarded = TypeVar("Guarded", bound=type[Model])
_MODELS: list[type[Model]] = []


def guarded(model: Guarded) -> Guarded:
    """Declare a model append-only; any app may.

    Raises ImproperlyConfigured for a uniqueness over an expression: SQLite's REPLACE could take a row away
    through it.
    """
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint) and constraint.expressions:
            raise ImproperlyConfigured(f"{model.__name__} is guarded: {constraint.name} must name columns")
    _MODELS.append(model)
    return model


def models() -> tuple[type[Model], ...]:
    return tuple(_MODELS)


def missing(using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """The tables that should be append-only and are not. A table that is not there yet is not missing."""
    found = triggers(using)
    return [model._meta.db_table for model in _MODELS if found.missing(model)]


def install_for(sender: Any, using: str, **_: Any) -> None:
    """After a migrate: put the triggers on the guarded tables of one app."""
    found = triggers(using)
    for model in _MODELS:
        if model._meta.app_label == sender.label and found.missing(model):
            found.install(model)


def check(databases: list[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """A warning and no error, because `migrate` runs the checks before it puts the triggers in place."""
    return [
        checks.Warning(
            f"The table {table} is not append-only in the database {using}.",
            hint="Run `manage.py migrate`, and find out who took its triggers away.",
            id="audit.W001",
        )
        for using in databases or []
        for table in missing(using)
    ]
