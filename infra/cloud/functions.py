"""One Lambda function per folder, each with a role of its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import ArnFormat, CfnParameter, Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.cloud.bundles import stage_function, stage_layer
from infra.cloud.data import Data
from infra.cloud.house import House, ToolFolder
from infra.cloud.needs import HANDLERS, TOOL, TOOL_RESERVE_SECONDS, Needs, needs_of
from infra.cloud.settings import Settings, camel

_SERVICE_URL = r"https?://[^\s]+"


@dataclass(frozen=True)
class _Blueprint:
    """What one function is made of."""

    construct_id: str
    physical_name: str
    handler: str
    folder: Path
    timeout: int
    needs: Needs
    environment: Mapping[str, str]


class Functions(Construct):
    """The handlers by folder name, and the tools by tool name."""

    def __init__(
        self,
        scope: Construct,
        settings: Settings,
        house: House,
        data: Data,
        bus: events.EventBus,
        needs: Mapping[str, Needs] = HANDLERS,
    ) -> None:
        super().__init__(scope, "Functions")
        self._settings, self._data, self._bus = settings, data, bus
        self._environment = self._common_environment()
        self._layer = self._core_layer()
        self._service_urls = self._service_parameters(house)
        self.handlers = {
            name: self._function(self._handler_blueprint(name, needs_of(name, needs))) for name in house.handlers
        }
        self.tools = {tool.name: self._function(self._tool_blueprint(tool)) for tool in house.tools}

    def machine_arn(self, name: str) -> str:
        """ARN of a state machine, made from its name: the machines themselves refer to the functions."""
        return Stack.of(self).format_arn(
            service="states",
            resource="stateMachine",
            resource_name=self._settings.machine_name(name),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def _common_environment(self) -> dict[str, str]:
        tables = {f"APEX_{name.upper()}_TABLE": table.table_name for name, table in self._data.tables.items()}
        return {
            "APEX_ENV": self._settings.env,
            **tables,
            "APEX_PAYLOAD_BUCKET": self._data.bucket.bucket_name,
            "APEX_EVENT_BUS": self._bus.event_bus_name,
            "APEX_AGENT_MACHINE_ARN": self.machine_arn("agent_workflow"),
            "APEX_ROLLBACK_MACHINE_ARN": self.machine_arn("rollback"),
            "LOG_LEVEL": "INFO",
            "POWERTOOLS_METRICS_NAMESPACE": "Apex",
        }

    def _core_layer(self) -> lambda_.LayerVersion:
        source = self._settings.root / "layers" / "core" / "python" / "apex"
        staged = stage_layer([source] if source.is_dir() else [], self._settings.build)
        return lambda_.LayerVersion(
            self,
            "Core",
            code=lambda_.Code.from_asset(str(staged)),
            layer_version_name=f"{self._settings.prefix}-core",
            compatible_runtimes=[lambda_.Runtime.PYTHON_3_11],
            compatible_architectures=[lambda_.Architecture.ARM_64],
            description="The apex library and what it imports",
        )

    def _service_parameters(self, house: House) -> dict[str, str]:
        urls = {}
        for service in house.services:
            parameter = CfnParameter(
                Stack.of(self),
                f"{camel(service)}Url",
                type="String",
                allowed_pattern=_SERVICE_URL,
                description=f"Base URL of the {service} service",
            )
            urls[service] = parameter.value_as_string
        return urls

    def _handler_blueprint(self, name: str, needs: Needs) -> _Blueprint:
        return _Blueprint(
            construct_id=camel(name),
            physical_name=self._settings.function_name(name),
            handler=f"functions.{name}.handler.handler",
            folder=self._settings.functions / name,
            timeout=needs.timeout,
            needs=needs,
            environment={"POWERTOOLS_SERVICE_NAME": name.replace("_", "-")},
        )

    def _tool_blueprint(self, tool: ToolFolder) -> _Blueprint:
        environment = {"POWERTOOLS_SERVICE_NAME": f"tool-{tool.name}"}
        if tool.service:
            variable = f"APEX_SERVICE_{re.sub(r'[^A-Z0-9]', '_', tool.service.upper())}_URL"
            environment[variable] = self._service_urls[tool.service]
        return _Blueprint(
            construct_id=f"{camel(tool.name)}Tool",
            physical_name=f"{self._settings.tool_prefix}{tool.name}",
            handler=f"functions.tools.{tool.name}.tool.handler",
            folder=self._settings.tools / tool.name,
            timeout=tool.timeout + TOOL_RESERVE_SECONDS,
            needs=_tool_needs(tool),
            environment=environment,
        )

    def _function(self, blueprint: _Blueprint) -> lambda_.Function:
        log_group = logs.LogGroup(
            self,
            f"{blueprint.construct_id}Logs",
            log_group_name=f"/aws/lambda/{blueprint.physical_name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        role = self._role(blueprint, log_group)
        folders = [blueprint.folder, *([self._settings.tools] if blueprint.needs.carries_tools else [])]
        bundle = stage_function(self._settings.functions, folders, self._settings.build)
        return lambda_.Function(
            self,
            blueprint.construct_id,
            function_name=blueprint.physical_name,
            handler=blueprint.handler,
            code=lambda_.Code.from_asset(str(bundle)),
            layers=[self._layer],
            runtime=lambda_.Runtime.PYTHON_3_11,
            architecture=lambda_.Architecture.ARM_64,
            timeout=Duration.seconds(blueprint.timeout),
            memory_size=blueprint.needs.memory,
            environment={**self._environment, **blueprint.environment},
            tracing=lambda_.Tracing.ACTIVE,
            log_group=log_group,
            role=role,
        )

    def _role(self, blueprint: _Blueprint, log_group: logs.LogGroup) -> iam.Role:
        needs = blueprint.needs
        role = iam.Role(
            self,
            f"{blueprint.construct_id}Role",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            description=f"What {blueprint.physical_name} may do",
        )
        log_group.grant_write(role)
        self._data.read_tables(role, needs.reads)
        self._data.write_tables(role, needs.writes)
        if needs.reads_payloads or needs.writes_payloads:
            self._data.use_payloads(role, write=needs.writes_payloads)
        if needs.publishes:
            self._bus.grant_put_events_to(role)
        if needs.starts:
            machines = [self.machine_arn(name) for name in needs.starts]
            role.add_to_policy(iam.PolicyStatement(actions=["states:StartExecution"], resources=machines))
        if needs.watches:
            machines = [self.machine_arn(name) for name in needs.watches]
            executions = [f"{arn.replace(':stateMachine:', ':execution:')}:*" for arn in machines]
            role.add_to_policy(iam.PolicyStatement(actions=["states:DescribeExecution"], resources=executions))
        return role


def _tool_needs(tool: ToolFolder) -> Needs:
    return Needs(
        memory=TOOL.memory,
        reads=TOOL.reads + tool.tables,
        writes=TOOL.writes + tool.tables,
        writes_payloads=TOOL.writes_payloads,
    )
