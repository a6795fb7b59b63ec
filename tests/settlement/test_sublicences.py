"""A sub-licence in the chain of a query: suspended or over, it stops the next one."""

from datetime import timedelta

from django.test import Client as Browser
from django.utils import timezone

from catalog import sublicensing
from catalog.models import SubLicence
from exchange.parties.models import Membership
from fixtures import city
from tests.market import BY_STATION, Market


def test_suspending_it_stops_the_next_query(market: Market) -> None:
    assert market.buyer.ask(BY_STATION).status_code == 200
    made = SubLicence.objects.get(authorization=market.authorization, merchant=market.people.merchant)
    sublicensing.do_step(made, "suspend", city.person(market.people.operator), "检查")
    assert market.buyer.ask(BY_STATION).json()["detail"] == "grantee_not_named"
    sublicensing.do_step(made, "resume", city.verified(city.person(market.people.operator, Membership.Duty.APPROVER)))
    SubLicence.objects.filter(pk=made.pk).update(until=timezone.localdate() - timedelta(days=1), since="2026-01-01")
    assert market.buyer.ask(BY_STATION).json()["detail"] == "grantee_not_named"


def test_the_page_of_a_product_says_that_it_can_not_be_asked(market: Market) -> None:
    page = f"/catalog/products/{market.open.code}/"
    shown = Browser(HTTP_HOST="localhost", headers={"accept-language": "en"})
    said = "Not to be asked now"
    assert said not in shown.get(page).content.decode()
    made = SubLicence.objects.get(authorization=market.authorization, merchant=market.people.merchant)
    sublicensing.do_step(made, "end", city.person(market.people.operator), "违约")
    assert said in shown.get(page).content.decode()
