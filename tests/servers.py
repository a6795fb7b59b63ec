"""The exchange over real HTTP: in threads of this process, or in processes that a test may kill."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from exchange.portal.supervisor import die_with_parent

ROOT = Path(__file__).parents[1]


@contextmanager
def in_threads() -> Iterator[str]:
    """Serve on loopback until the block ends; the base URL."""
    from django.core.servers.basehttp import ThreadedWSGIServer
    from django.core.wsgi import get_wsgi_application
    from django.test.testcases import QuietWSGIRequestHandler

    httpd = ThreadedWSGIServer(("127.0.0.1", 0), QuietWSGIRequestHandler, allow_reuse_address=False)
    httpd.set_app(get_wsgi_application())
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@dataclass(frozen=True, slots=True)
class Served:
    """A running web server: granian's main process, which leads a process group with its workers."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """SIGKILL to all of it, as when the machine loses power."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Starter:
    """Starts web servers as `manage.py serve` does, and ends them."""

    def __enter__(self) -> "Starter":
        self._stack = ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, **environment: str) -> Served:
        """A web server on this test's database; `environment` is added to ours.

        Raises RuntimeError where it does not answer within 30 s.
        """
        from exchange.portal.management.commands.serve import web_command

        port = free_port()
        process = subprocess.Popen(
            web_command("127.0.0.1", port), cwd=ROOT, env=os.environ | environment,
            stdin=subprocess.DEVNULL, process_group=0, preexec_fn=die_with_parent,
        )  # fmt: skip
        served = Served(f"http://127.0.0.1:{port}", process)
        self._stack.callback(served.kill)
        wait_for_port(port, process)
        return served


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 30) -> None:
    """Raises RuntimeError where `process` ends or does not listen in time."""
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"nothing listens on port {port}, exit code {process.poll()}") from error
            time.sleep(0.02)
