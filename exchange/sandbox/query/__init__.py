"""The query type: what this type cannot say cannot be asked.

Pure: no Django, no I/O. `AggregateQuery` is closed, typed and frozen; every column in it is declared by the
product and used in its role. SQL (`sql.parse`) and JSON (`parse_json`) both become a `Question`, what the
buyer wrote, unbound; `bind` turns it into a normalized `AggregateQuery` or raises `Problem`. No text of the
buyer is ever executed: SQL is generated from the value. How the buyer wants to see the answer is no part of
it and stays with the exchange (`view`). `to_json` and `from_json` carry it to the node,
which trusts nothing of it and checks it again.
"""

from exchange.sandbox.query.bind import bind
from exchange.sandbox.query.joins import joined, joins_from_json, product_of
from exchange.sandbox.query.model import (
    FIGURES,
    AggregateQuery,
    And,
    Compare,
    Function,
    In,
    IsNull,
    Join,
    Measure,
    Op,
    Or,
    Predicate,
    Profile,
    Total,
    made_of,
)
from exchange.sandbox.query.question import Question, parse_json
from exchange.sandbox.query.view import Bound, Output, View, shown_from_json, shown_json
from exchange.sandbox.query.wire import from_json, to_json

__all__ = [
    "FIGURES", "AggregateQuery", "And", "Bound", "Compare", "Function", "In", "IsNull", "Join", "Measure", "Op", "Or",
    "Output", "Predicate", "Profile", "Question", "Total", "View", "bind", "from_json", "joined", "joins_from_json",
    "made_of", "parse_json", "product_of", "shown_from_json", "shown_json", "to_json",
]  # fmt: skip
