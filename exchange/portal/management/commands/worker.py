"""`manage.py worker`: the one worker. It sequences the log, does due jobs and finishes uncertain queries."""

import logging
import signal
import threading
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from exchange.audit import sequencer
from exchange.portal import clocks
from exchange.work import jobs
from settlement import recovery

REST_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Sequence the log, do due jobs, finish uncertain queries; until SIGTERM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="do what is due and stop")

    def handle(self, *args: Any, once: bool = False, **options: Any) -> None:
        stop = threading.Event()

        def stopping(number: int, frame: FrameType | None) -> None:
            stop.set()

        signal.signal(signal.SIGTERM, stopping)
        signal.signal(signal.SIGINT, stopping)
        rested_at = 0.0
        while True:
            close_old_connections()
            self._try(sequencer.run_once)
            if once or time.monotonic() - rested_at > REST_SECONDS:
                rested_at = time.monotonic()
                self._try(jobs.run_due)
                self._try(recovery.run_due)
                self._try(clocks.watch)
                if once:
                    self._try(sequencer.run_once)
            if once or stop.wait(settings.SLUICE.sequence_seconds):
                return

    def _try(self, duty: Any) -> None:
        """One duty's failure must not stop the others; it is logged and tried again."""
        try:
            duty()
        except Exception:  # noqa: BLE001
            _log.exception("%s failed", duty.__module__)
