"""Counting: the meter of a licence and that of a population.

Every `do_` here is called inside the transaction of reserve or settle. The lock order is licence, population,
wallet, everywhere, so that two queries never wait for each other in a circle.
"""

from django.db.models import F

from catalog.models import Domain
from exchange.errors import Problem
from licensing.models import Licence, LicenceMeter, PopulationMeter


def lock(licence: Licence) -> LicenceMeter:
    """The licence's meter, locked until the transaction ends (on SQLite the transaction is the lock)."""
    return LicenceMeter.objects.select_for_update().get(pk=licence.pk)


def do_count_call(meter: LicenceMeter) -> int:
    """Count one call and number one log record; the record's number. Needs `lock`."""
    LicenceMeter.objects.filter(pk=meter.pk).update(calls=F("calls") + 1, records=F("records") + 1)
    return meter.records + 1


def do_number_record(meter: LicenceMeter, *, give_back: bool = False, failed: bool | None = None) -> int:
    """Number one log record; the record's number. Needs `lock`.

    `give_back` returns the call to the quota, for a query that was voided. `failed` counts failures in a row.
    """
    change: dict[str, object] = {"records": F("records") + 1}
    if give_back:
        change["calls"] = F("calls") - 1
    if failed is not None:
        meter.failures = meter.failures + 1 if failed else 0
        change["failures"] = meter.failures
    LicenceMeter.objects.filter(pk=meter.pk).update(**change)
    return meter.records + 1


def do_spend_population(domain: Domain, population: str, cap: int) -> None:
    """Debit one query of the population. Raises Problem population_exhausted; never refunded.

    The condition is in the UPDATE itself, so that the cap holds whoever else spends at the same time.
    """
    meter, _ = PopulationMeter.objects.get_or_create(domain=domain, population=population, defaults={"cap": cap})
    spent = PopulationMeter.objects.filter(pk=meter.pk, queries__lt=cap).update(queries=F("queries") + 1, cap=cap)
    if not spent:
        raise Problem("population_exhausted")
