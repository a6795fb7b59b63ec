"""The gate's side of its vaults: ask one, within a time, as if it were hostile."""

import queue
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from exchange.sandbox import frames
from exchange.sandbox.frames import Cells, Shape
from exchange.sandbox.node import pipes

_NOTHING = Shape(0, False, (), ())


class VaultDied(Exception):
    """The vault ended before it answered."""


class NoVault(Exception):
    """No vault came free in time."""


class Overran(Exception):
    """The vault did not answer in its time."""


class Vault:
    """One vault's pipe. `slot` is its number with the launcher, `life` counts the lives of that slot."""

    def __init__(self, pipe: socket.socket, slot: int, life: int) -> None:
        self._pipe, self.slot, self.life = pipe, slot, life
        self.alive, self._number = True, 0
        self._pipe.setblocking(False)

    def ask(self, request: dict[str, Any], until: float) -> int:
        """Have a snapshot loaded; the status, DONE once the query runs. Raises VaultDied, Overran, BadFrame."""
        self._number = request["number"]
        self._send(pipes.pack(request), until)
        return self._frame(_NOTHING, until)[0]

    def cells(self, shape: Shape, until: float) -> tuple[int, Cells]:
        """(status, cells) of the query that runs. Raises VaultDied, Overran, BadFrame."""
        status, body = self._frame(shape, until)
        return status, frames.decode_cells(body, shape)

    def _frame(self, shape: Shape, until: float) -> tuple[int, bytes]:
        header = self._receive(frames.HEADER.size, until)
        status, length = frames.decode_header(header, self._number, shape)
        return status, self._receive(length, until)

    def idle(self) -> bool:
        """Whether it waits for a request: one that is dead, or speaks unasked, does not."""
        return self.alive and not select.select([self._pipe], [], [], 0)[0]

    def close(self) -> None:
        self.alive = False
        self._pipe.close()

    def _send(self, data: bytes, until: float) -> None:
        view = memoryview(data)
        while view:
            self._wait(select.POLLOUT, until)
            try:
                view = view[self._pipe.send(view) :]
            except OSError as error:
                raise VaultDied from error

    def _receive(self, length: int, until: float) -> bytes:
        data = bytearray()
        while len(data) < length:
            self._wait(select.POLLIN, until)
            try:
                more = self._pipe.recv(min(length - len(data), 1 << 20))
            except OSError as error:
                raise VaultDied from error
            if not more:
                raise VaultDied
            data += more
        return bytes(data)

    def _wait(self, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(self._pipe, event)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise Overran


class Pool:
    """The vaults that wait for work, or the orders that wait for a vault, served in the order they came.

    `kill(slot, life)` asks the launcher to end a vault; it sends a fresh one.
    """

    def __init__(self, kill: Callable[[int, int], None]) -> None:
        self._lock = threading.Lock()
        self._free: deque[Vault] = deque()
        self._waiting: deque[queue.SimpleQueue[Vault]] = deque()
        self._kill = kill

    def add(self, vault: Vault) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().put(vault)
            else:
                self._free.append(vault)

    @contextmanager
    def borrow(self, seconds: float) -> Iterator[Vault]:
        """A vault for the length of the block; one that was ended meanwhile does not come back. Raises NoVault."""
        vault = self._take(time.monotonic() + seconds)
        try:
            yield vault
        finally:
            if vault.alive:
                self.add(vault)

    def end(self, vault: Vault) -> None:
        """Have a vault killed that died, overran or sent what it may not; the launcher sends another."""
        vault.close()
        self._kill(vault.slot, vault.life)

    def _take(self, until: float) -> Vault:
        while not (vault := self._next(until)).idle():
            self.end(vault)
        return vault

    def _next(self, until: float) -> Vault:
        mine: queue.SimpleQueue[Vault] = queue.SimpleQueue()
        with self._lock:
            if self._free:
                return self._free.popleft()
            self._waiting.append(mine)
        with suppress(queue.Empty):
            return mine.get(timeout=max(0.0, until - time.monotonic()))
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise NoVault
        return mine.get()  # it came at the last moment
