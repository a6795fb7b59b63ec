"""Licences and the two meters. Rules are in `decide` and `tariff`."""

import secrets

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Domain, Product, Version
from exchange.ids import new_id
from exchange.parties.models import Party
from licensing import tariff


def new_pseudonym() -> str:
    """A licence's name in the public log: random, so that it tells nothing."""
    return secrets.token_hex(16)


def check_tariff(value: object) -> None:
    try:
        tariff.from_json(value if isinstance(value, dict) else {"": 0})
    except ValueError as error:
        raise ValidationError(str(error), code="tariff") from error


class Licence(models.Model):
    """A buyer's right to ask one product, for named purposes, up to a quota, at a tariff."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        IN_FORCE = "in_force", _("in force")
        SUSPENDED = "suspended", _("suspended")
        ENDED = "ended", _("ended")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="licences", verbose_name=_("product"))
    # Given under: what it allows is never more than this version does. In a review, the version that is reviewed.
    version = models.ForeignKey(
        Version, on_delete=models.PROTECT, null=True, blank=True, editable=False, related_name="licences",
        verbose_name=_("product version"),
    )  # fmt: skip
    review = models.BooleanField(_("for a delivery review"), default=False, editable=False)
    buyer = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="licences", verbose_name=_("buyer"))
    purposes = models.JSONField(_("purposes"), default=list)
    quota = models.PositiveBigIntegerField(_("calls in all"))
    # Reserved of the population's budget: queries, or micro-ρ on `private`, where every licence needs one.
    share = models.PositiveBigIntegerField(_("share of the budget"), default=0)
    tariff = models.JSONField(_("tariff (minor units)"), default=dict, validators=[check_tariff])
    since = models.DateField(_("from"))
    until = models.DateField(_("until"))
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.DRAFT)
    pseudonym = models.CharField(max_length=32, unique=True, default=new_pseudonym, editable=False)

    class Meta:
        verbose_name = _("licence")
        verbose_name_plural = _("licences")
        constraints = [models.CheckConstraint(condition=models.Q(until__gte=models.F("since")), name="licence_days")]

    def __str__(self) -> str:
        return f"{self.buyer} · {self.product}"


class LicenceMeter(models.Model):
    """The one mutable row of a licence: calls counted, log records numbered, failures in a row.

    Updating it is the lock under which a query is reserved; `fsck` re-derives it.
    """

    licence = models.OneToOneField(Licence, on_delete=models.PROTECT, primary_key=True, related_name="meter")
    calls = models.PositiveBigIntegerField(default=0)
    records = models.PositiveBigIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    spent = models.PositiveBigIntegerField(default=0)  # of the population's budget

    def __str__(self) -> str:
        return f"{self.licence_id}: {self.calls}"


class PopulationMeter(models.Model):
    """What was spent of a population's budget, all products and licences together. Never goes down.

    In queries, or in micro-ρ where the population is `private`; `cap` is the holder's, as last signed by the node.
    """

    domain = models.ForeignKey(Domain, on_delete=models.PROTECT)
    population = models.CharField(max_length=80)
    cap = models.PositiveBigIntegerField()
    spent = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["domain", "population"], name="population_once")]

    def __str__(self) -> str:
        return f"{self.population}: {self.spent}/{self.cap}"
