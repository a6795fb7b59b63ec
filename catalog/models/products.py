"""Products: what merchants list and buyers ask."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models.authorizations import Authorization
from catalog.models.resources import Described, Resource
from exchange.money import BASIS_POINTS
from exchange.parties.models import Party


class Product(Described):
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
