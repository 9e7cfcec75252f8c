"""EventBridge to its targets: functions, state machines and queues get what rules send them, in the background.

A delivery that may succeed later is tried again, as the target's ``RetryPolicy`` says; one that cannot succeed, or
failed too often, goes to the target's dead-letter queue with the reason as message attributes. A function that fails is
Lambda's matter (:mod:`infra.local.async_calls`), as on AWS. With a data directory an accepted event is kept until it is
delivered, so a killed process delivers it when it is started again.
"""

import json
import logging
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto.events.models import Rule, events_backends

from infra.local.async_calls import AsyncCalls
from infra.local.background import Background
from infra.local.event_inputs import InputInvalid, target_input
from infra.local.lambda_calls import TargetUnreachable, send_message
from infra.local.store import Store
from infra.local.surroundings import ACCOUNT

Event = dict[str, Any]

SERVICES = frozenset({"lambda", "states", "sqs"})
"""The services whose targets are delivered here; moto goes on delivering to its own (log groups, archives, buses)."""

_RETRIES = 185
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_PERMANENT = frozenset({"StateMachineDoesNotExist", "InvalidExecutionInput", "InvalidArn", "ExecutionAlreadyExists"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One event on its way to one target; the id is the same when it is taken up again after a restart."""

    id: str
    rule_arn: str
    target: Mapping[str, Any]
    event: Event

    def text(self) -> str:
        return json.dumps({"rule_arn": self.rule_arn, "target": dict(self.target), "event": self.event})


class EventRouter:
    """Delivers what rules match to the rules' targets."""

    def __init__(self, background: Background, calls: AsyncCalls, store: Store | None, *, region: str) -> None:
        self._background, self._calls, self._store, self._region = background, calls, store, region

    @cached_property
    def _state_machines(self) -> Any:
        # A session of its own: making clients from the shared one is not safe in threads.
        return boto3.session.Session().client("stepfunctions", region_name=self._region)

    def start(self) -> None:
        """Take up the deliveries that a killed process left behind."""
        for identity, text in self._store.deliveries() if self._store is not None else ():
            kept = json.loads(text)
            self._run(_Delivery(identity, kept["rule_arn"], kept["target"], kept["event"]))

    def send(self, rule: Rule, target: Mapping[str, Any], event: Event) -> None:
        """Accept an event for a target; returns at once."""
        delivery = _Delivery(str(uuid.uuid4()), rule.arn, target, event)
        if self._store is not None:
            self._store.add_delivery(delivery.id, delivery.text())
        self._run(delivery)

    def put_on_default_bus(self, event: Event) -> None:
        """Hand an event of AWS itself to the rules of the default bus."""
        for rule in list(events_backends[ACCOUNT][self._region].event_buses["default"].rules.values()):
            rule.send_to_targets(event)

    def _run(self, delivery: _Delivery) -> None:
        self._background.run(lambda: self._attempt(delivery, failures=0))

    def _attempt(self, delivery: _Delivery, failures: int) -> None:
        try:
            self._deliver(delivery)
        except (TargetUnreachable, InputInvalid) as problem:
            self._bury(delivery, "NO_RESOURCE", str(problem), failures)
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            allowed = int(delivery.target.get("RetryPolicy", {}).get("MaximumRetryAttempts", _RETRIES))
            if code in _PERMANENT or failures >= allowed:
                self._bury(delivery, code, str(problem), failures)
                return
            pause = min(_FIRST_PAUSE * 2**failures, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
            self._background.run_later(pause, lambda: self._attempt(delivery, failures + 1))

    def _deliver(self, delivery: _Delivery) -> None:
        arn = delivery.target["Arn"]
        service = arn.split(":")[2]
        text = target_input(delivery.target, delivery.event, delivery.rule_arn)
        if service == "lambda":
            self._calls.accept(arn, text, finished=lambda: self._finish(delivery))
            return
        if service == "states":
            name = f"{delivery.event['id']}_{delivery.id}"[:80]
            self._state_machines.start_execution(stateMachineArn=arn, name=name, input=text)
        else:
            send_message(arn, text, group=delivery.target.get("SqsParameters", {}).get("MessageGroupId"))
        self._finish(delivery)

    def _finish(self, delivery: _Delivery) -> None:
        if self._store is not None:
            self._store.remove_delivery(delivery.id)

    def _bury(self, delivery: _Delivery, code: str, message: str, failures: int) -> None:
        queue = delivery.target.get("DeadLetterConfig", {}).get("Arn")
        attributes = {
            "RULE_ARN": delivery.rule_arn,
            "TARGET_ARN": delivery.target["Arn"],
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message[:1000] or code,
            "RETRY_ATTEMPTS": str(failures),
        }
        _log.warning("an event could not be delivered: %s", attributes)
        if queue:
            try:
                send_message(queue, json.dumps(delivery.event), attributes)
            except TargetUnreachable:
                _log.warning("the dead-letter queue %s cannot be reached; it misses %s", queue, delivery.event)
        self._finish(delivery)
