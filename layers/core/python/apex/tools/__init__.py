"""The tool SDK: everything that a tool's file needs.

from apex.tools import Call, Effect, Input, Output, Probe, tool
"""

from apex.errors import ToolOutcomeUnknown, ToolRejected, ToolRetryable
from apex.schema.contract import Contract, Effect, Lane, UndoOfAbsent
from apex.tools.sdk import Call, Input, Output, Probe, Tool, tool

__all__ = [
    "Call",
    "Contract",
    "Effect",
    "Input",
    "Lane",
    "Output",
    "Probe",
    "Tool",
    "ToolOutcomeUnknown",
    "ToolRejected",
    "ToolRetryable",
    "UndoOfAbsent",
    "tool",
]
