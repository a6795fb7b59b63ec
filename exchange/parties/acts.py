"""Taking steps: the one function by which things with a state change it.

It locks the thing, looks whether this person may take the step now, runs what the module that owns the thing checks and
does, moves the clock, and appends the record, all in one transaction.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from exchange.audit import log
from exchange.audit.models import Record
from exchange.errors import Problem
from exchange.parties import days
from exchange.parties.models import Membership, Party, User
from exchange.steps import CLOCK, Machine, Step

_log = logging.getLogger(__name__)

SUBMIT = "submit"
MOST_REASON = 2_000


class Stateful(models.Model):
    """A thing with a machine. `due_on` is when its next step is due: `clock_days` working days from `clock_from`."""

    machine: ClassVar[Machine]
    role_paths: ClassVar[dict[str, tuple[str, ...]]] = {}  # where a role of the machine is no field of its own

    state = models.CharField(_("state"), max_length=20, editable=False)
    submitted_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, editable=False, related_name="+", verbose_name=_("submitted by")
    )
    clock_from = models.DateField(null=True, editable=False)
    clock_days = models.PositiveIntegerField(default=0, editable=False)
    due_on = models.DateField(_("due"), null=True, editable=False, db_index=True)

    class Meta:
        abstract = True

    @classmethod
    def machines(cls) -> tuple[Machine, ...]:
        """Every machine one of them may have."""
        return (cls.machine,)

    def facts(self) -> dict[str, Any]:
        """What its records say of it, JSON without floats."""
        return {"code": str(getattr(self, "code", ""))}


Thing = TypeVar("Thing", bound=Stateful)
Then = Callable[[Any], None]


def parties_of(user: User) -> models.QuerySet[Party]:
    """The active parties a person acts for."""
    return Party.objects.filter(memberships__user=user, state=Party.State.ACTIVE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a person works: the ids of the active parties they act for, and of those they approve for."""

    user: User
    acts_for: frozenset[UUID]
    approves_for: frozenset[UUID]

    @classmethod
    def of(cls, user: User) -> "Places":
        rows = Membership.objects.filter(user=user, party__state=Party.State.ACTIVE).values_list("party", "duty")
        approves = frozenset(party for party, duty in rows if duty == Membership.Duty.APPROVER)
        return cls(user, frozenset(party for party, _ in rows), approves)

    def entitled(self, thing: Stateful, step: Step) -> bool:
        """Whether the step is for one of their parties, and for their duty there."""
        parties = {getattr(thing, f"{role}_id") for role in step.by if role != CLOCK}
        return not parties.isdisjoint(self.approves_for if step.approves else self.acts_for)

    def may(self, thing: Stateful, step: Step) -> bool:
        """Whether they may take the step; superusers any."""
        if self.user.is_superuser:
            return True
        own = step.approves and thing.submitted_by_id == self.user.pk
        return not own and self.entitled(thing, step)


def take(
    thing: Thing, name: str, by: User | None, reason: str = "", before: Then | None = None, then: Then | None = None
) -> tuple[Thing, Record]:
    """Take the step `name` and give back the thing as it is then, and the step's record; `by` None is the clock.

    With the thing locked, `before` looks whether the step may be taken and may raise Problem; `then` does what follows.
    Whoever submits is kept, and may not approve it later. Raises Problem step_not_possible, step_not_yours, step_own,
    reason_missing; of two people at once the second is told that the state has changed.
    """
    with transaction.atomic():
        locked = type(thing)._default_manager.select_for_update(of=("self",)).get(pk=thing.pk)
        step = locked.machine.step(name, locked.state)
        _check_may(locked, step, by)
        if step.reason and not reason.strip():
            raise Problem("reason_missing")
        if before is not None:
            before(locked)
        if name == SUBMIT:
            locked.submitted_by = by
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
    """Of `rows` of one model those in which a step may wait for this person; which one, `Machine.awaited` says.

    A role that more than one path may lead to is decided by `Places.may`, of the thing itself.
    """
    model, wanted = rows.model, models.Q(pk__in=[])
    for machine in model.machines():
        for state in machine.states():
            for step in machine.awaited(state):
                who = places.approves_for if step.approves else places.acts_for
                for role in (role for role in step.by if role != CLOCK):
                    for path in model.role_paths.get(role, (role,)):
                        found = models.Q(**{"state": state, f"{path}__in": who})
                        wanted |= found & ~models.Q(submitted_by=places.user) if step.approves else found
    return rows.filter(wanted)


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


def record(thing: Stateful, kind: str, by: User | None, **more: Any) -> Record:
    """Append a record about `thing`; inside the caller's transaction."""
    body = {"v": 1, "id": str(thing.pk), "actor": str(by.pk) if by else CLOCK}
    return log.append(kind, body | thing.facts() | more, about=thing.pk)


def _check_may(thing: Stateful, step: Step, by: User | None) -> None:
    if by is None:
        if CLOCK not in step.by:
            raise Problem("step_not_yours")
    elif not by.is_superuser:
        if not Places.of(by).entitled(thing, step):
            raise Problem("step_not_yours")
        if step.approves and thing.submitted_by_id == by.pk:
            raise Problem("step_own")
