"""Implementation plans and the authorizations that follow from them (27号)."""

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from catalog.models.resources import Resource
from exchange.money import BASIS_POINTS
from exchange.parties.acts import Stateful
from exchange.parties.models import Document, Named, Party


class Mode(models.TextChoices):
    """27号: the three models; covers.Mode is the same for the pure rules."""

    FULL = "full", _("whole region")
    SECTOR = "sector", _("one sector")
    SCENARIO = "scenario", _("one scenario")


class Plan(Named, Stateful):
    """An implementation plan 实施方案 (27号); `items` has a text for each of agreements.PLAN_ITEMS."""

    machine = machines.PLAN

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("submitted")
        APPROVED = "approved", _("approved")
        FILED = "filed", _("filed")
        REPLACED = "replaced", _("replaced")
        WITHDRAWN = "withdrawn", _("withdrawn")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    mode = models.CharField(_("mode"), max_length=12, choices=Mode)
    body = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="plans", verbose_name=_("implementing body"))
    authority = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="approved_plans", verbose_name=_("granting authority")
    )
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by",
        verbose_name=_("replaces"),
    )  # fmt: skip
    items = models.JSONField(_("items"), default=dict, blank=True)
    minutes = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name=_("minutes of the collective decision"),
    )  # fmt: skip
    filing = models.CharField(_("filing number"), max_length=60, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)

    class Meta:
        verbose_name = _("implementation plan")
        verbose_name_plural = _("implementation plans")


class Authorization(Named, Stateful):
    """An operation agreement 授权运营协议 (27号), the legal parent of products; what it covers is for `covers` to say.

    `items` has a text for each of agreements.AGREEMENT_ITEMS.
    """

    machine = machines.AUTHORIZATION

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("submitted")
        SIGNED = "signed", _("signed")
        IN_FORCE = "in_force", _("in force")
        SUSPENDED = "suspended", _("suspended")
        ENDED = "ended", _("ended")
        EXPIRED = "expired", _("expired")

    class Selection(models.TextChoices):
        """27号: operators are chosen by fair competition."""

        TENDER = "tender", _("open tender")
        INVITATION = "invitation", _("invited tender")
        NEGOTIATION = "negotiation", _("competitive negotiation")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    mode = models.CharField(_("mode"), max_length=12, choices=Mode)
    authority = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="granted", verbose_name=_("granting authority")
    )
    operator = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="operated", verbose_name=_("operator"))
    grantee = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="scenarios",
        verbose_name=_("grantee"),
    )
    sector = models.SlugField(_("sector"), max_length=60, blank=True)
    scenario = models.TextField(_("scenario"), blank=True)
    listed = models.ManyToManyField(Resource, blank=True, related_name="+", verbose_name=_("listed resources"))
    excluded = models.ManyToManyField(Resource, blank=True, related_name="+", verbose_name=_("excluded resources"))
    purposes = models.JSONField(_("purposes"), default=list, blank=True)
    since = models.DateField(_("from"))
    until = models.DateField(_("until"))
    holder_share = models.PositiveIntegerField(
        _("holder's share (1/10,000)"), validators=[MaxValueValidator(BASIS_POINTS)]
    )
    platform_share = models.PositiveIntegerField(
        _("platform's share (1/10,000)"), validators=[MaxValueValidator(BASIS_POINTS)]
    )
    plan = models.ForeignKey(
        Plan, on_delete=models.PROTECT, null=True, blank=True, related_name="authorizations",
        verbose_name=_("implementation plan"),
    )  # fmt: skip
    selection = models.CharField(_("how the operator was chosen"), max_length=12, choices=Selection, blank=True)
    selected_by = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name=_("record of the selection"),
    )  # fmt: skip
    agreement = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("agreement")
    )
    items = models.JSONField(_("items"), default=dict, blank=True)
    rules_zh = models.TextField(_("rules of the zone, in Chinese"), max_length=20_000, blank=True)
    rules_en = models.TextField(_("rules of the zone, in English"), max_length=20_000, blank=True)
    published_on = models.DateField(_("published on"), null=True, editable=False)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)

    class Meta:
        verbose_name = _("authorization")
        verbose_name_plural = _("authorizations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(holder_share__lte=BASIS_POINTS - models.F("platform_share")),
                name="authorization_shares",
            ),
            models.CheckConstraint(condition=models.Q(until__gte=models.F("since")), name="authorization_days"),
        ]
