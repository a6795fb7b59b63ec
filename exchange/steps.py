"""State machines as data: each step with where it may start, who may take it, and the clock it starts. Pure.

What else must hold before a step, and what follows from it, is the business of the module that owns the machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.errors import Problem

WITHDRAW = "withdraw"  # a step that nobody waits for
CLOCK = "clock"  # who takes a step that nobody has to: the worker, when its time has come
BEARER = "bearer"  # who opened a link that was mailed to the thing's address, and may have no account


@dataclass(frozen=True, slots=True)
class Step:
    """From one of the states `start` to `end`.

    `by` are the roles that may take it: names of the thing's fields that hold a party, or CLOCK or BEARER. With
    `reason` it wants one. What `approves` is for persons with that duty, and not for the one who submitted the thing.
    `days` is how many working days then remain for the next step; 0 stops the clock, None lets it run on. `rule` is the
    clause it follows.
    """

    name: str
    start: tuple[str, ...]
    end: str
    by: tuple[str, ...]
    rule: str = ""
    reason: bool = False
    approves: bool = False
    days: int | None = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """The life of one kind of thing. A step's name may stand for several steps that start in different states.

    In the states of `rest` nobody waits for anybody.
    """

    name: str
    first: str
    steps: tuple[Step, ...]
    rest: tuple[str, ...] = ()

    def states(self) -> tuple[str, ...]:
        """Every state, in the order of the steps."""
        return tuple(dict.fromkeys([self.first, *(step.end for step in self.steps)]))

    def open(self, state: str) -> Iterator[Step]:
        """The steps that may start in `state`."""
        return (step for step in self.steps if state in step.start)

    def awaited(self, state: str) -> Iterator[Step]:
        """The steps that somebody is to take in `state`."""
        return (step for step in self.open(state) if state not in self.rest and step.name != WITHDRAW)

    def step(self, name: str, state: str) -> Step:
        """Raises Problem step_not_possible where `name` is no step from `state`."""
        for step in self.open(state):
            if step.name == name:
                return step
        possible = ", ".join(step.name for step in self.open(state)) or "none"
        raise Problem("step_not_possible", f"{name[:40]} is no step from {state}", f"possible: {possible}")

    def diagram(self) -> str:
        """A Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.first}"]
        for step in self.steps:
            clock = f", {step.days} working days" if step.days else ""
            who = " or ".join(step.by)
            lines += [f"    {start} --> {step.end}: {step.name} ({who}{clock})" for start in step.start]
        lines += [f"    {state} --> [*]" for state in self.states() if not any(self.open(state))]
        return "\n".join(lines) + "\n"
