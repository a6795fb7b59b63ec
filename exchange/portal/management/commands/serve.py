"""`manage.py serve`: web, worker and every node of this installation, under one supervisor."""

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from exchange.audit import append_only
from exchange.portal import supervisor
from exchange.portal.supervisor import Program


class Command(BaseCommand):
    help = "Serve the exchange: web, worker and nodes. Ctrl-C or SIGTERM stops all of them."
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", nargs="+", choices=("web", "worker", "node"), help="run these only")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["only"] or ("web", "worker", "node")
        programs = [p for p in _programs() if p.name.partition(":")[0] in wanted]
        if not programs:
            raise CommandError(f"no node has its home in {settings.VAR / 'node'}")
        if unguarded := append_only.missing():
            raise CommandError(f"not append-only: {', '.join(unguarded)}; run manage.py migrate")
        settings.STATIC_ROOT.mkdir(exist_ok=True)
        if "web" in wanted:
            host, port = settings.SLUICE.listen
            self.stdout.write(f"Sluice at http://{host}:{port}/ — Ctrl-C stops it")
        try:
            supervisor.run(programs, say=lambda line: print(line, flush=True))
        except supervisor.GaveUp as error:
            raise CommandError(f"{error}; its lines above say why") from None


def _programs() -> list[Program]:
    """In the order of their start: who is called before who calls."""
    manage = str(settings.BASE_DIR / "manage.py")
    homes = sorted(config.parent for config in (settings.VAR / "node").glob("*/node.toml"))
    commands = {
        **{f"node:{home.name}": node_command(home) for home in homes},
        "worker": (sys.executable, manage, "worker"),
        "web": web_command(*settings.SLUICE.listen),
    }
    here = {"SLUICE_VAR": str(settings.VAR)}
    return [Program(name, command, settings.BASE_DIR, here) for name, command in commands.items()]


def node_command(home: Path) -> tuple[str, ...]:
    """The node's launcher on its home folder; it needs no exchange."""
    return (sys.executable, "-m", "exchange.sandbox", "run", str(home))


def web_command(host: str, port: int) -> tuple[str, ...]:
    """granian over WSGI, with as many processes and threads as the settings say."""
    return (
        sys.executable, "-m", "granian", "exchange.wsgi:application", "--interface", "wsgi", "--no-ws",
        "--host", host, "--port", str(port),
        "--workers", str(settings.SLUICE.web_workers),
        "--blocking-threads", str(settings.SLUICE.web_threads),
        "--respawn-failed-workers", "--log-level", "error",
    )  # fmt: skip
