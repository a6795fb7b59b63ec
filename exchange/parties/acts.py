"""Taking steps: the one function by which things with a state change it.

It locks the thing, looks whether this person may take the step now, runs what the module that owns the thing checks and
does, moves the clock, and appends the record, all in one transaction. A step that approves wants more than a user: the
proof that the person showed the second factor.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import models, transaction
from django.utils import timezone

from exchange.audit import log
from exchange.audit.models import Record
from exchange.errors import Problem
from exchange.parties import days, second_factor
from exchange.parties.models import Membership, Party, Role, User
from exchange.parties.second_factor import Verified, user_of
from exchange.parties.stateful import Stateful, platform_id
from exchange.steps import BEARER, CLOCK, Step

_log = logging.getLogger(__name__)

SUBMIT = "submit"
MOST_REASON = 2_000
ACTING_FOR = "acting_for"  # of a user in a session: the party it acts for, which the portal sets


Thing = TypeVar("Thing", bound=Stateful)
Then = Callable[[Any], None]
By = User | Verified | Literal["bearer"] | None


def parties_of(user: User) -> models.QuerySet[Party]:
    """The active parties a person acts for: in a session the one of the session, else all of their memberships."""
    live = Membership.State.IN_FORCE
    mine = Party.objects.filter(memberships__user=user, memberships__state=live, state=Party.State.ACTIVE)
    acting_for = getattr(user, ACTING_FOR, None)
    return mine if acting_for is None else mine.filter(pk=acting_for)


def has_duty(user: User, duty: str) -> models.QuerySet[Party]:
    """Of these parties, those where the person has that duty."""
    live = Membership.State.IN_FORCE
    return parties_of(user).filter(pk__in=Membership.objects.filter(user=user, duty=duty, state=live).values("party"))


@dataclass(frozen=True, slots=True)
class Places:
    """Where a person works: the ids of the parties they act for, and of those they approve for. Superusers anywhere."""

    user: User
    acts_for: frozenset[UUID]
    approves_for: frozenset[UUID]

    @classmethod
    def of(cls, user: User) -> "Places":
        approves = has_duty(user, Membership.Duty.APPROVER).values_list("pk", flat=True)
        return cls(user, frozenset(parties_of(user).values_list("pk", flat=True)), frozenset(approves))

    def entitled(self, thing: Stateful, step: Step) -> bool:
        """Whether the step is for one of their parties, and for their duty there."""
        parties = {getattr(thing, f"{role}_id") for role in step.by if role not in (CLOCK, BEARER)}
        mine = self.approves_for if step.approves else self.acts_for
        return self.user.is_superuser or not parties.isdisjoint(mine)

    def submitted(self, thing: Stateful, step: Step) -> bool:
        """Whether they would approve what they submitted themselves."""
        return step.approves and not self.user.is_superuser and thing.submitted_by_id == self.user.pk

    def may(self, thing: Stateful, step: Step) -> bool:
        """Whether they may take the step, with their second factor where it approves."""
        return self.entitled(thing, step) and not self.submitted(thing, step)


def take(
    thing: Thing, name: str, by: By, reason: str = "", before: Then | None = None, then: Then | None = None
) -> tuple[Thing, Record]:
    """Take the step `name` and give back the thing as it is then, and the step's record; `by` None is the clock.

    With the thing locked, `before` looks whether the step may be taken and may raise Problem; `then` does what follows.
    Whoever submits is kept, and may not approve it later. Raises Problem step_not_possible, step_not_yours, step_own,
    second_factor_missing where an approval comes without that proof, reason_missing; of two people at once the second
    is told that the state has changed.
    """
    with transaction.atomic():
        locked = type(thing)._default_manager.select_for_update(of=("self",)).get(pk=thing.pk)
        step = locked.machine.step(name, locked.state)
        _may(locked, step, by)
        if step.reason and not reason.strip():
            raise Problem("reason_missing")
        if before is not None:
            before(locked)
        if name == SUBMIT:
            locked.submitted_by = person_of(by)
        locked.state = step.end
        if step.days is not None:
            start_clock(locked, timezone.localdate() if step.days else None, step.days)
        locked.save()
        if then is not None:
            then(locked)
        kind = f"{locked.machine.name}.{name}"
        made = record(locked, kind, by, state=step.end, reason=reason.strip()[:MOST_REASON])
    return locked, made


def waiting_for(rows: models.QuerySet[Thing], places: Places) -> models.QuerySet[Thing]:
    """Of `rows` of one model those in which a step may wait for this person; which one, `Machine.awaited` says."""
    wanted = models.Q(pk__in=[])
    for machine in rows.model.machines():
        for state in machine.states():
            for step in machine.awaited(state):
                who = places.approves_for if step.approves else places.acts_for
                own = ~models.Q(submitted_by=places.user) if step.approves else models.Q()
                for role in set(step.by) - {CLOCK, BEARER}:
                    wanted |= models.Q(state=state) & _of(rows.model, role, who) & own
    return rows.filter(wanted)


def _of(model: type[Stateful], role: str, who: frozenset[UUID]) -> models.Q:
    """The things whose `role` is one of the parties `who`; one party is the platform of everything."""
    if role == Role.PLATFORM:
        return models.Q() if platform_id() in who else models.Q(pk__in=[])
    paths = model.role_paths.get(role, role)
    found = models.Q(pk__in=[])
    for path in (paths,) if isinstance(paths, str) else paths:
        found |= models.Q(**{f"{path}__in": who})
    return found


def take_all(things: Iterable[Thing], step: Callable[[Thing], object]) -> int:
    """Take the clock's step with each of `things`; how many could. One that can't is told of, and holds up no other."""
    taken = 0
    for thing in things:
        try:
            step(thing)
        except Problem as problem:
            _log.warning("%s %s: %s", type(thing).__name__, thing.pk, problem)
        else:
            taken += 1
    return taken


def start_clock(thing: Stateful, since: date | None, number: int) -> None:
    """Have the next step due in `number` working days; with `since` None, at no time."""
    thing.clock_from, thing.clock_days = since, number
    thing.due_on = days.calendar().end(since, number) if since else None


def reset_clocks() -> int:
    """Compute every running clock again, after the calendar changed; how many moved."""
    calendar, moved = days.calendar(), 0
    for model in (each for each in apps.get_models() if issubclass(each, Stateful)):
        for pk, since, number, due in model._default_manager.exclude(clock_from=None).values_list(
            "pk", "clock_from", "clock_days", "due_on"
        ):
            if (end := calendar.end(since, number)) != due:  # only if it still runs from that day
                moved += model._default_manager.filter(pk=pk, clock_from=since, clock_days=number).update(due_on=end)
    return moved


def record(thing: Stateful, kind: str, by: By, **more: Any) -> Record:
    """Append a record about `thing`; inside the caller's transaction. That a superuser broke the glass stands in it."""
    person = person_of(by)
    body: dict[str, Any] = {"v": 1, "id": str(thing.pk), "actor": str(person.pk) if person else by or CLOCK}
    if person is not None and person.is_superuser:
        body["superuser"] = True
    return log.append(kind, body | thing.facts() | more, about=thing.pk)


def _may(thing: Stateful, step: Step, by: By) -> None:
    person = person_of(by)
    if person is None:
        if (by or CLOCK) not in step.by:
            raise Problem("step_not_yours")
        return
    places = Places.of(person)
    if not places.entitled(thing, step):
        raise Problem("step_not_yours")
    if places.submitted(thing, step):
        raise Problem("step_own")
    if step.approves:
        second_factor.require(by)


def person_of(by: By) -> User | None:
    """The person who acts, if one does."""
    return None if by is None or by == BEARER else user_of(by)
