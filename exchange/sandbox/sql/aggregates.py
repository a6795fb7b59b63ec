"""Aggregates of sqlglot's tree, with their filters, by allow-list. Pure: no Django, no I/O."""

from dataclasses import replace
from decimal import Decimal

from sqlglot import exp

from exchange.errors import Problem
from exchange.sandbox.query.model import Function
from exchange.sandbox.query.question import BASIS_POINTS, Every, Item, quantile
from exchange.sandbox.sql.nodes import Nodes
from exchange.sandbox.sql.text import LANGUAGE

_FUNCTIONS: dict[type[exp.Expr], Function] = {
    exp.Count: Function.COUNT, exp.Sum: Function.SUM, exp.Avg: Function.AVG,
    exp.Variance: Function.VARIANCE, exp.Stddev: Function.STDDEV, exp.StddevSamp: Function.STDDEV,
}  # fmt: skip
_QUANTILES = (exp.Median, exp.Quantile, exp.WithinGroup)
_CASE = "write AGGREGATE(column) FILTER (WHERE condition), or CASE WHEN condition THEN column END"


class Aggregates(Nodes):
    """Reads one aggregate: of a column, of the rows that pass FILTER (WHERE …), or of a CASE of one WHEN."""

    def aggregate(self, node: exp.Expr) -> Item:
        """`node` as an item without a label; what is refused is in `faults`."""
        if isinstance(node, exp.Filter):
            self.only(node, "this", "expression")
            item = self.aggregate(node.this)
            condition = self.condition(node.expression.this)
            return replace(item, where=condition if item.where is None else Every((item.where, condition)))
        if isinstance(node, _QUANTILES) or _is_quantile(node):
            return self._quantile(node)
        function = _FUNCTIONS.get(type(node))
        if function is None:
            self.unknown(node)
            return Item()
        return self._of(function, node)

    def _of(self, function: Function, node: exp.Expr) -> Item:
        self.only(node, "this", "big_int")  # big_int: how a COUNT is typed elsewhere
        inner = node.this
        if isinstance(inner, exp.Star):
            self.only(inner)
            if function is not Function.COUNT:
                self.refuse(node, "only COUNT takes a star", "name a column")
            return Item(function)
        if isinstance(inner, exp.Distinct):
            self.only(inner, "expressions")
            if function is not Function.COUNT or len(inner.expressions) != 1:
                self.refuse(node, "only COUNT(DISTINCT column) of one column is offered", LANGUAGE)
            function, inner = Function.COUNT_DISTINCT, next(iter(inner.expressions), None)
        while isinstance(inner, exp.Paren):
            inner = inner.this
        if isinstance(inner, exp.Case):
            return self._case(function, inner)
        return Item(function, self.column(inner))

    def _case(self, function: Function, node: exp.Case) -> Item:
        """AGG(CASE WHEN condition THEN column END); of constants, what counts the rows that pass."""
        self.only(node, "ifs", "default")
        branches, default = node.args["ifs"], node.args.get("default")
        if len(branches) != 1:
            self.refuse(node, "a CASE has one WHEN here", _CASE)
        where, value = self.condition(branches[0].this), branches[0].args["true"]
        absent = default is None or isinstance(default, exp.Null)
        counts = function is Function.SUM and _is_number(value, "1") and _is_number(default, "0")
        if counts or (function is Function.COUNT and isinstance(value, exp.Literal) and absent):
            return Item(Function.COUNT, where=where)
        if not absent:
            self.refuse(node, "ELSE is offered with NULL only, or in SUM(CASE WHEN … THEN 1 ELSE 0 END)", _CASE)
        elif isinstance(value, exp.Literal):
            self.refuse(node, "a constant is counted, not aggregated", "write COUNT(*) FILTER (WHERE condition)")
        return Item(function, "" if isinstance(value, exp.Literal) else self.column(value), where=where)

    def _quantile(self, node: exp.Expr) -> Item:
        """MEDIAN(x), QUANTILE_CONT(x, 0.9), or PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY x)."""
        column, at = _parts_of_quantile(node)
        if column is None or at is None:
            self.unknown(node.this if isinstance(node, exp.WithinGroup) else node)
            return Item()
        fraction = Decimal(at) / BASIS_POINTS if isinstance(at, int) else self.literal(at)
        try:
            points = quantile(fraction) if isinstance(fraction, Decimal) else quantile(Decimal(2))
        except Problem as problem:
            self.faults.add(problem.code, problem.detail, problem.hint)
            points = 0
        return Item(Function.QUANTILE, self.column(column), at=points)


def _is_quantile(node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and str(node.this).upper() == "QUANTILE_CONT"


def _parts_of_quantile(node: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | int | None]:
    """(column, fraction) of a quantile, nothing where it is written in another way."""
    match node:
        case exp.Median():
            return node.this, BASIS_POINTS // 2
        case exp.Quantile():
            return node.this, node.args.get("quantile")
        case exp.Anonymous(expressions=[column, fraction]):
            return column, fraction
        case exp.WithinGroup(this=exp.PercentileCont() as inner):
            return _ordered(node.expression), inner.this
        case exp.WithinGroup(this=exp.Anonymous(expressions=[fraction]) as inner) if _is_quantile(inner):
            return _ordered(node.expression), fraction
    return None, None


def _ordered(node: exp.Expr) -> exp.Expr | None:
    """The one column of an ascending ORDER BY."""
    match node:
        case exp.Order(expressions=[exp.Ordered(this=exp.Expr() as column) as only]) if not only.args.get("desc"):
            return column
    return None


def _is_number(node: exp.Expr | None, text: str) -> bool:
    return isinstance(node, exp.Literal) and not node.is_string and str(node.this) == text
