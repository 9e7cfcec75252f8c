"""Every error of the project, in one tree.

::

    ApexError
    ├── InvalidInput                what was handed over is wrong; nothing was done
    │   ├── SchemaInvalid           a document does not fit its schema
    │   │   └── PlanInvalid         a plan was refused before anything ran
    │   └── ReferenceInvalid        a reference in a step's input cannot be resolved
    ├── NotFound
    │   ├── WorkflowNotFound
    │   └── ToolNotFound
    ├── Conflict                    the request contradicts what is recorded
    │   └── KeyReused
    ├── GoalNotPlanned              no plan could be found or made for the goal
    ├── PolicyDenied                policy does not let the step run
    ├── ToolError                   raised by a tool; says what is known about its effect
    │   ├── ToolRejected            surely not applied, and will not be
    │   ├── ToolRetryable           surely not applied, and may be tried again
    │   └── ToolOutcomeUnknown      may or may not have been applied
    ├── StepError                   raised by the step runtime; the state machines catch these by class name
    │   ├── StepBusy                another attempt holds the lease: try again later
    │   ├── StepRetryable           this attempt had no effect: try again
    │   ├── StepRejected            the step surely had no effect and will have none
    │   ├── StepUnknown             the outcome is open: try to resolve it
    │   ├── StepUnresolved          the outcome stays open: roll back
    │   ├── StepFenced              the step was fenced or undone first
    │   ├── StepPaused              the workflow does not run now
    │   └── UndoFailed              an undo failed and may be tried again
    ├── StoreError                  the journal or ledger could not be read or written
    │   ├── HeadChanged             the workflow is in another mode or generation than the caller believed
    │   ├── StepChanged             the ledger item is in another state than the caller believed
    │   ├── StoreContended          others kept writing first until the time to commit was over
    │   └── JournalCorrupt          the events of a journal do not follow each other
    └── LocalCloudError             the substrate on one machine
        ├── DataDirectoryBusy
        └── TemplateNotSupported

Each class has a stable ``code`` (never reused), a ``cause`` and a ``remedy``: what happened in general and what the
person can do next. The same code appears in logs, problem documents and docs/errors.md. Messages carry no secrets.
"""

from typing import Any, ClassVar


class ApexError(Exception):
    """Base of all errors; ``str()`` is the message with the stable code in front of it."""

    code: ClassVar[str] = "APX-0001"
    cause: ClassVar[str] = "Something unexpected happened."
    remedy: ClassVar[str] = "Look at the log lines of the same workflow and report the code."

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"{self.code} {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """The error as plain data: code, message, remedy and the details that were given."""
        return {"code": self.code, "message": self.message, "remedy": self.remedy, **self.details}


# ── what was handed over ────────────────────────────────────────────────────────────────────────────────────


class InvalidInput(ApexError):
    code = "APX-1000"
    cause = "What was handed over cannot be used."
    remedy = "Correct the input as the message says; nothing was done with it."


class SchemaInvalid(InvalidInput):
    """A document does not fit its schema; ``problems`` lists everything that is wrong with it."""

    code = "APX-1001"
    cause = "A document does not fit its schema."
    remedy = "Mend every problem listed and send the document again."

    def __init__(self, message: str, problems: list[str] | None = None, **details: Any) -> None:
        self.problems = list(problems or [])
        listing = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(message + listing, problems=self.problems, **details)


class PlanInvalid(SchemaInvalid):
    code = "APX-1101"
    cause = "A plan was checked against the tools' contracts and refused before anything ran."
    remedy = "Mend every problem listed; `apex plan validate FILE` checks a plan without running it."


class ReferenceInvalid(InvalidInput):
    code = "APX-1102"
    cause = "A reference such as {{s1.flight_id}} names a step or a field that is not there."
    remedy = "Refer only to steps listed in depends_on and to fields that their results have."


# ── what is not there, what contradicts ─────────────────────────────────────────────────────────────────────


class NotFound(ApexError):
    code = "APX-1400"
    cause = "There is nothing under that name."
    remedy = "Check the name and the tenant."


class WorkflowNotFound(NotFound):
    code = "APX-1401"
    cause = "This tenant has no workflow with that id."
    remedy = "List the workflows with `apex workflows`; give the same --data directory and --tenant as when it was run."


class ToolNotFound(NotFound):
    code = "APX-1402"
    cause = "No tool of that name is installed."
    remedy = "List the tools with `apex tools`."


class Conflict(ApexError):
    code = "APX-1500"
    cause = "The request contradicts what is already recorded."
    remedy = "Read the current state and decide again."


class KeyReused(Conflict):
    code = "APX-1501"
    cause = "The idempotency key was used before with a different payload."
    remedy = "Send the same payload again, or use a new key to run it as a new workflow."


# ── planning and policy ─────────────────────────────────────────────────────────────────────────────────────


class GoalNotPlanned(ApexError):
    code = "APX-2001"
    cause = "No worked example fits the goal and no language model is configured to plan it."
    remedy = (
        "Phrase the goal like one of the examples of `apex tools`, hand over a plan with --plan FILE, "
        "or configure a language model planner with APEX_LLM_MODEL."
    )


class PolicyDenied(ApexError):
    code = "APX-2101"
    cause = "Policy does not let this step run without a person's approval, or not at all."
    remedy = "Take the step out of the plan, or have the tenant's policy changed."


# ── what a tool says about its effect ───────────────────────────────────────────────────────────────────────


class ToolError(ApexError):
    code = "APX-3000"
    cause = "A tool failed."
    remedy = "See the step's events for what the tool reported."


class ToolRejected(ToolError):
    """The effect surely did not happen, and asking again will not change that."""

    code = "APX-3001"
    cause = "The provider refused: sold out, declined, invalid. Nothing was applied."
    remedy = "Change the request; the workflow undoes what it did before this step."


class ToolRetryable(ToolError):
    """The effect surely did not happen; ``retry_after`` is in seconds where the provider said so."""

    code = "APX-3002"
    cause = "The provider could not be reached or is overloaded. Nothing was applied."
    remedy = "Nothing to do: the step is tried again; if it keeps failing, the workflow is rolled back."

    def __init__(self, message: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class ToolOutcomeUnknown(ToolError):
    code = "APX-3003"
    cause = "The request was sent but its answer was lost: the effect may or may not exist."
    remedy = "Nothing to do: the outcome is resolved by asking the provider, never by guessing."


# ── what the step runtime tells the state machine ───────────────────────────────────────────────────────────


class StepError(ApexError):
    code = "APX-4000"
    cause = "A step did not end well."
    remedy = "Follow the workflow with `apex show ID`."


class StepBusy(StepError):
    code = "APX-4001"
    cause = "An earlier attempt of this step may still be at work: its lease has not ended."
    remedy = "Nothing to do: the state machine asks again until the lease is over."


class StepRetryable(StepError):
    code = "APX-4002"
    cause = "This attempt surely had no effect."
    remedy = "Nothing to do: the state machine tries again, then rolls back."


class StepRejected(StepError):
    code = "APX-4003"
    cause = "The step surely had no effect and will have none."
    remedy = "Nothing to do: everything done before it is undone."


class StepUnknown(StepError):
    code = "APX-4004"
    cause = "It is not known whether the step's effect happened."
    remedy = "Nothing to do: the state machine asks again, and the provider is probed."


class StepUnresolved(StepError):
    code = "APX-4005"
    cause = "It could not be found out in time whether, and with what result, the step's effect happened."
    remedy = "Nothing to do: the workflow rolls back; the effect is undone where it is found."


class StepFenced(StepError):
    code = "APX-4006"
    cause = "The step was fenced or undone before this attempt came."
    remedy = "Nothing to do: the attempt had no effect."


class StepPaused(StepError):
    code = "APX-4007"
    cause = "The workflow is not running in this generation any more."
    remedy = "Nothing to do: the newer generation goes on."


class UndoFailed(StepError):
    code = "APX-4101"
    cause = "Undoing an effect failed."
    remedy = "Nothing to do: it is tried again; when it keeps failing the step is parked for a person."


# ── the journal and the ledger ──────────────────────────────────────────────────────────────────────────────


class StoreError(ApexError):
    code = "APX-5000"
    cause = "The journal or the ledger could not be read or written."
    remedy = "Check that the tables exist and can be reached; the state machine tries again."


class HeadChanged(StoreError):
    code = "APX-5001"
    cause = "The workflow is in another mode or generation than the caller believed."
    remedy = "Nothing to do: the caller reads again and decides anew."


class StepChanged(StoreError):
    code = "APX-5002"
    cause = "The ledger item is in another state than the caller believed."
    remedy = "Nothing to do: the caller reads again and decides anew."


class StoreContended(StoreError):
    code = "APX-5003"
    cause = "Other writers of the same workflow were first until the time to commit was over."
    remedy = "Nothing to do: the step is resolved by its next attempt. Lower the number of parallel steps if it recurs."


class JournalCorrupt(StoreError):
    code = "APX-5004"
    cause = "The events of a journal do not follow each other: one is missing, repeated, or belongs elsewhere."
    remedy = "Do not act on this workflow. Read its journal with `apex events ID` and restore it from a backup."


# ── the substrate on one machine ────────────────────────────────────────────────────────────────────────────


class LocalCloudError(ApexError):
    code = "APX-6000"
    cause = "The local cloud could not do its work."
    remedy = "See the message; docs/local-cloud.md lists what is and is not imitated."


class DataDirectoryBusy(LocalCloudError):
    code = "APX-6001"
    cause = "Another process is writing to that data directory."
    remedy = "Wait for it to end, or use another --data directory. Reading verbs such as `apex show` work meanwhile."


class TemplateNotSupported(LocalCloudError):
    code = "APX-6002"
    cause = "The synthesised template holds resource types that the local cloud neither loads nor replaces."
    remedy = "Add the type to one of the two lists in infra/local, with the reason."


def all_errors() -> tuple[type[ApexError], ...]:
    """Every class of the tree, parents first."""

    def walk(cls: type[ApexError]) -> list[type[ApexError]]:
        found = [cls]
        for child in cls.__subclasses__():
            found += walk(child)
        return found

    return tuple(walk(ApexError))
