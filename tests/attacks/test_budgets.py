"""Whether a buyer, or several together, get more of a population's budget than is theirs.

On a real market and node, by the buyers' API; what the answers tell is played on the engine, as other attacks are.
"""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from catalog import snapshots
from exchange.errors import Problem
from exchange.sandbox.terms import Terms
from fixtures import city
from tests import nodes
from tests.attacks import chance, firms
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.market import GUARDED, PURPOSE, Buyer, Market, endpoint_of, fill, make_node, obey, open_market
from tests.samples import FLEETS, ORIGINS
from tests.sandbox.snapshots import Snapshot

PAID = 5  # queries that each population's budget pays for
RHO = 100_000 // PAID
QUESTIONS = [
    f"SELECT COUNT(*) AS n FROM {{}} WHERE carrier = '{carrier}' AND month = {month} AND origin = '{origin}'"
    for carrier, month, origin in itertools.product(FLEETS, (1, 2, 3), ORIGINS)
]


@pytest.fixture
def market(server: str, var: Path, tmp_path: Path) -> Iterator[Market]:
    """With a node of its own, whose budgets are spent here."""
    home, order_key = make_node(tmp_path, queries=PAID)
    obey(var, order_key)
    fill(home)
    with nodes.running(home):
        yield open_market(server, endpoint_of(home))


@pytest.fixture
def rides(market: Market) -> Any:
    """A private product; the budget of its population pays for five queries."""
    resource = city.register("rides", "飞行", "Rides", market.people.holder, market.domain, sector="transport")
    snapshots.refresh(resource, actor="test")
    columns = [column["name"] for column in resource.snapshot.manifest["schema"]["columns"]]
    terms = {"profile": "private", "rows": 5, "rho": RHO}
    return city.offer(market.people, "rides_private", market.authorization, resource, columns, **terms)


@pytest.fixture
def ask() -> Any:
    """A function that asks so many questions nobody has asked yet; how many are answered."""
    fresh = iter(QUESTIONS)

    def ask(buyer: Buyer, table: str, number: int, **more: Any) -> int:
        codes = [buyer.ask(next(fresh).format(table), **more).status_code for _ in range(number)]
        assert set(codes) <= {200, 403}, codes
        return codes.count(200)

    return ask


def test_budget_drain(market: Market, rides: Any, ask: Any, board: Write) -> None:
    """Somebody asks as long as anything is answered. How much of what a victim was promised is gone then?"""
    people, victims = market.people, 2
    city.fund(people.stranger, 1_000_000)
    city.license_to(people.stranger, market.guarded, [PURPOSE])  # no shares: first come, first served
    drained = ask(market.stranger, GUARDED, PAID + 1)
    lost = victims - ask(market.buyer, GUARDED, victims)
    board("control, no shares", lost / victims, chance=0, trials=victims, at_least=1)
    city.license_to(people.buyer, rides, [PURPOSE], share=victims * RHO)
    city.license_to(people.stranger, rides, [PURPOSE], share=(PAID - victims) * RHO)
    drained += ask(market.stranger, "rides_private", PAID + 1)
    lost = victims - ask(market.buyer, "rides_private", victims)
    board("private, shares", lost / victims, chance=0, trials=victims, at_most=0)
    assert drained == PAID + PAID - victims, "and nobody is answered who has not paid"


LICENCES = 25  # that collude
TOTAL = 200_000  # micro-ρ: of one licence, or of all together
HAVE_IT = ("secret = 1", "secret = 1 AND size = 'small'")


def test_collusion(market: Market, rides: Any, ask: Any, private: Snapshot, board: Write) -> None:
    """Licences as many as there are to be had, and each asks as long as it is answered: how many answers of those
    they try beyond the budget? Then what they know of the same secrets, against what one licence would know."""
    held = []
    with pytest.raises(Problem, match="share"):
        while True:
            held.append(city.license_to(market.people.buyer, rides, [PURPOSE], share=RHO))
    answered = sum(ask(market.buyer, "rides_private", 2, licence=str(licence.pk)) for licence in held)
    beyond = 2 * len(held) - PAID
    board("exchange, beyond the budget", (answered - PAID) / beyond, chance=0, trials=beyond, at_most=0)

    rounds = times(5, 100)
    alone = expected(TOTAL, 1)
    board("private, one licence", told(private, TOTAL, 1, rounds), trials=100 * rounds, at_most=bound(alone, rounds))
    shared = told(private, TOTAL // LICENCES, LICENCES, rounds)
    board(f"private, {LICENCES} with shares of it", shared, trials=100 * rounds, at_most=bound(alone, rounds))
    each = told(private, TOTAL, LICENCES, rounds)
    lowest = least(expected(TOTAL, LICENCES), 100 * rounds)
    board(f"control, {LICENCES} with as much each", each, trials=100 * rounds, at_least=lowest)
    assert lowest > bound(alone, rounds), "the one cannot be taken for the other"


def told(taken: Snapshot, rho: int, licences: int, rounds: int) -> float:
    """The share of secrets guessed right by the mean of the differences of each licence's pair of queries."""
    asked = firms.under(taken, Terms("private", rows=1, rho=rho // 2))
    pair = [asked.bind(f"SELECT district, COUNT(*) FROM data WHERE {where} GROUP BY district") for where in HAVE_IT]
    due = np.array([firms.truth()[district] for district in firms.DISTRICTS])

    def mean() -> Any:
        drawn = [[asked.cells(query)["values"][:, 0].astype(float) for query in pair] for _ in range(licences)]
        return np.mean([whole - small for whole, small in drawn], axis=0)

    return float(np.mean([(mean() > 0.5) == due for _ in range(rounds)]))


def expected(rho: int, licences: int) -> float:
    """What the mean of so many differences gets right: two noises of σ² = 1/ρ each, half a secret off."""
    return NormalDist().cdf(0.5 / math.sqrt(2 * chance.MICRO / rho / licences))


def bound(share: float, rounds: int) -> float:
    return most(share, 100 * rounds)
