"""FROM and JOIN of sqlglot's tree, by allow-list. Pure: no Django, no I/O."""

from sqlglot import exp

from exchange.errors import Problem
from exchange.sandbox.query.joins import HINT, Asked, check_number
from exchange.sandbox.query.question import product_code
from exchange.sandbox.sql.terms import Terms

_FROM = "FROM names one product by its code"
_JOIN = "write JOIN or LEFT JOIN, and ON with one equality: " + HINT


class Tables(Terms):
    """Reads which products are asked, and on what they are joined."""

    def product(self, node: exp.Expr | None) -> tuple[str, str]:
        """The product of FROM, and its alias."""
        table = node.this if isinstance(node, exp.From) else None
        if table is None:
            self.refuse(None, "there is no product to ask", _FROM)
            return "", ""
        return self._table(table)

    def joins(self, nodes: list[exp.Join], main: str) -> tuple[Asked, ...]:
        """What is joined; `main` is what the product of FROM is called."""
        try:
            check_number(len(nodes))
        except Problem as problem:
            self.faults.add(problem.code, problem.detail, problem.hint)
        return tuple(self._join(node, main) for node in nodes)

    def _join(self, node: exp.Join, main: str) -> Asked:
        self.only(node, "this", "side", "kind", "on", "using")
        side, kind = (str(node.args.get(word) or "").upper() for word in ("side", "kind"))
        product, alias = self._table(node.this)
        name = alias or product
        if (side, kind) not in (("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")):
            self.refuse(node, f"{side or kind} JOIN is not offered", _JOIN)
        return Asked(product, name, self._on(node, main, name), inner=not side)

    def _on(self, node: exp.Join, main: str, name: str) -> tuple[str, str]:
        """The two columns that are equal."""
        on, using = node.args.get("on"), node.args.get("using") or []
        while isinstance(on, exp.Paren):
            on = on.this
        if len(using) == 1 and on is None:
            column = self.identifier(using[0])
            return f"{main}.{column}", f"{name}.{column}"
        if isinstance(on, exp.EQ) and isinstance(on.this, exp.Column) and isinstance(on.expression, exp.Column):
            self.only(on, "this", "expression")
            return self.column(on.this), self.column(on.expression)
        detail = "a join compares one column of each product" if on or using else "a join without ON is not offered"
        self.refuse(on if isinstance(on, exp.Expr) else node, detail, _JOIN)
        return "", ""

    def _table(self, table: exp.Expr) -> tuple[str, str]:
        """A product's code, and its alias."""
        if not isinstance(table, exp.Table):
            self.refuse(table, "a subquery is not offered", _FROM)
            return "", ""
        self.only(table, "this", "alias")
        if isinstance(table.this, exp.Func):
            self.faults.add("function_unknown", "a function in FROM is not offered", _FROM)
            return "", ""
        code = product_code(self.identifier(table.this))
        if code is None:
            self.refuse(table, "FROM names no product", _FROM)
        alias = table.args.get("alias")
        if alias is None:
            return code or "", ""
        self.only(alias, "this")
        return code or "", self.identifier(alias.this)
