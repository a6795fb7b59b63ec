"""Parties, people, clients; documents, notices, mail."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _
from oauth2_provider.models import AbstractApplication

from exchange.ids import new_id
from exchange.parties import machines, uscc
from exchange.parties.stateful import Stateful, platform_id


def check_credit_code(code: str) -> None:
    if not uscc.is_valid(code):
        raise ValidationError(_("Not a valid unified social credit code."), code="credit_code")


class Named(models.Model):
    """A thing with a UUIDv7 and a name in Chinese and, if given, in English."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name_zh = models.CharField(_("Chinese name"), max_length=200)
    name_en = models.CharField(_("English name"), max_length=200, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name_zh


class Role(models.TextChoices):
    """What a party may be, by accreditation (docs/terms.md)."""

    HOLDER = "holder", _("data holder")
    AUTHORITY = "authority", _("granting authority")
    OPERATOR = "operator", _("operator")
    MERCHANT = "merchant", _("data merchant")
    BUYER = "buyer", _("buyer")
    REGISTRAR = "registrar", _("registrar")
    REGULATOR = "regulator", _("regulator")
    PLATFORM = "platform", _("platform")


class Party(Named, Stateful):
    """An organization. Never deleted: it has states."""

    machine = machines.PARTY

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        SUSPENDED = "suspended", _("suspended")

    credit_code = models.CharField(
        _("unified social credit code"), max_length=18, unique=True, validators=[check_credit_code]
    )
    # Whoever controls a party takes part in what it does (27号: direct or indirect).
    controlled_by = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="controls",
        verbose_name=_("controlled by"),
    )  # fmt: skip
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.ACTIVE, editable=False)

    class Meta:
        verbose_name = _("party")
        verbose_name_plural = _("parties")

    def facts(self) -> dict[str, Any]:
        return {"credit_code": self.credit_code, "name_zh": self.name_zh}

    @property
    def platform_id(self) -> object:
        """Who suspends it."""
        return platform_id()


class User(AbstractUser):
    """A person. What they may do, they may do for the party of their membership."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")


class Membership(Stateful):
    """A person's place in a party."""

    machine = machines.MEMBERSHIP

    class State(models.TextChoices):
        IN_FORCE = "in_force", _("in force")
        ENDED = "ended", _("ended")

    class Duty(models.TextChoices):
        EDITOR = "editor", _("prepares and submits")
        APPROVER = "approver", _("approves")
        ADMINISTRATOR = "administrator", _("admits people")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="memberships")
    duty = models.CharField(_("duty"), max_length=15, choices=Duty, default=Duty.EDITOR)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.IN_FORCE, editable=False)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "party", "duty"], condition=models.Q(state="in_force"), name="membership_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.party}"

    def facts(self) -> dict[str, Any]:
        return {"party": str(self.party_id), "user": str(self.user_id), "duty": self.duty}


class Accreditation(Stateful):
    """That a party may be something, from a day until a day (Asia/Shanghai). The days decide; see `accreditation`."""

    machine = machines.ACCREDITATION

    class State(models.TextChoices):
        IN_FORCE = "in_force", _("in force")
        ENDED = "ended", _("ended")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="accreditations")
    role = models.CharField(_("role"), max_length=12, choices=Role)
    since = models.DateField(_("from"))
    until = models.DateField(_("until"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.IN_FORCE, editable=False)

    class Meta:
        verbose_name = _("accreditation")
        verbose_name_plural = _("accreditations")

    def __str__(self) -> str:
        return f"{self.party}: {self.get_role_display()}"

    def facts(self) -> dict[str, Any]:
        since, until = str(self.since), str(self.until or "")
        return {"party": str(self.party_id), "role": self.role, "since": since, "until": until}

    @property
    def platform_id(self) -> object:
        """Who ends it."""
        return platform_id()


class Client(AbstractApplication):
    """An OAuth client. It acts for exactly one party; its tokens have no user."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="clients")

    class Meta:
        verbose_name = _("API client")
        verbose_name_plural = _("API clients")


class Document(models.Model):
    """A file, kept once under its SHA-256; see `documents`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="documents")
    name = models.CharField(_("name"), max_length=200)
    media_type = models.CharField(_("type"), max_length=100)
    size = models.PositiveBigIntegerField(_("bytes"))
    sha256 = models.CharField(max_length=64, db_index=True)
    added_at = models.DateTimeField(_("added"), auto_now_add=True)
    added_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, blank=True, related_name="+")

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")

    def __str__(self) -> str:
        return self.name


class Notice(models.Model):
    """A row in a party's inbox."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="notices")
    kind = models.CharField(_("kind"), max_length=60)
    text_zh = models.TextField()
    text_en = models.TextField()
    made_at = models.DateTimeField(_("made"), auto_now_add=True)
    read_at = models.DateTimeField(_("read"), null=True, blank=True)

    class Meta:
        verbose_name = _("notice")
        verbose_name_plural = _("notices")

    def __str__(self) -> str:
        return self.text_zh[:60]


class Mail(models.Model):
    """An e-mail to send: written in the transaction of what it tells, sent by the worker."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    made_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("mail")
        verbose_name_plural = _("mail")

    def __str__(self) -> str:
        return f"{self.to}: {self.subject}"


class Day(models.Model):
    """A day that is worked though it is a weekend, or not though it is none; see `days`."""

    day = models.DateField(_("day"), primary_key=True)
    worked = models.BooleanField(_("worked"))
    name = models.CharField(_("name"), max_length=60, blank=True)
    provisional = models.BooleanField(_("not yet announced"), default=False, editable=False)
    edited = models.BooleanField(_("edited"), default=False, editable=False)

    class Meta:
        verbose_name = _("exceptional day")
        verbose_name_plural = _("exceptional days")
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} {self.name}"


class Tally(models.Model):
    """How many unknown callers came in a day, by kind."""

    day = models.DateField()
    kind = models.CharField(max_length=40)
    number = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "kind"], name="tally_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.kind}: {self.number}"
