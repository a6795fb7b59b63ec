"""Invariant 9: nobody reads or changes an object of another party without a right to it.

Two tables say who gets which status from every endpoint; a URL without a row fails. The stranger's party is
accredited as everything and owns nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template.response import SimpleTemplateResponse
from django.test import Client as Browser
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from catalog import authorizing
from catalog.models import Answer, Claim, DataItem, Demand, Objection, Resource
from exchange.audit import sequencer
from exchange.audit.models import Checkpoint, Record
from exchange.parties.documents import store
from exchange.parties.models import Accreditation, Application, Day, Membership, Party, Role, User
from exchange.parties.notices import tell
from fixtures import city
from settlement.models import JoinedProduct, MeteredQuery, Transfer, Usage
from tests.market import BY_STATION, PURPOSE, Market

CALLERS = ("nobody", "expired", "stranger", "buyer")
# The status for each caller; POST where the name says so. Objects in the path are the buyer's.
API = {
    "front": (200, 200, 200, 200),
    "catalog": (200, 200, 200, 200),
    "catalog-json": (200, 200, 200, 200),
    "catalog-resource": (200, 200, 200, 200),
    "catalog-product": (200, 200, 200, 200),
    "authorizations": (200, 200, 200, 200),
    "authorization": (200, 200, 200, 200),
    "zones": (200, 200, 200, 200),
    "zone": (404, 404, 404, 404),  # an authorization that is none; tests/portal/test_zones.py has one
    "demands": (200, 200, 200, 200),
    "demand": (404, 404, 404, 404),  # what is not on the board; tests/portal/test_demands.py has one that is
    "dcat": (200, 200, 200, 200),
    "dcat-document": (200, 200, 200, 200),
    "sitemap": (200, 200, 200, 200),
    "sitemap-part": (200, 200, 200, 200),
    "robots": (200, 200, 200, 200),
    "notices": (200, 200, 200, 200),
    "notice": (404, 404, 404, 404),  # what is not under notice; tests/portal/test_hall.py has one that is
    "certificate": (200, 200, 200, 200),
    "certificate-part": (200, 200, 200, 200),
    "set_language": (302, 302, 302, 302),  # changes by POST only, and for oneself
    "apply": (200, 200, 200, 200),
    "apply-again": (200, 200, 200, 200),
    "confirm": (403, 403, 403, 403),  # a made-up link; tests/portal/test_onboarding.py has good ones
    "application": (302, 302, 302, 302),  # only for a session that opened a link
    "parties": (302, 302, 302, 302),  # to the login page, as the next two; test_onboarding.py has who is logged in
    "own-application": (302, 302, 302, 302),
    "document": (302, 302, 302, 302),
    "second-factor": (302, 302, 302, 302),  # to the login page; tests/portal/test_second_factor.py has who is logged in
    "health": (200, 200, 200, 200),
    "schema": (200, 200, 200, 200),
    "api-docs": (200, 200, 200, 200),
    "log-checkpoint": (200, 200, 200, 200),
    "log-tile": (200, 200, 200, 200),
    "log-vkey": (200, 200, 200, 200),
    "jwks": (200, 200, 200, 200),
    "token": (401, 401, 401, 401),  # a token makes no tokens, only a client's secret does
    "queries": (401, 401, 403, 200),
    "prices": (401, 401, 403, 200),
    "query": (401, 401, 404, 200),
    "query-release": (401, 401, 404, 200),
    "query-receipt": (401, 401, 404, 200),
    "query-proof": (401, 401, 404, 200),
    "products": (401, 401, 200, 200),
    "product": (401, 401, 200, 200),
}
POSTED = {
    "token": {"data": "grant_type=client_credentials", "content_type": "application/x-www-form-urlencoded"},
    "queries": {"data": {"sql": BY_STATION, "purpose": PURPOSE}, "content_type": "application/json"},
    "prices": {"data": {"sql": BY_STATION, "purpose": PURPOSE}, "content_type": "application/json"},
}

PEOPLE = ("stranger", "buyer", "merchant", "holder", "operator", "authority", "platform", "root")
# The admin, by model: who finds the object, who may add one, who may change it. Nobody may delete.
# `root` breaks the glass.
ADMIN = {
    "catalog.resource": ("holder root", "stranger holder root", "holder root"),
    "catalog.authorization": ("authority operator root", "stranger authority root", "root"),  # it is in force
    "catalog.plan": ("authority root", "stranger authority root", "root"),  # it is filed
    "catalog.registration": ("holder root", "stranger holder merchant operator root", "root"),  # it is in force
    "catalog.objection": ("root", "", ""),
    "parties.day": (
        "stranger buyer merchant holder operator authority platform root",
        "stranger root",
        "stranger root",
    ),
    "catalog.product": ("merchant operator authority root", "", ""),  # its terms are its version's
    "catalog.version": ("merchant operator authority root", "stranger merchant root", ""),  # it is live
    "catalog.sublicence": ("merchant operator root", "stranger merchant operator root", "root"),  # it is in force
    "catalog.dataitem": ("stranger buyer merchant holder operator authority platform root", "stranger root", "root"),
    "catalog.claim": ("holder root", "stranger holder root", "root"),
    "catalog.demand": ("buyer operator root", "stranger buyer root", "root"),  # it was closed
    "catalog.answer": ("buyer merchant root", "stranger merchant root", "root"),
    "catalog.snapshot": ("holder root", "", ""),
    "licensing.licence": ("merchant buyer root", "stranger merchant root", "merchant root"),
    "settlement.meteredquery": ("buyer merchant holder operator root", "", ""),
    "settlement.usage": ("buyer merchant operator root", "", ""),
    "settlement.joinedproduct": ("buyer merchant holder operator root", "", ""),
    "settlement.transfer": ("buyer root", "", ""),
    "parties.application": ("buyer platform root", "", "platform root"),
    "parties.party": ("buyer platform root", "root", "root"),
    "parties.accreditation": ("buyer platform root", "root", "root"),
    "parties.notice": ("buyer root", "", ""),
    "parties.client": ("buyer root", "", ""),
    "parties.document": ("buyer root", "", ""),
}
# Models that only `root` may look at, and whether it may add and change.
ROOT_ONLY = {
    "audit.record": False, "audit.checkpoint": False, "settlement.account": True, "auth.group": True,
    "parties.user": True, "parties.membership": True, "catalog.domain": True,
}  # fmt: skip
# Django's groups hold nothing of ours.
MAY_DELETE = {("auth.group", "root")}
# The admin's own pages: for nobody, for staff, for `root`.
PAGES = {
    "admin/": (302, 200, 200),
    "admin/login/": (200, 302, 302),
    "admin/search/": (302, 200, 200),  # the theme's: desks by name
    "admin/logout/": (302, 405, 405),  # by POST only
    "admin/password_change/": (302, 200, 200),
    "admin/password_change/done/": (302, 200, 200),
    "admin/catalog/version/<path:object_id>/samples/": (302, 405, 405),  # by POST only
    "admin/autocomplete/": (302, 403, 403),
    "admin/jsi18n/": (302, 200, 200),
    "admin/r/<path:content_type_id>/<path:object_id>/": (302, 404, 404),  # our objects have no other page
    "admin/^(?P<app_label>…)/$": (302, 200, 200),
    "admin/parties/user/<id>/password/": (302, 403, 200),
    "admin/(?P<url>.*)$": (302, 404, 404),
}
MODEL_PAGES = ("", "add/", "<path:object_id>/", "<path:object_id>/change/", "<path:object_id>/history/",
               "<path:object_id>/delete/")  # fmt: skip

# What has a machine has a page for each step, here of publishing: for whom it is open; the others are led back.
STEPPED = {
    "catalog.plan": "", "catalog.authorization": "", "catalog.registration": "", "catalog.objection": "",
    "catalog.demand": "", "catalog.answer": "", "catalog.claim": "", "parties.application": "", "parties.party": "",
    "catalog.product": "", "catalog.sublicence": "", "catalog.version": "",
    "parties.accreditation": "",
}  # fmt: skip
STEP = "<path:object_id>/step/<slug:name>/"
# Lists that go out, to whoever sees the list, and come in, from whoever may add.
IN_AND_OUT = ("export/", "import/", "process_import/")
TABLES = {"catalog.resource": IN_AND_OUT, "catalog.dataitem": IN_AND_OUT, "catalog.product": ("export/",)}


@dataclass(frozen=True)
class Cast:
    """The market after one settled query, with a browser for each person and an object of every model."""

    market: Market
    query: str
    browsers: dict[str, Browser]
    objects: dict[str, Any]


def browser() -> Browser:
    return Browser(SERVER_NAME="localhost", headers={"accept-language": "en"})


@pytest.fixture
def cast(market: Market) -> Cast:
    answer = market.buyer.ask(BY_STATION)
    assert answer.status_code == 200, answer.text
    sequencer.run_once()
    people = market.people
    for role in Role:
        Accreditation.objects.create(party=people.stranger, role=role, since=timezone.localdate())
    users = {name: hired(getattr(people, name), name) for name in PEOPLE if name != "root"}
    users["root"] = User.objects.create_superuser("root")
    browsers = {name: browser() for name in ("nobody", *users)}
    for name, user in users.items():
        browsers[name].force_login(user, "django.contrib.auth.backends.ModelBackend")
    return Cast(market, answer.json()["id"], browsers, objects(market, answer.json()["id"], users))


def hired(party: Party, name: str) -> User:
    """A person of the party who may use the admin; logged in without a password, which takes long to hash."""
    user = User.objects.create_user(name, is_staff=True)
    Membership.objects.create(user=user, party=party)
    return user


def objects(market: Market, query: str, users: dict[str, User]) -> dict[str, Any]:
    """One object of every model in the admin: the buyer's, or what the buyer's query stands on."""
    from django.contrib.auth.models import Group

    buyer = market.people.buyer
    asked = MeteredQuery.objects.get(pk=query)
    hold = Transfer.objects.get(query=asked, kind=Transfer.Kind.HOLD)
    joined = JoinedProduct.objects.create(
        query=asked, product=market.guarded, licence=market.licence, snapshot="s", terms={}, price=0
    )
    entry = market.air.registrations.get()
    paper = store(entry.registrar, SimpleUploadedFile("proof.pdf", b"%PDF-1.7\n%%EOF\n", "application/pdf"))
    objection = Objection.objects.create(
        registration=entry, name="n", contact="c", text="t", evidence=paper, made_on=timezone.localdate(), state="made"
    )
    demand = Demand.objects.create(
        title_zh="寻找客流", text_zh="按小时", party=buyer, moderator=market.people.operator, contact="c",
        until=timezone.localdate(), state="closed",
    )  # fmt: skip
    item = DataItem.objects.create(code="pm25", name_zh="细颗粒物", registrar=entry.registrar)
    claim = Claim.objects.create(item=item, resource=market.air, column="pm25", state="made")
    answer = Answer.objects.create(
        demand=demand, party=market.people.merchant, text="有", made_on=timezone.localdate(), state="made"
    )
    application = Application.objects.create(
        party=buyer, name_zh="n", credit_code=buyer.credit_code, contact="c", phone="0532", state="submitted"
    )
    found = [
        market.authorization.sub_licences.get(),
        item, claim, demand, answer, application, market.authorization.plan, entry, objection, Day.objects.first(),
        market.air, market.air.snapshot, market.domain, market.authorization, market.open, market.open_licence,
        market.open.versions.get(),
        asked, joined, Usage.objects.get(query=asked), hold, hold.debit, Record.objects.first(),
        Checkpoint.objects.first(),
        buyer, buyer.clients.first(), users["buyer"], Membership.objects.get(user=users["buyer"]),
        buyer.accreditations.first(), tell(buyer, "test", "一则通知", "A notice"), Group.objects.create(name="g"),
        store(buyer, SimpleUploadedFile("licence.pdf", b"%PDF-1.7\n%%EOF\n", "application/pdf")),
    ]  # fmt: skip
    return {thing._meta.label_lower: thing for thing in found}


def patterns(resolver: Any = None, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """The route and name of every URL."""
    for pattern in (resolver or get_resolver()).url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield re.sub(r"<app_label>[a-z|]+", "<app_label>…", route), pattern.name  # in the order of their import
        else:
            yield from patterns(pattern, route)


def model_routes() -> dict[str, str]:
    """The routes of the models' pages in the admin, and their models."""
    models = (*ADMIN, *ROOT_ONLY)
    pages = [(model, page) for model in models for page in MODEL_PAGES]
    pages += [(model, STEP) for model in STEPPED]
    pages += [(model, page) for model, tables in TABLES.items() for page in tables]
    return {f"admin/{model.replace('.', '/')}/{page}": model for model, page in pages}


def test_every_url_has_a_row() -> None:
    rows = PAGES.keys() | model_routes().keys()
    admin = {route for route, _ in patterns() if route.startswith("admin/")}
    assert admin == rows
    assert {name for route, name in patterns() if route not in admin} == API.keys()


def test_every_model_in_the_admin_has_an_object_to_ask_for(cast: Cast) -> None:
    assert cast.objects.keys() == ADMIN.keys() | ROOT_ONLY.keys()


def test_the_api_answers_every_caller_as_the_table_says(cast: Cast) -> None:
    tokens = {"buyer": cast.market.buyer.token, "stranger": cast.market.stranger.login(), "nobody": ""}
    tokens["expired"] = stale_token(cast)
    found = {name: tuple(asked(cast, name, tokens[caller]) for caller in CALLERS) for name in API}
    assert found == API


def stale_token(cast: Cast) -> str:
    """A token of the buyer's that was good until a second ago."""
    token = cast.market.buyer.login()
    live = get_access_token_model().objects.order_by("-id").first()
    live.expires = timezone.now() - timedelta(seconds=1)
    live.save(update_fields=["expires"])
    return token


def asked(cast: Cast, name: str, token: str) -> int:
    query, product = {"pk": cast.query}, {"code": cast.market.open.code}
    entry = {"code": cast.market.air.registrations.get().code}
    things = ("query", "query-release", "query-receipt", "query-proof", "notice", "own-application", "document")
    paths = dict.fromkeys(things, query) | {"confirm": {"token": "made:up"}}
    paths |= {"product": product, "certificate": entry, "certificate-part": entry | {"part": "jws"}}
    paths |= {"catalog-resource": {"code": cast.market.air.code}, "catalog-product": product}
    paths |= {
        "authorization": {"code": cast.market.authorization.code},
        "zone": {"code": cast.market.authorization.code},
    }
    paths |= {"demand": {"pk": cast.objects["catalog.demand"].pk}, "dcat-document": {"form": "ttl"}}
    paths |= {"sitemap-part": {"section": "products"}}
    paths |= {"log-tile": {"path": f"0/000.p/{Checkpoint.objects.latest('size').size}"}}
    url = reverse(name, kwargs=paths.get(name, {}))
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if name in POSTED:
        return browser().post(url, **POSTED[name], headers=headers | {"Idempotency-Key": f"{name}{token}"}).status_code
    return browser().get(url, headers=headers).status_code


def test_the_admins_own_pages_answer_as_the_table_says(cast: Cast) -> None:
    kind = ContentType.objects.get_for_model(Resource)
    values = {
        "<path:content_type_id>": kind.pk, "<path:object_id>": cast.market.air.pk,
        "<id>": cast.objects["parties.user"].pk, "^(?P<app_label>…)/$": "catalog/", "(?P<url>.*)$": "no/such/page/",
    }  # fmt: skip
    found = {}
    for route in PAGES:
        url = "/" + route
        for name, value in values.items():
            url = url.replace(name, str(value))
        found[route] = tuple(cast.browsers[who].get(url).status_code for who in ("nobody", "stranger", "root"))
    assert found == PAGES


@pytest.fixture
def pages(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], dict[str, int]]:
    """What each person gets from each page of each model. Who may what is decided before a page is drawn, and drawing
    thousands takes minutes: it is left out here, and the pages are drawn for `root` in a test of their own."""
    monkeypatch.setattr(SimpleTemplateResponse, "rendered_content", "")
    found = {}
    for route, model in model_routes().items():
        url = "/" + route.replace("<path:object_id>", str(cast.objects[model].pk)).replace("<slug:name>", "publish")
        page = "step" if STEP in route else route.removeprefix(f"admin/{model.replace('.', '/')}/").rpartition(">")[2]
        if page != "/":  # the old address of change/, a redirect for all
            found[model, page.strip("/") or "list"] = {
                who: person.get(url).status_code for who, person in cast.browsers.items()
            }
    return found


def test_every_page_of_the_admin_can_be_drawn(cast: Cast) -> None:
    for model, thing in cast.objects.items():
        for page in ("", "add/", f"{thing.pk}/change/", f"{thing.pk}/history/"):
            answer = cast.browsers["root"].get(f"/admin/{model.replace('.', '/')}/{page}")
            assert answer.status_code in (200, 403), (model, page)
            assert answer.status_code == 403 or b"</html>" in answer.content, (model, page)


def expected(model: str, page: str, who: str) -> int:
    """The status that the tables say; 302 is to the login page or, from a row not found, to the front."""
    finds, adds, _changes = ADMIN.get(model, ("root", "root" if ROOT_ONLY.get(model) else "", ""))
    if who == "nobody":
        return 302
    if page == "step":
        return 200 if who in STEPPED[model].split() else 302
    if page == "delete":
        return 200 if (model, who) in MAY_DELETE else 403
    if page == "process_import":
        return 405  # by POST only
    if page in ("add", "import") and who not in adds.split():
        return 403
    if model in ROOT_ONLY and who != "root":
        return 403
    return 200 if page in ("list", "add", "import", "export") or who in finds.split() else 302


def test_each_person_finds_their_own_objects_in_the_admin_only(pages: dict[tuple[str, str], dict[str, int]]) -> None:
    due = {(model, page): {who: expected(model, page, who) for who in row} for (model, page), row in pages.items()}
    assert pages == due


def test_a_list_shows_no_row_of_another_party(cast: Cast) -> None:
    for model, (finds, _, _) in ADMIN.items():
        for who in PEOPLE:
            assert lists(cast, who, model) == (who in finds.split()), (model, who)


def lists(cast: Cast, who: str, model: str) -> bool:
    """Whether the person's list of `model` links the cast's object."""
    page = cast.browsers[who].get(f"/admin/{model.replace('.', '/')}/").content.decode()
    return f"/{cast.objects[model].pk}/change/" in page


def test_a_form_offers_nothing_that_is_not_ones_own_to_use(cast: Cast) -> None:
    market = cast.market
    add = reverse("admin:catalog_version_add")
    offered = cast.browsers["merchant"].get(add).content.decode()
    assert market.authorization.name_zh in offered
    assert market.authorization.name_zh not in cast.browsers["stranger"].get(add).content.decode()
    authorizing.do_step(market.authorization, "suspend", city.person(market.people.authority), "检查")
    assert market.authorization.name_zh not in cast.browsers["merchant"].get(add).content.decode()
    papers = reverse("admin:catalog_authorization_add")
    assert "agreement.pdf" in cast.browsers["authority"].get(papers).content.decode()
    for page in (papers, reverse("admin:catalog_plan_add")):
        assert ".pdf" not in cast.browsers["stranger"].get(page).content.decode()


def test_a_form_changes_nothing_for_those_who_may_not(cast: Cast) -> None:
    for model, (finds, _, changes) in ADMIN.items():
        thing = cast.objects[model]
        url = reverse(f"admin:{model.replace('.', '_')}_change", args=[thing.pk])
        for who in set(PEOPLE) - set(changes.split()):
            status = cast.browsers[who].post(url, {"name_zh": "改"}).status_code
            assert status in ((403,) if who in finds.split() else (302, 403)), (model, who, status)
        fresh = apps.get_model(model).objects.filter(pk=thing.pk).values().get()
        assert {name: value for name, value in fresh.items() if getattr(thing, name) != value} == {}


@pytest.mark.parametrize(("model", "act"), [
    ("catalog.resource", "to_suspended"), ("catalog.authorization", "step_end"), ("catalog.product", "step_delist"),
    ("catalog.version", "step_withdraw"), ("licensing.licence", "to_ended"),
])  # fmt: skip
def test_a_stranger_moves_no_state_of_anothers_object(cast: Cast, model: str, act: str) -> None:
    thing = cast.objects[model]
    url = f"/admin/{model.replace('.', '/')}/"
    cast.browsers["stranger"].post(url, {"action": act, "reason": "x", "_selected_action": [str(thing.pk)]})
    state = thing.state
    thing.refresh_from_db()
    assert thing.state == state


def test_a_person_without_staff_rights_sees_no_admin(cast: Cast) -> None:
    clerk = User.objects.create_user("clerk")
    Membership.objects.create(user=clerk, party=cast.market.people.holder)
    outside = browser()
    outside.force_login(clerk, "django.contrib.auth.backends.ModelBackend")
    assert {outside.get(f"/admin/{model.replace('.', '/')}/").status_code for model in ADMIN} == {302}


def test_a_suspended_party_is_nobody(cast: Cast) -> None:
    token = cast.market.buyer.token
    cast.market.people.buyer.state = "suspended"
    cast.market.people.buyer.save()
    assert asked(cast, "query", token) == 401
    assert not lists(cast, "buyer", "settlement.meteredquery")
