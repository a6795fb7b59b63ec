"""Logging in with a password: guessing is slow."""

from typing import Any

from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

from exchange.api.limits import Rate
from exchange.errors import Problem
from exchange.portal.texts import told

BY_NAME = Rate(per_minute=2, burst=10)  # of one name from one address, so that nobody is locked out by another
BY_ADDRESS = Rate(per_minute=30, burst=100)


class LoginForm(AuthenticationForm):
    """The admin's log-in; too many attempts are refused before the password is looked at."""

    def clean(self) -> dict[str, Any]:
        address = str(self.request.META.get("REMOTE_ADDR"))
        name = self.cleaned_data.get("username", "")
        if not (BY_NAME.allow(f"{address} {name}") and BY_ADDRESS.allow(address)):
            raise ValidationError(told(Problem("too_many_requests")), code="too_many_requests")
        return super().clean()
