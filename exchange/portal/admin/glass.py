"""Breaking the glass: what superusers do in the admin beyond everybody's desks is a record in the log."""

from typing import Any

from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from exchange.audit import log


class ForBreakingGlass(ModelAdmin):
    """Superusers only; nothing is deleted. Each change is on record with who made it, the fields and not the values."""

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(request, obj, "added", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        _record(request, obj, "changed", message)
        return super().log_change(request, obj, message)


def _record(request: HttpRequest, obj: Model, what: str, message: Any) -> None:
    """`message` is Django's own: the names of the fields, as its history page shows them."""
    body = {"v": 1, "actor": str(request.user.pk), "superuser": True, "model": obj._meta.label_lower}
    with transaction.atomic():
        log.append(f"glass.{what}", body | {"object": str(obj.pk), "fields": str(message)})
