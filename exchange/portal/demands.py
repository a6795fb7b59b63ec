"""The demand board for everybody: what buyers look for. Posting and answering is done at the desks."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from catalog import demands
from catalog.models import Answer, Demand, Product
from exchange.portal import directory, labels
from exchange.portal.texts import described, named

PAGE = 20
_BOARD = demands.BOARD.annotate(number=Count("answers"))


def board(request: HttpRequest) -> HttpResponse:
    """GET /demands/: what is published now, the newest first."""
    pages = Paginator(_BOARD.order_by("-published_on", "-id"), PAGE)
    number = directory.asked(request.GET).page
    if number > pages.num_pages:
        raise Http404
    shown = pages.page(number)
    shown.object_list = [_shown(each) for each in shown.object_list]
    return render(request, "portal/demands.html", {"demands": shown, "pages": pages.num_pages})


def demand(request: HttpRequest, pk: Any) -> HttpResponse:
    """GET /demands/ID/: one of them. Of the answers only their number and accepted products are public."""
    found = get_object_or_404(_BOARD, pk=pk)
    accepted = Product.objects.filter(
        answers__demand=found, answers__state=Answer.State.ACCEPTED, state=Product.State.LISTED
    )
    products = [(named(each), directory.address(each)) for each in accepted.distinct().order_by("code")]
    return render(request, "portal/demand.html", {"demand": _shown(found), "products": products})


def _shown(found: Demand) -> Demand:
    found.title, found.text = described(found, "title"), described(found, "text")
    found.who, found.sector_name = named(found.party), labels.sector(found.sector)
    return found
