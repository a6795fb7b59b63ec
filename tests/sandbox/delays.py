"""A product of flights' delays, and questions bound to it."""

from typing import Any

import pytest

from exchange.errors import Problem
from exchange.sandbox import query, sql
from exchange.sandbox.query import Bound, Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms

CARRIERS = ("AA", "B6", "UA")
DELAYS = Schema(
    (
        Column("carrier", Kind.STRING, Role.DIMENSION, CARRIERS),
        Column("month", Kind.INTEGER, Role.DIMENSION, tuple(range(1, 13)), required=True),
        Column("day", Kind.DATE, Role.DIMENSION, ("2013-01-01", "2013-01-02")),
        Column("late", Kind.BOOLEAN, Role.DIMENSION, (False, True)),
        Column("code", Kind.STRING, Role.DIMENSION),
        Column("delay", Kind.INTEGER, Role.MEASURE, low=-60, high=1440),
        Column("fare", Kind.DECIMAL, Role.MEASURE, low=0, high=100_000, scale=2),
        Column("tailnum", Kind.STRING, Role.ENTITY),
    )
)
GUARDED, OPEN = Terms("guarded", threshold=10), Terms("open")


def bind(text: str, profile: Profile = Profile.OPEN, schema: Schema = DELAYS) -> Bound:
    return query.bind(sql.parse(text), schema, profile)


def where(text: str, profile: Profile = Profile.OPEN) -> object:
    return bind(f"SELECT COUNT(*) FROM d WHERE {text}", profile).query.where


def refusal(ask: Any, *arguments: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        ask(*arguments)
    return caught.value
