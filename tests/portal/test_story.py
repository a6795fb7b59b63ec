"""The whole story through the pages: from a table to a listed product, and a suspension that stops the next query.

Everybody sits at a desk of their own, logged in with a password; who approves shows the second factor. The node is a
real one with a real snapshot, so the sample questions and the buyer's are really answered.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import Model
from django.utils import timezone
from playwright.sync_api import Page

from catalog.agreements import AGREEMENT_ITEMS, PLAN_ITEMS
from catalog.models import Authorization, Domain, Plan, Product, Registration, Resource, SubLicence, Version
from exchange.parties.models import Document
from fixtures import city
from licensing.models import Licence
from tests.catalog.test_registration import noticed_enough
from tests.market import PURPOSE, Buyer, Node, node, obey  # noqa: F401
from tests.portal.test_desks import ITEMS, enrol, enter
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

Open = Callable[..., Page]
CODE = "flight_delays"
COUNT = f"SELECT carrier, COUNT(*) AS n FROM {CODE} GROUP BY carrier"
MEAN = f"SELECT carrier, AVG(dep_delay) AS figure FROM {CODE} GROUP BY carrier"
NAMES = ("Flight delay statistics", "航班延误统计")
LANGUAGES = ("en", "zh-hans")  # at last in Chinese again
LOOKED_AT = (Authorization, Licence, Plan)  # forms that no other test looks at
TODAY = timezone.localdate
DAYS = 300


@dataclass
class Person:
    """Somebody at their desk."""

    desk: Page
    url: str

    def go(self, path: str) -> None:
        self.desk.goto(f"{self.url}{path}")

    def start(self, model: type[Model]) -> None:
        """Open the form of a new one."""
        self.go(f"{desk_of(model)}/add/")
        if model in LOOKED_AT:
            look(self.desk, f"story-{model._meta.model_name}-new")

    def add(self, model: type[Model], **fields: Any) -> Any:
        """Fill in the form of a new one and save it."""
        self.start(model)
        self.fill(**fields)
        return self.save(model)

    def edit(self, thing: Model, **fields: Any) -> None:
        self.open(thing)
        self.fill(**fields)
        self.save(type(thing))

    def act(self, thing: Model, action: str) -> None:
        """Take an action on it in its list."""
        self.go(f"{desk_of(type(thing))}/")
        self.desk.check(f"input.action-select[value='{thing.pk}']")
        self.desk.select_option("select[name=action]", action)
        self.desk.click("button[name=index]")

    def fill(self, **fields: Any) -> None:
        for name, value in fields.items():
            there = self.desk.locator(f"#id_{name}")
            match there.evaluate("each => each.tagName + each.type"):
                case "SELECTselect-one":
                    there.select_option(str(getattr(value, "pk", value)))
                case "INPUTfile":
                    there.set_input_files(value)
                case _:
                    there.fill(str(value))

    def save(self, model: type[Model]) -> Any:
        self.desk.click("button[name=_save]")
        assert self.desk.locator(".errornote").count() == 0, self.desk.locator("#content").inner_text()
        return model._default_manager.latest("pk")

    def open(self, thing: Model) -> None:
        self.go(f"{desk_of(type(thing))}/{thing.pk}/change/")

    def take(self, thing: Any, *names: str, reason: str = "") -> None:
        """Take these steps of it, each on its page."""
        for name in names:
            self.go(f"{desk_of(type(thing))}/{thing.pk}/step/{name}/")
            self.desk.fill("#id_reason", reason)
            self.desk.click("button[name=take]")
            if "/second-factor/" in self.desk.url:
                enrol(self.desk)
                self.take(thing, name, reason=reason)
            thing.refresh_from_db()
            ends = {step.end for step in thing.machine.steps if step.name == name}
            assert thing.state in ends, self.desk.locator("#content").inner_text()


def desk_of(model: type[Model]) -> str:
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}"


@dataclass
class Story:
    """Where it plays, and who."""

    url: str
    open: Open
    people: city.City
    paper: Path
    seated: dict[str, Person] = field(default_factory=dict)

    def at(self, role: str, duty: str = "editor") -> Person:
        """The person of that party with that duty, who stays logged in."""
        name = f"{role}-{duty}"
        if name not in self.seated:
            self.seated[name] = Person(enter(self.open, self.url, getattr(self.people, role), name, duty), self.url)
        return self.seated[name]

    def hall(self, name: str, path: str, *said: str) -> None:
        """Anybody sees the page, in both languages, on a desk and on a phone."""
        hall = self.open()
        hall.goto(f"{self.url}{path}")
        look(hall, f"story-hall-{name}", *said)
        hall.context.close()


def look(shown: Page, name: str, *said: str) -> None:
    """The page fits a desk and a phone in both languages, and says one of what it is to say."""
    for language in LANGUAGES:
        shown.context.add_cookies([{"name": "django_language", "value": language, "url": shown.url}])
        shown.reload()
        text = shown.locator("body").inner_text()
        assert not said or any(each in text for each in said), (name, text)
        for viewport in (PHONE, DESK):
            shown.set_viewport_size(viewport)
            shot(shown, f"{name}-{language}-{viewport['width']}")
            assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, viewport)


@pytest.fixture
def story(server: str, var: Path, node: Node, page: Open, tmp_path: Path) -> Story:  # noqa: F811
    obey(var, node.order_key)
    people = city.found_city()
    city.join(node.endpoint, "haizhou", "海州数据域", "Haizhou domain")
    paper = tmp_path / "paper.pdf"
    paper.write_bytes(b"%PDF-1.7 paper")
    return Story(server, page, people, paper)


@pytest.mark.timeout(600)  # some eighty pages in a browser
def test_from_a_table_to_a_product_and_a_suspension_that_stops_the_next_query(story: Story) -> None:
    resource = registered(story)
    authorization = authorized(story)
    sub_licensed(story, authorization)
    product = reviewed(story, composed(story, authorization, resource))
    buyer = licensed(story, product)
    answer = buyer.ask(COUNT)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["rows"]) > 1
    story.at("authority").take(authorization, "suspend", reason="检查")
    refused = buyer.ask(COUNT)
    assert (refused.status_code, refused.json()["code"]) == (403, "authorization_not_in_force")
    story.hall("suspended", f"/authorizations/{authorization.code}/", str(authorization.since))


def registered(story: Story) -> Resource:
    """26号: the holder applies, the registrar accepts, puts under notice and, after the notice, enters."""
    people = story.people
    holder, clerk = story.at("holder"), story.at("registrar")
    resource = holder.add(
        Resource, code="flights", name_zh="航班", name_en="Flights", holder=people.holder, sector="transport",
        domain=Domain.objects.get(),
    )  # fmt: skip
    holder.start(Registration)
    holder.fill(resource=resource, registrant=people.holder, registrar=people.registrar, evidenced_on="2026-01-05")
    for number, (what, text) in enumerate([*ITEMS.items(), ("evidence", "见存证")]):
        holder.desk.get_by_text("添加另一个").click()
        holder.fill(**{f"items-{number}-what": what, f"items-{number}-text": text})
    holder.fill(**{"items-5-file": story.paper})
    made = holder.save(Registration)
    holder.take(made, "submit")
    clerk.take(made, "accept", "publish")
    story.hall("notices", "/notices/", str(made.due_on.year))
    story.hall("notice", f"/notices/{made.pk}/", str(made.due_on.year))
    noticed_enough(made)  # ten working days pass: the clock is moved in the table, for nobody can wait for it
    story.at("registrar", "approver").take(made, "enter")
    story.hall("certificate", f"/registrations/{made.code}/", made.code)
    holder.act(resource, "serve_snapshot")  # the table was taken in at the node before
    resource.refresh_from_db()
    assert (resource.state, resource.snapshot is None) == ("registered", False)
    return resource


def authorized(story: Story) -> Authorization:
    """27号: a plan of 12 items, decided and filed; then an agreement of 13, signed and published."""
    people = story.people
    clerk, head = story.at("authority"), story.at("authority", "approver")
    names = {"name_zh": "海州市公共数据整体授权运营", "name_en": "Haizhou whole-region authorization", "mode": "full"}
    plan = clerk.add(
        Plan, code="haizhou-plan", body=people.authority, authority=people.authority, **names,
        **{f"item_{key}": f"{zh}：见方案" for key, (zh, _) in PLAN_ITEMS.items()},
    )  # fmt: skip
    assert plan.items.keys() == PLAN_ITEMS.keys()
    clerk.take(plan, "submit")
    clerk.edit(plan, minutes_file=story.paper)
    head.take(plan, "approve")
    clerk.edit(plan, filing="鲁数备〔2026〕1号")
    clerk.take(plan, "file")
    made = clerk.add(
        Authorization, code="haizhou-full", plan=plan, authority=people.authority, operator=people.operator,
        since=TODAY(), until=TODAY() + timedelta(days=DAYS), holder_share=3000, platform_share=500,
        selection="tender", selected_by_file=story.paper, agreement_file=story.paper, **names,
        **{f"item_{key}": f"{zh}：见协议" for key, (zh, _) in AGREEMENT_ITEMS.items()},
    )  # fmt: skip
    assert Document.objects.filter(pk__in=(made.selected_by_id, made.agreement_id), party=people.authority).count() == 2
    clerk.take(made, "submit")
    head.take(made, "sign")
    clerk.take(made, "publish")
    clerk.open(made)
    look(clerk.desk, "story-authorization", AGREEMENT_ITEMS["other"][0])
    story.hall("authorization", f"/authorizations/{made.code}/", str(made.since))
    return made


def sub_licensed(story: Story, authorization: Authorization) -> None:
    """The operator drafts it for the merchant, and another of its people grants it."""
    clerk = story.at("operator")
    made = clerk.add(
        SubLicence, authorization=authorization, merchant=story.people.merchant, scope="航班统计产品",
        contract_file=story.paper, since=TODAY(), until=authorization.until,
    )  # fmt: skip
    clerk.take(made, "submit")
    story.at("operator", "approver").take(made, "grant")


def composed(story: Story, authorization: Authorization, resource: Resource) -> Version:
    """Each choice narrows the next; what a buyer could ask stands beside it at once."""
    merchant = story.at("merchant")
    merchant.start(Version)
    merchant.fill(authorization=authorization)
    merchant.desk.locator(f"#id_resource option[value='{resource.pk}']").wait_for(state="attached")
    merchant.fill(code=CODE, name_en=NAMES[0], name_zh=NAMES[1], resource=resource)
    for column in ("dimensions input[value=carrier]", "measures input[value=dep_delay]"):
        merchant.desk.check(f"#id_{column}")
    merchant.desk.locator("#composing-preview").get_by_text(MEAN).wait_for()
    merchant.fill(merchant_share=4000)
    made = merchant.save(Version)
    merchant.open(made)
    look(merchant.desk, "story-version-draft", MEAN)
    merchant.take(made, "submit")
    return made


def reviewed(story: Story, version: Version) -> Product:
    """The operator's reviewer reads real sample answers and approves; the merchant releases and lists."""
    reviewer = story.at("operator", "approver")
    reviewer.open(version)
    reviewer.desk.locator("button[formaction*=samples]").click()
    reviewer.desk.locator("article table").first.wait_for(timeout=120_000)  # the node answers at its deadlines
    assert version.samples.filter(code="").exclude(query=None).exists()
    look(reviewer.desk, "story-version-review", f"SELECT COUNT(*) AS n FROM {CODE}")
    reviewer.take(version, "approve")
    merchant = story.at("merchant")
    merchant.take(version, "release")
    product = version.product
    merchant.take(product, "list")
    story.hall("front", "/", *NAMES)
    story.hall("product", f"/catalog/products/{CODE}/", *NAMES)
    return product


def licensed(story: Story, product: Product) -> Buyer:
    """The merchant licenses the buyer. Wallet and API client are nothing that is made at a desk."""
    merchant, buyer = story.at("merchant"), story.people.buyer
    made = merchant.add(
        Licence, product=product, buyer=buyer, purposes=PURPOSE, quota=100, per_call=50, per_cell=2, since=TODAY(),
        until=TODAY() + timedelta(days=90),
    )  # fmt: skip
    assert (made.purposes, made.tariff) == ([PURPOSE], {"per_call": 50, "per_cell": 2})
    merchant.act(made, "to_in_force")
    city.fund(buyer, 1_000_000)
    return Buyer(story.url, *city.client_of(buyer))
