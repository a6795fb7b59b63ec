"""The demand board: what buyers look for, and what merchants answer."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import machines
from catalog.models.products import Product
from exchange.ids import new_id
from exchange.parties.acts import Stateful
from exchange.parties.models import Party


class Demand(Stateful):
    """A need that a buyer posts. Public once the moderator published it; the contact never is."""

    machine = machines.DEMAND

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("submitted")
        PUBLISHED = "published", _("published")
        WITHDRAWN = "withdrawn", _("withdrawn")
        TAKEN_DOWN = "taken_down", _("taken down")
        CLOSED = "closed", _("closed")
        EXPIRED = "expired", _("expired")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    title_zh = models.CharField(_("Chinese title"), max_length=200)
    title_en = models.CharField(_("English title"), max_length=200, blank=True)
    text_zh = models.TextField(_("what is needed, in Chinese"), max_length=5_000)
    text_en = models.TextField(_("what is needed, in English"), max_length=5_000, blank=True)
    sector = models.SlugField(_("sector"), max_length=60, blank=True)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="demands", verbose_name=_("buyer"))
    moderator = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="moderated", verbose_name=_("moderator (operator or platform)")
    )
    contact = models.CharField(_("contact, for the merchant whose answer is accepted"), max_length=200)
    until = models.DateField(_("open until"))
    published_on = models.DateField(_("published on"), null=True, editable=False)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.DRAFT, editable=False)

    class Meta:
        verbose_name = _("demand")
        verbose_name_plural = _("demands")
        indexes = [models.Index(fields=["state", "-published_on"], name="demand_board")]

    def __str__(self) -> str:
        return self.title_zh

    def facts(self) -> dict[str, Any]:
        return {"party": str(self.party_id), "title_zh": self.title_zh, "until": str(self.until)}


class Answer(Stateful):
    """A merchant's answer to a demand: one of its listed products, a proposal in words, or both."""

    machine = machines.ANSWER
    role_paths = {"poster": "demand__party"}

    class State(models.TextChoices):
        MADE = "made", _("to be decided")
        ACCEPTED = "accepted", _("answer accepted")
        DECLINED = "declined", _("answer declined")
        WITHDRAWN = "withdrawn", _("withdrawn")
        LAPSED = "lapsed", _("lapsed")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    demand = models.ForeignKey(Demand, on_delete=models.PROTECT, related_name="answers", verbose_name=_("demand"))
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="answers", verbose_name=_("data merchant"))
    product = models.ForeignKey(
        Product, on_delete=models.PROTECT, null=True, blank=True, related_name="answers", verbose_name=_("product")
    )
    text = models.TextField(_("proposal"), max_length=5_000, blank=True)
    made_on = models.DateField(_("made on"), editable=False)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.MADE, editable=False)

    class Meta:
        verbose_name = _("answer to a demand")
        verbose_name_plural = _("answers to demands")
        constraints = [
            models.UniqueConstraint(
                fields=["demand", "party"], condition=models.Q(state="made"), name="one_open_answer_of_a_merchant"
            )
        ]

    def __str__(self) -> str:
        return f"{self.party} → {self.demand}"

    def facts(self) -> dict[str, Any]:
        return {"demand": str(self.demand_id), "party": str(self.party_id), "product": str(self.product_id or "")}

    @property
    def poster_id(self) -> object:
        """The party that decides: whose demand it is."""
        return self.demand.party_id
