"""Products: what merchants list and buyers ask; and their versions."""

from typing import Any

from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines, redevelopment
from catalog.composition import TERMS, Composition
from catalog.models.authorizations import Authorization
from catalog.models.resources import Described, Resource
from exchange.ids import new_id
from exchange.money import BASIS_POINTS
from exchange.parties.models import Party
from exchange.parties.stateful import Stateful
from exchange.sandbox.query import Profile


class Use(models.TextChoices):
    """65号: public good is free; industry pays a fee."""

    PUBLIC_GOOD = "public_good", _("public governance and public good")
    INDUSTRY = "industry", _("industry")


class ProfileChoice(models.TextChoices):
    """sandbox.query.Profile, with words for people."""

    OPEN = Profile.OPEN.value, _("open")
    GUARDED = Profile.GUARDED.value, _("guarded")
    PRIVATE = Profile.PRIVATE.value, _("private")


REVIEWERS = ("authorization__operator", "authorization__authority", "authorization__plan__body")
"""Where the parties are that may review a product; which one does, Product.reviewer says."""


class Composed(models.Model):
    """What a merchant composes: some columns of a resource, under a profile; see `composition`."""

    use = models.CharField(_("class"), max_length=12, choices=Use, default=Use.INDUSTRY)
    resource = models.ForeignKey(
        Resource, on_delete=models.PROTECT, related_name="%(class)ss", verbose_name=_("resource")
    )
    columns = models.JSONField(_("columns"), default=list)
    profile = models.CharField(_("profile"), max_length=12, choices=ProfileChoice)
    threshold = models.PositiveIntegerField(_("least entities in a cell"), default=10)
    rows = models.PositiveIntegerField(_("most rows of an entity that a query reads"), default=1)
    rho = models.PositiveBigIntegerField(_("privacy cost of a query (micro-ρ)"), default=0)
    merchant_share = models.PositiveIntegerField(
        _("merchant's share (1/10,000)"), validators=[MaxValueValidator(BASIS_POINTS)]
    )

    class Meta:
        abstract = True

    @property
    def composition(self) -> Composition:
        return Composition(
            frozenset(self.columns), Profile(self.profile), self.threshold, self.rows, self.rho,
            self.use == Use.PUBLIC_GOOD,
        )  # fmt: skip

    def terms(self) -> dict[str, Any]:
        """As its records say them."""
        found = {name: getattr(self, name) for name in TERMS}
        return found | {"resource": self.resource.code, "columns": sorted(self.columns)}


class Product(Described, Composed, Stateful):
    """What buyers license: its code stays, and its terms are those of its live version, `version`; 0 is none.

    Until the first release its terms are those of the draft.
    """

    machine = machines.PRODUCT
    role_paths = {"reviewer": REVIEWERS}
    Use = Use

    class Kind(models.TextChoices):
        AGGREGATE = "aggregate", _("aggregate queries")
        EXTERNAL = "external", _("delivered elsewhere")
        VERIFICATION = "verification", _("verification (reserved)")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        LISTED = "listed", _("listed")
        SUSPENDED = "suspended", _("suspended")
        DELISTED = "delisted", _("delisted")

    code = models.SlugField(_("code"), max_length=60, unique=True)
    kind = models.CharField(_("kind"), max_length=12, choices=Kind, default=Kind.AGGREGATE)
    authorization = models.ForeignKey(
        Authorization, on_delete=models.PROTECT, related_name="products", verbose_name=_("authorization")
    )
    merchant = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="products", verbose_name=_("data merchant")
    )
    version = models.PositiveIntegerField(_("live version"), default=0, editable=False)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(state="listed") | models.Q(version__gt=0), name="listed_has_a_live_version"
            )
        ]

    @property
    def offered(self) -> bool:
        """Whether buyers may ask it: it is listed, and a version of it is live."""
        return self.state == self.State.LISTED and self.version > 0

    @property
    def reviewer(self) -> Party:
        """Who reviews what is delivered (27号, the agreement's item 3): the operator, unless it and the merchant are
        one or control one another; then the implementing body, and without a plan the authority."""
        authorization = self.authorization
        if redevelopment.independent(str(authorization.operator_id), str(self.merchant_id), controlled_by()):
            return authorization.operator
        return authorization.plan.body if authorization.plan else authorization.authority

    @property
    def reviewer_id(self) -> object:
        return self.reviewer.pk


class Version(Composed, Stateful):
    """A product's terms as one version has them, from draft to review to release; live, it is frozen."""

    machine = machines.VERSION
    role_paths = {
        "merchant": "product__merchant",
        "reviewer": tuple(f"product__{path}" for path in REVIEWERS),
    }

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("under review")
        SENT_BACK = "sent_back", _("sent back")
        APPROVED = "approved", _("approved")
        LIVE = "live", _("live")
        REPLACED = "replaced", _("replaced")
        WITHDRAWN = "withdrawn", _("withdrawn")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="versions", verbose_name=_("product"))
    number = models.PositiveIntegerField(_("number"), editable=False)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)
    note = models.TextField(_("what is new"), max_length=2_000, blank=True)
    bases = models.ManyToManyField(Product, blank=True, related_name="used_by", verbose_name=_("made from products"))
    # How often it was submitted: sample answers are of what was submitted last.
    submission = models.PositiveIntegerField(default=0, editable=False)
    unsampled = models.TextField(_("why there is no sample answer"), blank=True, editable=False)

    class Meta:
        verbose_name = _("product version")
        verbose_name_plural = _("product versions")
        constraints = [
            models.UniqueConstraint(fields=["product", "number"], name="version_number_once"),
            models.UniqueConstraint(
                fields=["product"], condition=models.Q(state__in=machines.IN_MAKING), name="one_version_in_making"
            ),
            models.UniqueConstraint(fields=["product"], condition=models.Q(state="live"), name="one_live_version"),
        ]

    def __str__(self) -> str:
        return f"{self.product} · {self.number}"

    def facts(self) -> dict[str, Any]:
        """Its whole terms: what was reviewed and released can be proved."""
        bases = sorted(self.bases.values_list("code", flat=True))
        return {"code": self.product.code, "number": self.number, "terms": self.terms(), "bases": bases}

    @property
    def merchant_id(self) -> object:
        return self.product.merchant_id

    @property
    def reviewer(self) -> Party:
        return self.product.reviewer

    @property
    def reviewer_id(self) -> object:
        return self.product.reviewer_id


class Sample(models.Model):
    """What became of one standard question during a version's delivery review: a query of its own, by the metered path.

    `query` is that query, `code` the problem it ended with; settlement writes both, which the catalog does not know.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    version = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="samples")
    submission = models.PositiveIntegerField()
    question = models.TextField(_("question"))
    attempt = models.PositiveIntegerField(default=0)
    query = models.UUIDField(null=True)
    code = models.CharField(_("problem"), max_length=40, blank=True)
    cost = models.PositiveBigIntegerField(_("privacy cost"), default=0)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)

    class Meta:
        verbose_name = _("sample answer")
        verbose_name_plural = _("sample answers")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["version", "submission", "question"], name="sample_once")]

    def __str__(self) -> str:
        return self.question

    @property
    def delivered(self) -> bool:
        return self.query is not None and not self.code


def controlled_by() -> dict[str, str]:
    """Every party that another controls, with that other."""
    known = Party.objects.exclude(controlled_by=None).values_list("pk", "controlled_by")
    return {str(party): str(other) for party, other in known}
