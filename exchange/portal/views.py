"""The front page and the health check."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from exchange.portal import directory

NEWEST = 12  # products on the front page


def front(request: HttpRequest) -> HttpResponse:
    """What this exchange is, a search, and the newest of what it lists; no login."""
    newest = directory.PRODUCTS.order_by("-id")[:NEWEST]
    page = {
        "cards": [directory.card(each) for each in newest], "sectors": directory.sectors(),
        "total": directory.PRODUCTS.count(),
    }  # fmt: skip
    return render(request, "portal/front.html", page)


def health(request: HttpRequest) -> JsonResponse:
    """200 where the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok"})
