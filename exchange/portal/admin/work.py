"""The first page at the desk: what waits for this person, and what their parties were told."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from exchange.parties import acts, days
from exchange.parties.acts import Places, parties_of
from exchange.parties.models import Notice
from exchange.portal.admin.stepped import SOON, Stepped
from exchange.portal.texts import english

MOST = 50  # things of a kind on the page
TOLD = 10  # notices


@dataclass(frozen=True)
class Waiting:
    """One thing that waits for this person, with the steps they may take; `left` working days, below 0 overdue."""

    thing: str
    kind: str
    state: str
    url: str
    steps: tuple[tuple[str, str], ...]
    due: date | None
    left: int | None


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the first page shows."""
    found = waiting(request)
    return context | {
        "waiting": found,
        "counts": {
            "all": len(found),
            "soon": sum(each.left is not None and 0 <= each.left <= SOON for each in found),
            "over": sum(each.left is not None and each.left < 0 for each in found),
        },
        "told": _told(request),
        "soon": SOON,
    }


def waiting(request: HttpRequest) -> list[Waiting]:
    """What this person is to do next, what is due first on top; at most MOST of a kind."""
    places, calendar, today = Places.of(request.user), days.calendar(), timezone.localdate()
    found = []
    for desk in admin.site._registry.values():
        if not isinstance(desk, Stepped):
            continue
        names = desk.labels()
        rows = acts.waiting_for(desk.get_queryset(request), places).select_related(*(desk.list_select_related or ()))
        for thing in rows.order_by("due_on", "pk")[:MOST]:
            here = f"admin:{desk.opts.app_label}_{desk.opts.model_name}"
            steps = tuple(
                (str(names[step.name]), reverse(f"{here}_step", args=[thing.pk, step.name]))
                for step in thing.machine.awaited(thing.state)
                if step.name in names and places.may(thing, step)
            )
            if steps:
                left = calendar.left(today, thing.due_on) if thing.due_on else None
                url = reverse(f"{here}_change", args=[thing.pk])
                kind, state = str(desk.opts.verbose_name), thing.get_state_display()
                found.append(Waiting(str(thing), kind, state, url, steps, thing.due_on, left))
    return sorted(found, key=lambda each: (each.due or date.max, each.kind))


def _told(request: HttpRequest) -> list[tuple[Any, str]]:
    rows = Notice.objects.filter(party__in=parties_of(request.user)).order_by("-id")[:TOLD]
    return [(row.made_at, row.text_en if english() else row.text_zh) for row in rows]
