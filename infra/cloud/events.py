"""What leaves the journal: its stream to the functions that read it, the event bus, and rules on executions."""

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from apex.schema.events import ENVELOPE_TYPES
from infra.cloud.data import Data
from infra.cloud.functions import Functions
from infra.cloud.settings import Settings
from infra.cloud.workflows import Workflows

_PUBLISHER = "publish_events"
_PROJECTOR = "project_events"
_JANITOR = "janitor"


class Bus(Construct):
    """The event bus on which workflows tell the world what happened."""

    def __init__(self, scope: Construct, settings: Settings) -> None:
        super().__init__(scope, "Events")
        self.bus = events.EventBus(self, "Bus", event_bus_name=f"{settings.prefix}-bus")


class Deliveries(Construct):
    """Who is told of what: the journal's stream feeds publisher and read model, a lost execution wakes the janitor."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        data: Data,
        bus: events.EventBus,
        functions: Functions,
        workflows: Workflows,
    ) -> None:
        super().__init__(scope, "Deliveries")
        self._settings = settings
        self._unattended = self._queue("Unattended", "unattended-executions")
        if publisher := functions.handlers.get(_PUBLISHER):
            self._feed(publisher, data, self._queue("Unpublished", "unpublished-events"), "APEX_UNPUBLISHED_QUEUE")
        if projector := functions.handlers.get(_PROJECTOR):
            self._feed(projector, data, self._queue("Unprojected", "unprojected-events"), "APEX_UNPROJECTED_QUEUE")
        if janitor := functions.handlers.get(_JANITOR):
            self._wake_on_lost_executions(janitor, workflows)
            self._wake_on_late_effects(janitor, bus)
            self._wake_every_minute(janitor)
        self._collect_parked(bus)

    def _queue(self, construct_id: str, name: str) -> sqs.Queue:
        return sqs.Queue(
            self,
            construct_id,
            queue_name=f"{self._settings.prefix}-{name}",
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=Duration.days(14),
        )

    def _feed(self, consumer: lambda_.Function, data: Data, undelivered: sqs.Queue, variable: str) -> None:
        """Have a function read the journal's stream. What it cannot read it sets aside itself, in the queue in which
        that ends, too, at which it failed for good."""
        consumer.add_environment(variable, undelivered.queue_url)
        undelivered.grant_send_messages(consumer)
        consumer.add_event_source(
            sources.DynamoEventSource(
                data.tables["journal"],
                starting_position=lambda_.StartingPosition.TRIM_HORIZON,
                batch_size=100,
                # A second of patience makes one invocation of what would be one per event.
                max_batching_window=Duration.seconds(1),
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
            targets=[self._janitor_target(janitor)],
        )

    def _wake_on_late_effects(self, janitor: lambda_.Function, bus: events.EventBus) -> None:
        events.Rule(
            self,
            "LateEffect",
            description="An effect happened after it was fenced or undone: roll back once more",
            event_bus=bus,
            event_pattern=events.EventPattern(detail_type=[ENVELOPE_TYPES["LateEffectDetected"]]),
            targets=[self._janitor_target(janitor)],
        )

    def _wake_every_minute(self, janitor: lambda_.Function) -> None:
        events.Rule(
            self,
            "Sweep",
            description="Look at every open workflow, in case nobody said that it needs attention",
            schedule=events.Schedule.rate(Duration.minutes(1)),
            targets=[self._janitor_target(janitor)],
        )

    def _janitor_target(self, janitor: lambda_.Function) -> targets.LambdaFunction:
        return targets.LambdaFunction(janitor, dead_letter_queue=self._unattended, retry_attempts=8)

    def _collect_parked(self, bus: events.EventBus) -> None:
        """One message per step that a person must look at."""
        events.Rule(
            self,
            "ParkedStep",
            description="The effect of a step could not be undone",
            event_bus=bus,
            event_pattern=events.EventPattern(detail_type=[ENVELOPE_TYPES["StepParked"]]),
            targets=[targets.SqsQueue(self._queue("Parked", "parked-steps"))],
        )
