"""What every thing with a state machine is made of; steps are taken by `acts`."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from exchange.steps import Machine


class Stateful(models.Model):
    """A thing with a machine. `due_on` is when its next step is due: `clock_days` working days from `clock_from`."""

    machine: ClassVar[Machine]
    # Where a role of the machine is no field of its own; of several paths the thing itself knows which one leads there.
    role_paths: ClassVar[dict[str, str | tuple[str, ...]]] = {}

    state = models.CharField(_("state"), max_length=20, editable=False)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        editable=False,
        related_name="+",
        verbose_name=_("submitted by"),
    )
    clock_from = models.DateField(null=True, editable=False)
    clock_days = models.PositiveIntegerField(default=0, editable=False)
    due_on = models.DateField(_("due"), null=True, editable=False, db_index=True)

    class Meta:
        abstract = True

    @classmethod
    def machines(cls) -> tuple[Machine, ...]:
        """Every machine one of them may have."""
        return (cls.machine,)

    def facts(self) -> dict[str, Any]:
        """What its records say of it, JSON without floats."""
        return {"code": str(getattr(self, "code", ""))}


def platform_id() -> object:
    """The party that runs the exchange now, and so reviews who may be what; None where none is accredited."""
    from exchange.parties.accreditation import platform  # which stands above the models

    found = platform()
    return found and found.pk
