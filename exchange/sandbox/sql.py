"""SQL text to a `Question`. Pure: no Django, no I/O.

sqlglot reads the text; what comes back is walked with an allow-list of nodes and of their arguments, so a
construct nobody thought of is refused, not ignored. No part of the text goes any further than names and
constants of the `Question`; sqlglot's own messages quote the text and never leave this module.
"""

import logging
from collections.abc import Iterable

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from exchange.errors import Problem
from exchange.sandbox.query.faults import Faults
from exchange.sandbox.query.model import Function, Op
from exchange.sandbox.query.question import (
    MAX_DEPTH,
    Among,
    Condition,
    Every,
    Item,
    Literal,
    Missing,
    Not,
    Question,
    Some,
    Test,
    iso_date,
    number,
    product_code,
)

MAX_BYTES = 8 * 1024
MAX_TOKENS = 4_000
LANGUAGE = (
    "SELECT dimensions and COUNT, COUNT(DISTINCT), SUM, AVG, VARIANCE or STDDEV of a column FROM one product"
    " WHERE conditions GROUP BY dimensions"
)

logging.getLogger("sqlglot").disabled = True  # its warnings quote the buyer's text
_DIALECT = Dialect.get_or_raise(None)
_OPS: dict[type[exp.Expr], Op] = {
    exp.EQ: Op.EQ, exp.NEQ: Op.NE, exp.LT: Op.LT, exp.LTE: Op.LE, exp.GT: Op.GT, exp.GTE: Op.GE,
}  # fmt: skip
_MIRRORED = {Op.EQ: Op.EQ, Op.NE: Op.NE, Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}
_FUNCTIONS: dict[type[exp.Expr], Function] = {
    exp.Count: Function.COUNT, exp.Sum: Function.SUM, exp.Avg: Function.AVG,
    exp.Variance: Function.VARIANCE, exp.Stddev: Function.STDDEV, exp.StddevSamp: Function.STDDEV,
}  # fmt: skip
_NOTHING = Every(())


def parse(text: str) -> Question:
    """The question in `text`, one SELECT of at most 8 KiB.

    Raises Problem sql_malformed, sql_several_statements, sql_unsupported, function_unknown, value_invalid or
    query_too_large, with line and column where they are known.
    """
    statement = _statement(text)
    reader = _Reader()
    question = reader.question(statement)
    reader.faults.settle()
    return question


def _statement(text: str) -> exp.Expr:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise Problem("query_too_large", f"the SQL is longer than {MAX_BYTES} bytes")
    if any("\ud800" <= character <= "\udfff" or character == "\0" for character in text):
        raise Problem("sql_malformed", "the SQL is not valid text")
    try:
        tokens = _DIALECT.tokenize(text)
        _check_tokens(tokens)
        statements = _DIALECT.parser().parse(tokens, text)
    except ParseError as error:
        raise _malformed(error) from None
    except TokenError:
        raise Problem("sql_malformed", "a quote or a comment is not closed", LANGUAGE) from None
    except RecursionError:
        raise _too_deep() from None
    return next(statement for statement in statements if statement is not None)


def _check_tokens(tokens: list[Token]) -> None:
    """Refuses what need not be parsed: nothing, several statements, no SELECT; sqlglot warns of such, in a log,
    with the buyer's text."""
    _check_nesting(tokens)
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise Problem("sql_malformed", "there is no statement", LANGUAGE)
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise Problem("sql_several_statements", "there is more than one statement", "send each by itself")
    if tokens[0].token_type is TokenType.VAR:
        raise Problem("sql_malformed", f"no statement begins like this{_token_place(tokens[0])}", LANGUAGE)
    if tokens[0].token_type is not TokenType.SELECT:
        raise Problem("sql_unsupported", f"only SELECT is offered{_token_place(tokens[0])}", LANGUAGE)


def _check_nesting(tokens: list[Token]) -> None:
    """Bounds what the parser recurses on: parentheses and the signs and NOTs before them."""
    if len(tokens) > MAX_TOKENS:
        raise Problem("query_too_large", f"the SQL has more than {MAX_TOKENS} words")
    depth = run = 0
    for token in tokens:
        run = run + 1 if token.token_type in (TokenType.NOT, TokenType.DASH) else 0
        depth += (token.token_type is TokenType.L_PAREN) - (token.token_type is TokenType.R_PAREN)
        if depth + run > MAX_DEPTH:
            raise _too_deep()


def _too_deep() -> Problem:
    return Problem("query_too_large", f"the SQL is nested more than {MAX_DEPTH} deep")


def _malformed(error: ParseError) -> Problem:
    where = error.errors[0] if error.errors else {}
    last, length = where.get("col"), len(str(where.get("highlight") or " "))
    place = _place(where.get("line"), last - length + 1 if isinstance(last, int) else None)
    return Problem("sql_malformed", f"the SQL is not understood{place}", LANGUAGE)


def _token_place(token: Token) -> str:
    return _place(token.line, token.col - (token.end - token.start))


def _place(line: object, column: object) -> str:
    return f" at line {line}, column {column}" if isinstance(line, int) and isinstance(column, int) else ""


class _Reader:
    """Reads one statement. What is refused is collected, and reading goes on, so that the refusal that takes
    precedence is told whatever its place in the text."""

    def __init__(self) -> None:
        self.faults = Faults()

    def question(self, statement: exp.Expr) -> Question:
        if not isinstance(statement, exp.Select):
            self._refuse(statement, f"{_name(statement)} is not offered", LANGUAGE)
            self.faults.settle()
        # sqlglot gives a SELECT an empty `kind` and `hint`; whatever else it has is not in the language.
        self._only(statement, "expressions", "from_", "where", "group")
        product = self._product(statement.args.get("from_"))
        groups = tuple(self._groups(statement.args.get("group")))
        items = tuple(self._item(node) for node in statement.expressions)
        where = statement.args.get("where")
        condition = None if where is None else self._condition(where.this)
        if self.faults:  # what follows from a fault is no fault of its own
            return Question(product, items, groups, condition)
        if not any(item.function for item in items):
            self._refuse(statement, "nothing is aggregated", "select COUNT(*), or SUM of a column")
        for item in items:
            if item.function is None and item.column not in groups:
                self._refuse(
                    statement,
                    f"{(item.column or '')[:63]} is selected but not grouped by",
                    "add it to GROUP BY",
                )
        return Question(product, items, groups, condition)

    def _product(self, node: exp.Expr | None) -> str:
        table = node.this if isinstance(node, exp.From) else None
        hint = "FROM names one product by its code"
        if not isinstance(table, exp.Table):
            self._refuse(table, "there is no product to ask" if table is None else "a subquery is not offered", hint)
            return ""
        self._only(table, "this")
        if isinstance(table.this, exp.Func):
            self.faults.add("function_unknown", "a function in FROM is not offered", hint)
            return ""
        code = product_code(self._identifier(table.this))
        if code is None:
            self._refuse(table, "FROM names no product", hint)
        return code or ""

    def _groups(self, node: exp.Expr | None) -> Iterable[str]:
        if node is None:
            return
        self._only(node, "expressions")
        for column in node.expressions:
            yield self._column(column)

    def _item(self, node: exp.Expr) -> Item:
        label = ""
        if isinstance(node, exp.Alias):
            self._only(node, "this", "alias")
            label = self._identifier(node.args["alias"])
            node = node.this
        if isinstance(node, exp.Column):
            name = self._column(node)
            return Item(column=name, label=label or name)
        function = _FUNCTIONS.get(type(node))
        if function is None:
            self._unknown(node)
            return Item(label=label)
        return self._aggregate(function, node, label)

    def _aggregate(self, function: Function, node: exp.Expr, label: str) -> Item:
        self._only(node, "this", "big_int")  # big_int: how a COUNT is typed elsewhere
        inner = node.this
        if isinstance(inner, exp.Star):
            self._only(inner)
            if function is not Function.COUNT:
                self._refuse(node, "only COUNT takes a star", "name a column")
            return Item(function, None, label)
        if isinstance(inner, exp.Distinct):
            self._only(inner, "expressions")
            if function is not Function.COUNT or len(inner.expressions) != 1:
                self._refuse(node, "only COUNT(DISTINCT column) of one column is offered", LANGUAGE)
            function, inner = Function.COUNT_DISTINCT, next(iter(inner.expressions), None)
        return Item(function, self._column(inner), label)

    def _condition(self, node: exp.Expr) -> Condition:
        match node:
            case exp.Paren():
                return self._condition(node.this)
            case exp.And():
                return Every(tuple(self._condition(part) for part in node.flatten()))
            case exp.Or():
                return Some(tuple(self._condition(part) for part in node.flatten()))
            case exp.Not():
                return Not(self._condition(node.this))
            case exp.Column():
                return Test(self._column(node), Op.EQ, True)  # a boolean is a condition by itself
            case exp.In():
                self._only(node, "this", "expressions")
                if not node.expressions:
                    self._refuse(node, "IN names no values", "list constants")
                return Among(self._column(node.this), tuple(self._literal(value) for value in node.expressions))
            case exp.Between():
                self._only(node, "this", "low", "high")
                column = self._column(node.this)
                low, high = self._literal(node.args["low"]), self._literal(node.args["high"])
                return Every((Test(column, Op.GE, low), Test(column, Op.LE, high)))
            case exp.Is():
                self._only(node, "this", "expression")
                if not isinstance(node.expression, exp.Null):
                    self._refuse(node, "IS is offered with NULL only", "write column = TRUE")
                return Missing(self._column(node.this))
            case _ if type(node) in _OPS:
                return self._comparison(node, _OPS[type(node)])
        self._unknown(node)
        return _NOTHING

    def _comparison(self, node: exp.Expr, op: Op) -> Condition:
        self._only(node, "this", "expression")
        left, right = node.this, node.expression
        if isinstance(right, exp.Column) and not isinstance(left, exp.Column):
            left, right, op = right, left, _MIRRORED[op]
        return Test(self._column(left), op, self._literal(right))

    def _literal(self, node: exp.Expr) -> Literal:
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
                self._only(node, "this", "to")
                return self._date(str(inner.this))
            case exp.Null():
                self._refuse(node, "a comparison with NULL is never true", "write column IS NULL")
            case exp.Paren():
                return self._literal(node.this)
            case exp.Column():
                self._refuse(node, "a column is compared with constants only", "name a constant")
            case _:
                self._unknown(node)
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

    def _column(self, node: exp.Expr | None) -> str:
        while isinstance(node, exp.Paren):
            node = node.this
        if not isinstance(node, exp.Column):
            self._unknown(node, "name a column")
            return ""
        self._only(node, "this")
        return self._identifier(node.this)

    def _identifier(self, node: object) -> str:
        """A name; unquoted it is folded to lower case, as everywhere in SQL that is not PostgreSQL's list."""
        if not isinstance(node, exp.Identifier):
            self._refuse(node if isinstance(node, exp.Expr) else None, "a name is expected", LANGUAGE)
            return ""
        return str(node.this) if node.args.get("quoted") else str(node.this).lower()

    def _only(self, node: exp.Expr, *allowed: str) -> None:
        """Refuses whatever `node` has beyond `allowed`."""
        for key, value in node.args.items():
            if key not in allowed and value not in (None, False, []):
                self._refuse(
                    node,
                    f"{_CLAUSES.get(key, key.strip('_').replace('_', ' ').upper())} is not offered",
                    LANGUAGE,
                )

    def _unknown(self, node: exp.Expr | None, hint: str = LANGUAGE) -> None:
        if isinstance(node, exp.Func) and not isinstance(node, _SYNTAX):
            self.faults.add(
                "function_unknown",
                f"a function is not offered{_position(node)}",
                "offered are COUNT, SUM, AVG, VARIANCE, STDDEV",
            )
        else:
            self._refuse(node, "something is missing" if node is None else f"{_name(node)} is not offered here", hint)

    def _refuse(self, node: exp.Expr | None, detail: str, hint: str) -> None:
        self.faults.add("sql_unsupported", detail + ("" if node is None else _position(node)), hint)


_SYNTAX = (exp.Cast, exp.Case, exp.Exists, exp.And, exp.Or, exp.Array, exp.Count, exp.Sum, exp.Avg)
_CLAUSES = {
    "with_": "WITH", "joins": "JOIN", "order": "ORDER BY", "big_int": "a typed COUNT", "db": "a schema",
    "catalog": "a catalog", "alias": "an alias here", "table": "a qualified column", "query": "a subquery",
    "sample": "TABLESAMPLE", "all": "GROUP BY ALL",
}  # fmt: skip


def _name(node: exp.Expr) -> str:
    """What kind of thing a node is, in sqlglot's terms: never the buyer's text."""
    return node.key.upper()


def _position(node: exp.Expr) -> str:
    """Where `node` begins; sqlglot notes the last column of names and constants."""
    for part in node.walk():
        meta = part.meta
        if "line" in meta:
            return _place(meta["line"], meta["col"] - (meta["end"] - meta["start"]))
    return ""
