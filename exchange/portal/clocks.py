"""What the worker does once a day: the calendar and the clocks that moved with it; what has run out."""

from datetime import date

from django.utils import timezone

from catalog import authorizing, demands, registration, sublicensing
from exchange.parties import acts, applications, days

_watched_on: date | None = None


def watch() -> None:
    """Do the day's work, if this process did not yet."""
    global _watched_on
    if _watched_on != (today := timezone.localdate()):
        if days.seed(today):
            acts.reset_clocks()
        registration.lapse()
        authorizing.expire()
        sublicensing.expire()
        demands.expire()
        applications.lapse()
        _watched_on = today
