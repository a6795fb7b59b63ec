"""A search over query families, which finds what nobody thought of (QueryCheetah, arXiv 2409.01992), in small."""

from pathlib import Path

from exchange.sandbox.query import Profile
from tests.attacks import chance, worlds
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.attacks.firms import RHO
from tests.attacks.worlds import FRESH, SELECT, TRAIN, Features, Grammar, Question
from tests.sandbox.snapshots import Snapshot

QUESTIONS = 3  # in a family
GENERATIONS, CHILDREN, PARENTS = times(4, 12), times(12, 30), 4
Family = tuple[Question, ...]


class Attacker:
    """Knows what each question is answered in every world; asks each only once."""

    def __init__(self, taken: Snapshot, seed: int) -> None:
        self.taken, self.grammar = taken, Grammar(taken.profile, seed)
        self.answers: dict[Question, Features] = {}
        self.secrets = worlds.secrets()

    def score(self, family: Family, on: slice) -> float:
        """The share of targets guessed right in the worlds `on`, by what was learned in those for training."""
        features = worlds.scaled(self.asked(question) for question in family)
        weights = worlds.learned(features[:TRAIN], self.secrets[:TRAIN])
        guesses = features[on] @ weights[:-1] + weights[-1] > 0
        return float((guesses == self.secrets[on]).mean())

    def asked(self, question: Question) -> Features:
        if question not in self.answers:
            self.answers[question] = question.features(self.taken)
        return self.answers[question]

    def best(self) -> Family:
        """Evolved by the score on worlds that are not those it trained on."""
        found = [self.grammar.family(QUESTIONS) for _ in range(CHILDREN)]
        for _ in range(GENERATIONS):
            parents = sorted(set(found), key=lambda family: -self.fitness(family))[:PARENTS]
            found = parents + [self.grammar.child(self.grammar.random.choice(parents)) for _ in range(CHILDREN)]
        return max(found, key=self.fitness)

    def fitness(self, family: Family) -> float:
        return self.score(family, slice(TRAIN, TRAIN + SELECT))

    def fresh(self, family: Family) -> float:
        """The score where neither training nor selection has looked."""
        return self.score(family, slice(TRAIN + SELECT, None))


def search(folder: Path, profile: Profile) -> tuple[float, Family]:
    attacker = Attacker(worlds.take(folder / profile, profile), seed=2)
    family = attacker.best()
    return attacker.fresh(family), family


def knowing_all_others(draws: int) -> float:
    """What as many totals with the noise that docs/privacy.md promises tell him who knows every firm but the target."""
    noise = chance.guarded_noise(2, 100_000, draws).mean(axis=1)
    return float((noise > -0.5).mean())


def test_automated_search(tmp_path: Path, board: Write) -> None:
    """Families of three questions, evolved on tables like the target's, and scored on tables never seen before."""
    score, _ = search(tmp_path, Profile.OPEN)
    board("control", score, trials=FRESH, at_least=least(0.98, FRESH))
    score, family = search(tmp_path, Profile.GUARDED)
    bound = knowing_all_others(max(1, sum(question.draws for question in family)))
    board("guarded", score, trials=FRESH, at_most=most(bound, FRESH))
    score, _ = search(tmp_path, Profile.PRIVATE)
    board("private", score, trials=FRESH, at_most=most(chance.guessed(QUESTIONS * RHO), FRESH))
