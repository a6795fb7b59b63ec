"""Problem documents (RFC 9457): every error of the API leaves through here.

Whatever has no code of its own becomes `internal`, is logged here in full and says nothing outside.
"""

import json
import logging
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language_from_request
from rest_framework import exceptions
from rest_framework.response import Response

from exchange.errors import Problem

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)

_BY_CLASS: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.NotAuthenticated, "token_missing"),
    (exceptions.AuthenticationFailed, "token_invalid"),
    (exceptions.PermissionDenied, "not_allowed"),
    (exceptions.NotFound, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "media_type_unsupported"),
    (exceptions.Throttled, "too_many_requests"),
    (exceptions.ParseError, "body_malformed"),
    (exceptions.ValidationError, "field_invalid"),
)


def handle(error: Exception, context: dict[str, Any]) -> Response | HttpResponse | None:
    """DRF's exception handler."""
    request = context["request"]
    return respond(as_problem(error), getattr(request, "_request", request))


def as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            fields = error.get_full_details() if isinstance(error, exceptions.ValidationError) else None
            return Problem(code, **({"fields": fields} if fields else {}))
    if type(error).__name__ in ("Http404", "ObjectDoesNotExist"):
        return Problem("not_found")
    _log.error("unexpected error", exc_info=error)
    return Problem("internal")


def respond(problem: Problem, request: HttpRequest) -> HttpResponse:
    """The problem document, in the language the caller prefers."""
    body = json.dumps(problem.document(get_language_from_request(request)), ensure_ascii=False, default=str)
    response = HttpResponse(body, status=problem.status, content_type=MEDIA_TYPE)
    if problem.status == 401:
        response["WWW-Authenticate"] = f'Bearer error="{problem.code}"'
    return response


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return respond(Problem("not_found"), request)


def internal(request: HttpRequest) -> HttpResponse:
    return respond(Problem("internal"), request)
