"""Puts the adapters together, once per process: what every handler works with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from apex.adapters.clock import SystemClock
from apex.adapters.dynamodb.bodies import Bodies
from apex.adapters.dynamodb.instances import INLINE_LIMIT, DynamoInstances
from apex.adapters.dynamodb.items import Items
from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.adapters.eventbridge import EventBus
from apex.adapters.executions import StepFunctionsExecutions
from apex.adapters.sqs import DeadLetterQueue
from apex.app.project import Projecting
from apex.app.publish import Publishing
from apex.errors import InvalidInput
from apex.ports import Clock, Executions, WorkflowStore


@dataclass(frozen=True, slots=True)
class House:
    """The adapters behind the ports."""

    store: WorkflowStore
    executions: Executions
    clock: Clock


@dataclass(frozen=True, slots=True)
class Settings:
    """What a function is told through its environment."""

    journal_table: str
    state_table: str
    records_table: str
    payload_bucket: str | None
    agent_machine_arn: str
    rollback_machine_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read ``APEX_*``; raises ``InvalidInput`` naming everything that is missing."""
        required = ("APEX_JOURNAL_TABLE", "APEX_STATE_TABLE")
        missing = [name for name in required if not environment.get(name)]
        if missing:
            raise InvalidInput(f"these environment variables are missing: {', '.join(missing)}")
        return cls(
            journal_table=environment["APEX_JOURNAL_TABLE"],
            state_table=environment["APEX_STATE_TABLE"],
            records_table=environment.get("APEX_RECORDS_TABLE", ""),
            payload_bucket=environment.get("APEX_PAYLOAD_BUCKET"),
            agent_machine_arn=environment.get("APEX_AGENT_MACHINE_ARN", ""),
            rollback_machine_arn=environment.get("APEX_ROLLBACK_MACHINE_ARN", ""),
        )


def build_house(settings: Settings, clients: Mapping[str, Any]) -> House:
    """A house on the given boto3 clients: ``dynamodb``, ``s3`` and ``stepfunctions``."""
    clock = SystemClock()
    names = StoreNames(
        journal=settings.journal_table,
        state=settings.state_table,
        payload_bucket=settings.payload_bucket,
        records={"records": settings.records_table},
    )
    return House(
        store=DynamoStore(clients["dynamodb"], names, s3=clients["s3"], clock=clock),
        executions=StepFunctionsExecutions(
            clients["stepfunctions"], settings.agent_machine_arn, settings.rollback_machine_arn
        ),
        clock=clock,
    )


def house() -> House:
    """The house that the environment describes, built at first use and kept while the function stays warm."""
    return _house(Settings.from_environment(os.environ))


@cache
def _house(settings: Settings) -> House:
    return build_house(settings, {name: _client(name) for name in ("dynamodb", "s3", "stepfunctions")})


def publishing() -> Publishing:
    """What publishes the journal of this process's environment. Raises ``InvalidInput`` where something is not
    configured."""
    return _publishing(_variable("APEX_EVENT_BUS"), _variable("APEX_UNPUBLISHED_QUEUE"), _payload_bucket())


@cache
def _publishing(bus: str, unpublished: str, payload_bucket: str | None) -> Publishing:
    return Publishing(
        items=Items(Bodies(_client("s3"), payload_bucket)),
        bus=EventBus(_client("events"), bus),
        dead_letters=DeadLetterQueue(_client("sqs"), unpublished),
    )


def projecting() -> Projecting:
    """What keeps the read model of this process's environment. Raises ``InvalidInput`` where something is not
    configured."""
    table, unprojected = _variable("APEX_WORKFLOW_INSTANCES_TABLE"), _variable("APEX_UNPROJECTED_QUEUE")
    return _projecting(table, unprojected, Settings.from_environment(os.environ))


@cache
def _projecting(table: str, unprojected: str, settings: Settings) -> Projecting:
    s3 = _client("s3")
    large = Bodies(s3, settings.payload_bucket, inline_limit=INLINE_LIMIT)
    return Projecting(
        items=Items(Bodies(s3, settings.payload_bucket)),
        instances=DynamoInstances(_client("dynamodb"), table, large),
        journal=_house(settings).store,
        dead_letters=DeadLetterQueue(_client("sqs"), unprojected),
    )


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise InvalidInput(f"{name} is not set")
    return value


def _payload_bucket() -> str | None:
    return os.environ.get("APEX_PAYLOAD_BUCKET")


def _client(name: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
    client: Any = boto3.client  # its stubs know each service by a literal name only
    return client(name, config=config)
