"""Counting: the meter of a licence and that of a population.

Every `do_` here is called inside the transaction of reserve or settle. The lock order is licence, population,
wallet, everywhere, so that two queries never wait for each other in a circle.
"""

from collections.abc import Sequence

from django.db.models import BigIntegerField, F

from catalog.models import Domain
from exchange.errors import Problem
from exchange.statements import Arg, Select, Update
from licensing.models import Licence, LicenceMeter, PopulationMeter

_meter = LicenceMeter.objects.filter(pk=Arg("pk"))
_LOCKED = Select(_meter.select_for_update())
_COUNT = Update(
    _meter,
    calls=F("calls") + Arg("calls", BigIntegerField()),
    records=F("records") + 1,
    failures=Arg("failures", BigIntegerField()),
)
_population = PopulationMeter.objects.filter(domain=Arg("domain"), population=Arg("population"))
_cost = Arg("cost", BigIntegerField())
_SPEND = Update(
    _population.annotate(after=F("spent") + _cost).filter(after__lte=Arg("cap")),
    spent=F("spent") + _cost,
    cap=Arg("cap"),
)
_SPEND_SHARE = Update(_meter, spent=F("spent") + _cost)


def lock(licence: Licence) -> LicenceMeter:
    """The licence's meter, locked until the transaction ends (on SQLite the transaction is the lock)."""
    return _LOCKED.get(pk=licence.pk)


def lock_all(licences: Sequence[Licence]) -> list[LicenceMeter]:
    """The licences' meters in their order, locked in the order of their keys, everywhere the same."""
    found = {licence.pk: lock(licence) for licence in sorted(licences, key=lambda licence: licence.pk)}
    return [found[licence.pk] for licence in licences]


def lock_population(domain: Domain, population: str, cap: int) -> PopulationMeter:
    """The population's meter, opened if need be and locked until the transaction ends."""
    PopulationMeter.objects.get_or_create(domain=domain, population=population, defaults={"cap": cap})
    return PopulationMeter.objects.select_for_update().get(domain=domain, population=population)


def do_count_call(meter: LicenceMeter) -> int:
    """Count one call and number one log record; the record's number. Needs `lock`."""
    _COUNT.run(pk=meter.pk, calls=1, failures=meter.failures)
    return meter.records + 1


def do_number_record(meter: LicenceMeter, *, give_back: bool = False, failed: bool | None = None) -> int:
    """Number one log record; the record's number. Needs `lock`.

    `give_back` returns the call to the quota, for a query that was voided. `failed` counts failures in a row.
    """
    if failed is not None:
        meter.failures = meter.failures + 1 if failed else 0
    _COUNT.run(pk=meter.pk, calls=-1 if give_back else 0, failures=meter.failures)
    return meter.records + 1


def do_spend(meter: LicenceMeter, domain: Domain, population: str, cap: int, cost: int) -> None:
    """Debit a query of `cost` to the licence and to the population. Raises Problem population_exhausted; never
    refunded. Needs `lock`, under which `decide` has looked at the licence's share.

    The condition is in the UPDATE itself, so that the cap holds whoever else spends at the same time.
    """
    do_spend_share(meter, cost)
    spend = {"domain": domain.pk, "population": population, "cap": cap, "cost": cost}
    if _SPEND.run(**spend):
        return
    PopulationMeter.objects.get_or_create(domain=domain, population=population, defaults={"cap": cap})
    if not _SPEND.run(**spend):
        raise Problem("population_exhausted")


def do_spend_share(meter: LicenceMeter, cost: int) -> None:
    """Debit a query of `cost` to the licence's share alone. Needs `lock`, as `do_spend` does."""
    _SPEND_SHARE.run(pk=meter.pk, cost=cost)
