"""Whether released figures err by the noise that docs/privacy.md promises: neither less of it nor of another shape.

What is on the board is no guess but a distance: half the sum of |seen - promised| over all errors, 0 where they
agree. As many honest draws are expected to be `chance` away, and farther than the bound once in a million runs
(McDiarmid: one draw moves the distance by at most 1/n).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from exchange.sandbox.terms import Terms
from tests.attacks import chance, firms
from tests.attacks.chance import times
from tests.attacks.conftest import Write
from tests.attacks.firms import RHO, figures, frame
from tests.sandbox.snapshots import Snapshot

Law = Mapping[int, float]
"""The probability of each error."""


def distance(errors: Iterable[int], law: Law) -> tuple[float, int]:
    """How far the errors are from what is promised, and how many there are."""
    seen = Counter(errors)
    number = sum(seen.values())
    return sum(abs(seen[x] / number - law.get(x, 0.0)) for x in seen.keys() | law.keys()) / 2, number


def expected(law: Law, number: int) -> float:
    """No less than the expectation of that distance for honest draws (Jensen)."""
    return sum(math.sqrt(p * (1 - p) / number) for p in law.values()) / 2


def limit(law: Law, number: int) -> float:
    return expected(law, number) + math.sqrt(math.log(1 / chance.FALSE_ALARM) / (2 * number))


def of_a_sum(two_largest: int) -> Law:
    """s·z on `guarded`, z = (popcount of 64 bits - 32) / 8, rounded half to even."""
    law: Counter[int] = Counter()
    for ones in range(65):
        law[round(two_largest * (ones - 32) / 8)] += math.comb(64, ones) / 2**64  # type: ignore[assignment]
    return law


OF_ENTITIES: Law = {ones - 4: math.comb(8, ones) / 2**8 for ones in range(9)}
"""popcount of 8 bits - 4."""


def gaussian(sigma: float) -> Law:
    """The discrete Gaussian on `private`, in classes a third of σ wide."""
    reach = math.ceil(12 * sigma)
    weights = {x: math.exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)}
    total, law = sum(weights.values()), Counter[int]()
    for x, weight in weights.items():
        law[x // width(sigma)] += weight / total  # type: ignore[assignment]
    return law


def width(sigma: float) -> int:
    return max(1, round(sigma / 3))


def errors(taken: Snapshot, figure: str, exact: str) -> list[int]:
    """What is released of each district, less what is true of it."""
    rows = frame().groupby("district")["secret"]
    due = (rows.sum() if exact == "secret" else rows.size()).to_dict()
    return [round(value) - due[district] for district, value in figures(taken, figure).items()]


def test_noise_of_guarded_figures(guarded: Snapshot, board: Write) -> None:
    nodes = [firms.elsewhere(guarded, number) for number in range(times(10, 300))]
    figures_of: tuple[tuple[str, str, Law], ...] = (
        ("SUM(secret)", "secret", of_a_sum(2)),
        ("COUNT(*)", "rows", of_a_sum(2)),
        ("COUNT(DISTINCT firm)", "rows", OF_ENTITIES),
    )
    for figure, exact, law in figures_of:
        found, number = distance((error for node in nodes for error in errors(node, figure, exact)), law)
        board(f"guarded, {figure}", found, trials=number, chance=expected(law, number), at_most=limit(law, number))
    law = of_a_sum(1)  # noise half as large would be seen
    found, number = distance((error for node in nodes for error in errors(node, "COUNT(*)", "rows")), law)
    board("control, half of it", found, trials=number, chance=expected(law, number), at_least=limit(law, number))


def test_noise_of_private_figures(private: Snapshot, board: Write) -> None:
    """A count costs ρ = 1/2σ², so at ρ = 0.001 σ is 22.4."""
    sigma = math.sqrt(chance.MICRO / (2 * RHO))
    law = gaussian(sigma)

    def drawn(rho: int) -> list[int]:
        taken = firms.under(private, Terms("private", rows=1, rho=rho))
        answers = [errors(taken, "COUNT(*)", "rows") for _ in range(times(20, 1000))]
        return [error // width(sigma) for answer in answers for error in answer]

    found, number = distance(drawn(RHO), law)
    board("private, COUNT(*)", found, trials=number, chance=expected(law, number), at_most=limit(law, number))
    found, number = distance(drawn(4 * RHO), law)
    board("control, half of it", found, trials=number, chance=expected(law, number), at_least=limit(law, number))
