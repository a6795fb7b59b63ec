"""The exchange under load: migrated, with a confined node and two products, served as `make serve` does."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from benchmarks.gateway import table
from benchmarks.load import Job
from exchange.portal.supervisor import die_with_parent
from tests.databases import start_postgres
from tests.servers import free_port

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0
PURPOSE = "benchmark"


class Exchange:
    """Everything in `folder`; leaving it stops everything."""

    def __init__(self, folder: Path, source: Path, postgres: bool) -> None:
        self.folder, self.source, self.postgres = folder, source, postgres
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._stack = ExitStack()

    def __enter__(self) -> "Exchange":
        with ExitStack() as stack:
            self._set_up(stack)
            self._make_node()
            self._serve(stack)
            self._open_for_business()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _set_up(self, stack: ExitStack) -> None:
        url = ""
        if self.postgres:
            server = start_postgres()
            stack.callback(server.close)
            url = server.url(server.template)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "exchange.settings",
            "SLUICE_VAR": str(self.folder / "var"),
            "DATABASE_URL": url,
            "SLUICE_LISTEN": f"127.0.0.1:{self.port}",
        }
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)

    def _make_node(self) -> None:
        from django.conf import settings

        from exchange.audit import keys
        from exchange.crypto.keys import b64url, raw
        from exchange.sandbox.node import home

        self.home = home.Home(settings.VAR / "node" / "bench")
        home.create(self.home, "bench", f"127.0.0.1:{free_port()}")
        x = b64url(raw(keys.current("order").public))
        home.write_atomic(self.home.policy, policy(settings.SLUICE.name, x).encode(), 0o644)

    def _serve(self, stack: ExitStack) -> None:
        log = stack.enter_context((self.folder / "serve.log").open("wb"))
        command = [sys.executable, "manage.py", "serve"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent
        )
        stack.callback(self._stop)
        until = time.monotonic() + PATIENCE_SECONDS
        while not (self.home.endpoint.exists() and self._healthy()):
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the exchange did not start:\n" + (self.folder / "serve.log").read_text())
            time.sleep(0.1)

    def _stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def _healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    def _open_for_business(self) -> None:
        from catalog import snapshots
        from fixtures import city

        people = city.found_city()
        endpoint = json.loads(self.home.endpoint.read_text())
        domain = city.join(endpoint, "bench", "基准", "Benchmark")
        authorization = city.authorize(people, "bench")
        for code, profile in ((table.OPEN, "open"), (table.GUARDED, "guarded")):
            self._take_in(code)
            resource = city.register(code, code, code, people.holder, domain)
            snapshots.refresh(resource, actor=str(people.holder.pk))
            columns = [column.name for column in table.SCHEMAS[code].columns]
            product = city.offer(people, code, authorization, resource, columns, profile=profile)
            city.license_to(people.buyer, product, [PURPOSE], quota=10**9)
        city.fund(people.buyer, 10**12)
        client = city.client_of(people.buyer)
        answer = requests.post(
            f"{self.url}/oauth/token", data={"grant_type": "client_credentials"}, auth=client, timeout=30
        )
        answer.raise_for_status()
        self.headers = {
            "Authorization": f"Bearer {answer.json()['access_token']}",
            "Content-Type": "application/json",
        }

    def _take_in(self, code: str) -> None:
        schema = self.folder / f"{code}.schema.json"
        schema.write_text(json.dumps(table.SCHEMAS[code].to_json()))
        command = [sys.executable, "-m", "exchange.sandbox", "intake", self.home.root, code, self.source]
        done = subprocess.run([*command, "--schema", schema], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"intake: {done.stderr}")

    def job(self, queries: list[str], seconds: float, connections: int, repeat: bool = False) -> Job:
        bodies = [json.dumps({"sql": sql, "purpose": PURPOSE}) for sql in queries]
        return Job(self.port, "/v1/queries", bodies, seconds, connections, self.headers, True, repeat)

    def answer(self, sql: str) -> dict[str, Any]:
        headers = self.headers | {"Idempotency-Key": sql[-200:]}
        body = json.dumps({"sql": sql, "purpose": PURPOSE})
        answer = requests.post(f"{self.url}/v1/queries", data=body, headers=headers, timeout=60)
        if not answer.ok:
            raise RuntimeError(answer.text)
        return dict(answer.json())

    def rows(self, sql: str) -> list[list[object]]:
        """The answer's rows without their status, sorted."""
        return sorted(row[:4] for row in self.answer(sql)["rows"])

    def guarded_deadline(self) -> float:
        """The deadline (s) of the guarded queries, from the declared capacity."""
        from catalog.models import Snapshot
        from exchange.sandbox import plan, query, sql
        from exchange.sandbox.node import home
        from exchange.sandbox.orders import Terms
        from exchange.sandbox.query import Profile
        from exchange.sandbox.schema import manifest_from_json

        manifest = manifest_from_json(Snapshot.objects.get(resource__code=table.GUARDED).manifest)
        question = sql.parse(table.guarded_query((0, 1)))
        bound = query.bind(question, manifest.schema, Profile.GUARDED)
        speed = home.load(self.home).rows_per_second
        return round(plan.deadline(bound.query, manifest, Terms("guarded", 10), speed), 3)

    def vendor(self) -> str:
        from django.db import connection

        return connection.vendor


def policy(exchange: str, x: str) -> str:
    """The holder's law: both resources, the guarded one with its entity, and who may send orders."""
    shown = '"g", "x", "v"'
    return f"""\
[populations.rows]
profile = "open"

[populations.entities]
profile = "guarded"
entity = "e"
threshold = 10
queries = 1000000

[resources.{table.OPEN}]
population = "rows"
columns = [{shown}]

[resources.{table.GUARDED}]
population = "entities"
columns = [{shown}, "e"]

[exchanges.{exchange}]
x = "{x}"
"""
