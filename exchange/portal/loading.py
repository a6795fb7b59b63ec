"""Loading a system of fixtures/systems: its node with its tables taken in, then all the rest in one transaction."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from catalog.models import Authorization, Product, Resource
from exchange.portal.management.commands.serve import node_command
from exchange.portal.opening import Opening
from exchange.portal.supervisor import die_with_parent
from exchange.sandbox.node.home import Home
from fixtures import city
from fixtures.systems.system import System, hire, load


class Loading(Opening):
    """Loads one system into an empty exchange; what fails leaves none of it."""

    def run(self, system: System) -> None:
        """Raises SystemExit where var/ or the database holds an exchange that no demo made, Problem."""
        self.clear()
        call_command("migrate", verbosity=0)
        try:
            home = self.make_node(system.name, system.sources)
            for source in system.sources:
                self.take_in(source, home)
            with self.running(home):
                self.fill(system, json.loads(home.endpoint.read_text()))
        except BaseException:
            for left in (settings.VAR / "node" / system.name, self.folder):
                shutil.rmtree(left, ignore_errors=True)
            raise
        self.tell(system)

    def fill(self, system: System, endpoint: dict[str, object]) -> None:
        with transaction.atomic():
            made = load(system, endpoint)
            logins = [*hire(system, made.people), ("admin", city.break_glass("admin")[1])]
            self.write_logins(f"Logins of {system.name} for /admin/, and the buyer's API client", logins)

    @contextmanager
    def running(self, home: Home) -> Iterator[None]:
        """The node, as `serve` runs it, until the block ends."""
        with self.log.open("wb") as log:
            node = subprocess.Popen(
                node_command(home.root), cwd=settings.BASE_DIR, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            self.wait("starting the node", home.endpoint.exists, node)
            yield
        finally:
            node.send_signal(signal.SIGTERM)
            node.wait(30)

    def tell(self, system: System) -> None:
        self.say(f"\n{system.title} · {system.name}: parties and data are made up, and say so")
        for each in Authorization.objects.order_by("code"):
            self.say(f"   authorization {each.code} ({each.mode}): {each.operator.name_en}")
        for resource in Resource.objects.order_by("code"):
            rows = "in the node" if resource.snapshot_id else "registered, without rows"
            self.say(f"   resource {resource.code} ({resource.sector}): {rows}")
        for product in Product.objects.order_by("code"):
            self.say(f"   product {product.code} ({product.kind}, {product.profile}): {product.merchant.name_en}")
        self.say("\nA question, under the purpose {}:\n   {}".format(*system.asked))
        self.say(f"\nLogins: {self.folder / 'logins.txt'}; `make serve` serves it.")
