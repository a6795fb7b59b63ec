"""Registrations by 26号, their items, and what is objected to."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from catalog.models.products import Product
from catalog.models.resources import Resource
from exchange.ids import new_id
from exchange.parties.acts import Stateful
from exchange.parties.models import Document, Party
from exchange.steps import Machine


class Registration(Stateful):
    """An application by 26号 and what became of it; entered, it is what makes a resource or a product registered."""

    class Kind(models.TextChoices):
        FIRST = "first", _("first registration")
        CHANGE = "change", _("change")
        CORRECTION = "correction", _("correction")
        RENEWAL = "renewal", _("renewal")
        CANCELLATION = "cancellation", _("cancellation")

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        APPLIED = "applied", _("applied for")
        RETURNED = "returned", _("material asked for")
        ACCEPTED = "accepted", _("accepted")
        NOTICED = "noticed", _("under public notice")
        IN_FORCE = "in_force", _("in force")
        DONE = "done", _("done")
        DECLINED = "declined", _("declined")
        ENDED = "ended", _("ended")
        WITHDRAWN = "withdrawn", _("withdrawn")
        REPLACED = "replaced", _("replaced")
        CANCELLED = "cancelled", _("cancelled")
        REVOKED = "revoked", _("revoked")

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
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)
    changes = models.JSONField(_("changes"), default=dict, blank=True)
    alike = models.JSONField(_("looks like"), default=dict, editable=False)  # by code, with why: catalog.alike
    asked = models.BooleanField(_("missing material asked for"), default=False, editable=False)
    code = models.CharField(_("registration code"), max_length=60, blank=True, editable=False)
    since = models.DateField(_("from"), null=True, editable=False)
    until = models.DateField(_("until"), null=True, editable=False)
    record = models.UUIDField(null=True, editable=False)  # of the entry; audit names no foreign keys
    certificate = models.TextField(_("certificate"), blank=True, editable=False)  # the receipt of that record

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

    def facts(self) -> dict[str, Any]:
        """Also what a certificate says."""
        subject, resource = self.subject, self.resource or self.subject.resource
        return {
            "kind": self.kind, "of": "resource" if self.resource_id else "product", "subject": subject.code,
            "name_zh": subject.name_zh, "name_en": subject.name_en, "data_class": resource.data_class,
            "registrant": self.registrant.name_zh, "credit_code": self.registrant.credit_code,
            "registrar": self.registrar.name_zh, "code": self.code,
            "since": str(self.since or ""), "until": str(self.until or ""), "alike": sorted(self.alike),
        }  # fmt: skip

    @classmethod
    def machines(cls) -> tuple[Machine, ...]:
        return machines.REGISTRATION, machines.CANCELLATION

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
    role_paths = {"registrar": "registration__registrar"}

    class State(models.TextChoices):
        MADE = "made", _("to be decided")
        UPHELD = "upheld", _("upheld")
        DISMISSED = "dismissed", _("dismissed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    registration = models.ForeignKey(Registration, on_delete=models.PROTECT, related_name="objections")
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.MADE, editable=False)
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

    def facts(self) -> dict[str, Any]:
        return {"registration": str(self.registration_id), "by": self.name}

    @property
    def registrar_id(self) -> object:
        return self.registration.registrar_id


class CodeSeries(models.Model):
    """The last number given in a series of registration codes; locked by whoever takes the next."""

    series = models.CharField(max_length=20, primary_key=True)
    last = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.series}: {self.last}"
