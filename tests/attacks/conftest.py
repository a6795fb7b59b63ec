"""A board on which attacks write their scores, printed at the end of the run, and the tables they are played on."""

from dataclasses import asdict, dataclass
from typing import Protocol

import pytest

from exchange.sandbox import disclosure
from exchange.sandbox.query import Profile
from tests.attacks import chance, firms
from tests.sandbox.snapshots import Snapshot


class Write(Protocol):
    """Writes a score of `trials` on the board: what an attack got right against a profile, or against its control.

    With `at_most` the defence has to hold the score there or below; with `at_least` the attack must succeed, as
    with its defence off. A bound that no score could miss is none.
    """

    def __call__(
        self, against: str, right: float, *, trials: int, chance: float = 0.5,
        at_most: float | None = None, at_least: float | None = None,
    ) -> None: ...  # fmt: skip


@dataclass(frozen=True)
class Score:
    attack: str
    against: str
    right: float
    chance: float
    trials: int
    bound: str


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Write:
    attack = request.node.originalname.removeprefix("test_").replace("_", " ")

    def write(
        against: str, right: float, *, trials: int, chance: float = 0.5,
        at_most: float | None = None, at_least: float | None = None,
    ) -> None:  # fmt: skip
        assert (at_most is None) != (at_least is None)
        bound = f"≤ {at_most:.3f}" if at_least is None else f"≥ {at_least:.3f}"
        score = Score(attack, against, float(right), chance, trials, bound)
        request.node.user_properties.append(("score", asdict(score)))  # which a worker hands to whoever prints
        if at_most is not None:
            assert at_most < 1, f"{against}: a score of {at_most:.3f} at most is no bound"
            assert right <= at_most, f"{against}: {right:.3f} > {at_most:.3f}"
        if at_least is not None:
            assert at_least > chance, f"{against}: a score of {at_least:.3f} at least is no success"
            assert right >= at_least, f"{against}: the attack fails: {right:.3f} < {at_least:.3f}"

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [r for some in terminalreporter.stats.values() for r in some if getattr(r, "when", "") == "call"]
    board = [Score(**said) for report in reports for name, said in report.user_properties if name == "score"]
    if not board:
        return
    terminalreporter.section("soak" if chance.SOAK else "attacks")
    terminalreporter.write_line("| attack | against | right | by chance | of | bound |")
    terminalreporter.write_line("|---|---|---|---|---|---|")
    for score in sorted(board, key=lambda score: score.attack):
        rates = f"{score.right:.3f} | {score.chance:.3f} | {score.trials} | {score.bound}"
        terminalreporter.write_line(f"| {score.attack} | {score.against} | {rates} |")


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return firms.take(tmp_path_factory.mktemp("guarded"), Profile.GUARDED)


@pytest.fixture(scope="session")
def private(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    return firms.take(tmp_path_factory.mktemp("private"), Profile.PRIVATE)


@pytest.fixture(scope="session")
def naked(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The control: the same rows, exact."""
    return firms.take(tmp_path_factory.mktemp("naked"), Profile.OPEN)


@pytest.fixture
def threshold_only(guarded: Snapshot, monkeypatch: pytest.MonkeyPatch) -> Snapshot:
    """The control: cells of ten and more, exact, as many systems do it."""
    monkeypatch.setattr(disclosure, "_bits", lambda *_: int("01" * 128, 2))  # as many ones as zeros: noise 0
    return guarded
