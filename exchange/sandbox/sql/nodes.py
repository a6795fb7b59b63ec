"""Names, constants and conditions of sqlglot's tree, by allow-list. Pure: no Django, no I/O."""

from sqlglot import exp

from exchange.errors import Problem
from exchange.sandbox.query.faults import Faults
from exchange.sandbox.query.model import Op
from exchange.sandbox.query.question import (
    Among,
    Condition,
    Every,
    Literal,
    Missing,
    Not,
    Some,
    Test,
    iso_date,
    number,
)
from exchange.sandbox.sql.text import LANGUAGE, place

OPS: dict[type[exp.Expr], Op] = {
    exp.EQ: Op.EQ, exp.NEQ: Op.NE, exp.LT: Op.LT, exp.LTE: Op.LE, exp.GT: Op.GT, exp.GTE: Op.GE,
}  # fmt: skip
_MIRRORED = {Op.EQ: Op.EQ, Op.NE: Op.NE, Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}
_NOTHING = Every(())


class Nodes:
    """Reads parts of one statement. What is refused is collected, and reading goes on, so that the refusal
    that takes precedence is told whatever its place in the text."""

    def __init__(self) -> None:
        self.faults = Faults()

    def condition(self, node: exp.Expr) -> Condition:
        match node:
            case exp.Paren():
                return self.condition(node.this)
            case exp.And():
                return Every(tuple(self.condition(part) for part in node.flatten()))
            case exp.Or():
                return Some(tuple(self.condition(part) for part in node.flatten()))
            case exp.Not():
                return Not(self.condition(node.this))
            case exp.Column():
                return Test(self.column(node), Op.EQ, True)  # a boolean is a condition by itself
            case exp.In():
                self.only(node, "this", "expressions")
                if not node.expressions:
                    self.refuse(node, "IN names no values", "list constants")
                return Among(self.column(node.this), tuple(self.literal(value) for value in node.expressions))
            case exp.Between():
                self.only(node, "this", "low", "high")
                column = self.column(node.this)
                low, high = self.literal(node.args["low"]), self.literal(node.args["high"])
                return Every((Test(column, Op.GE, low), Test(column, Op.LE, high)))
            case exp.Is():
                self.only(node, "this", "expression")
                if not isinstance(node.expression, exp.Null):
                    self.refuse(node, "IS is offered with NULL only", "write column = TRUE")
                return Missing(self.column(node.this))
            case _ if type(node) in OPS:
                return self._comparison(node, OPS[type(node)])
        self.unknown(node)
        return _NOTHING

    def _comparison(self, node: exp.Expr, op: Op) -> Condition:
        self.only(node, "this", "expression")
        left, right = node.this, node.expression
        if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
            left, right, op = right, left, _MIRRORED[op]
        return Test(self.column(left), op, self.literal(right))

    def literal(self, node: exp.Expr) -> Literal:
        match node:
            case exp.Literal() if node.is_string:
                return str(node.this)
            case exp.Literal():
                return self._number(str(node.this))
            case exp.Neg(this=exp.Literal() as inner) if not inner.is_string:
                return self._number(f"-{inner.this}")
            case exp.Boolean():
                return bool(node.this)
            case exp.Cast(this=exp.Literal() as inner) if inner.is_string and node.to.this == exp.DType.DATE:
                # DATE 'x' and CAST('x' AS DATE) are one node; neither runs anything.
                self.only(node, "this", "to")
                return self._date(str(inner.this))
            case exp.Null():
                self.refuse(node, "a comparison with NULL is never true", "write column IS NULL")
            case exp.Paren():
                return self.literal(node.this)
            case exp.Column():
                self.refuse(node, "a column is compared with constants only", "name a constant")
            case _:
                self.unknown(node)
        return ""

    def _number(self, text: str) -> Literal:
        try:
            return number(text)
        except Problem as problem:
            self.faults.add(problem.code, problem.detail, problem.hint)
            return ""

    def _date(self, text: str) -> Literal:
        found = iso_date(text)
        if found is None:
            self.faults.add("value_invalid", "a date is not a day of the calendar", "write DATE '2013-01-31'")
        return found or ""

    def column(self, node: exp.Expr | None) -> str:
        while isinstance(node, exp.Paren):
            node = node.this
        if not isinstance(node, exp.Column):
            self.unknown(node, "name a column")
            return ""
        self.only(node, "this", "table")
        table = node.args.get("table")
        return (f"{self.identifier(table)}." if table else "") + self.identifier(node.this)

    def identifier(self, node: object) -> str:
        """A name; unquoted it is folded to lower case, as everywhere in SQL that is not PostgreSQL's list."""
        if not isinstance(node, exp.Identifier):
            self.refuse(node if isinstance(node, exp.Expr) else None, "a name is expected", LANGUAGE)
            return ""
        return str(node.this) if node.args.get("quoted") else str(node.this).lower()

    def only(self, node: exp.Expr, *allowed: str) -> None:
        """Refuses whatever `node` has beyond `allowed`."""
        for key, value in node.args.items():
            if key not in allowed and value not in (None, False, []):
                self.refuse(
                    node,
                    f"{_CLAUSES.get(key, key.strip('_').replace('_', ' ').upper())} is not offered",
                    LANGUAGE,
                )

    def unknown(self, node: exp.Expr | None, hint: str = LANGUAGE) -> None:
        if isinstance(node, exp.Func) and not isinstance(node, _SYNTAX):
            self.faults.add(
                "function_unknown",
                f"a function is not offered{_position(node)}",
                "offered are COUNT, SUM, AVG, VARIANCE, STDDEV, MEDIAN, QUANTILE_CONT",
            )
        else:
            self.refuse(node, "something is missing" if node is None else f"{kind(node)} is not offered here", hint)

    def refuse(self, node: exp.Expr | None, detail: str, hint: str) -> None:
        self.faults.add("sql_unsupported", detail + ("" if node is None else _position(node)), hint)


_SYNTAX = (
    exp.Cast, exp.Case, exp.If, exp.Exists, exp.And, exp.Or, exp.Array,
    exp.Count, exp.Sum, exp.Avg, exp.Variance, exp.Stddev, exp.StddevSamp,
)  # fmt: skip
_CLAUSES = {
    "with_": "WITH", "joins": "JOIN", "order": "ORDER BY", "big_int": "a typed COUNT", "db": "a schema",
    "catalog": "a catalog", "alias": "an alias here", "query": "a subquery",
    "sample": "TABLESAMPLE", "all": "GROUP BY ALL",
}  # fmt: skip


def kind(node: exp.Expr) -> str:
    """What kind of thing a node is, in sqlglot's terms: never the buyer's text."""
    return node.key.upper()


def _position(node: exp.Expr) -> str:
    """Where `node` begins; sqlglot notes the last column of names and constants."""
    for part in node.walk():
        meta = part.meta
        if "line" in meta:
            return place(meta["line"], meta["col"] - (meta["end"] - meta["start"]))
    return ""
