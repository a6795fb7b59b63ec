"""Appending a record: in the transaction of its change, with a commitment and a number."""

import base64
import hashlib
import json
import os
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError, transaction
from django.db.transaction import TransactionManagementError
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit import log
from exchange.audit.models import Record, RecordBody, Unsequenced
from exchange.crypto.canonical import canonical
from exchange.statements import insert
from tests.audit.acts import append

pytestmark = pytest.mark.usefixtures("db")


def test_the_entry_commits_to_the_body_and_does_not_show_it():
    with transaction.atomic():
        record = log.append("thing.done", {"name": "部门", "number": 7}, licence="p1", seq=1)
    record = Record.objects.get(pk=record.pk)
    entry, content = json.loads(record.entry), record.content
    salted = bytes(content.salt) + content.body.encode()
    assert len(bytes(content.salt)) == 32
    assert base64.b64decode(entry.pop("commitment")) == hashlib.sha256(salted).digest()
    assert datetime.fromisoformat(entry.pop("time")) == record.time
    assert entry == {"v": 1, "kind": "thing.done", "licence": "p1", "seq": 1}
    assert content.body == '{"name":"部门","number":7}'


def test_the_entry_is_canonical_json():
    for record in [*append(licence="p-1_Z"), *append()]:
        assert log.entry_of(record) == canonical(json.loads(record.entry))


def test_the_same_body_twice_has_two_commitments():
    with transaction.atomic():
        one, other = (log.append("thing.done", {}) for _ in range(2))
    assert json.loads(one.entry)["commitment"] != json.loads(other.entry)["commitment"]


def test_it_waits_for_the_sequencer():
    (record,) = append()
    assert Unsequenced.objects.get().record_id == record.pk


def test_what_append_returns_is_what_the_database_holds():
    (record,) = append(licence="p1")
    stored = Record.objects.get(pk=record.pk)
    assert (record.time, record.entry, record.content.body) == (stored.time, stored.entry, stored.content.body)


def test_it_refuses_to_append_outside_a_transaction():
    with pytest.raises(TransactionManagementError):
        log.append("thing.done", {})


def test_a_change_that_is_rolled_back_leaves_no_record():
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        log.append("thing.done", {})
        raise ZeroDivisionError
    assert not Record.objects.exists()
    assert not RecordBody.objects.exists()
    assert not Unsequenced.objects.exists()


def test_a_licence_has_each_number_once():
    append(licence="p1")
    with pytest.raises(IntegrityError):
        append(licence="p1")
    append(licence="p2")
    assert Record.objects.count() == 2


IMPOSSIBLE = [
    ("", None, None), ("Thing", None, None), ("thing done", None, None), ('thing"', None, None),
    ("a" * 65, None, None), ("thing.", None, None), ("thing\n", None, None),
    ("thing", "p1", None), ("thing", None, 1), ("thing", "p1", 0), ("thing", "", 1), ("thing", 'p"', 1),
    ("thing", "p" * 65, 1), ("thing", "p\n", 1),
]  # fmt: skip


def test_it_refuses_what_an_entry_cannot_hold():
    for kind, licence, seq in IMPOSSIBLE:
        with pytest.raises(ValueError, match="kind|pseudonym|numbers"), transaction.atomic():
            log.append(kind, {}, licence=licence, seq=seq)
    assert not Record.objects.exists()


def test_it_refuses_a_body_that_has_no_canonical_form():
    for body in ({"amount": float("nan")}, {"amount": 2**53}, {1: 2}, {"when": datetime.now(UTC)}):
        with pytest.raises(ValueError), transaction.atomic():  # noqa: PT011 (rfc8785 has its own subclasses)
            log.append("thing.done", body)
    assert not Record.objects.exists()


bodies = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(bodies)
def test_every_body_comes_back_as_it_was(body):
    with transaction.atomic():
        record = log.append("thing.done", body)
        assert json.loads(RecordBody.objects.get(pk=record.pk).body) == body


def test_rows_go_in_as_a_save_would_put_them():
    """`insert` goes past the ORM, so what it writes must be what the ORM writes."""
    fields = {"kind": "thing.done", "time": datetime(2026, 1, 2, 3, 4, 5, 6000, UTC), "entry": "{}"}
    quick, saved = Record(**fields), Record(**fields)
    with transaction.atomic():
        insert(quick, RecordBody(record=quick, body="{}", salt=os.urandom(32)))
        saved.save(force_insert=True)
    one, other = (Record.objects.values().get(pk=record.pk) for record in (quick, saved))
    assert {**one, "id": None} == {**other, "id": None}
    assert not quick._state.adding
