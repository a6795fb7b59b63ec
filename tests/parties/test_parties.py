"""Credit codes, documents, notices, and who a token speaks for."""

from datetime import timedelta
from pathlib import Path

import pytest
import requests
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from oauth2_provider.models import get_access_token_model

from exchange.errors import Problem
from exchange.parties import documents, notices, tally, uscc
from exchange.parties.models import Client, Document, Notice, Party, Tally
from exchange.work import jobs
from fixtures import city
from tests.market import Buyer

PDF = b"%PDF-1.7 a page"


@given(st.text(uscc.ALPHABET, min_size=17, max_size=17), st.integers(0, 16), st.sampled_from(uscc.ALPHABET))
def test_a_credit_code_with_one_wrong_character_is_not_valid(first: str, place: int, other: str) -> None:
    code = first + uscc.check_character(first)
    assert uscc.is_valid(code)
    wrong = code[:place] + other + code[place + 1 :]
    assert uscc.is_valid(wrong) is (wrong == code)


def test_a_credit_code_of_another_length_or_in_small_letters_is_not_valid() -> None:
    code = "91370202MA3C00000" + uscc.check_character("91370202MA3C00000")
    assert not uscc.is_valid(code.lower())
    assert not uscc.is_valid(code[:-1])


def upload(data: bytes, media_type: str = "application/pdf", name: str = "plan.pdf") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, media_type)


def test_a_document_is_kept_once_under_its_digest_and_found_by_its_party_only(db: str) -> None:
    people = city.found_city()
    first = documents.store(people.holder, upload(PDF))
    second = documents.store(people.merchant, upload(PDF))
    assert first.sha256 == second.sha256
    assert documents.path_of(first.sha256).read_bytes() == PDF
    assert documents.access_document(people.holder, first.pk) == first
    with pytest.raises(Problem, match="not_found"):
        documents.access_document(people.merchant, first.pk)


@pytest.mark.parametrize(
    ("data", "media_type", "code"),
    [
        (b"<script>", "application/pdf", "media_type_unsupported"),
        (PDF, "text/html", "media_type_unsupported"),
        (PDF + bytes(20_000_001), "application/pdf", "body_too_large"),
    ],
)
def test_a_document_that_is_not_what_it_says_or_too_large_is_refused(
    db: str, data: bytes, media_type: str, code: str
) -> None:
    holder = city.found_city().holder
    with pytest.raises(Problem) as refused:
        documents.store(holder, upload(data, media_type))
    assert refused.value.code == code
    assert not Document.objects.exists()


def test_a_documents_name_cannot_leave_its_folder(db: str, var: Path) -> None:
    document = documents.store(city.found_city().holder, upload(PDF, name="../../etc/passwd.pdf"))
    assert document.name == "passwd.pdf"


def test_telling_a_party_puts_a_row_in_its_inbox_and_a_mail_in_the_outbox(db: str) -> None:
    people = city.found_city()
    user, _ = city.hire(people.buyer, "lan")
    user.email = "lan@example.com"
    user.save()
    notices.tell(people.buyer, "test", "你好", "hello")
    assert Notice.objects.get().party == people.buyer
    assert not getattr(mail, "outbox", [])
    assert jobs.run_due() == 1
    assert mail.outbox[0].to == ["lan@example.com"]


@pytest.fixture
def buyer(server: str) -> Buyer:
    return Buyer(server, *city.client_of(city.found_city().buyer))


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_tokens_and_client_secrets_are_kept_as_hashes_only(buyer: Buyer) -> None:
    token = buyer.login()
    kept = get_access_token_model().objects.get()
    assert kept.token == ""
    assert token not in str(vars(kept))
    assert buyer.secret not in Client.objects.get().client_secret


def test_a_token_lives_ten_minutes(buyer: Buyer) -> None:
    buyer.login()
    tokens = get_access_token_model().objects
    left = tokens.get().expires - timezone.now()
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    tokens.update(expires=timezone.now())
    assert code_of(buyer.get("/v1/products")) == (401, "token_expired")


def test_a_missing_or_made_up_token_is_refused_and_counted(buyer: Buyer) -> None:
    assert code_of(requests.get(f"{buyer.url}/v1/products", timeout=30)) == (401, "token_missing")
    buyer.token = "made-up"
    assert code_of(buyer.get("/v1/products")) == (401, "token_invalid")
    tally._written_at = 0.0
    tally.count("token_invalid")
    assert {row.kind: row.number for row in Tally.objects.all()}["token_invalid"] >= 1


def test_a_suspended_partys_token_is_worth_nothing(buyer: Buyer) -> None:
    buyer.login()
    Party.objects.update(state=Party.State.SUSPENDED)
    assert code_of(buyer.get("/v1/products")) == (401, "token_invalid")


def test_a_wrong_secret_gets_no_token(buyer: Buyer) -> None:
    data = {"grant_type": "client_credentials"}
    answer = requests.post(f"{buyer.url}/oauth/token", data=data, auth=(buyer.client_id, "guess"), timeout=30)
    assert code_of(answer) == (401, "client_invalid")
    assert answer.json()["error"] == "invalid_client"


def test_the_token_endpoint_is_rate_limited(buyer: Buyer) -> None:
    data = {"grant_type": "client_credentials"}
    statuses = [
        requests.post(f"{buyer.url}/oauth/token", data=data, auth=("x", "y"), timeout=30).status_code for _ in range(40)
    ]
    assert statuses[0] == 401
    assert statuses[-1] == 429
