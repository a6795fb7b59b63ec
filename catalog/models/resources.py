"""Data domains, resources, and what is known of their snapshots."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.ids import new_id
from exchange.parties.models import Document, Named, Party


class Described(Named):
    """A named thing of the catalog with a description for people."""

    description_zh = models.TextField(_("Chinese description"), max_length=5_000, blank=True)
    description_en = models.TextField(_("English description"), max_length=5_000, blank=True)

    class Meta:
        abstract = True


class Domain(Named):
    """A data domain 数据域 with its node. The node's public key is what its releases are checked against."""

    code = models.SlugField(_("code"), max_length=60, unique=True)
    node_name = models.CharField(_("node"), max_length=60)
    node_url = models.CharField(_("node address"), max_length=200)
    node_jwk = models.JSONField(_("node's public key"))

    class Meta:
        verbose_name = _("data domain")
        verbose_name_plural = _("data domains")


class Resource(Described):
    """A public data resource 公共数据资源 as registered (26号); its rows are in its domain's node."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        REGISTERED = "registered", _("registered")
        SUSPENDED = "suspended", _("suspended")
        CANCELLED = "cancelled", _("cancelled")

    class DataClass(models.TextChoices):
        """GB/T 43697-2024; core data never enter operation."""

        GENERAL = "general", _("general")
        IMPORTANT = "important", _("important")
        CORE = "core", _("core")

    class Frequency(models.TextChoices):
        """27号: the plan's catalog says how often a resource is updated; the codes are those of DCAT's frequencies."""

        CONTINUOUS = "CONT", _("continuously")
        DAILY = "DAILY", _("daily")
        WEEKLY = "WEEKLY", _("weekly")
        MONTHLY = "MONTHLY", _("monthly")
        QUARTERLY = "QUARTERLY", _("quarterly")
        ANNUAL = "ANNUAL", _("yearly")
        IRREGULAR = "IRREG", _("irregularly")
        NEVER = "NEVER", _("never")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    holder = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="resources", verbose_name=_("data holder"))
    domain = models.ForeignKey(
        Domain, on_delete=models.PROTECT, related_name="resources", verbose_name=_("data domain")
    )
    sector = models.SlugField(_("sector"), max_length=60, blank=True)
    data_class = models.CharField(_("data class"), max_length=12, choices=DataClass, default=DataClass.GENERAL)
    frequency = models.CharField(_("update frequency"), max_length=12, choices=Frequency, blank=True)
    quality_zh = models.TextField(_("quality, in Chinese"), max_length=2_000, blank=True)
    quality_en = models.TextField(_("quality, in English"), max_length=2_000, blank=True)
    assessment = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+",
        verbose_name=_("assessment of important data"),
    )  # fmt: skip
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.DRAFT)
    snapshot = models.ForeignKey(
        "Snapshot",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("snapshot in service"),
    )

    class Meta:
        verbose_name = _("resource")
        verbose_name_plural = _("resources")


class Snapshot(models.Model):
    """What the exchange knows of one snapshot: its manifest and the holder's policy, as the node signed.

    `policy` has population, profile, entity, threshold, budget (in queries, or in micro-ρ) and its digest.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="snapshots")
    code = models.CharField(_("code"), max_length=80)
    manifest = models.JSONField()
    policy = models.JSONField()
    release = models.TextField(_("signed by the node"))
    known_since = models.DateTimeField(_("known since"), auto_now_add=True)

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")

    def __str__(self) -> str:
        return self.code


class Column(models.Model):
    """A declared column, for people to read; queries are bound to the snapshot's manifest."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="columns")
    position = models.PositiveIntegerField()
    name = models.CharField(_("name"), max_length=63)
    kind = models.CharField(_("kind"), max_length=12)
    role = models.CharField(_("role"), max_length=12)
    label_zh = models.CharField(_("Chinese label"), max_length=200, blank=True)
    label_en = models.CharField(_("English label"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("column")
        verbose_name_plural = _("columns")
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["resource", "name"], name="column_once")]

    def __str__(self) -> str:
        return self.name
