"""One SELECT of sqlglot's tree as a `Question`, by allow-list. Pure: no Django, no I/O."""

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from exchange.sandbox.query.question import Item, Question, product_code
from exchange.sandbox.sql.aggregates import Aggregates
from exchange.sandbox.sql.nodes import kind
from exchange.sandbox.sql.text import LANGUAGE


class Statement(Aggregates):
    """Reads one statement."""

    def question(self, statement: exp.Expr) -> Question:
        if not isinstance(statement, exp.Select):
            self.refuse(statement, f"{kind(statement)} is not offered", LANGUAGE)
            self.faults.settle()
        # sqlglot gives a SELECT an empty `kind` and `hint`; whatever else it has is not in the language.
        self.only(statement, "expressions", "from_", "where", "group")
        product = self._product(statement.args.get("from_"))
        groups = tuple(self._groups(statement.args.get("group")))
        items = tuple(self._item(node) for node in statement.expressions)
        where = statement.args.get("where")
        condition = None if where is None else self.condition(where.this)
        if self.faults:  # what follows from a fault is no fault of its own
            return Question(product, items, groups, condition)
        if not any(item.function for item in items):
            self.refuse(statement, "nothing is aggregated", "select COUNT(*), or SUM of a column")
        for item in items:
            if item.function is None and item.column not in groups:
                self.refuse(
                    statement,
                    f"{(item.column or '')[:63]} is selected but not grouped by",
                    "add it to GROUP BY",
                )
        return Question(product, items, groups, condition)

    def _product(self, node: exp.Expr | None) -> str:
        table = node.this if isinstance(node, exp.From) else None
        hint = "FROM names one product by its code"
        if not isinstance(table, exp.Table):
            self.refuse(table, "there is no product to ask" if table is None else "a subquery is not offered", hint)
            return ""
        self.only(table, "this")
        if isinstance(table.this, exp.Func):
            self.faults.add("function_unknown", "a function in FROM is not offered", hint)
            return ""
        code = product_code(self.identifier(table.this))
        if code is None:
            self.refuse(table, "FROM names no product", hint)
        return code or ""

    def _groups(self, node: exp.Expr | None) -> Iterable[str]:
        if node is None:
            return
        self.only(node, "expressions")
        for column in node.expressions:
            yield self.column(column)

    def _item(self, node: exp.Expr) -> Item:
        label = ""
        if isinstance(node, exp.Alias):
            self.only(node, "this", "alias")
            label = self.identifier(node.args["alias"])
            node = node.this
        if isinstance(node, exp.Column):
            name = self.column(node)
            return Item(column=name, label=label or name)
        return replace(self.aggregate(node), label=label)
