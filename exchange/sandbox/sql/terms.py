"""Calculations, HAVING and ORDER BY of sqlglot's tree, by allow-list. Pure: no Django, no I/O."""

from decimal import Decimal

from sqlglot import exp

from exchange.sandbox.query.model import Op
from exchange.sandbox.query.question import Named
from exchange.sandbox.query.view import Arithmetic, Blank, Calculation, Having, Holds, Joined, Key, Negated, Term
from exchange.sandbox.sql.aggregates import Aggregates
from exchange.sandbox.sql.nodes import OPS
from exchange.sandbox.sql.text import LANGUAGE

MAX_CHAIN = 64  # of a + b + c …, which nests to the left
_ARITHMETIC: dict[type[exp.Expr], Arithmetic] = {
    exp.Add: Arithmetic.ADD, exp.Sub: Arithmetic.SUB, exp.Mul: Arithmetic.MUL, exp.Div: Arithmetic.DIV,
}  # fmt: skip
_NOTHING: Term[Named] = Decimal(0)


class Terms(Aggregates):
    """Reads what is calculated of aggregates, and which rows of the answer are shown in what order."""

    def term(self, node: exp.Expr, depth: int = 0) -> Term[Named]:
        """A number, an aggregate, a name, or what is calculated of these."""
        if depth > MAX_CHAIN:
            self.faults.add("query_too_large", f"a calculation is nested more than {MAX_CHAIN} deep")
            return _NOTHING
        match node:
            case exp.Paren():
                return self.term(node.this, depth + 1)
            case exp.Column():
                return self.column(node)
            case exp.Literal() if not node.is_string:
                found = self.literal(node)
                return found if isinstance(found, Decimal) else _NOTHING
            case exp.Neg():
                inner = self.term(node.this, depth + 1)
                return -inner if isinstance(inner, Decimal) else Calculation(Arithmetic.SUB, Decimal(0), inner)
            case _ if type(node) in _ARITHMETIC:
                self.only(node, "this", "expression")
                left, right = self.term(node.this, depth + 1), self.term(node.expression, depth + 1)
                return Calculation(_ARITHMETIC[type(node)], left, right)
        return self.aggregate(node)

    def having(self, node: exp.Expr) -> Having[Named]:
        match node:
            case exp.Paren():
                return self.having(node.this)
            case exp.And() | exp.Or():
                return Joined(isinstance(node, exp.And), tuple(self.having(part) for part in node.flatten()))
            case exp.Not():
                return Negated(self.having(node.this))
            case exp.In() if node.expressions:
                self.only(node, "this", "expressions")
                found = self.term(node.this)
                return Joined(False, tuple(Holds(found, Op.EQ, self.term(value)) for value in node.expressions))
            case exp.Between():
                self.only(node, "this", "low", "high")
                found, low, high = (self.term(node.args[part]) for part in ("this", "low", "high"))
                return Joined(True, (Holds(found, Op.GE, low), Holds(found, Op.LE, high)))
            case exp.Is() if isinstance(node.expression, exp.Null):
                self.only(node, "this", "expression")
                return Blank(self.term(node.this))
            case _ if type(node) in OPS:
                self.only(node, "this", "expression")
                return Holds(self.term(node.this), OPS[type(node)], self.term(node.expression))
        self.unknown(node)
        return Joined(True, ())

    def key(self, node: exp.Expr, shown: list[exp.Expr]) -> Key[Named]:
        """One key of ORDER BY: an aggregate, a name, or the number of a column of `shown`."""
        self.only(node, "this", "desc", "nulls_first")
        if node.args.get("nulls_first"):
            self.refuse(node, "NULLS FIRST is not offered", "nulls come last")
        wanted = node.this
        if isinstance(wanted, exp.Literal) and not wanted.is_string:
            number = str(wanted.this)
            if not (number.isdecimal() and number.isascii() and 0 < int(number[:9]) <= len(shown)):
                self.refuse(node, "ORDER BY names no column of the answer", LANGUAGE)
                return Key(_NOTHING)
            wanted = shown[int(number[:9]) - 1].unalias()
        return Key(self.term(wanted), bool(node.args.get("desc")))
