"""One SELECT of sqlglot's tree as a `Question`, by allow-list. Pure: no Django, no I/O."""

from dataclasses import replace

from sqlglot import exp

from exchange.errors import Problem
from exchange.sandbox.query.question import (
    Formula,
    Item,
    Literal,
    Named,
    Question,
    Truncated,
    dimension_item,
    limit,
    of_aggregates,
)
from exchange.sandbox.query.view import Calculation, View
from exchange.sandbox.sql.nodes import kind
from exchange.sandbox.sql.tables import Tables
from exchange.sandbox.sql.text import LANGUAGE


class Statement(Tables):
    """Reads one statement."""

    def question(self, statement: exp.Expr) -> Question:
        if not isinstance(statement, exp.Select):
            self.refuse(statement, f"{kind(statement)} is not offered", LANGUAGE)
            self.faults.settle()
        # sqlglot gives a SELECT an empty `kind` and `hint`; whatever else it has is not in the language.
        self.only(statement, "expressions", "from_", "joins", "where", "group", "having", "order", "limit")
        product, alias = self.product(statement.args.get("from_"))
        joins = self.joins(statement.args.get("joins") or [], alias or product)
        groups, rollup = self._groups(statement.args.get("group"))
        items = tuple(self._item(node) for node in statement.expressions)
        where = statement.args.get("where")
        condition = None if where is None else self.condition(where.this)
        question = Question(product, items, groups, condition, self._view(statement), rollup, joins, alias)
        if self.faults:  # what follows from a fault is no fault of its own
            return question
        if not any(isinstance(item, Formula) or item.function for item in items):
            self.refuse(statement, "nothing is aggregated", "select COUNT(*), or SUM of a column")
        grouped = {_bare(group) for group in groups + rollup}
        for item in items:
            if isinstance(item, Formula) or item.function is not None:
                continue
            if _bare(item.truncated or item.column or "") not in grouped:
                name = item.truncated.column if item.truncated else item.column or ""
                self.refuse(statement, f"{name[:63]} is selected but not grouped by", "add it to GROUP BY")
        return question

    def _groups(self, node: exp.Expr | None) -> tuple[tuple[str | Truncated, ...], tuple[str | Truncated, ...]]:
        """Dimensions grouped by, and those of one ROLLUP."""
        if node is None:
            return (), ()
        self.only(node, "expressions")
        rollups = [part for part in node.expressions if isinstance(part, exp.Rollup)]
        plain = tuple(self._group(part) for part in node.expressions if not isinstance(part, exp.Rollup))
        if len(rollups) > 1:
            self.refuse(node, "more than one ROLLUP is not offered", LANGUAGE)
        rolled = []
        for rollup in rollups[:1]:
            self.only(rollup, "expressions")
            rolled = [self._group(part) for part in rollup.expressions]
            if not rolled:
                self.refuse(node, "ROLLUP names no dimension", LANGUAGE)
        return plain, tuple(rolled)

    def _group(self, node: exp.Expr) -> str | Truncated:
        """A dimension by its name, or DATE_TRUNC('month', column)."""
        if not isinstance(node, exp.DateTrunc):
            return self.column(node)
        self.only(node, "this", "unit")
        unit = node.args.get("unit")
        if not isinstance(unit, exp.Literal):
            self.refuse(node, "DATE_TRUNC takes a period", "write DATE_TRUNC('month', column)")
            return ""
        return Truncated(self.column(node.this), str(unit.this).lower())

    def _item(self, node: exp.Expr) -> Item | Formula:
        label = ""
        if isinstance(node, exp.Alias):
            self.only(node, "this", "alias")
            label = self.identifier(node.args["alias"])
            node = node.this
        if isinstance(node, exp.Column | exp.DateTrunc):
            group = self._group(node)
            return dimension_item(group, label or (_bare_name(group) if isinstance(group, str) else ""))
        found = self.term(node)
        if isinstance(found, Item):
            return replace(found, label=label)
        if isinstance(found, Calculation):
            try:
                return Formula(of_aggregates(found), label)
            except Problem as problem:
                self.refuse(node, problem.detail, problem.hint)
        elif not self.faults:
            self.refuse(node, "a constant is no column of the answer", LANGUAGE)
        return Item(label=label)

    def _view(self, statement: exp.Expr) -> View[Named]:
        having, order, most = (statement.args.get(clause) for clause in ("having", "order", "limit"))
        keys = () if order is None else tuple(self.key(node, statement.expressions) for node in order.expressions)
        if order is not None:
            self.only(order, "expressions")
        return View(None if having is None else self.having(having.this), keys, self._limit(most))

    def _limit(self, node: exp.Expr | None) -> int | None:
        if node is None:
            return None
        if not isinstance(node, exp.Limit):
            self.refuse(node, f"{kind(node)} is not offered", "write LIMIT and a number")
            return None
        self.only(node, "expression")
        found: Literal = self.literal(node.expression)
        try:
            return limit(found)
        except Problem as problem:
            self.faults.add(problem.code, problem.detail, problem.hint)
            return None


def _bare(group: str | Truncated) -> str | Truncated:
    """A dimension without its table, which `bind` looks up."""
    return replace(group, column=_bare_name(group.column)) if isinstance(group, Truncated) else _bare_name(group)


def _bare_name(name: str) -> str:
    return name.rpartition(".")[2]
