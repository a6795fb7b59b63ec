"""The second factor of a person, and the codes for when it is lost."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.ids import new_id


class SecondFactor(models.Model):
    """A person's authenticator. Its secret is sealed (`exchange.crypto.sealing`); see `parties.second_factor`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="second_factor", verbose_name=_("user")
    )
    sealed = models.BinaryField(default=b"")
    pending = models.BinaryField(default=b"")  # a secret shown but not yet confirmed by a code
    enrolled_at = models.DateTimeField(_("enrolled"), null=True)
    last_step = models.BigIntegerField(default=0)  # the time step whose code was used last; none is used twice
    failures = models.PositiveIntegerField(default=0)  # in a row
    wait_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("second factor")
        verbose_name_plural = _("second factors")

    def __str__(self) -> str:
        return str(self.user)


class RecoveryCode(models.Model):
    """A code that stands in for the authenticator once. Only its hash is kept: it is 80 random bits."""

    factor = models.ForeignKey(SecondFactor, on_delete=models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)
    used_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["factor", "digest"], name="recovery_code_once")]

    def __str__(self) -> str:
        return str(self.factor)
