"""Sub-licences: the second level of a whole-region or sector authorization 二级授权."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from catalog.models.authorizations import Authorization
from exchange.ids import new_id
from exchange.parties.models import Document, Party
from exchange.parties.stateful import Stateful


class SubLicence(Stateful):
    """By it the operator lets a merchant develop under its authorization, from a day until a day (both inclusive)."""

    machine = machines.SUB_LICENCE
    role_paths = {"operator": "authorization__operator"}

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("submitted")
        IN_FORCE = "in_force", _("in force")
        SUSPENDED = "suspended", _("suspended")
        DECLINED = "declined", _("declined")
        WITHDRAWN = "withdrawn", _("withdrawn")
        ENDED = "ended", _("ended")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    authorization = models.ForeignKey(
        Authorization, on_delete=models.PROTECT, related_name="sub_licences", verbose_name=_("authorization")
    )
    merchant = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="sub_licences", verbose_name=_("data merchant")
    )
    scope = models.TextField(_("what is to be developed"), max_length=5_000)
    contract = models.ForeignKey(
        Document, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("contract")
    )
    since = models.DateField(_("from"))
    until = models.DateField(_("until"))
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)

    class Meta:
        verbose_name = _("sub-licence")
        verbose_name_plural = _("sub-licences")
        constraints = [
            models.CheckConstraint(condition=models.Q(until__gte=models.F("since")), name="sub_licence_days"),
            models.UniqueConstraint(
                fields=["authorization", "merchant"],
                condition=models.Q(state__in=("in_force", "suspended")),
                name="one_sub_licence_in_force",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.authorization} · {self.merchant}"

    def facts(self) -> dict[str, Any]:
        return {
            "authorization": self.authorization.code, "merchant": self.merchant.credit_code,
            "since": str(self.since), "until": str(self.until),
        }  # fmt: skip

    @property
    def operator_id(self) -> object:
        return self.authorization.operator_id
