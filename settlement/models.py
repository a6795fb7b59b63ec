"""Queries, stored releases, the ledger, usage, receipts.

The append-only ones are guarded by the database itself (`exchange.audit.append_only`).
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Domain, Product
from exchange.audit.append_only import guarded
from exchange.ids import new_id
from exchange.money import CURRENCY
from exchange.parties.models import Client, Party
from licensing import tariff
from licensing.models import Licence
from licensing.tariff import Tariff


@guarded
class StoredRelease(models.Model):
    """A release as the node signed it, with its result where it has one.

    `key` is the digest of all that determines the answer: the same question under the same policy on the same
    snapshot finds it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    key = models.CharField(max_length=64, db_index=True)
    outcome = models.CharField(_("outcome"), max_length=12)
    code = models.CharField(_("problem"), max_length=40, blank=True)
    jws = models.TextField()
    result = models.BinaryField()
    result_digest = models.CharField(max_length=64, blank=True)
    cells = models.PositiveBigIntegerField()
    suppressed = models.PositiveBigIntegerField()
    journal = models.PositiveBigIntegerField()
    domain = models.ForeignKey(Domain, on_delete=models.PROTECT, null=True)  # whose node signed it
    population = models.CharField(max_length=80, blank=True)  # empty where nothing was debited
    spent = models.PositiveBigIntegerField(default=0)  # by the population in all, this query included
    stored_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        indexes = [models.Index(fields=["domain", "population", "spent"], name="release_latest")]


class MeteredQuery(models.Model):
    """One query that was reserved. Its id is the order's id."""

    class State(models.TextChoices):
        RESERVED = "reserved", _("reserved")  # paid for, not yet answered: uncertain
        SETTLED = "settled", _("settled")
        VOIDED = "voided", _("voided")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="queries")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="queries")
    licence = models.ForeignKey(Licence, on_delete=models.PROTECT, related_name="queries")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="queries")
    idempotency_key = models.CharField(max_length=200)
    body_digest = models.CharField(max_length=64)
    purpose = models.CharField(_("purpose"), max_length=60)
    query = models.JSONField(_("query"))
    outputs = models.JSONField()  # how the answer is shown: query.shown_json
    terms = models.JSONField()  # tariff, shares and their owners, the population and its cost, as they stood then
    snapshot = models.CharField(_("snapshot"), max_length=80)
    release_key = models.CharField(max_length=64)
    order = models.TextField()
    state = models.CharField(_("state"), max_length=8, choices=State, default=State.RESERVED)
    code = models.CharField(_("problem"), max_length=40, blank=True)
    price = models.PositiveBigIntegerField(_("held (minor units)"))
    cells = models.PositiveBigIntegerField(_("cells at most"))
    release = models.ForeignKey(StoredRelease, on_delete=models.PROTECT, null=True, blank=True)
    stored = models.BooleanField(_("from store"), default=False)
    asked_at = models.DateTimeField(_("asked"), auto_now_add=True)
    send_again_at = models.DateTimeField()

    class Meta:
        verbose_name = _("query")
        verbose_name_plural = _("queries")
        constraints = [models.UniqueConstraint(fields=["client", "idempotency_key"], name="query_once")]
        indexes = [models.Index(fields=["send_again_at"], condition=models.Q(state="reserved"), name="query_uncertain")]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def tariff(self) -> Tariff:
        """The tariff as it stood when the query was reserved."""
        return tariff.from_json(self.terms["tariff"])


@guarded
class JoinedProduct(models.Model):
    """A product that a query joins to the one it asks: a call of its own licence, at its own tariff."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    query = models.ForeignKey(MeteredQuery, on_delete=models.PROTECT, related_name="joined", verbose_name=_("query"))
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="joined", verbose_name=_("product"))
    licence = models.ForeignKey(Licence, on_delete=models.PROTECT, related_name="joined", verbose_name=_("licence"))
    snapshot = models.CharField(_("snapshot"), max_length=80)
    terms = models.JSONField()  # tariff, shares and their owners, as they stood then; cost to its licence's share
    price = models.PositiveBigIntegerField(_("price (minor units)"))

    class Meta:
        verbose_name = _("joined product")
        verbose_name_plural = _("joined products")
        constraints = [models.UniqueConstraint(fields=["query", "product"], name="joined_once")]

    def __str__(self) -> str:
        return f"{self.query_id} · {self.product_id}"

    @property
    def tariff(self) -> Tariff:
        """The tariff as it stood when the query was reserved."""
        return tariff.from_json(self.terms["tariff"])


class Account(models.Model):
    """A side of the ledger. Its balance is derived from transfers."""

    class Kind(models.TextChoices):
        WALLET = "wallet", _("prepaid")  # a buyer's money; has a locked Balance
        INCOME = "income", _("income")  # what a party has earned
        CLEARING = "clearing", _("clearing")  # between a buyer's payment and the shares; always ends at 0
        BANK = "bank", _("bank")  # the world outside

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, null=True, blank=True, related_name="accounts")
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    currency = models.CharField(_("currency"), max_length=3, default=CURRENCY)

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.UniqueConstraint(fields=["party", "kind", "currency"], name="account_once"),
            # The exchange's own accounts have no party, and SQL holds two nulls for different.
            models.UniqueConstraint(
                fields=["kind", "currency"], condition=models.Q(party=None), name="own_account_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.party or ''} {self.get_kind_display()}"


class Balance(models.Model):
    """The one mutable row of a wallet, locked by whoever spends; `fsck` re-derives it from the transfers."""

    account = models.OneToOneField(Account, on_delete=models.PROTECT, primary_key=True, related_name="balance")
    credits = models.PositiveBigIntegerField(default=0)
    debits = models.PositiveBigIntegerField(default=0)
    held = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(credits__gte=models.F("debits") + models.F("held")),
                name="wallet_not_overdrawn",
            )
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.credits - self.debits - self.held}"


@guarded
class Transfer(models.Model):
    """Money moves from `debit` to `credit`: double entry by construction.

    A hold moves nothing yet; exactly one post (of at most its amount) or void resolves it.
    """

    class Kind(models.TextChoices):
        TOP_UP = "top_up", _("top-up")
        HOLD = "hold", _("hold")
        POST = "post", _("post")
        VOID = "void", _("void")
        SHARE = "share", _("share")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    debit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="debits", verbose_name=_("from"))
    credit = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="credits", verbose_name=_("to"))
    amount = models.PositiveBigIntegerField(_("amount (minor units)"))
    hold = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="resolved_by")
    query = models.ForeignKey(MeteredQuery, on_delete=models.PROTECT, null=True, blank=True, related_name="transfers")
    role = models.CharField(_("as"), max_length=12, blank=True)
    # Whose price a share is of, where it is not of the product asked.
    joined = models.ForeignKey(
        JoinedProduct, on_delete=models.PROTECT, null=True, blank=True, related_name="transfers",
        verbose_name=_("joined product"),
    )  # fmt: skip
    made_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        constraints = [
            models.UniqueConstraint(
                fields=["hold"], condition=models.Q(kind__in=["post", "void"]), name="hold_resolved_once"
            ),
            models.UniqueConstraint(fields=["query"], condition=models.Q(kind="hold"), name="query_held_once"),
            models.CheckConstraint(condition=~models.Q(debit=models.F("credit")), name="transfer_moves"),
            models.CheckConstraint(
                condition=models.Q(kind__in=["post", "void"], hold__isnull=False)
                | models.Q(kind__in=["top_up", "hold", "share"], hold__isnull=True),
                name="transfer_resolves",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}"


@guarded
class Usage(models.Model):
    """What a query used and what it cost; one row per settled query."""

    query = models.OneToOneField(MeteredQuery, on_delete=models.PROTECT, primary_key=True, related_name="usage")
    licence = models.ForeignKey(Licence, on_delete=models.PROTECT, related_name="usage")
    outcome = models.CharField(_("outcome"), max_length=12)
    calls = models.PositiveIntegerField(_("calls"))
    cells = models.PositiveBigIntegerField(_("cells"))
    lines = models.JSONField(_("lines"))
    amount = models.PositiveBigIntegerField(_("amount (minor units)"))
    currency = models.CharField(_("currency"), max_length=3)
    used_at = models.DateTimeField(_("used"), auto_now_add=True)

    class Meta:
        verbose_name = _("usage")
        verbose_name_plural = _("usage")

    def __str__(self) -> str:
        return f"{self.query_id}: {self.amount}"


@guarded
class Receipt(models.Model):
    """The signed receipt of a settled query, and the log record it stands for."""

    query = models.OneToOneField(MeteredQuery, on_delete=models.PROTECT, primary_key=True, related_name="receipt")
    record = models.UUIDField(unique=True)
    jws = models.TextField()

    class Meta:
        verbose_name = _("receipt")
        verbose_name_plural = _("receipts")

    def __str__(self) -> str:
        return str(self.query_id)
