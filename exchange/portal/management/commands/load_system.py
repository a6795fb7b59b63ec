"""`manage.py load_system NAME`: an exchange like Beijing's, Chengdu's or Hangzhou's, to start from."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from exchange.portal.loading import Loading
from fixtures.systems import SYSTEMS


class Command(BaseCommand):
    help = "Load a system with made-up parties and data into an empty exchange, or over one that a demo made."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", choices=sorted(SYSTEMS), help="which one, see docs/systems.md")

    def handle(self, *args: Any, **options: Any) -> None:
        Loading(options["name"], self.stdout.write).run(SYSTEMS[options["name"]])
