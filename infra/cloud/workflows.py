"""The state machines: the files of ``statemachines/``, byte for byte, with the names of this environment filled in."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from apex.errors import InvalidInput
from infra.cloud.functions import Functions
from infra.cloud.house import House, Machine
from infra.cloud.settings import Settings, camel

_TOOL_PREFIX = "ToolFunctionPrefix"


class Workflows(Construct):
    """The machines by file name.

    A definition may leave open ``${<Handler>Function}`` and ``${<Machine>Machine}`` (ARNs) and
    ``${ToolFunctionPrefix}`` (to which a tool's name is appended). A role allows calling exactly what the definition
    names. Raises ``InvalidInput`` for a name that nothing in the house answers to.
    """

    def __init__(self, scope: Construct, settings: Settings, house: House, functions: Functions) -> None:
        super().__init__(scope, "Workflows")
        self._settings, self._functions = settings, functions
        self._function_of = {f"{camel(name)}Function": name for name in functions.handlers}
        self._machine_of = {f"{camel(machine.name)}Machine": machine.name for machine in house.machines}
        self.machines = {machine.name: self._machine(machine) for machine in house.machines}

    def _machine(self, machine: Machine) -> sfn.StateMachine:
        name = self._settings.machine_name(machine.name)
        log_group = logs.LogGroup(
            self,
            f"{camel(machine.name)}Logs",
            log_group_name=f"/aws/vendedlogs/states/{name}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        return sfn.StateMachine(
            self,
            camel(machine.name),
            state_machine_name=name,
            state_machine_type=sfn.StateMachineType.STANDARD,
            definition_body=sfn.DefinitionBody.from_string(machine.definition),
            definition_substitutions={key: self._value(machine, key) for key in machine.substitutions},
            role=self._role(machine),
            tracing_enabled=True,
            # Execution data stays out of the logs: inputs and results are the customer's.
            logs=sfn.LogOptions(destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=False),
            removal_policy=RemovalPolicy.DESTROY if self._settings.disposable else RemovalPolicy.RETAIN,
        )

    def _value(self, machine: Machine, key: str) -> str:
        if key == _TOOL_PREFIX:
            return self._settings.tool_prefix
        if key in self._function_of:
            return self._functions.handlers[self._function_of[key]].function_arn
        if key in self._machine_of:
            return self._functions.machine_arn(self._machine_of[key])
        known = sorted([_TOOL_PREFIX, *self._function_of, *self._machine_of])
        raise InvalidInput(f"statemachines/{machine.name}.asl.json leaves ${{{key}}} open; known are {known}")

    def _role(self, machine: Machine) -> iam.Role:
        role = iam.Role(
            self,
            f"{camel(machine.name)}Role",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            description=f"What {self._settings.machine_name(machine.name)} may do",
        )
        callable_functions = [
            self._functions.handlers[self._function_of[key]].function_arn
            for key in machine.substitutions
            if key in self._function_of
        ]
        if _TOOL_PREFIX in machine.substitutions:
            callable_functions += [function.function_arn for function in self._functions.tools.values()]
        if callable_functions:
            role.add_to_policy(iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=callable_functions))
        startable = [self._value(machine, key) for key in machine.substitutions if key in self._machine_of]
        if startable:
            role.add_to_policy(iam.PolicyStatement(actions=["states:StartExecution"], resources=startable))
        return role
