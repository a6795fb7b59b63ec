"""Jobs: done at least once, never by two at a time, tried again later, given up in the end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from exchange.work import jobs
from exchange.work.models import Job

done: list[Any] = []


@jobs.handles("test.note")
def note(payload: dict[str, Any]) -> None:
    done.append(payload["what"])


@jobs.handles("test.fail")
def fail(payload: dict[str, Any]) -> None:
    raise RuntimeError("as asked")


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def test_a_job_is_done_once_it_is_due(db: str) -> None:
    jobs.do_later("test.note", {"what": "later"}, timezone.now() + timedelta(hours=1))
    jobs.do_later("test.note", {"what": "now"})
    assert jobs.run_due() == 1
    assert done == ["now"]


def test_a_job_of_a_transaction_that_fails_is_never_there(db: str) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        jobs.do_later("test.note", {"what": "ghost"})
        raise RuntimeError
    assert jobs.run_due() == 0


def test_a_job_whose_worker_died_is_leased_again_when_its_lease_is_over(db: str) -> None:
    jobs.do_later("test.note", {"what": "twice"})
    assert jobs.lease_one(timezone.now()) is not None
    assert jobs.lease_one(timezone.now()) is None
    assert jobs.run_due(timezone.now() + jobs.LEASE) == 1


def test_two_workers_never_lease_the_same_job(db: str) -> None:
    for number in range(20):
        jobs.do_later("test.note", {"what": number})
    now = timezone.now()
    with ThreadPoolExecutor(4) as pool:
        leased = [job.pk for job in pool.map(lambda _: jobs.lease_one(now), range(20)) if job is not None]
    assert len(leased) == len(set(leased))


def test_a_job_that_fails_waits_longer_each_time_and_is_given_up(db: str) -> None:
    job = jobs.do_later("test.fail", {})
    jobs.run_due()
    job.refresh_from_db()
    assert (job.state, job.attempts, job.error) == (Job.State.WAITING, 1, "RuntimeError")
    assert job.due_at > timezone.now()
    Job.objects.filter(pk=job.pk).update(attempts=jobs.MOST_ATTEMPTS - 1, due_at=timezone.now())
    jobs.run_due()
    job.refresh_from_db()
    assert job.state == Job.State.FAILED
