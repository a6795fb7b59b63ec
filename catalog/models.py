"""The tables of the catalog. Rules are in `covers` and `registry`, not here."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from exchange.ids import new_id
from exchange.money import BASIS_POINTS
from exchange.parties.acts import Stateful
from exchange.parties.models import Document, Named, Party
from exchange.steps import Machine


class Domain(Named):
    """A data domain 数据域 with its node. The node's public key is what its releases are checked against."""

    code = models.SlugField(_("code"), max_length=60, unique=True)
    node_name = models.CharField(_("node"), max_length=60)
    node_url = models.CharField(_("node address"), max_length=200)
    node_jwk = models.JSONField(_("node's public key"))

    class Meta:
        verbose_name = _("data domain")
        verbose_name_plural = _("data domains")


class Resource(Named):
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

    code = models.SlugField(_("code"), max_length=60, unique=True)
    holder = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="resources", verbose_name=_("data holder"))
    domain = models.ForeignKey(
        Domain, on_delete=models.PROTECT, related_name="resources", verbose_name=_("data domain")
    )
    sector = models.SlugField(_("sector"), max_length=60, blank=True)
    data_class = models.CharField(_("data class"), max_length=12, choices=DataClass, default=DataClass.GENERAL)
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


class Authorization(Named):
    """The legal parent of products (27号). What it covers is `covers.covers`'s to say."""

    class Mode(models.TextChoices):
        FULL = "full", _("whole region")
        SECTOR = "sector", _("one sector")
        SCENARIO = "scenario", _("one scenario")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        IN_FORCE = "in_force", _("in force")
        SUSPENDED = "suspended", _("suspended")
        ENDED = "ended", _("ended")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    mode = models.CharField(_("mode"), max_length=12, choices=Mode)
    authority = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="granted", verbose_name=_("granting authority")
    )
    operator = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="operated", verbose_name=_("operator"))
    merchants = models.ManyToManyField(
        Party, blank=True, related_name="sub_licensed", verbose_name=_("sub-licensed merchants")
    )
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
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.DRAFT)

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


class Product(Named):
    """What buyers ask: some columns of a resource, under a profile, by right of one authorization."""

    class Kind(models.TextChoices):
        AGGREGATE = "aggregate", _("aggregate queries")
        EXTERNAL = "external", _("delivered elsewhere")
        VERIFICATION = "verification", _("verification (reserved)")

    class Use(models.TextChoices):
        """65号: public good is free; industry pays a fee."""

        PUBLIC_GOOD = "public_good", _("public governance and public good")
        INDUSTRY = "industry", _("industry")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        LISTED = "listed", _("listed")
        SUSPENDED = "suspended", _("suspended")
        DELISTED = "delisted", _("delisted")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind, default=Kind.AGGREGATE)
    use = models.CharField(_("class"), max_length=12, choices=Use, default=Use.INDUSTRY)
    authorization = models.ForeignKey(
        Authorization, on_delete=models.PROTECT, related_name="products", verbose_name=_("authorization")
    )
    merchant = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="products", verbose_name=_("data merchant")
    )
    resource = models.ForeignKey(
        Resource, on_delete=models.PROTECT, related_name="products", verbose_name=_("resource")
    )
    columns = models.JSONField(_("columns"), default=list)
    profile = models.CharField(_("profile"), max_length=12)
    threshold = models.PositiveIntegerField(_("least entities in a cell"), default=10)
    rows = models.PositiveIntegerField(_("most rows of an entity that a query reads"), default=1)
    rho = models.PositiveBigIntegerField(_("privacy cost of a query (micro-ρ)"), default=0)
    merchant_share = models.PositiveIntegerField(
        _("merchant's share (1/10,000)"), validators=[MaxValueValidator(BASIS_POINTS)]
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.DRAFT)

    def clean(self) -> None:
        """On `private` a query bounds an entity's rows and has a cost."""
        if self.profile == "private" and not (self.rows and self.rho):
            raise ValidationError({"rho": _("A private product has a privacy cost, and reads at least one row.")})

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")


class Registration(Stateful):
    """An application by 26号 and what became of it; entered, it is what makes a resource or a product registered."""

    class Kind(models.TextChoices):
        FIRST = "first", _("first registration")
        CHANGE = "change", _("change")
        CORRECTION = "correction", _("correction")
        RENEWAL = "renewal", _("renewal")
        CANCELLATION = "cancellation", _("cancellation")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind, default=Kind.FIRST)
    resource = models.ForeignKey(
        Resource, on_delete=models.PROTECT, null=True, blank=True, related_name="registrations",
        verbose_name=_("resource"),
    )  # fmt: skip
    product = models.ForeignKey(
        Product, on_delete=models.PROTECT, null=True, blank=True, related_name="registrations",
        verbose_name=_("product"),
    )  # fmt: skip
    registrant = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="registrations", verbose_name=_("registrant")
    )
    registrar = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="registry", verbose_name=_("registrar"))
    evidenced_on = models.DateField(_("evidence deposited on"), null=True, blank=True)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    asked = models.BooleanField(_("missing material asked for"), default=False, editable=False)
    code = models.CharField(_("registration code"), max_length=60, blank=True, editable=False)
    since = models.DateField(_("from"), null=True, editable=False)
    until = models.DateField(_("until"), null=True, editable=False)

    class Meta:
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(resource=None) ^ models.Q(product=None), name="registration_of_one"
            ),
            models.UniqueConstraint(
                fields=["resource"], condition=models.Q(state__in=machines.OPEN), name="one_open_for_a_resource"
            ),
            models.UniqueConstraint(
                fields=["product"], condition=models.Q(state__in=machines.OPEN), name="one_open_for_a_product"
            ),
            models.UniqueConstraint(
                fields=["resource"], condition=models.Q(state="in_force"), name="one_in_force_for_a_resource"
            ),
            models.UniqueConstraint(
                fields=["product"], condition=models.Q(state="in_force"), name="one_in_force_for_a_product"
            ),
            models.UniqueConstraint(
                fields=["code"], condition=models.Q(state="in_force"), name="registration_code_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.subject}"

    @property
    def machine(self) -> Machine:  # type: ignore[override]
        short = self.kind in (self.Kind.CANCELLATION, self.Kind.CORRECTION)
        return machines.CANCELLATION if short else machines.REGISTRATION

    @property
    def subject(self) -> Resource | Product:
        """What it is of: one of the two, as a constraint says."""
        return self.resource or self.product  # type: ignore[return-value]


class RegistrationItem(models.Model):
    """One of the documents or statements of an application (26号)."""

    class What(models.TextChoices):
        SOURCE = "source", _("legality of the source")
        DESCRIPTION = "description", _("description of the data")
        EVIDENCE = "evidence", _("evidence")
        USES = "uses", _("products and services")
        SCENARIOS = "scenarios", _("application scenarios")
        RISK = "risk", _("risk assessment")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    registration = models.ForeignKey(Registration, on_delete=models.CASCADE, related_name="items")
    what = models.CharField(_("item"), max_length=12, choices=What)
    text = models.TextField(_("statement"), max_length=5_000, blank=True)
    document = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("document")
    )

    class Meta:
        verbose_name = _("item")
        verbose_name_plural = _("items")
        constraints = [models.UniqueConstraint(fields=["registration", "what"], name="registration_item_once")]

    def __str__(self) -> str:
        return self.get_what_display()


class Objection(Stateful):
    """What somebody has against a registration during its public notice: under a real name, with evidence (26号)."""

    machine = machines.OBJECTION

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    registration = models.ForeignKey(Registration, on_delete=models.PROTECT, related_name="objections")
    name = models.CharField(_("name of who objects"), max_length=200)
    contact = models.CharField(_("contact"), max_length=200)
    text = models.TextField(_("objection"), max_length=5_000)
    evidence = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="+", verbose_name=_("evidence"))
    made_on = models.DateField(_("made on"))

    class Meta:
        verbose_name = _("objection")
        verbose_name_plural = _("objections")

    def __str__(self) -> str:
        return f"{self.name}: {self.text[:40]}"

    @property
    def registrar_id(self) -> object:
        return self.registration.registrar_id


class CodeSeries(models.Model):
    """The last number given in a series of registration codes; locked by whoever takes the next."""

    series = models.CharField(max_length=20, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.series}: {self.last}"
