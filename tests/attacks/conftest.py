"""A board on which attacks write their scores, printed at the end of the run."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Write = Callable[..., float]


@dataclass(frozen=True)
class Score:
    attack: str
    against: str  # the profile, or "control"
    right: float
    chance: float
    bound: float


BOARD: list[Score] = []


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Write:
    """board(against, right, chance, bound) writes a score and gives it back.

    A defended attack must stay at or below `bound`, a control at or above it.
    """
    attack = request.node.originalname.removeprefix("test_").replace("_", " ")

    def write(against: str, right: float, chance: float, bound: float) -> float:
        BOARD.append(Score(attack, against, right, chance, bound))
        if against == "control":
            assert right >= bound, f"the attack fails with its defence off: {right:.3f} < {bound:.3f}"
        else:
            assert right <= bound, f"{against}: {right:.3f} > {bound:.3f}"
        return right

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not BOARD:
        return
    terminalreporter.section("attacks")
    terminalreporter.write_line("| attack | against | guessed right | by chance | bound |")
    terminalreporter.write_line("|---|---|---|---|---|")
    for score in BOARD:
        sign = "≥" if score.against == "control" else "≤"
        terminalreporter.write_line(
            f"| {score.attack} | {score.against} | {score.right:.3f} | {score.chance:.3f} | {sign} {score.bound:.3f} |"
        )
