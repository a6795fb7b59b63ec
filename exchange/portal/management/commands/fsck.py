"""`manage.py fsck`: recompute everything and say what does not agree."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from exchange.portal import fsck


class Command(BaseCommand):
    help = "Recompute log, receipts, ledger, usage, meters and journals; exit 1 where something does not agree."

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for finding in fsck.check():
            wrong += not finding.ok
            self.stdout.write(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.text}")
        if wrong:
            raise CommandError(f"{wrong} findings: see above")
        self.stdout.write("fsck: everything agrees")
