"""Records, their leaves and checkpoints. Rules live in log, sequencer and append_only."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.audit.append_only import guarded
from exchange.ids import new_id


@guarded
class Record(models.Model):
    """One decision or change. `entry` is its leaf in the log: public, and a commitment to its body."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(_("kind"), max_length=64)
    time = models.DateTimeField(_("time"))
    licence = models.CharField(_("licence pseudonym"), max_length=64, null=True)
    seq = models.BigIntegerField(_("number within the licence"), null=True)
    entry = models.TextField(_("log entry"))

    class Meta:
        verbose_name = _("record")
        verbose_name_plural = _("records")
        constraints = [models.UniqueConstraint(fields=["licence", "seq"], name="audit_record_numbered_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@guarded
class RecordBody(models.Model):
    """What was recorded (canonical JSON) and the salt of its commitment, apart so that both can be erased."""

    record = models.OneToOneField(Record, models.DO_NOTHING, primary_key=True, related_name="content")
    body = models.TextField(_("body"))
    salt = models.BinaryField(_("salt"), max_length=32)

    class Meta:
        verbose_name = _("record body")
        verbose_name_plural = _("record bodies")

    def __str__(self) -> str:
        return f"body of {self.record_id}"


@guarded
class About(models.Model):
    """The object a record is about, by its id: audit knows no foreign keys. With it an object has its history."""

    record = models.OneToOneField(Record, models.DO_NOTHING, primary_key=True, related_name="about")
    thing = models.UUIDField(_("object"), db_index=True)

    class Meta:
        verbose_name = _("what a record is about")
        verbose_name_plural = _("what records are about")

    def __str__(self) -> str:
        return str(self.thing)


class Unsequenced(models.Model):
    """The sequencer's queue: a row comes with its record and goes when the record gets its leaf.

    A search for records without a leaf gets slow as the log grows, and a watermark skips late commits.
    """

    record = models.OneToOneField(Record, models.DO_NOTHING, primary_key=True, related_name="waiting")

    class Meta:
        verbose_name = _("unsequenced record")
        verbose_name_plural = _("unsequenced records")

    def __str__(self) -> str:
        return str(self.record_id)


@guarded
class Leaf(models.Model):
    """A record's place in the log."""

    index = models.BigIntegerField(_("index"), primary_key=True)
    record = models.OneToOneField(Record, models.DO_NOTHING, related_name="leaf")
    hash = models.BinaryField(_("leaf hash"), max_length=32)

    class Meta:
        verbose_name = _("leaf")
        verbose_name_plural = _("leaves")

    def __str__(self) -> str:
        return str(self.index)


@guarded
class TileHash(models.Model):
    """The hash of a full tile of the level below, at its place in `level`, which is 1 or more."""

    pk = models.CompositePrimaryKey("level", "place")
    level = models.SmallIntegerField()
    place = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return f"{self.level}/{self.place}"


@guarded
class Checkpoint(models.Model):
    """A signed state of the log: the note as published."""

    size = models.BigIntegerField(_("size"), primary_key=True)
    root = models.BinaryField(_("root"), max_length=32)
    note = models.TextField(_("signed note"))
    time = models.DateTimeField(_("time"))

    class Meta:
        verbose_name = _("checkpoint")
        verbose_name_plural = _("checkpoints")

    def __str__(self) -> str:
        return str(self.size)


@guarded
class VerificationKey(models.Model):
    """A public key of ours, kept for ever. The newest of a purpose is in use, the others are retired."""

    kid = models.CharField(_("key id"), primary_key=True, max_length=64)
    purpose = models.CharField(_("purpose"), max_length=16)
    jwk = models.JSONField(_("public key"))
    since = models.DateTimeField(_("in use since"))

    class Meta:
        verbose_name = _("verification key")
        verbose_name_plural = _("verification keys")

    def __str__(self) -> str:
        return f"{self.purpose} {self.kid}"
