"""Text to sqlglot's tree of one SELECT, within bounds of length and depth. Pure: no Django, no I/O."""

import logging

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError, TokenError
from sqlglot.tokenizer_core import Token, TokenType

from exchange.errors import Problem
from exchange.sandbox.query.question import MAX_DEPTH

MAX_BYTES = 8 * 1024
MAX_TOKENS = 4_000
LANGUAGE = (
    "SELECT dimensions and COUNT, COUNT(DISTINCT), SUM, AVG, VARIANCE or STDDEV of a column, with FILTER (WHERE …)"
    " if need be, or what is calculated of them with + - * /, FROM one product (JOIN open ones by their key)"
    " WHERE conditions GROUP BY dimensions, ROLLUP(levels) HAVING comparisons ORDER BY columns LIMIT a number"
)

logging.getLogger("sqlglot").disabled = True  # its warnings quote the buyer's text
_DIALECT = Dialect.get_or_raise(None)
_DIALECT.NULL_ORDERING = "nulls_are_last"  # so that NULLS FIRST can be told from nothing said


def tree(text: str) -> exp.Expr:
    """The one statement in `text`. Raises Problem sql_malformed, sql_several_statements, sql_unsupported,
    query_too_large."""
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
    begins = place(where.get("line"), last - length + 1 if isinstance(last, int) else None)
    return Problem("sql_malformed", f"the SQL is not understood{begins}", LANGUAGE)


def _token_place(token: Token) -> str:
    return place(token.line, token.col - (token.end - token.start))


def place(line: object, column: object) -> str:
    return f" at line {line}, column {column}" if isinstance(line, int) and isinstance(column, int) else ""
