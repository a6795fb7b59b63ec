"""Catalogs in and out: a dry run that reports every bad row, then all rows or none, as the registry would take them."""

import csv
import io
import re
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser

from catalog import registry
from catalog.models import Resource
from exchange.audit.models import Record
from exchange.portal.admin import tables
from tests.catalog.test_registration import Office, office  # noqa: F401
from tests.portal.test_desks import logged_in

URL = "/admin/catalog/resource/"
COLUMNS = ("code", "name_zh", "name_en", "holder", "domain", "sector", "data_class", "frequency")
XLSX, CSV = "0", "1"


@pytest.fixture
def holder(office: Office) -> Browser:  # noqa: F811
    return logged_in(office.holder)


def row(office: Office, code: str, **more: str) -> dict[str, str]:  # noqa: F811
    terms = dict.fromkeys(COLUMNS, "") | {"code": code, "name_zh": "表", "holder": office.people.holder.credit_code}
    return terms | {"domain": "transport", "data_class": "general", "frequency": "DAILY"} | more


def sheet(*rows: dict[str, str]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def book(*rows: dict[str, str]) -> bytes:
    made = openpyxl.Workbook()
    made.active.append(COLUMNS)
    for each in rows:
        made.active.append([each[name] for name in COLUMNS])
    data = io.BytesIO()
    made.save(data)
    return data.getvalue()


def checked(browser: Browser, data: bytes, form: str = CSV) -> str:
    """The page after the dry run."""
    file = SimpleUploadedFile("catalog", data)
    return browser.post(f"{URL}import/", {"import_file": file, "format": form}).content.decode()


def confirmation(page: str) -> dict[str, str]:
    """What the page would send to confirm; empty where it offers nothing to confirm."""
    found = re.search(r"<form[^>]*process_import.*?</form>", page, re.S)
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', found[0])) if found else {}


def confirmed(browser: Browser, page: str) -> Any:
    said = {name: value for name, value in confirmation(page).items() if name != "csrfmiddlewaretoken"}
    return browser.post(f"{URL}process_import/", said, follow=True)


@pytest.mark.parametrize(("form", "made"), [(CSV, sheet), (XLSX, book)], ids=["csv", "xlsx"])
def test_a_catalog_is_checked_and_then_taken_in_through_the_registry(
    office: Office, holder: Browser, form: str, made: Any  # noqa: F811
) -> None:  # fmt: skip
    page = checked(holder, made(row(office, "buses", name_zh="公交"), row(office, "ships", name_zh="船舶")), form)
    assert Resource.objects.count() == 1  # a dry run
    assert not Record.objects.filter(kind="resource.created", about__thing__in=[]).exists()
    confirmed(holder, page)
    assert set(Resource.objects.values_list("code", "name_zh", "state")) == {
        ("flights", "航班", "draft"), ("buses", "公交", "draft"), ("ships", "船舶", "draft"),
    }  # fmt: skip
    assert Record.objects.filter(kind="resource.created").count() == 3


def test_every_bad_row_is_reported_and_nothing_is_taken(office: Office, holder: Browser) -> None:  # noqa: F811
    theirs = Resource(code="theirs", name_zh="别家", holder=office.people.neighbour, domain=office.resource.domain)
    registry.do_create(theirs, actor="test")
    before = Record.objects.count()
    page = checked(holder, sheet(
        row(office, "good"),
        row(office, "secret", data_class="top secret"),
        row(office, "nameless", name_zh=""),
        row(office, "stolen", holder=office.people.neighbour.credit_code),
        row(office, "theirs"),
        row(office, "no where", domain="nowhere"),
    ))  # fmt: skip
    for said in ("secret", "nameless", "stolen", "theirs", "no where"):
        assert said in page, said
    assert confirmation(page) == {}
    assert (Resource.objects.count(), Record.objects.count()) == (2, before)


def test_what_is_registered_is_not_changed_by_a_file(office: Office, holder: Browser) -> None:  # noqa: F811
    office.entered()
    page = checked(holder, sheet(row(office, "flights", name_zh="别的")))
    assert "已登记事项须办理变更登记" in page
    assert confirmation(page) == {}
    assert office.now().name_zh == "航班"


def test_a_draft_is_changed_by_a_file_and_the_record_names_the_fields(office: Office, holder: Browser) -> None:  # noqa: F811
    confirmed(holder, checked(holder, sheet(row(office, "flights", name_zh="航班运行", frequency=""))))
    assert office.now().name_zh == "航班运行"
    assert '"fields":["name_zh"]' in Record.objects.get(kind="resource.changed").content.body


def test_where_something_changed_since_the_check_no_row_is_taken(office: Office, holder: Browser) -> None:  # noqa: F811
    page = checked(holder, sheet(row(office, "buses"), row(office, "ships")))
    theirs = Resource(code="ships", name_zh="别家", holder=office.people.neighbour, domain=office.resource.domain)
    registry.do_create(theirs, actor="test")
    answer = confirmed(holder, page)
    assert "检查之后情况有变" in answer.content.decode()
    assert not Resource.objects.filter(code="buses").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a" * 32, "", "0" * 31 + "/"])
def test_a_confirmation_names_a_file_of_ours_or_none(office: Office, holder: Browser, name: str) -> None:  # noqa: F811
    said = {"import_file_name": name, "original_file_name": "x", "format": CSV, "resource": ""}
    answer = holder.post(f"{URL}process_import/", said)
    assert answer.status_code in (200, 302)
    assert b"root:" not in answer.content
    assert Resource.objects.count() == 1


@pytest.mark.parametrize(
    "data", [b"\x00\x01", "编码".encode("gb18030") * 9, b"PK\x03\x04" + b"x" * 99], ids=["bytes", "gb", "zip"]
)
@pytest.mark.parametrize("form", [CSV, XLSX], ids=["csv", "xlsx"])
def test_a_file_that_is_no_table_is_told_so(office: Office, holder: Browser, data: bytes, form: str) -> None:  # noqa: F811
    page = checked(holder, data, form)
    assert confirmation(page) == {}
    assert "Traceback" not in page


def test_a_file_has_a_bound(office: Office, holder: Browser, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(tables, "MOST_ROWS", 2)
    page = checked(holder, sheet(*(row(office, f"r{number}") for number in range(3))))
    assert "一次最多导入 2 行" in page
    assert confirmation(page) == {}
    monkeypatch.setattr(tables, "MOST_BYTES", 10)
    assert confirmation(checked(holder, sheet(row(office, "r")))) == {}


def test_who_may_not_add_takes_nothing_in(office: Office) -> None:  # noqa: F811
    stranger = logged_in(office.stranger)
    assert stranger.get(f"{URL}import/").status_code == 403
    assert stranger.post(f"{URL}process_import/", {"import_file_name": "x"}).status_code == 403


def test_a_list_goes_out_with_what_its_reader_sees_and_formulas_stay_text(office: Office, holder: Browser) -> None:  # noqa: F811
    office.resource.name_en = "=1+1"
    office.resource.save()
    theirs = Resource(code="theirs", name_zh="别家", holder=office.people.neighbour, domain=office.resource.domain)
    registry.do_create(theirs, actor="test")
    answer = holder.post(f"{URL}export/", {"format": CSV, "resource": ""})
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(each["code"], each["name_en"]) for each in rows] == [("flights", "1+1")]
    book = openpyxl.load_workbook(io.BytesIO(holder.post(f"{URL}export/", {"format": XLSX, "resource": ""}).content))
    assert book.active.max_row == 2
