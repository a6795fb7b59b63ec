"""The gate's side of a vault, as if the vault were hostile: the test is the vault, on a real pipe."""

import socket
import struct
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.sandbox.frames import HEADER, MAGIC, RELEASED, BadFrame, Shape, Status, encode
from exchange.sandbox.node import pipes
from exchange.sandbox.node.pool import NoVault, Overran, Pool, Vault, VaultDied

SHAPE = Shape(cells=3, complete=True, lows=(0,), highs=(100,))
REQUEST = {"number": 7, "order": "one"}


def cells(*values: int) -> np.ndarray:
    found = np.zeros(len(values), SHAPE.dtype)
    found["key"], found["values"][:, 0] = np.arange(len(values)), values
    return found


def talk(*said: bytes, close: bool = True, shape: Shape = SHAPE, seconds: float = 5.0) -> tuple[int, np.ndarray]:
    """What the gate makes of a vault that answers request 7 with `said`."""
    gate, vault = pipes.vault()
    with vault:
        for part in said:
            vault.sendall(part)
        if close:
            vault.shutdown(socket.SHUT_WR)
        until = time.monotonic() + seconds
        asked = Vault(gate, slot=0, life=1)
        try:
            status = asked.ask(REQUEST, until)
            return (status, np.empty(0)) if status != Status.DONE else asked.cells(shape, until)
        finally:
            asked.close()


LOADED = encode(7, Status.DONE)


def test_an_honest_vault_is_heard():
    status, found = talk(LOADED, encode(7, Status.DONE, cells(5, 6, 7)))
    assert (status, found["values"][:, 0].tolist()) == (Status.DONE, [5, 6, 7])


@pytest.mark.parametrize("status", [Status.SNAPSHOT_UNREADABLE, Status.ENGINE_FAILED])
def test_a_failure_is_a_number_and_nothing_more(status):
    assert talk(encode(7, status))[0] == status
    assert talk(LOADED, encode(7, status))[0] == status


def frame(count: int, body: bytes = b"", *, magic: int = MAGIC, status: int = 0, number: int = 7) -> bytes:
    return HEADER.pack(magic, status, number, count) + body


HOSTILE = [
    ("another magic", frame(3, cells(1, 2, 3).tobytes(), magic=1)),
    ("another request's number", frame(3, cells(1, 2, 3).tobytes(), number=8)),
    ("a status nobody knows", frame(0, status=9)),
    ("cells with a failure", frame(3, cells(1, 2, 3).tobytes(), status=Status.ENGINE_FAILED)),
    ("more cells than the grid has", frame(4, cells(1, 2, 3, 4).tobytes())),
    ("an incomplete grid", frame(2, cells(1, 2).tobytes())),
    ("a number of cells that would fill the memory", frame(2**63)),
    ("a value above its bound", frame(3, cells(1, 2, 101).tobytes())),
    ("a value below its bound", frame(3, cells(1, 2, -1).tobytes())),
    ("a pickle", b"\x80\x04\x95" + b"c__builtin__\neval\n" * 10),
]


@pytest.mark.parametrize(("what", "said"), HOSTILE, ids=[row[0] for row in HOSTILE])
def test_what_is_out_of_shape_is_a_bad_frame(what, said):
    with pytest.raises(BadFrame):
        talk(LOADED, said)


def test_cells_before_the_snapshot_is_loaded_are_a_bad_frame():
    with pytest.raises(BadFrame):
        talk(encode(7, Status.DONE, cells(1, 2, 3)))


@pytest.mark.parametrize("said", [(), (LOADED,), (LOADED, frame(3)), (LOADED[:5],), (LOADED, frame(3, b"x" * 30))])
def test_a_vault_that_ends_in_the_middle_died(said):
    with pytest.raises(VaultDied):
        talk(*said)


@pytest.mark.parametrize("said", [(), (LOADED,), (LOADED, frame(3, b"x" * 30))])
def test_a_vault_that_is_silent_overran(said):
    with pytest.raises(Overran):
        talk(*said, close=False, seconds=0.05)


def test_a_vault_that_does_not_listen_overran():
    gate, vault = pipes.vault()
    with vault, pytest.raises(Overran):
        Vault(gate, 0, 1).ask(REQUEST | {"query": "x" * 4_000_000}, time.monotonic() + 0.1)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_of_a_vault_do_more_than_fail(said):
    """Whatever comes is either cells in their shape or one of two errors."""
    try:
        _, found = talk(LOADED, said)
    except (BadFrame, VaultDied):
        return
    assert len(found) in (0, 3)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3), st.integers(-5, 105)), max_size=4))
def test_cells_are_taken_only_in_their_shape(rows):
    body = b"".join(struct.pack("<QIIq", *row) for row in rows)
    try:
        _, found = talk(LOADED, frame(len(rows), body))
    except BadFrame:
        return
    assert found["key"].tolist() == [0, 1, 2]
    shown = found[(found["status"] == RELEASED) & (found["nulls"] == 0)]["values"]
    assert bool(((shown >= 0) & (shown <= 100)).all())


def pool_of(count: int) -> tuple[Pool, list[socket.socket], list[tuple[int, int]]]:
    killed: list[tuple[int, int]] = []
    pool = Pool(lambda slot, life: killed.append((slot, life)))
    ends = []
    for slot in range(count):
        gate, vault = pipes.vault()
        pool.add(Vault(gate, slot, 1))
        ends.append(vault)
    return pool, ends, killed


def test_a_vault_serves_one_at_a_time():
    pool, _ends, _ = pool_of(1)
    with pool.borrow(1), pytest.raises(NoVault), pool.borrow(0.05):
        raise AssertionError("lent twice")
    with pool.borrow(0.05) as vault:
        assert vault.slot == 0


def test_who_waits_gets_the_vault_that_comes_back():
    pool, _ends, _ = pool_of(1)
    got = []

    def wait() -> None:
        with pool.borrow(5) as vault:
            got.append(vault.slot)

    with pool.borrow(1):
        waiting = threading.Thread(target=wait)
        waiting.start()
    waiting.join()
    assert got == [0]


def test_an_ended_vault_is_killed_and_does_not_come_back():
    pool, _ends, killed = pool_of(1)
    with pool.borrow(1) as vault:
        pool.end(vault)
    assert killed == [(0, 1)]
    with pytest.raises(NoVault), pool.borrow(0.05):
        raise AssertionError("lent after its end")


@pytest.mark.parametrize(
    "act", [lambda end: end.close(), lambda end: end.sendall(LOADED)], ids=["died", "spoke unasked"]
)
def test_a_vault_that_does_not_wait_is_not_lent(act):
    pool, ends, killed = pool_of(2)
    act(ends[0])
    with pool.borrow(1) as vault:
        assert vault.slot == 1
    assert killed == [(0, 1)]


def test_who_came_first_is_served_first():
    """Or a busy client's next order would pass one that has waited, again and again."""
    pool, _ends, _ = pool_of(1)
    served: list[int] = []

    def wait(number: int) -> None:
        with pool.borrow(5):
            served.append(number)

    waiting = [threading.Thread(target=wait, args=[number]) for number in range(10)]
    with pool.borrow(1):
        for number, thread in enumerate(waiting):
            thread.start()
            until_waiting(pool, number + 1)
    for thread in waiting:
        thread.join()
    assert served == list(range(10))


def until_waiting(pool: Pool, number: int) -> None:
    until = time.monotonic() + 5
    while len(pool._waiting) < number and time.monotonic() < until:
        time.sleep(0.001)
