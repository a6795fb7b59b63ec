"""The sequencer: every record gets one place, and the published log is what the database says."""

import os
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from exchange.audit import fsck, keys, log, sequencer
from exchange.audit.models import Checkpoint, Leaf, Record, Unsequenced
from exchange.audit.sequencer import Forked, log_folder, run_once
from exchange.audit.verify.log import check_log, opener
from exchange.audit.verify.note import read_vkey
from exchange.crypto.merkle import leaf_hash, root
from tests.audit.acts import append, published, sequence_until_killed

pytestmark = pytest.mark.usefixtures("db")


def check() -> None:
    """fsck agrees, and so does the verifier that reads only what is published."""
    assert [finding.text for finding in fsck.check() if not finding.ok] == []
    assert list(check_log(opener(str(log_folder())), read_vkey(keys.log_vkey())))


def test_leaves_stand_in_the_order_of_their_records_without_a_gap():
    append(5)
    assert run_once() == 6  # and the record of the log's own key
    append(3)
    assert run_once() == 3
    entries = list(Leaf.objects.order_by("index").values_list("index", "record__entry"))
    assert [index for index, _ in entries] == list(range(9))
    newest = Checkpoint.objects.latest("size")
    assert bytes(newest.root) == root(leaf_hash(entry.encode()) for _, entry in entries)
    assert not Unsequenced.objects.exists()
    check()


def test_nothing_new_means_no_new_checkpoint():
    append()
    run_once()
    before = published()
    assert run_once() == 0
    assert published() == before


@pytest.mark.parametrize("steps", [[255], [256], [257], [100, 156, 1], [300, 300]])
def test_the_published_log_verifies_at_the_edges_of_tiles(steps):
    keys.current("log")
    run_once()
    for count in steps:
        append(count)
        run_once()
        check()


def test_a_full_tile_takes_the_place_of_its_partial_ones():
    keys.current("log")
    for count in (99, 100, 100):
        append(count)
        run_once()
    assert sorted(path for path in published() if path.startswith("tile/0")) == [
        "tile/0/000", "tile/0/001.p/44",
    ]  # fmt: skip


def test_a_run_costs_the_same_number_of_queries_however_large_the_log_is():
    def queries() -> int:
        append(2)
        with CaptureQueriesContext(
            connection,
        ) as found:
            run_once()
        return len(found)

    append(2)
    run_once()
    small = queries()
    append(300)
    run_once()
    assert queries() == small + 1  # one more level has an edge to read


def test_every_published_byte_is_a_function_of_the_database():
    for count in (200, 100, 300):
        append(count)
        run_once()
    before = published()
    shutil.rmtree(log_folder())
    run_once()
    assert published().items() >= before.items()
    check()


KILLS = [
    *[(f"sluice.sequencer.{step}", 1) for step in ("integrated", "tiles", "checkpoint")],
    *[("os.rename", turn) for turn in (1, 2, 7, 8)],  # a tile, its entries, a tile above, the checkpoint
]


@pytest.mark.parametrize(("event", "turn"), KILLS)
def test_a_sequencer_killed_at_any_step_leaves_a_log_that_goes_on(event, turn, tmp_path):
    append(250)
    run_once()
    append(300)
    before = published()
    assert sequence_until_killed(tmp_path, event, turn) == -signal.SIGKILL
    left = published()
    assert {path for path in before if path not in left} <= {path for path in before if ".p/" in path}
    run_once()
    after = published()
    assert {
        path: data for path, data in left.items() if path != "checkpoint" and path in after
    }.items() <= after.items()
    assert Leaf.objects.count() == Record.objects.count() == 551
    check()


def test_a_killed_sequencer_integrates_nothing_or_everything(tmp_path):
    append(5)
    keys.current("log")
    assert sequence_until_killed(tmp_path, "sluice.sequencer.integrated") == -signal.SIGKILL
    assert Leaf.objects.count() == Checkpoint.objects.get().size == 6
    assert "checkpoint" not in published()
    assert run_once() == 0
    check()


def test_several_sequencers_and_writers_at_once_lose_and_double_nothing():
    start = threading.Barrier(6)

    def write(name: int) -> None:
        start.wait()
        for number in range(1, 31):
            append(licence=f"p{name}", first=number)
        connection.close()

    def sequence() -> None:
        start.wait()
        for _ in range(12):
            run_once()
        connection.close()

    with ThreadPoolExecutor(6) as pool:
        for task in [*(pool.submit(write, name) for name in range(3)), *(pool.submit(sequence) for _ in range(3))]:
            task.result()
    run_once()
    assert Leaf.objects.count() == Record.objects.count() == 91
    check()


def test_a_sequencer_on_another_machine_shares_only_the_database_lock(monkeypatch):
    """Integration is safe without the file lock: two machines have no file in common."""
    keys.current("log")
    append(40)
    start = threading.Barrier(4)

    def integrate(_: int) -> int:
        start.wait()
        found = sequencer.integrate()
        connection.close()
        return found

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(integrate, range(4))) == 41
    assert list(Leaf.objects.order_by("index").values_list("index", flat=True)) == list(range(41))


if os.environ["DATABASE_URL"].startswith("postgres"):  # SQLite has one writer: nobody commits late

    def test_a_record_that_is_committed_late_is_not_skipped():
        appended, sequenced = threading.Event(), threading.Event()

        def late() -> None:
            with transaction.atomic():
                log.append("thing.late", {})
                appended.set()
                sequenced.wait(10)
            connection.close()

        with ThreadPoolExecutor(1) as pool:
            task = pool.submit(late)
            appended.wait(10)
            append()
            run_once()
            assert not Leaf.objects.filter(record__kind="thing.late").exists()
            sequenced.set()
            task.result()
        run_once()
        assert Leaf.objects.get(record__kind="thing.late").index == 2
        check()


def test_an_old_backup_of_the_database_is_refused_before_anything_is_signed():
    append(3)
    run_once()
    checkpoint = log_folder() / "checkpoint"
    checkpoint.write_text(checkpoint.read_text().replace("\n4\n", "\n5\n"))
    append()
    with pytest.raises(Forked, match="5 records that this database does not know"):
        run_once()
    assert Checkpoint.objects.latest("size").size == 4


def test_the_sequencer_runs_in_a_transaction_of_its_own():
    append()
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        run_once()
