"""The supervisor, run for real in a process of its own with small programs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exchange.portal import supervisor
from exchange.portal.supervisor import GaveUp, Patience, Program

ROOT = Path(__file__).parents[2]
HASTY = Patience(steady=0.5, attempts=3, pause=0.01, grace=1)


def program(name: str, code: str) -> Program:
    return Program(name, (sys.executable, "-c", code))


def test_it_prefixes_the_lines_of_each_program_and_gives_up_on_one_that_keeps_dying():
    said: list[str] = []
    with pytest.raises(GaveUp, match=r"bad ended 3 times .* with 3"):
        supervisor.run(
            [
                program("good", "print('hello', flush=True); import time; time.sleep(60)"),
                program("bad", "exit(3)"),
            ],
            said.append,
            HASTY,
        )
    assert "good | hello" in said
    assert sum(line.startswith("bad  | ended with 3") for line in said) == 2


def test_a_program_that_lived_long_enough_is_always_started_again(tmp_path):
    code = f"import time, os; open({str(tmp_path / 'lives')!r}, 'a').write('x'); time.sleep(0.6)"
    with served(f"[Program('short', ({sys.executable!r}, '-c', {code!r}))]") as process:
        wait_for(lambda: (tmp_path / "lives").exists() and len((tmp_path / "lives").read_text()) > 3)
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_program_in_reverse_order(tmp_path, number):
    log = tmp_path / "log"
    with served(f"[{writer('first', log)}, {writer('second', log)}]") as process:
        wait_for(lambda: log.exists() and log.read_text().count("up") == 2)
        process.send_signal(number)
        assert process.wait(10) == 0
    assert log.read_text().split()[-2:] == ["second-down", "first-down"]


def test_a_program_that_ignores_the_signal_is_killed_with_its_children(tmp_path):
    pids = tmp_path / "pids"
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); child = os.fork();"
        f" open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(60)"
    )
    with served(f"[Program('deaf', ({sys.executable!r}, '-c', {code!r}))]") as process:
        wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        process.terminate()
        assert process.wait(10) == 0
    wait_for(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def test_no_program_outlives_a_supervisor_that_is_killed(tmp_path):
    log = tmp_path / "log"
    with served(f"[{writer('child', log)}]") as process:
        wait_for(log.exists)
        process.kill()
        wait_for(lambda: "child-down" in log.read_text())


def writer(name: str, log: Path) -> str:
    """The source of a program that notes its start and its orderly end."""
    code = (
        "import signal, sys, time\n"
        f"note = lambda text: open({str(log)!r}, 'a').write(f'{name}-{{text}} ')\n"
        "signal.signal(signal.SIGTERM, lambda *_: (note('down'), sys.exit(0)))\n"
        "note('up')\n"
        "time.sleep(60)"
    )
    return f"Program({name!r}, ({sys.executable!r}, '-c', {code!r}))"


class served:
    """A supervisor of the given programs, in a process that a test may signal."""

    def __init__(self, programs: str) -> None:
        self.code = (
            "from exchange.portal.supervisor import *\n"
            f"run({programs}, patience=Patience(steady=0.5, attempts=3, pause=0.01, grace=0.5))"
        )

    def __enter__(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen([sys.executable, "-c", self.code], cwd=ROOT)
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(10)


def wait_for(condition) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until, "waited 20 s in vain"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
