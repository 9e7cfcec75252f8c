"""Scheduled rules fire from a clock that runs as fast as the time scale says."""

import logging
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

from moto.events.models import Rule, events_backends

from infra.local.events import EventRouter
from infra.local.schedule_expressions import ScheduleInvalid, parse_schedule
from infra.local.surroundings import ACCOUNT

_LOOK_SECONDS = 0.05
"""How often the clock is looked at: rules made, changed and deleted meanwhile are seen this soon."""

_log = logging.getLogger(__name__)


class Schedules:
    """Fires the enabled scheduled rules of the default bus."""

    def __init__(self, router: EventRouter, *, region: str, time_scale: float) -> None:
        self._router, self._region, self._time_scale = router, region, time_scale
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="schedules", daemon=True)
        self._due: dict[tuple[str, str], datetime | None] = {}
        self._started, self._started_at = time.monotonic(), datetime.now(UTC)

    def start(self) -> None:
        """Begin to fire; a rule is due for the first time one period after it was seen."""
        self._started, self._started_at = time.monotonic(), datetime.now(UTC)
        self._thread.start()

    def stop(self) -> None:
        """Fire no more."""
        self._stopping.set()
        self._thread.join()

    def _now(self) -> datetime:
        return self._started_at + timedelta(seconds=(time.monotonic() - self._started) / self._time_scale)

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_SECONDS):
            now = self._now()
            rules = list(events_backends[ACCOUNT][self._region].event_buses["default"].rules.values())
            scheduled = [rule for rule in rules if rule.scheduled_expression and rule.state == "ENABLED"]
            current = {(rule.arn, rule.scheduled_expression): rule for rule in scheduled}
            self._due = {key: due for key, due in self._due.items() if key in current}
            for key, rule in current.items():
                self._look_at(key, rule, now)

    def _look_at(self, key: tuple[str, str], rule: Rule, now: datetime) -> None:
        if key not in self._due:
            self._due[key] = self._next(rule, now)
        due = self._due[key]
        if due is not None and due <= now:
            self._fire(rule, due)
            # A clock that is ahead of us fires once for what was missed, not once for each miss.
            following = self._next(rule, due)
            self._due[key] = following if following is None or following > now else self._next(rule, now)

    def _next(self, rule: Rule, moment: datetime) -> datetime | None:
        try:
            return parse_schedule(rule.scheduled_expression)(moment)
        except ScheduleInvalid as problem:
            _log.warning("the rule %s never fires here: %s", rule.name, problem)
            return None

    def _fire(self, rule: Rule, due: datetime) -> None:
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": due.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._region,
            "resources": [rule.arn],
            "detail": {},
        }
        for target in list(rule.targets):
            self._router.send(rule, target, event)
