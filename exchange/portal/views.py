"""The front page and the health check."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from catalog.views import LISTED


def front(request: HttpRequest) -> HttpResponse:
    """What this exchange is and what it lists; no login."""
    return render(request, "portal/front.html", {"products": LISTED.order_by("code")[:100]})


def health(request: HttpRequest) -> JsonResponse:
    """200 where the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
