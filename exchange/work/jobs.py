"""Putting jobs in, and taking them out under a lease."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from exchange.work.models import Job

LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 10
Handler = Callable[[dict[str, Any]], None]

_handlers: dict[str, Handler] = {}
_log = logging.getLogger(__name__)


def handles(kind: str) -> Callable[[Handler], Handler]:
    """Register the handler of `kind`; each app's `jobs` module is imported at start."""

    def register(handler: Handler) -> Handler:
        _handlers[kind] = handler
        return handler

    return register


def do_later(kind: str, payload: dict[str, Any], due_at: datetime | None = None) -> Job:
    """Queue a job in the transaction of the caller, so that it exists if and only if its cause does."""
    return Job.objects.create(kind=kind, payload=payload, due_at=due_at or timezone.now())


def lease_one(now: datetime) -> Job | None:
    """Take the job that is longest due, for LEASE. Two workers never hold the same one."""
    with transaction.atomic():
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        job = (
            Job.objects.select_for_update(skip_locked=True)
            .filter(free, state=Job.State.WAITING, due_at__lte=now)
            .order_by("due_at")
            .first()
        )
        if job is None:
            return None
        job.leased_until = now + LEASE
        job.attempts += 1
        job.save(update_fields=["leased_until", "attempts"])
        return job


def run_due(now: datetime | None = None) -> int:
    """Do every due job once; the number done. A failure is kept and tried again, later each time."""
    done = 0
    while (job := lease_one(now or timezone.now())) is not None:
        try:
            _handlers[job.kind](job.payload)
        except Exception as error:  # noqa: BLE001 — whatever a handler raises, the worker goes on
            _log.exception("job %s failed", job)
            _postpone(job, error)
        else:
            done += 1
            Job.objects.filter(pk=job.pk).update(state=Job.State.DONE, leased_until=None)
    return done


def _postpone(job: Job, error: Exception) -> None:
    given_up = job.attempts >= MOST_ATTEMPTS
    Job.objects.filter(pk=job.pk).update(
        state=Job.State.FAILED if given_up else Job.State.WAITING,
        leased_until=None,
        due_at=timezone.now() + timedelta(seconds=2 ** min(job.attempts, 10)),
        error=type(error).__name__,
    )
