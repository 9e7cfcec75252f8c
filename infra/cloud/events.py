"""What leaves the journal: its stream to the publishing function, the event bus, and rules on executions."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.cloud.data import Data
from infra.cloud.functions import Functions
from infra.cloud.settings import Settings
from infra.cloud.workflows import Workflows

_PUBLISHER = "publish_events"
_JANITOR = "janitor"


class Bus(Construct):
    """The event bus on which workflows tell the world what happened."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "Events")
        self.bus = events.EventBus(self, "Bus", event_bus_name=f"{settings.prefix}-bus")


class Deliveries(Construct):
    """Who is told of what: the journal's stream feeds the publisher, a lost execution wakes the janitor."""

    def __init__(
        self, scope: Construct, settings: Settings, data: Data, functions: Functions, workflows: Workflows
    ) -> None:
        super().__init__(scope, "Deliveries")
        self._settings = settings
        if publisher := functions.handlers.get(_PUBLISHER):
            self._feed(publisher, data)
        if janitor := functions.handlers.get(_JANITOR):
            self._wake_on_lost_executions(janitor, workflows)

    def _queue(self, construct_id: str, name: str) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=f"{self._settings.prefix}-{name}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )

    def _feed(self, publisher: lambda_.Function, data: Data) -> None:
        undelivered = self._queue("Unpublished", "unpublished-events")
        publisher.add_event_source(
            sources.DynamoEventSource(
                data.tables["journal"],
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=100,
                # One bad record must not hold back the others of its shard: halve, retry, then set it aside.
                bisect_batch_on_error=True,
                report_batch_item_failures=True,
                retry_attempts=8,
                max_record_age=Duration.hours(20),
                on_failure=sources.SqsDlq(undelivered),
            )
        )

    def _wake_on_lost_executions(self, janitor: lambda_.Function, workflows: Workflows) -> None:
        arns = [machine.state_machine_arn for machine in workflows.machines.values()]
        events.Rule(
            self,
            "LostExecution",
            description="An execution ended without closing its workflow",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={"status": ["FAILED", "TIMED_OUT", "ABORTED"], "stateMachineArn": arns},
            ),
            targets=[
                targets.LambdaFunction(
                    janitor,
                    dead_letter_queue=self._queue("Unattended", "unattended-executions"),
                    retry_attempts=8,
                )
            ],
        )
