"""A small supervisor: starts programs, prefixes their lines, restarts them, stops all of them.

It knows no Django and nothing of what it runs. A program that dies is started again after a growing pause;
one that several times in a row dies at once is misconfigured, and everything stops, so that its last words
are the last on the screen. No program outlives the supervisor, even one that is killed.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LINE = 1 << 20  # bytes; a longer line is cut up
Say = Callable[[str], None]
SayFor = Callable[[str, str], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Program:
    """What to run under which name, and in which folder. `environment` is added to the supervisor's own."""

    name: str
    command: Sequence[str]
    folder: str | Path = "."
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Patience:
    """Times are in seconds. The pause before a restart doubles with each death, up to the longest."""

    steady: float = 5.0  # who lived this long was started well
    attempts: int = 5
    pause: float = 0.5
    longest_pause: float = 30.0
    grace: float = 15.0  # between SIGTERM and SIGKILL


class GaveUp(Exception):
    """A program never lived long enough; the text names it and its exit code."""


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent thread dies; to be called between fork and exec."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run(programs: Sequence[Program], say: Say = print, patience: Patience | None = None) -> None:
    """Run `programs` until SIGINT or SIGTERM, then stop them in reverse order. Raises GaveUp."""
    width = max(len(program.name) for program in programs)

    def prefixed(name: str, line: str) -> None:
        say(f"{name:<{width}} | {line}")

    asyncio.run(_run(programs, prefixed, patience or Patience()))


async def _run(programs: Sequence[Program], say: SayFor, patience: Patience) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    keepers = [asyncio.create_task(_keep(program, say, patience)) for program in programs]
    try:
        done, _ = await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a keeper ends only by raising
    finally:
        stopped.cancel()
        for task in reversed(keepers):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, GaveUp):
                await task


async def _keep(program: Program, say: SayFor, patience: Patience) -> None:
    pause, short_lives = patience.pause, 0
    while True:
        started = time.monotonic()
        code = await _live(program, say, patience.grace)
        lived = time.monotonic() - started
        if lived >= patience.steady:
            pause, short_lives = patience.pause, 0
        short_lives += 1
        if short_lives == patience.attempts:
            raise GaveUp(f"{program.name} ended {short_lives} times in a row at its start, with {code}")
        say(program.name, f"ended with {code}; started again in {pause:g} s")
        await asyncio.sleep(pause)
        pause = min(2 * pause, patience.longest_pause)


async def _live(program: Program, say: SayFor, grace: float) -> int:
    """One life of a program, and the end of whatever it left behind in its process group."""
    process = await asyncio.create_subprocess_exec(
        *program.command,
        cwd=program.folder,
        env={**os.environ, **program.environment, "PYTHONUNBUFFERED": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LINE,
        process_group=0,  # a terminal's Ctrl-C reaches the supervisor only, which stops the others in order
        preexec_fn=die_with_parent,
    )
    relay = asyncio.create_task(_relay(process, program.name, say))
    try:
        return await process.wait()
    finally:
        await _end(process, grace)
        # A grandchild in another group may hold the pipe open; its lines are no reason to wait.
        await asyncio.wait([relay], timeout=1)
        relay.cancel()


async def _relay(process: asyncio.subprocess.Process, name: str, say: SayFor) -> None:
    stream = process.stdout
    while stream is not None:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as rest:
            if rest.partial:
                say(name, rest.partial.decode(errors="replace"))
            return
        except asyncio.LimitOverrunError:
            line = await stream.read(LINE)
        say(name, line.decode(errors="replace").rstrip("\n"))


async def _end(process: asyncio.subprocess.Process, grace: float) -> None:
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
