"""Runs a definition under both interpreters, with plain functions in the place of Lambda functions."""

from collections.abc import Mapping
from typing import Any

from infra.local.asl_oracle import Differences, compare_execution
from infra.local.repairs.stepfunctions_clock import time_scale
from tests.integration.local_cloud.stepfunctions_rig import Handler, installed, running_rig, stepfunctions_repairs


def compare(definition: Any, data: Any, handlers: Mapping[str, Handler]) -> Differences:
    """Run the definition here, without real waits, and compare with the second interpreter.

    ``handlers`` maps names of Lambda functions to callables from event to result; what a handler raises is an error
    with the name of the exception's class.
    """
    with running_rig() as rig, installed(stepfunctions_repairs()), time_scale(0):
        rig.handlers |= handlers
        return compare_execution(rig.client, rig.run(definition, data).arn)
