"""The apps that take part in the event exchange, and the event types each of them is known to send."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from apex.schema.events import ENVELOPE_TYPES

ORCHESTRATOR = "orchestrator"
"""How the orchestrator names itself as the source of its own events; it is not one of the apps."""

APP_EVENTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "omnilink": (
            "system.started",
            "system.health_check",
            "integration.connected",
            "integration.disconnected",
            "event.routed",
            "event.failed",
        ),
        "omnihub": ("dashboard.opened", "workflow.triggered", "alert.created", "report.generated"),
        "tradeline247": (
            "call.received",
            "call.answered",
            "call.transferred",
            "call.completed",
            "message.recorded",
            "appointment.scheduled",
        ),
        "autorepai": (
            "repair.estimated",
            "parts.ordered",
            "service.scheduled",
            "invoice.generated",
            "customer.notified",
        ),
        "flowbills": (
            "invoice.created",
            "invoice.sent",
            "payment.received",
            "payment.failed",
            "reminder.sent",
            "reconciliation.completed",
        ),
        "flowc": ("compliance.check_triggered", "compliance.validated", "compliance.failed", "audit.logged"),
        "aspiral": ("task.created", "task.completed", "milestone.reached"),
        "jubeelove": ("session.started", "advice.given", "progress.tracked", "goal.achieved"),
        "trutalk": ("conversation.started", "message.sent", "trust.verified"),
        "keepsafe": (
            "incident.reported",
            "safety_check.completed",
            "alert.triggered",
            "compliance.verified",
        ),
        "bright": ("enrollment.started", "progress.updated", "milestone.celebrated"),
        "careconnect": ("patient.registered", "appointment.booked", "care.coordinated"),
    }
)

APPS: tuple[str, ...] = tuple(APP_EVENTS)
"""The twelve apps."""

PARTICIPANTS: tuple[str, ...] = (*APPS, ORCHESTRATOR)
"""Everybody who may be the source or the target of an event."""

LISTED_EVENT_TYPES: frozenset[str] = frozenset(
    f"{app}:{name}" for app, names in APP_EVENTS.items() for name in names
) | frozenset(ENVELOPE_TYPES.values())
"""Every ``app:domain.action`` that this release knows by name: the apps' and the orchestrator's own."""

_WORD = r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*"
_EVENT_TYPE = re.compile(rf"{_WORD}:{_WORD}\.{_WORD}", re.ASCII)


def is_well_formed(event_type: str) -> bool:
    """Whether the text has the form ``app:domain.action``, in lower case, words joined by ``_`` or ``-``."""
    return _EVENT_TYPE.fullmatch(event_type) is not None


def is_listed(event_type: str) -> bool:
    """Whether this release knows the type by name; one that is only well formed is passed on unread."""
    return event_type in LISTED_EVENT_TYPES
