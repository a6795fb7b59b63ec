"""Names as a buyer wrote them, with tables before them or not, to the one name that each column has. Pure.

A column of the main product has its bare name, one of a join `name.column`: the name of a join is the product's, or
`on.product` where a product is joined on several columns. So aliases change nothing of a query.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from exchange.errors import Problem
from exchange.sandbox.query.faults import Faults
from exchange.sandbox.query.joins import HINT, Asked
from exchange.sandbox.query.model import Join
from exchange.sandbox.query.question import (
    Among,
    Condition,
    Every,
    Formula,
    Item,
    Missing,
    Named,
    Not,
    Question,
    Some,
    Test,
    Truncated,
)
from exchange.sandbox.query.view import Term, calculation, changed_view
from exchange.sandbox.schema import Schema


def resolved(
    question: Question, schema: Schema, others: Mapping[str, Schema], faults: Faults
) -> tuple[Question, tuple[Join, ...]]:
    """`question` with the name that each column has, and its joins, sorted by name.

    `others` are the columns of the products joined, by their codes. A name that is no column is left as it is. Raises
    Problem join_not_allowed; a name that two tables have is a fault.
    """
    main = question.alias or question.product
    schemas, on = {main: schema}, dict[str, tuple[str, str]]()
    for asked in question.joins:
        if asked.name in schemas:
            raise Problem("join_not_allowed", f"two tables are called {asked.name[:63]!r}", "give each its own alias")
        if asked.product == question.product:
            raise Problem("join_not_allowed", "a product is not joined with itself", HINT)
        if asked.product not in others:
            raise Problem("not_found", f"there is no product {asked.product!r}")
        schemas[asked.name] = others[asked.product]
        on[asked.name] = _sides(asked, main, schemas)
    joins = {asked.name: _join(asked, *on[asked.name], question.joins) for asked in question.joins}
    if len({join.name for join in joins.values()}) < len(joins):
        raise Problem("join_not_allowed", "a product is joined twice on one column", HINT)
    return _changed(question, _Names(schemas, joins, faults)), tuple(sorted(joins.values(), key=lambda join: join.name))


def _join(asked: Asked, on: str, key: str, every: Sequence[Asked]) -> Join:
    several = sum(each.product == asked.product for each in every) > 1
    return Join(f"{on}.{asked.product}" if several else asked.product, on, key, asked.inner)


class _Names:
    """The name that a column has, by one that was written; `schemas` and `joins` are by the names of tables."""

    def __init__(self, schemas: Mapping[str, Schema], joins: Mapping[str, Join], faults: Faults) -> None:
        self.schemas, self.joins, self.faults = schemas, joins, faults

    def __call__(self, written: str) -> str:
        table, dot, column = written.rpartition(".")
        if dot:
            return self._name(table, column) if table in self.schemas else written
        having = [table for table, schema in self.schemas.items() if schema.get(written)]
        if len(having) > 1 and not self._one_key(written, having):
            hint = "write " + " or ".join(f"{table}.{written}" for table in having)
            self.faults.add("column_unknown", f"{written[:63]!r} is a column of several products", hint)
        return self._name(having[0], written) if having else written

    def _name(self, table: str, column: str) -> str:
        if table not in self.joins:
            return column
        join = self.joins[table]
        if join.inner and column == join.key and _is_entity(self.schemas[table], column):
            return join.on  # in the rows that are left it is the same, and so is its name
        return f"{join.name}.{column}"

    def _one_key(self, column: str, having: list[str]) -> bool:
        """Whether all are joined on `column` by `column`, so that it is the same in all, as after USING."""
        main, *others = having
        return main not in self.joins and all(
            self.joins[table].on == column == self.joins[table].key for table in others
        )


def _is_entity(schema: Schema, column: str) -> bool:
    return schema.entity is not None and schema.entity.name == column


def _sides(asked: Asked, main: str, schemas: Mapping[str, Schema]) -> tuple[str, str]:
    """The column of the main product, and the key of the joined one, that a join compares."""
    found: dict[str, str] = {}
    for written in asked.on:
        table, dot, column = written.rpartition(".")
        owners = [table] if dot else [name for name in (main, asked.name) if schemas[name].get(written)]
        if len(owners) != 1 or owners[0] not in (main, asked.name):
            raise Problem("join_not_allowed", f"{written[:63]!r} names no one column to join on", HINT)
        found[owners[0]] = column
    if len(found) != 2:
        raise Problem("join_not_allowed", "a join compares a column of each product", HINT)
    return found[main], found[asked.name]


Change = Callable[[str], str]


def _changed(question: Question, name: Change) -> Question:
    labels = {column.label for column in question.select if column.label}
    select = tuple(_column(column, name) for column in question.select)

    def named(leaf: Named) -> Term[Named]:
        if isinstance(leaf, Item):
            return _item(leaf, name)
        return leaf if leaf in labels else name(leaf)

    return replace(
        question,
        select=select,
        group_by=tuple(_group(group, name) for group in question.group_by),
        rollup=tuple(_group(group, name) for group in question.rollup),
        where=None if question.where is None else _condition(question.where, name),
        view=changed_view(question.view, named),
    )


def _column(column: Item | Formula, name: Change) -> Item | Formula:
    if isinstance(column, Formula):
        return replace(column, term=calculation(column.term, lambda item: _item(item, name)))
    return _item(column, name)


def _item(item: Item, name: Change) -> Item:
    return replace(
        item,
        column=None if item.column is None else name(item.column),
        where=None if item.where is None else _condition(item.where, name),
        truncated=None if item.truncated is None else replace(item.truncated, column=name(item.truncated.column)),
    )


def _group(group: str | Truncated, name: Change) -> str | Truncated:
    return replace(group, column=name(group.column)) if isinstance(group, Truncated) else name(group)


def _condition(condition: Condition, name: Change) -> Condition:
    match condition:
        case Not(part):
            return Not(_condition(part, name))
        case Every(parts):
            return Every(tuple(_condition(part, name) for part in parts))
        case Some(parts):
            return Some(tuple(_condition(part, name) for part in parts))
        case Test() | Among() | Missing():
            return replace(condition, column=name(condition.column))
