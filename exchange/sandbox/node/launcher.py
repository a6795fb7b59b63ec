"""The process without a port and without a key: it starts the others, hands them their pipes, restarts them.

Stdlib only. Gate and vaults are its children and each other's siblings, for what a confined process starts
is confined like itself. They end with it.
"""

import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, TextIO

from exchange.sandbox.node import confine, pipes, users
from exchange.sandbox.node.home import BadConfiguration, Home, Settings, load, write_atomic

STEADY = 5.0  # seconds; who lived this long was started well
PAUSE, LONGEST_PAUSE = 0.1, 10.0
GRACE = 5.0  # for a gate that has closed its control pipe
ATTEMPTS = 5  # of a node that has never listened
GATE = -1  # the gate's slot
SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Misconfigured(Exception):
    """A process cannot run at all; its own words said why."""


@dataclass
class Slot:
    """One process that is to run: the one that does, when the next may start, how many died young."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    young_deaths: int = 0
    life: int = 0


@dataclass
class Launcher:
    home: Home
    settings: Settings
    users: users.Users
    port: int
    slots: dict[int, Slot] = field(default_factory=dict)
    control: socket.socket | None = None
    listened: bool = False
    stopping: bool = False

    def run(self) -> None:
        """Keep gate and vaults running until SIGTERM or SIGINT. Raises Misconfigured."""
        self.slots = {slot: Slot() for slot in range(GATE, self.settings.vaults)}
        with selectors.DefaultSelector() as self._selector:
            wake = _wake_on_signals(self)
            self._selector.register(wake, selectors.EVENT_READ)
            try:
                while not self.stopping:
                    self._start_due()
                    for key, _ in self._selector.select(self._pause()):
                        if key.fileobj is wake:
                            wake.recv(4096)
                        else:
                            self._hear()
                    self._bury()
            finally:
                self._stop()

    def _start_due(self) -> None:
        """Start what is due; vaults live no longer than the gate that holds their pipes."""
        for slot, child in self.slots.items():
            if child.process is None and child.due <= time.monotonic() and (slot == GATE or self.control):
                self._start_gate(child) if slot == GATE else self._start_vault(slot, child)

    def _start_gate(self, child: Slot) -> None:
        self.control, theirs = pipes.control()
        self._selector.register(self.control, selectors.EVENT_READ)
        self._spawn(child, "gate", self.users.gate, theirs, self.port)

    def _start_vault(self, slot: int, child: Slot) -> None:
        gates, theirs = pipes.vault()
        self._spawn(child, "vault", self.users.vault, theirs, self.settings.memory_mb, self.settings.threads)
        with gates:
            self._say({"slot": slot, "life": child.life}, gates.fileno())

    def _spawn(self, child: Slot, module: str, user: int | None, pipe: socket.socket, *arguments: int) -> None:
        command = [sys.executable, "-P", "-m", f"exchange.sandbox.node.{module}", str(self.home.root)]
        command += map(str, (pipe.fileno(), os.getpid(), *arguments))
        with pipe:
            child.process = subprocess.Popen(
                command, env=users.environment(), cwd="/", stdin=subprocess.DEVNULL,
                pass_fds=(pipe.fileno(),), **users.as_user(user),
            )  # fmt: skip
        child.started = time.monotonic()
        child.life += 1

    def _say(self, message: dict[str, Any], descriptor: int) -> None:
        try:
            if self.control:
                pipes.say(self.control, message, descriptor)
        except OSError:
            pass  # the gate is gone; its end is noticed next, and the vault's with it

    def _hear(self) -> None:
        """What the gate says: that it listens, or that a vault is to be killed. It is believed no further."""
        if self.control is None:
            return
        try:
            message, _ = pipes.hear(self.control)
        except (OSError, ValueError):
            message = None
        if message is None:
            self._drop_control()
        elif "port" in message:
            self._listens(message)
        elif message.get("kill") != GATE and (child := self.slots.get(message.get("kill", GATE))):
            self._kill(child, message.get("life"))

    def _kill(self, child: Slot, life: object) -> None:
        if child.process and child.life == life:
            child.process.kill()

    def _listens(self, message: dict[str, Any]) -> None:
        """Say where the node is, once it can be reached."""
        self.port, self.listened = int(message["port"]), True
        host = self.settings.listen.rpartition(":")[0]
        scheme = "grpc+tls" if self.settings.tls_certificate else "grpc+tcp"
        endpoint = {
            "node": self.settings.name, "url": f"{scheme}://{host}:{self.port}", "pid": os.getpid(),
            "public_jwk": message["public_jwk"],
        }  # fmt: skip
        write_atomic(self.home.endpoint, json.dumps(endpoint).encode(), 0o644)
        _log(f"node {self.settings.name} at {endpoint['url']}, {self.users}")

    def _bury(self) -> None:
        """Note who ended; with the gate the vaults end too. Raises Misconfigured."""
        for slot, child in self.slots.items():
            if child.process is None or (code := child.process.poll()) is None:
                continue
            child.process = None
            name = "gate" if slot == GATE else f"vault {slot}"
            if not self.listened and (code == os.EX_CONFIG or child.young_deaths == ATTEMPTS):
                raise Misconfigured(name)
            if time.monotonic() - child.started > STEADY:
                child.young_deaths = 0
            pause = min(PAUSE * (2**child.young_deaths - 1), LONGEST_PAUSE)
            child.young_deaths = min(child.young_deaths + 1, 20)
            child.due = time.monotonic() + pause
            _log(f"{name} ended with {code}; started again in {pause:g} s")
            if slot == GATE:
                self._drop_control()
                self._kill_vaults()

    def _drop_control(self) -> None:
        """The gate has closed its end: it is about to end itself, with an exit code that tells why."""
        if self.control:
            self._selector.unregister(self.control)
            self.control.close()
            self.control = None
        gate = self.slots[GATE].process
        if gate:
            try:
                gate.wait(GRACE)
            except subprocess.TimeoutExpired:
                gate.kill()
                gate.wait()

    def _kill_vaults(self) -> None:
        for slot, child in self.slots.items():
            if slot != GATE and child.process:
                child.process.kill()
                child.process.wait()
                child.process, child.due = None, 0.0

    def _pause(self) -> float | None:
        """Seconds until something is due."""
        waiting = [child.due for slot, child in self.slots.items() if child.process is None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _stop(self) -> None:
        self.home.endpoint.unlink(missing_ok=True)
        for child in self.slots.values():
            if child.process:
                child.process.kill()
        for child in self.slots.values():
            if child.process:
                child.process.wait()


def run(home: Home) -> None:
    """Run the node of `home` until SIGTERM. Raises BadConfiguration, CannotConfine, Misconfigured."""
    settings = load(home)
    confine.require()
    lock = _lock(home)
    home.endpoint.unlink(missing_ok=True)
    chosen = users.choose(home)
    users.own(home, chosen)
    with lock:
        Launcher(home, settings, chosen, settings.port).run()


def _lock(home: Home) -> TextIO:
    """Held as long as the launcher lives: one journal has one writer. Raises BadConfiguration."""
    try:
        lock = (home.run / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BadConfiguration(f"{home.root}: this node runs already") from None
    except OSError as error:
        raise BadConfiguration(f"{home.run}: {error}") from error
    return lock


def _wake_on_signals(launcher: Launcher) -> socket.socket:
    """A socket that becomes readable with every signal of ours, so that none is lost between two waits."""
    woken, waker = socket.socketpair()
    woken.setblocking(False)
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.detach(), warn_on_full_buffer=False)

    def handle(number: int, _: object) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            launcher.stopping = True
        elif number == signal.SIGHUP and (gate := launcher.slots[GATE].process):
            gate.kill()  # a fresh one reads the policy afresh

    for number in SIGNALS:
        signal.signal(number, handle)
    return woken


def _log(line: str) -> None:
    print(f"sluice launcher: {line}", file=sys.stderr, flush=True)
