"""The load generator, a process of its own: `python -m benchmarks.load` reads one job as JSON from stdin.

Each connection is a thread with one keep-alive connection that takes the next body from the common list,
until the time is over. Only answers that came in time are counted, and any answer but 200 ends the run.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import quantiles


@dataclass(frozen=True)
class Job:
    """What to send where. With `keyed` every request gets an Idempotency-Key of its own.

    `repeat` starts over at the end of `bodies`; otherwise running out of them is an error.
    """

    port: int
    path: str
    bodies: Sequence[str]
    seconds: float
    connections: int = 8
    headers: dict[str, str] = field(default_factory=dict)
    keyed: bool = False
    repeat: bool = False


@dataclass(frozen=True)
class Load:
    """What came back: answers per second, latencies in milliseconds."""

    rps: float
    answers: int
    p50_ms: float
    p99_ms: float


def put(job: Job) -> Load:
    """Run `job` in a process of its own. Raises RuntimeError with the first answer that was no 200."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return Load(**json.loads(done.stdout))


class Generator:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.next = 0
        self.lock = threading.Lock()
        self.latencies: list[float] = []
        self.fault = ""

    def run(self) -> Load:
        threads = [threading.Thread(target=self.connection) for _ in range(self.job.connections)]
        self.until = time.monotonic() + self.job.seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.fault or len(self.latencies) < 2:
            raise SystemExit(self.fault or "fewer than two answers came in time")
        cuts = [cut * 1000 for cut in quantiles(self.latencies, n=100)]
        answers = len(self.latencies)
        return Load(answers / self.job.seconds, answers, round(cuts[49], 2), round(cuts[98], 2))

    def connection(self) -> None:
        peer = http.client.HTTPConnection("127.0.0.1", self.job.port, timeout=60)
        while time.monotonic() < self.until and not self.fault:
            body = self.body()
            headers = dict(self.job.headers)
            if self.job.keyed:
                headers["Idempotency-Key"] = str(uuid.uuid4())
            started = time.monotonic()
            try:
                peer.request("POST", self.job.path, body, headers)
                answer = peer.getresponse()
                text = answer.read()
            except OSError as error:
                self.fault = f"{type(error).__name__}: {error}"
                return
            ended = time.monotonic()
            if answer.status != 200:
                self.fault = f"{answer.status}: {text[:500].decode(errors='replace')}"
            elif ended <= self.until:
                self.latencies.append(ended - started)

    def body(self) -> bytes:
        with self.lock:
            number, self.next = self.next, self.next + 1
        if number >= len(self.job.bodies) and not self.job.repeat:
            self.fault = "the job ran out of queries"
            return b""
        return self.job.bodies[number % len(self.job.bodies)].encode()


if __name__ == "__main__":
    print(json.dumps(asdict(Generator(Job(**json.load(sys.stdin))).run())))
