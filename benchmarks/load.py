"""A load generator in a process of its own: connections kept alive, each asking the next thing when answered.

`python -m benchmarks.load` reads one job (JSON) from standard input and prints one result.
"""

import http.client
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from uuid import uuid4


@dataclass(frozen=True)
class Job:
    """POST `bodies` in turn to `path` until `seconds` or the bodies are over; 200 is the only success."""

    port: int
    path: str
    bodies: list[str]
    seconds: float
    connections: int = 8
    headers: dict[str, str] = field(default_factory=dict)
    keyed: bool = False  # send a fresh Idempotency-Key with each
    late: str = ""  # a problem code that is counted, not fatal


@dataclass(frozen=True)
class Measured:
    """`seconds` is from the first request to the last answer; latencies are in milliseconds."""

    answers: int
    seconds: float
    median_ms: float
    p99_ms: float
    late: int = 0  # answers with the job's `late` code; not among `answers`
    cpu_ms: float = 0.0  # processor time of the server for one answer; whoever knows its pid fills this in

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def run(job: Job) -> Measured:
    """Run `job` in another process. Raises RuntimeError where any answer is not 200."""
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return Measured(**json.loads(done.stdout))


def _drive(job: Job) -> Measured:
    bodies = iter(job.bodies)
    lock = threading.Lock()
    until = time.perf_counter() + job.seconds
    latencies: list[float] = []
    late: list[float] = []
    faults: list[str] = []

    def following() -> Iterator[bytes]:
        while time.perf_counter() < until and not faults:
            with lock:
                body = next(bodies, None)
            if body is None:
                return
            yield body.encode()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", job.port, timeout=60)
        try:
            for body in following():
                began = time.perf_counter()
                answered = latencies if _ask(connection, job, body) else late
                answered.append(time.perf_counter() - began)
        except (OSError, http.client.HTTPException, ValueError) as error:
            faults.append(str(error))

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(job.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if faults or not latencies + late:
        raise SystemExit(faults[0] if faults else f"{job.path} answered too little in {seconds:.1f} s")
    cuts = statistics.quantiles((latencies or late) * 2, n=100)
    return Measured(len(latencies), seconds, round(cuts[49] * 1000, 2), round(cuts[98] * 1000, 2), len(late))


def _ask(connection: http.client.HTTPConnection, job: Job, body: bytes) -> bool:
    """Whether the answer is 200; False for the job's `late` code. Raises ValueError for any other."""
    headers = job.headers | {"Idempotency-Key": uuid4().hex} if job.keyed else job.headers
    connection.request("POST", job.path, body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status == 200:
        return True
    if job.late and json.loads(text).get("code") == job.late:
        return False
    raise ValueError(f"{job.path} answered {response.status}: {text.decode(errors='replace')[:500]}")


if __name__ == "__main__":
    print(json.dumps(asdict(_drive(Job(**json.load(sys.stdin))))))
