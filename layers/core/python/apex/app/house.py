"""Puts the adapters together, once per process: what every handler works with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from apex.adapters.clock import SystemClock
from apex.adapters.dynamodb.bodies import Bodies
from apex.adapters.dynamodb.items import Items
from apex.adapters.dynamodb.store import DynamoStore, StoreNames
from apex.adapters.eventbridge import EventBus
from apex.adapters.executions import StepFunctionsExecutions
from apex.errors import InvalidInput
from apex.ports import Clock, Executions, WorkflowStore


@dataclass(frozen=True, slots=True)
class House:
    """The adapters behind the ports."""

    store: WorkflowStore
    executions: Executions
    clock: Clock


@dataclass(frozen=True, slots=True)
class Publishing:
    """What publishing the journal needs: reading its items, and the bus."""

    items: Items
    bus: EventBus


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
    """What publishes the journal of this process's environment. Raises ``InvalidInput`` where no bus is configured."""
    bus = os.environ.get("APEX_EVENT_BUS")
    if not bus:
        raise InvalidInput("APEX_EVENT_BUS is not set")
    return _publishing(bus, os.environ.get("APEX_PAYLOAD_BUCKET"))


@cache
def _publishing(bus: str, payload_bucket: str | None) -> Publishing:
    return Publishing(Items(Bodies(_client("s3"), payload_bucket)), EventBus(_client("events"), bus))


def _client(name: str) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "max_attempts": 3})
    client: Any = boto3.client  # its stubs know each service by a literal name only
    return client(name, config=config)
