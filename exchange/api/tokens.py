"""OAuth2 client credentials: the token endpoint, and who a token speaks for."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from oauth2_provider.models import get_access_token_model
from oauth2_provider.views import TokenView as BaseTokenView
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from exchange.api.limits import Rate
from exchange.api.problems import respond
from exchange.errors import Problem
from exchange.parties.models import Party
from exchange.parties.tally import count
from exchange.statements import Arg, Select

TOKEN_RATE = Rate(per_minute=60, burst=30)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated API client and the party it acts for. It stands where DRF expects a user."""

    client: UUID
    party: UUID

    is_authenticated = True
    is_active = True

    @property
    def pk(self) -> UUID:
        return self.client


class ClientAuthentication(BaseAuthentication):
    """A bearer token made by client credentials. Unknown callers are counted, not logged."""

    def authenticate(self, request: Request) -> tuple[Caller, str]:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            count("token_missing")
            raise Problem("token_missing", hint="Send `Authorization: Bearer …` with a token from /oauth/token.")
        return caller_of(token), token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def caller_of(token: str) -> Caller:
    """Who a bearer token speaks for. Raises Problem token_invalid or token_expired.

    The token is found by its hash, so no comparison of secrets takes place whose time could tell.
    """
    checksum = hashlib.sha256(token.encode()).hexdigest()
    found = _token().first(checksum=checksum)
    if found is None or "query" not in found[3].split():
        count("token_invalid")
        raise Problem("token_invalid")
    expires, client, party, _scope = found
    if expires <= timezone.now():
        count("token_expired")
        raise Problem("token_expired", hint="Ask /oauth/token for another; a token lives ten minutes.")
    return Caller(client, party)


@cache
def _token() -> Select[Any]:
    tokens = get_access_token_model().objects.filter(token_checksum=Arg("checksum"))
    return Select(
        tokens.filter(application__party__state=Party.State.ACTIVE).values_list(
            "expires", "application_id", "application__party_id", "scope"
        )
    )


@method_decorator(csrf_exempt, name="dispatch")
class TokenView(BaseTokenView):
    """POST /oauth/token with grant_type=client_credentials. Rate-limited per client address."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not TOKEN_RATE.allow(request.META.get("REMOTE_ADDR", "")):
            return respond(Problem("too_many_requests", hint="A token lives ten minutes: keep it."), request)
        if request.POST.get("grant_type") != "client_credentials":
            return respond(Problem("field_invalid", "grant_type: client_credentials only"), request)
        response = super().post(request, *args, **kwargs)
        if response.status_code == 401:
            count("client_invalid")
            # RFC 6749 §5.2 wants `error`; the problem document carries it as a member.
            error = json.loads(response.content or b"{}").get("error", "invalid_client")
            return respond(Problem("client_invalid", error=error), request)
        return response


class ClientAuthenticationScheme(OpenApiAuthenticationExtension):
    """How the OpenAPI document names it."""

    target_class = "exchange.api.tokens.ClientAuthentication"
    name = "clientCredentials"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        flow = {"tokenUrl": "/oauth/token", "scopes": {"query": "Query and verify"}}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}
