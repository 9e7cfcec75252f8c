"""Risk lanes: whether a tool call runs, runs audited, waits for a person, or never runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apex.errors import PolicyDenied
from apex.policy.risk import risk_factors
from apex.schema.contract import Contract, Effect, Lane

BLOCKED_TOOLS = frozenset({"execute_sql_raw", "shell_execute", "file_system_write", "admin_override"})

SENSITIVE_TOOLS = frozenset(
    {
        # money
        "transfer_funds", "process_payment", "refund_payment", "update_billing", "modify_subscription",
        # data that would be gone
        "delete_record", "delete_user", "purge_data", "truncate_table", "drop_table",
        # access
        "deactivate_account", "suspend_user", "revoke_access", "reset_credentials", "change_permissions",
        # running systems
        "modify_config", "update_secrets", "deploy_code", "rollback_deployment", "restart_service",
        # messages to people
        "send_email", "send_sms", "send_notification", "broadcast_message",
        # calls to other systems
        "webhook_external", "api_call_external", "publish_event",
    }
)  # fmt: skip

SAFE_TOOLS = frozenset(
    {
        "search_database", "read_record", "get_config", "list_users",
        "check_status", "validate_input", "check_semantic_cache", "read_data",
    }
)  # fmt: skip

_STRICTNESS: Mapping[Lane, int] = {lane: strictness for strictness, lane in enumerate(Lane)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policy says about a tool call: the lane, why, and the name of the rule that decided."""

    lane: Lane
    reasons: tuple[str, ...]
    rule: str

    @property
    def may_run(self) -> bool:
        """Whether the call may run without a person's approval."""
        return self.lane in {Lane.GREEN, Lane.YELLOW}


def assess(tool: str, resolved_input: Any, *, contract: Contract | None) -> Verdict:
    """Judge a tool call: the first rule that matches decides, and the contract's own lane holds where it is stricter.

    Tool names are compared trimmed and without regard to case. Parts of the input that are not known yet are None.
    Raises ``SchemaInvalid`` for an input with numbers that are NaN or infinite.
    """
    verdict = _by_rules(tool.strip().casefold(), resolved_input, contract)
    if contract is not None and _STRICTNESS[contract.lane] > _STRICTNESS[verdict.lane]:
        return Verdict(contract.lane, (f"the contract of {contract.name} says {contract.lane.value}",), "contract")
    return verdict


def check(tool: str, resolved_input: Any, *, contract: Contract | None) -> Verdict:
    """As ``assess``, but raises ``PolicyDenied`` where the call must not run without a person's approval, or at all."""
    verdict = assess(tool, resolved_input, contract=contract)
    if not verdict.may_run:
        raise PolicyDenied(
            f"{tool} is {verdict.lane.value}: {'; '.join(verdict.reasons)}",
            lane=verdict.lane.value,
            rule=verdict.rule,
            reasons=list(verdict.reasons),
        )
    return verdict


def _by_rules(name: str, resolved_input: Any, contract: Contract | None) -> Verdict:
    factors = risk_factors(resolved_input)
    reasons = tuple(factor.reason for factor in factors)
    if name in BLOCKED_TOOLS:
        return Verdict(Lane.BLOCKED, (f"{name} never runs",), "blocked tool")
    if name in SENSITIVE_TOOLS:
        return Verdict(Lane.RED, (f"{name} is a sensitive tool",), "sensitive tool")
    if contract is not None and contract.effect is Effect.IRREVERSIBLE:
        return Verdict(Lane.RED, ("its effect cannot be undone",), "irreversible step")
    if len(factors) > 1 or any(factor.is_amount for factor in factors):
        return Verdict(Lane.RED, reasons, "high risk")
    if factors:
        return Verdict(Lane.YELLOW, reasons, "one risk factor")
    if name in SAFE_TOOLS:
        return Verdict(Lane.GREEN, (f"{name} is a safe tool",), "safe tool")
    return Verdict(Lane.YELLOW, (f"{name} is on no list",), "unknown tool")
