"""SQL text to a `Question`. Pure: no Django, no I/O.

sqlglot reads the text; what comes back is walked with an allow-list of nodes and of their arguments, so a
construct nobody thought of is refused, not ignored. No part of the text goes any further than names and
constants of the `Question`; sqlglot's own messages quote the text and never leave this package.
"""

from exchange.sandbox.query.question import Question
from exchange.sandbox.sql.statement import Statement
from exchange.sandbox.sql.text import tree

__all__ = ["parse"]


def parse(text: str) -> Question:
    """The question in `text`, one SELECT of at most 8 KiB.

    Raises Problem sql_malformed, sql_several_statements, sql_unsupported, function_unknown, value_invalid or
    query_too_large, with line and column where they are known.
    """
    statement = Statement()
    question = statement.question(tree(text))
    statement.faults.settle()
    return question
