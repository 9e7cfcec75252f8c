"""What every tool must keep, whoever wrote it: found from the folders, so that a new tool is covered the moment it is
there."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apex.app.catalogue import library, registry
from apex.policy.lanes import assess
from apex.ports import PlanRequest
from apex.schema.contract import Effect, Lane, UndoOfAbsent
from apex.tools.sdk import Tool
from apex.workflow.validation import validate_plan

TOOLS = list(registry())
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
class TestEveryTool:
    def test_says_what_it_does_and_shows_goals(self, tool: Tool[Any, Any]) -> None:
        assert tool.contract.description.endswith(".")
        assert len(tool.contract.examples) >= 2

    def test_its_example_goals_are_planned_with_it(self, tool: Tool[Any, Any]) -> None:
        for goal in tool.contract.examples:
            found = library().find(PlanRequest(tenant="acme", goal=goal, now=NOW))
            assert found is not None, goal
            assert tool.name in [step.tool for step in found.plan.steps], goal
            validate_plan(found.plan, registry().contracts, policy=assess)

    def test_a_reversible_effect_can_be_resolved_when_its_reply_is_lost(self, tool: Tool[Any, Any]) -> None:
        contract = tool.contract
        if contract.effect is Effect.NONE or contract.transactional:
            return
        assert contract.can_probe or contract.idempotency_window > contract.timeout
        assert contract.can_probe or contract.undo_of_absent is not UndoOfAbsent.FAILS

    def test_a_tool_with_an_effect_is_at_least_audited_or_undone_with_the_ledger(self, tool: Tool[Any, Any]) -> None:
        if tool.contract.effect is Effect.IRREVERSIBLE:
            assert tool.contract.lane in {Lane.RED, Lane.BLOCKED}

    def test_every_field_of_input_and_result_has_a_type(self, tool: Tool[Any, Any]) -> None:
        for schema in (tool.contract.input_schema, tool.contract.output_schema):
            assert schema["type"] == "object"
            for name, declared in schema["properties"].items():
                assert {"type", "anyOf", "$ref", "allOf"} & set(declared), name


def test_the_tools_of_this_house_are_found_by_their_folders() -> None:
    assert [tool.name for tool in TOOLS] == [
        "book_flight",
        "charge_payment",
        "create_record",
        "reserve_hotel",
        "respond_to_user",
        "search_database",
        "search_flights",
        "send_confirmation",
    ]


def test_every_undo_is_named_as_the_house_names_it() -> None:
    undos = {tool.name: tool.contract.compensation for tool in TOOLS if tool.contract.compensation}
    assert undos == {
        "book_flight": "cancel_flight",
        "charge_payment": "refund_payment",
        "create_record": "delete_record",
        "reserve_hotel": "cancel_hotel",
        "send_confirmation": "withdraw_confirmation",
    }
