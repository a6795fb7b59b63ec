"""Data items and their sources: one item, one source 一数一源."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from catalog.models.resources import Described, Resource
from exchange.ids import new_id
from exchange.parties.models import Party
from exchange.parties.stateful import Stateful


class DataItem(Described):
    """A data item 数据项: one thing that is known of somebody or something, such as a party's registered address."""

    code = models.SlugField(_("code"), max_length=60, unique=True)
    registrar = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="data_items", verbose_name=_("registrar")
    )

    class Meta:
        verbose_name = _("data item")
        verbose_name_plural = _("data items")


class Claim(Stateful):
    """That a resource is the authoritative source of an item, in one of its columns. One claim per item is upheld."""

    machine = machines.CLAIM
    role_paths = {"registrar": "item__registrar", "holder": "resource__holder"}

    class State(models.TextChoices):
        MADE = "made", _("to be decided")
        UPHELD = "upheld", _("authoritative source")
        DISMISSED = "dismissed", _("not the source")
        REPLACED = "replaced", _("replaced")
        WITHDRAWN = "withdrawn", _("withdrawn")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    item = models.ForeignKey(DataItem, on_delete=models.PROTECT, related_name="claims", verbose_name=_("data item"))
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="claims", verbose_name=_("resource"))
    column = models.CharField(_("column"), max_length=63)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.MADE, editable=False)

    class Meta:
        verbose_name = _("claim to be the source")
        verbose_name_plural = _("claims to be the source")
        constraints = [
            models.UniqueConstraint(fields=["item"], condition=models.Q(state="upheld"), name="one_source_of_an_item"),
            models.UniqueConstraint(
                fields=["item", "resource"],
                condition=models.Q(state__in=("made", "upheld")),
                name="one_claim_of_a_resource",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.item} · {self.resource}"

    def facts(self) -> dict[str, Any]:
        return {"item": self.item.code, "resource": self.resource.code, "column": self.column}

    @property
    def registrar_id(self) -> object:
        return self.item.registrar_id

    @property
    def holder_id(self) -> object:
        return self.resource.holder_id
