"""Names as a buyer wrote them, with tables before them or not, to the one name that each column has. Pure.

A column of the main product has its bare name, one of a join `name.column`: the name of a join is the product's, or
`on.product` where a product is joined on several columns. So aliases change nothing of a query.
"""

from collections.abc import Callable, Mapping
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
    tables = {question.alias or question.product: _Table("", schema)}
    found: list[tuple[Asked, str, str]] = []
    for asked in question.joins:
        if asked.name in tables:
            raise Problem("join_not_allowed", f"two tables are called {asked.name[:63]!r}", "give each its own alias")
        if asked.product == question.product:
            raise Problem("join_not_allowed", "a product is not joined with itself", HINT)
        if asked.product not in others:
            raise Problem("not_found", f"there is no product {asked.product!r}")
        tables[asked.name] = _Table(asked.name, others[asked.product])
        found.append((asked, *_sides(asked, tables, question)))
    joins = []
    for asked, on, key in found:
        several = sum(each.product == asked.product for each, _, _ in found) > 1
        joins.append(Join(f"{on}.{asked.product}" if several else asked.product, on, key, asked.inner))
    if len({join.name for join in joins}) < len(joins):
        raise Problem("join_not_allowed", "a product is joined twice on one column", HINT)
    canonical = {asked.name: join.name for (asked, _, _), join in zip(found, joins, strict=True)}
    names = {name: _Table(canonical.get(name, ""), table.schema) for name, table in tables.items()}
    keys = {join.name: join for join in joins}
    return _changed(question, _Names(names, keys, faults)), tuple(sorted(joins, key=lambda join: join.name))


class _Table:
    """A table by the name its columns have before theirs; "" is the main product's."""

    def __init__(self, prefix: str, schema: Schema) -> None:
        self.prefix, self.schema = prefix, schema

    def name(self, column: str) -> str:
        return f"{self.prefix}.{column}" if self.prefix else column


class _Names:
    """The name that a column has, by one that was written."""

    def __init__(self, tables: Mapping[str, _Table], joins: Mapping[str, Join], faults: Faults) -> None:
        self.tables, self.joins, self.faults = tables, joins, faults

    def __call__(self, written: str) -> str:
        table, dot, column = written.rpartition(".")
        if dot:
            return self.tables[table].name(column) if table in self.tables else written
        having = [each for each in self.tables.values() if each.schema.get(written)]
        if len(having) > 1 and not self._one_key(written, having):
            hint = "write " + " or ".join(f"{name}.{written}" for name in self._called(written))
            self.faults.add("column_unknown", f"{written[:63]!r} is a column of several products", hint)
        return having[0].name(written) if having else written

    def _one_key(self, column: str, having: list[_Table]) -> bool:
        """Whether all are joined on `column` by `column`, so that it is the same in all, as after USING."""
        joins = [self.joins[each.prefix] for each in having if each.prefix]
        return not having[0].prefix and all(join.on == column == join.key for join in joins)

    def _called(self, column: str) -> list[str]:
        return [name for name, table in self.tables.items() if table.schema.get(column)]


def _sides(asked: Asked, tables: Mapping[str, _Table], question: Question) -> tuple[str, str]:
    """The column of the main product, and the key of the joined one, that a join compares."""
    main, mine = question.alias or question.product, asked.name
    both = {main: tables[main], mine: tables[mine]}
    found: dict[str, str] = {}
    for written in asked.on:
        table, dot, column = written.rpartition(".")
        owners = [table] if dot else [name for name, each in both.items() if each.schema.get(written)]
        if len(owners) != 1 or owners[0] not in both:
            raise Problem("join_not_allowed", f"{written[:63]!r} names no one column to join on", HINT)
        found[owners[0]] = column
    if len(found) != 2:
        raise Problem("join_not_allowed", "a join compares a column of each product", HINT)
    return found[main], found[mine]


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
