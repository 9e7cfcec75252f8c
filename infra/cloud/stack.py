"""The whole system of one environment as one stack.

One stack, not one per part: a deployment then succeeds or is taken back as a whole, the parts refer to each other
directly instead of through exports that freeze what they name, and the local cloud loads one template.
"""

from collections.abc import Mapping

from aws_cdk import App, CfnOutput, DefaultStackSynthesizer, Stack, Tags
from constructs import Construct

from infra.cloud.data import Data
from infra.cloud.events import Bus, Deliveries
from infra.cloud.functions import Functions
from infra.cloud.house import House, read_house
from infra.cloud.needs import HANDLERS, Needs
from infra.cloud.settings import Settings, camel
from infra.cloud.workflows import Workflows


class ApexStack(Stack):
    """Everything that one environment consists of, built from the folders of one house."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        house: House,
        needs: Mapping[str, Needs] = HANDLERS,
    ) -> None:
        super().__init__(
            scope,
            settings.prefix,
            stack_name=settings.prefix,
            description="APEX Orchestrator: carries out goals as sagas",
            # The deploying tool checks the bootstrap version itself, before it touches anything.
            synthesizer=DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
        )
        self.data = Data(self, settings)
        self.bus = Bus(self, settings).bus
        self.functions = Functions(self, settings, house, self.data, self.bus, needs)
        self.workflows = Workflows(self, settings, house, self.functions)
        Deliveries(self, settings, self.data, self.bus, self.functions, self.workflows)
        self._publish_names()
        Tags.of(self).add("application", "apex")
        Tags.of(self).add("environment", settings.env)

    def _publish_names(self) -> None:
        """Outputs: what a program beside the stack needs to find its parts."""
        names = {f"{camel(name)}Table": table.table_name for name, table in self.data.tables.items()}
        names |= {"PayloadBucket": self.data.bucket.bucket_name, "EventBus": self.bus.event_bus_name}
        names |= {
            f"{camel(name)}MachineArn": machine.state_machine_arn for name, machine in self.workflows.machines.items()
        }
        names |= {
            f"{camel(name)}Function": function.function_name for name, function in self.functions.handlers.items()
        }
        names |= {
            f"{camel(name)}ToolFunction": function.function_name for name, function in self.functions.tools.items()
        }
        for name, value in names.items():
            CfnOutput(self, name, value=value)


def build_app(settings: Settings) -> App:
    """The CDK app with the stack of ``settings``, read from its folders; the caller synthesises it."""
    app = App(analytics_reporting=False)
    ApexStack(app, settings, read_house(settings))
    return app
