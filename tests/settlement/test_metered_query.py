"""One metered query over real HTTP: what a buyer gets, what it costs, what is refused."""

import io
import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import OKPKey

from catalog import authorizing, registry, versions
from exchange.audit.models import Record
from exchange.portal import fsck
from fixtures import city
from licensing import registry as licences
from licensing.models import LicenceMeter, PopulationMeter
from settlement import ledger
from settlement.models import MeteredQuery, Transfer, Usage
from tests import samples
from tests.market import BY_CARRIER, BY_STATION, GUARDED, PURPOSE, Market

SETTLED = [Transfer.Kind.HOLD, Transfer.Kind.POST] + 4 * [Transfer.Kind.SHARE]


def wrong() -> list[str]:
    """What `fsck` finds wrong, nodes' journals apart: this run's node serves other tests too."""
    return [
        finding.text
        for check in (fsck.check_receipts, fsck.check_ledger, fsck.check_usage, fsck.check_meters)
        for finding in check()
        if not finding.ok
    ]


def test_a_licensed_buyer_gets_a_table_a_price_and_a_receipt(market: Market) -> None:
    answer = market.buyer.ask(BY_CARRIER)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [column["name"] for column in body["columns"]] == ["carrier", "n", "mean", "status"]
    assert {row[-1] for row in body["rows"]} == {"released", "suppressed"}
    assert body["price"]["amount"] == 50 + 2 * len(body["rows"])
    assert body["receipt"].count(".") == 2


def test_an_open_product_agrees_exactly_with_the_data(market: Market) -> None:
    frame = samples.air()[0]
    due = frame.groupby("station")["pm25"].agg(["size", "mean"])
    rows = market.buyer.ask(BY_STATION).json()["rows"]
    assert {row[0]: row[1] for row in rows} == due["size"].to_dict()
    assert {row[0]: row[2] for row in rows} == pytest.approx(due["mean"].astype(float).to_dict())


def test_a_cell_with_too_few_entities_is_suppressed_and_says_so(market: Market) -> None:
    rows = market.buyer.ask(f"SELECT carrier, month, COUNT(*) AS n FROM {GUARDED} GROUP BY carrier, month").json()[
        "rows"
    ]
    frame = samples.flights()[0]
    aircraft = frame[frame["carrier"] != "ZZ"].groupby(["carrier", "month"])["tailnum"].nunique()
    small = {tuple(key) for key, number in aircraft.items() if number < 10}
    assert small
    suppressed = {(row[0], row[1]) for row in rows if row[-1] == "suppressed"}
    assert small <= suppressed
    assert all(row[2] is None for row in rows if row[-1] == "suppressed")


def test_the_shares_of_the_price_sum_to_the_price(market: Market) -> None:
    body = market.buyer.ask(BY_CARRIER).json()
    moved = Transfer.objects.filter(query=body["id"])
    assert sorted(transfer.kind for transfer in moved) == sorted(SETTLED)
    shares = {transfer.role: transfer.amount for transfer in moved.filter(kind="share")}
    assert sum(shares.values()) == body["price"]["amount"]
    assert set(shares) == {"holder", "operator", "merchant", "platform"}
    assert wrong() == []


def test_the_same_query_again_is_the_stored_release_and_spends_no_query_of_the_population(market: Market) -> None:
    first = market.buyer.ask(BY_CARRIER).json()
    spent = PopulationMeter.objects.get().spent
    again = market.buyer.ask(BY_CARRIER.lower()).json()
    assert again["stored"]
    assert not first["stored"]
    assert again["rows"] == first["rows"]
    assert again["price"] == first["price"]
    assert PopulationMeter.objects.get().spent == spent == 1
    assert LicenceMeter.objects.get(licence=market.licence).calls == 2


def test_a_query_that_means_the_same_finds_the_same_release(market: Market) -> None:
    market.buyer.ask(f"SELECT COUNT(*) AS n FROM {GUARDED} WHERE month IN (1, 2) AND origin = 'JFK'")
    again = market.buyer.ask(f"SELECT COUNT(*) AS m FROM {GUARDED} WHERE NOT (origin <> 'JFK') AND month <= 2").json()
    assert again["stored"]
    assert again["columns"][0]["name"] == "m"


def test_another_view_is_of_the_same_release_and_is_charged_for_the_whole_of_it(market: Market) -> None:
    whole = market.buyer.ask(BY_CARRIER).json()
    spent = PopulationMeter.objects.get().spent
    view = f"""SELECT carrier, AVG(dep_delay) / 60 AS hours, COUNT(*) AS n FROM {GUARDED} GROUP BY carrier
        HAVING n > 0 ORDER BY n DESC LIMIT 2"""
    answer = market.buyer.ask(view)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["stored"]
    assert PopulationMeter.objects.get().spent == spent
    assert (body["price"], body["cells"]) == (whole["price"], whole["cells"])
    released = [row for row in whole["rows"] if row[-1] == "released"]
    largest = sorted(released, key=lambda row: -row[1])[:2]
    assert body["rows"] == [[row[0], pytest.approx(row[2] / 60), row[1], "released"] for row in largest]
    assert market.buyer.get(body["links"]["self"]).json()["rows"] == body["rows"]


def test_every_level_of_a_rollup_is_released_and_charged(market: Market) -> None:
    body = market.buyer.ask(f"SELECT carrier, COUNT(*) AS n FROM {GUARDED} GROUP BY ROLLUP(carrier)").json()
    plain = market.buyer.ask(f"SELECT carrier, COUNT(*) AS n FROM {GUARDED} GROUP BY carrier").json()
    assert [column["name"] for column in body["columns"]] == ["carrier", "n", "level", "status"]
    assert [row[2] for row in body["rows"]] == [0] * len(plain["rows"]) + [1]
    assert [[row[0], row[1], row[3]] for row in body["rows"][:-1]] == plain["rows"]
    assert body["cells"]["charged"] == plain["cells"]["charged"] + 1


def test_json_and_sql_ask_the_same(market: Market) -> None:
    sql = market.buyer.ask(f"SELECT carrier, COUNT(*) FROM {GUARDED} GROUP BY carrier").json()
    query = {"product": GUARDED, "measures": [{"function": "count"}], "dimensions": ["carrier"]}
    response = market.buyer.send(
        "POST", "/v1/queries", headers={"Idempotency-Key": "json"}, json={"query": query, "purpose": PURPOSE}
    )
    assert response.status_code == 200, response.text
    assert response.json()["stored"]
    assert sorted(map(str, (row[1] for row in response.json()["rows"]))) == sorted(str(row[1]) for row in sql["rows"])


REFUSED = [
    ("one aircraft", f"SELECT COUNT(*) FROM {GUARDED} WHERE tailnum = 'N1'", PURPOSE, 403, "filter_not_allowed"),
    ("by aircraft", f"SELECT tailnum, COUNT(*) FROM {GUARDED} GROUP BY tailnum", PURPOSE, 403, "column_not_dimension"),
    ("another purpose", BY_CARRIER, "marketing", 403, "purpose_not_allowed"),
    ("no such product", "SELECT COUNT(*) FROM nothing", PURPOSE, 404, "not_found"),
    ("no such column", f"SELECT SUM(salary) FROM {GUARDED}", PURPOSE, 400, "column_unknown"),
    ("no SQL", "SELEC COUNT(*)", PURPOSE, 400, "sql_malformed"),
    ("two statements", f"SELECT COUNT(*) FROM {GUARDED}; DROP TABLE x", PURPOSE, 400, "sql_several_statements"),
    ("a file", "SELECT COUNT(*) FROM 'flights.parquet'", PURPOSE, 400, "sql_unsupported"),
    ("a table function", "SELECT COUNT(*) FROM read_csv_auto('/etc/passwd')", PURPOSE, 400, "function_unknown"),
    ("a function", f"SELECT MAX(dep_delay) FROM {GUARDED}", PURPOSE, 400, "function_unknown"),
    ("a median", f"SELECT MEDIAN(dep_delay) FROM {GUARDED}", PURPOSE, 400, "function_unknown"),
    (
        "a filter of one aircraft",
        f"SELECT COUNT(*) FILTER (WHERE tailnum = 'N1') FROM {GUARDED}",
        PURPOSE,
        403,
        "filter_not_allowed",
    ),
    ("a subquery", f"SELECT COUNT(*) FROM (SELECT * FROM {GUARDED})", PURPOSE, 400, "sql_unsupported"),
]


@pytest.mark.parametrize(
    ("sql", "purpose", "status", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_refused_has_its_code_is_logged_and_costs_nothing(
    market: Market, sql: str, purpose: str, status: int, code: str
) -> None:
    credit = ledger.credit_left(market.people.buyer.pk)
    answer = market.buyer.ask(sql, purpose)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    record = Record.objects.filter(kind="query.refused").get()
    assert json.loads(record.content.body)["code"] == code
    assert ledger.credit_left(market.people.buyer.pk) == credit
    assert not MeteredQuery.objects.exists()


def test_refusals_speak_chinese_to_who_prefers_it(market: Market) -> None:
    answer = market.buyer.ask(BY_CARRIER, "marketing", headers={"Accept-Language": "zh-CN"})
    assert answer.json()["title"] == "许可未包含该用途"


def test_a_party_without_a_licence_gets_nothing(market: Market) -> None:
    answer = market.stranger.ask(BY_CARRIER)
    assert (answer.status_code, answer.json()["code"]) == (403, "licence_missing")


def test_another_partys_query_cannot_be_read(market: Market) -> None:
    body = market.buyer.ask(BY_CARRIER).json()
    for path in body["links"].values():
        assert market.buyer.get(path).status_code in (200, 409)
        assert market.stranger.get(path).status_code == 404


@pytest.mark.parametrize("what", ["resource", "authorization", "product", "licence"])
def test_suspending_anything_stops_the_next_query(market: Market, what: str) -> None:
    assert market.buyer.ask(BY_CARRIER).status_code == 200
    if what == "licence":
        licences.do_transition(market.licence, "suspended", "test")
    elif what == "authorization":
        authorizing.do_step(market.authorization, "suspend", city.person(market.people.authority), "检查")
    elif what == "product":
        versions.do_product_step(market.guarded, "suspend", city.person(market.people.merchant), "检查")
    else:
        registry.do_transition(market.flights, "suspended", "test")
    answer = market.buyer.ask(BY_CARRIER)
    assert answer.status_code == 403
    assert (
        answer.json()["code"]
        == {
            "resource": "resource_not_in_force",
            "authorization": "authorization_not_in_force",
            "product": "product_not_listed",
            "licence": "licence_not_in_force",
        }[what]
    )


def test_the_same_key_and_body_is_answered_once_and_charged_once(market: Market) -> None:
    first, again = (market.buyer.ask(BY_CARRIER, key="k").json() for _ in range(2))
    assert first == again
    assert Usage.objects.count() == 1


def test_the_same_key_with_another_body_is_a_conflict(market: Market) -> None:
    market.buyer.ask(BY_CARRIER, key="k")
    answer = market.buyer.ask(BY_STATION, key="k")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


def test_a_key_is_required(market: Market) -> None:
    answer = market.buyer.send("POST", "/v1/queries", headers={}, json={"sql": BY_CARRIER, "purpose": PURPOSE})
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


def test_the_same_key_at_the_same_time_is_charged_once(market: Market) -> None:
    market.buyer.login()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: market.buyer.ask(BY_STATION, key="k"), range(8)))
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Usage.objects.count() == 1
    assert wrong() == []


def together(market: Market, number: int) -> list[int]:
    """`number` different queries at once; their statuses."""
    market.buyer.login()
    keys = list(itertools.product(range(1, 5), ("EWR", "JFK", "LGA")))[:number]
    sql = f"SELECT COUNT(*) AS n FROM {GUARDED} WHERE month = {{}} AND origin = '{{}}'"
    with ThreadPoolExecutor(8) as pool:
        return [answer.status_code for answer in pool.map(lambda key: market.buyer.ask(sql.format(*key)), keys)]


def test_a_quota_holds_exactly_under_concurrency(market: Market) -> None:
    market.licence.quota = 5
    licences.do_change(market.licence, "test", ["quota"])
    assert sorted(together(market, 12)) == 5 * [200] + 7 * [403]
    assert LicenceMeter.objects.get(licence=market.licence).calls == 5
    assert wrong() == []


def test_a_wallet_is_never_overdrawn_under_concurrency(market: Market) -> None:
    market.licence.tariff = {"per_call": 3_000_000}
    licences.do_change(market.licence, "test", ["tariff"])
    assert sorted(together(market, 9)) == 3 * [200] + 6 * [402]
    assert ledger.credit_left(market.people.buyer.pk) == 1_000_000
    assert wrong() == []


def test_a_populations_cap_holds_under_concurrency(market: Market) -> None:
    snapshot = market.flights.snapshot
    snapshot.policy = snapshot.policy | {"budget": 4}
    snapshot.save()
    assert sorted(together(market, 10)) == 4 * [200] + 6 * [403]
    assert PopulationMeter.objects.get().spent == 4


def test_public_good_is_free_by_rule(market: Market) -> None:
    city.revise(market.open, use="public_good")
    body = market.buyer.ask(BY_STATION).json()
    assert body["price"] == {"amount": 0, "currency": "CNY", "lines": []}
    assert not Transfer.objects.filter(query=body["id"]).exists()
    assert wrong() == []


def test_an_answer_comes_in_the_format_asked_for(market: Market) -> None:
    due = market.buyer.ask(BY_STATION).json()["rows"]
    readers = {
        "text/csv": lambda data: pd.read_csv(io.BytesIO(data)),
        "application/vnd.apache.arrow.stream": lambda data: pa.ipc.open_stream(data).read_pandas(),
        "application/vnd.apache.parquet": lambda data: pq.read_table(io.BytesIO(data)).to_pandas(),
    }
    for media_type, read in readers.items():
        answer = market.buyer.ask(BY_STATION, headers={"Accept": media_type})
        assert answer.headers["Content-Type"] == media_type
        assert read(answer.content)["n"].tolist() == [row[1] for row in due]
        assert answer.headers["Sluice-Receipt"].count(".") == 2


def test_a_format_that_is_not_offered_is_refused_before_anything_is_charged(market: Market) -> None:
    answer = market.buyer.ask(BY_STATION, headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert not MeteredQuery.objects.exists()


def test_the_receipt_verifies_with_another_jose_library_and_says_what_was_charged(market: Market) -> None:
    body = market.buyer.ask(BY_CARRIER).json()
    keys = {jwk["kid"]: jwk for jwk in market.buyer.get("/.well-known/jwks.json").json()["keys"]}
    header = joserfc_jws.extract_compact(body["receipt"].encode()).headers()
    found = joserfc_jws.deserialize_compact(
        body["receipt"], OKPKey.import_key(keys[header["kid"]]), algorithms=["EdDSA", "Ed25519"]
    )
    said = json.loads(found.payload)["record"]
    assert header["typ"] == "sluice-receipt+jws"
    assert said["amount"] == body["price"]["amount"]
    assert sum(said["shares"].values()) == said["amount"]


BODIES = [
    ("no JSON", b"{", 400, "body_malformed"),
    ("a list", b"[]", 400, "field_invalid"),
    ("nothing", b"{}", 400, "field_invalid"),
    ("both", json.dumps({"sql": "x", "query": {}, "purpose": "p"}).encode(), 400, "field_invalid"),
    ("a number for SQL", json.dumps({"sql": [1], "purpose": "p"}).encode(), 400, "field_invalid"),
    ("no purpose", json.dumps({"sql": BY_STATION}).encode(), 400, "field_invalid"),
    (
        "a licence that is none",
        json.dumps({"sql": BY_STATION, "purpose": "p", "licence": "x"}).encode(),
        400,
        "field_invalid",
    ),
]


@pytest.mark.parametrize(("body", "status", "code"), [row[1:] for row in BODIES], ids=[row[0] for row in BODIES])
def test_a_body_that_makes_no_sense_is_refused(market: Market, body: bytes, status: int, code: str) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    answer = market.buyer.send("POST", "/v1/queries", headers=headers, data=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_everything_agrees_after_all_kinds_of_queries(market: Market) -> None:
    for sql, purpose in [
        (BY_CARRIER, PURPOSE),
        (BY_CARRIER, PURPOSE),
        (BY_STATION, PURPOSE),
        (BY_CARRIER, "x"),
        ("?", "x"),
    ]:
        market.buyer.ask(sql, purpose)
    assert wrong() == []
    assert Record.objects.filter(kind="query.settled").count() == 3
