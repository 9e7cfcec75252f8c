"""``Executions`` on AWS Step Functions."""

import hashlib
import json
import time
from typing import Any

from botocore.exceptions import ClientError

from apex.errors import StoreError
from apex.schema.ids import execution_name


class StepFunctionsExecutions:
    """Starts the two machines; ``client`` is a boto3 ``stepfunctions`` client."""

    def __init__(self, client: Any, agent_arn: str, rollback_arn: str) -> None:
        self._client = client
        self._agent_arn = agent_arn
        self._rollback_arn = rollback_arn

    def start_agent(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``agent_workflow``; answers the execution's name."""
        return self._start(self._agent_arn, execution_name(workflow_id, generation), tenant, workflow_id, generation)

    def start_rollback(self, tenant: str, workflow_id: str, generation: int) -> str:
        """Start ``rollback``; answers the execution's name."""
        name = execution_name(workflow_id, generation, rollback=True)
        return self._start(self._rollback_arn, name, tenant, workflow_id, generation)

    def _start(self, arn: str, name: str, tenant: str, workflow_id: str, generation: int) -> str:
        payload = {"tenant": tenant, "workflow_id": workflow_id, "generation": generation}
        try:
            self._client.start_execution(
                stateMachineArn=arn, name=name, input=json.dumps(payload), traceHeader=trace_header(workflow_id)
            )
        except ClientError as error:
            # The name is computed: an execution that exists already is the one that was wanted.
            if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                raise StoreError(f"Step Functions answered {error.response['Error']['Code']}") from error
        return name

    def agent_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of an execution of ``agent_workflow``, or None where there is none."""
        return self._status(self._agent_arn, execution_name(workflow_id, generation))

    def rollback_status(self, workflow_id: str, generation: int) -> str | None:
        """Status of an execution of ``rollback``, or None where there is none."""
        return self._status(self._rollback_arn, execution_name(workflow_id, generation, rollback=True))

    def _status(self, machine_arn: str, name: str) -> str | None:
        arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            return str(self._client.describe_execution(executionArn=arn)["status"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExecutionDoesNotExist":
                return None
            raise StoreError(f"Step Functions answered {error.response['Error']['Code']}") from error


def trace_header(workflow_id: str) -> str:
    """The X-Ray header under which an execution starts; its last part is the same for all executions of a workflow.

    The first part of an X-Ray trace id is the time in seconds, because X-Ray refuses old traces.
    """
    digest = hashlib.sha256(workflow_id.encode()).hexdigest()[:24]
    return f"Root=1-{int(time.time()):08x}-{digest}"
