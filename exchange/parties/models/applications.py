"""Applications to be a party, what they ask for, and confirmations by mail."""

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.ids import new_id
from exchange.parties import machines
from exchange.parties.models.people import Document, Named, Party, Role, check_credit_code
from exchange.parties.stateful import Stateful, platform_id

PHONE = RegexValidator(r"^\+?[0-9][0-9 ()-]{5,29}$", _("Not a telephone number."))


class Application(Named, Stateful):
    """That an organization wants to be a party, or a party wants to be more or for longer; and what became of it."""

    machine = machines.APPLICATION

    class State(models.TextChoices):
        APPLIED = "applied", _("to be confirmed by e-mail")
        CONFIRMED = "confirmed", _("being prepared")
        REFERRED = "referred", _("referred to the party's administrator")
        SUBMITTED = "submitted", _("submitted")
        RETURNED = "returned", _("more material asked for")
        ACCREDITED = "accredited", _("accredited")
        DECLINED = "declined", _("not approved")
        WITHDRAWN = "withdrawn", _("withdrawn")
        LAPSED = "lapsed", _("lapsed")

    party = models.ForeignKey(
        Party, on_delete=models.PROTECT, null=True, editable=False, related_name="applications", verbose_name=_("party")
    )  # its applicant where it is there already, else what became of it
    credit_code = models.CharField(_("unified social credit code"), max_length=18, validators=[check_credit_code])
    contact = models.CharField(_("contact person"), max_length=100)
    email = models.EmailField(_("e-mail"), max_length=150, blank=True, db_index=True)  # to be the login name, so 150
    phone = models.CharField(_("telephone"), max_length=30, validators=[PHONE])
    password = models.CharField(max_length=128, editable=False)  # its hash, until there is a user who has it
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.APPLIED, editable=False)
    answer = models.TextField(_("answer"), blank=True, editable=False)  # why material is asked for, or it is declined
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    moved_at = models.DateTimeField(_("last step"), auto_now=True)

    class Meta:
        verbose_name = _("application for accreditation")
        verbose_name_plural = _("applications for accreditation")

    def facts(self) -> dict[str, Any]:
        """The person is left out: records are kept for good, and a person's data are not."""
        roles = {wish.role: wish.decision for wish in self.roles.all()}
        return {"name_zh": self.name_zh, "credit_code": self.credit_code, "roles": roles}

    @property
    def platform_id(self) -> object:
        """Who reviews it."""
        return platform_id()


class RequestedRole(models.Model):
    """A role that an application asks for, and how the reviewer decided."""

    class Decision(models.TextChoices):
        OPEN = "", _("to be decided")
        GRANTED = "granted", _("granted")
        DECLINED = "declined", _("not granted")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="roles")
    role = models.CharField(_("role"), max_length=12, choices=Role)
    decision = models.CharField(_("decision"), max_length=12, choices=Decision, blank=True)
    until = models.DateField(_("until"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("requested role")
        verbose_name_plural = _("requested roles")
        constraints = [models.UniqueConstraint(fields=["application", "role"], name="requested_role_once")]

    def __str__(self) -> str:
        return self.get_role_display()


class ApplicationDocument(models.Model):
    """A document of an application; the reviewer's, since there is no party yet."""

    class What(models.TextChoices):
        LICENCE = "licence", _("business licence or certificate of the credit code")
        MANDATE = "mandate", _("mandate of the contact person")
        OTHER = "other", _("other")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="documents")
    what = models.CharField(_("what it is"), max_length=12, choices=What)
    document = models.ForeignKey(Document, on_delete=models.PROTECT, related_name="+", verbose_name=_("document"))

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")

    def __str__(self) -> str:
        return f"{self.get_what_display()}: {self.document}"


class Confirmation(models.Model):
    """A link mailed to an address, good once and for some days. Only the token's hash is kept; see `confirmations`."""

    class Purpose(models.TextChoices):
        CONFIRM = "confirm", _("confirm the address of an application")
        RESUME = "resume", _("go on with an application")
        JOIN = "join", _("join a party")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    purpose = models.CharField(_("purpose"), max_length=12, choices=Purpose)
    email = models.EmailField(_("e-mail"), max_length=150, db_index=True)
    application = models.ForeignKey(Application, on_delete=models.PROTECT, null=True, related_name="+")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("party"))
    duties = models.JSONField(_("duties"), default=list)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    digest = models.CharField(max_length=64, null=True, unique=True)  # none until it is sent
    expires_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("confirmation")
        verbose_name_plural = _("confirmations")

    def __str__(self) -> str:
        return f"{self.email}: {self.get_purpose_display()}"
