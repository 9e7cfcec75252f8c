"""Reading a plan from a file and checking it as the system itself will."""

import sys
from pathlib import Path

from apex.errors import InvalidInput
from apex.schema.plan import Plan

STANDARD_INPUT = Path("-")


def read_plan(path: Path) -> Plan:
    """The plan in a file, or on standard input where ``path`` is ``-``.

    Raises ``InvalidInput`` where it cannot be read, ``SchemaInvalid`` where it is no plan, and ``PlanInvalid`` where it
    may not run; the latter two list every problem.
    """
    from apex.app.catalogue import registry
    from apex.policy.lanes import assess
    from apex.workflow.validation import parse_plan, validate_plan

    plan = parse_plan(_content(path))
    validate_plan(plan, registry().contracts, policy=assess)
    return plan


def _content(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == STANDARD_INPUT else path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the plan {path} cannot be read: {error.strerror}") from error
