"""roapi on the table, as it comes: `roapi --table gateway=…`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import requests

from benchmarks.load import Job
from exchange.portal.supervisor import die_with_parent
from tests.servers import free_port, wait_for_port


class Roapi:
    def __init__(self, source: Path) -> None:
        self.source = source
        self.port = free_port()

    def __enter__(self) -> "Roapi":
        program = shutil.which("roapi", path=str(Path(sys.executable).parent))
        if program is None:
            raise RuntimeError("roapi is not installed beside this Python; `make bench` installs it")
        command = [program, "--table", f"{self.source.stem}={self.source}", "-a", f"127.0.0.1:{self.port}"]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=self.source.parent, preexec_fn=die_with_parent, **quiet)
        wait_for_port(self.port, self.process)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def job(self, queries: list[str], seconds: float, connections: int) -> Job:
        return Job(self.port, "/api/sql", queries, seconds, connections)

    def rows(self, sql: str) -> list[list[object]]:
        """The answer's rows: g, c, s, d, sorted."""
        answer = requests.post(f"http://127.0.0.1:{self.port}/api/sql", data=sql.encode(), timeout=30)
        answer.raise_for_status()
        return sorted([row["g"], row["c"], row["s"], row["d"]] for row in json.loads(answer.content))
