"""Log lines: JSON, one per call, with the bound fields, without secrets, and never in anybody's way."""

import io
import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest

from apex.observability import FIELD_NAMES, annotate, bind, bound_fields, logger_for, redirect_output

Records = Callable[[], list[dict[str, Any]]]


def test_a_line_has_time_level_service_place_message_and_what_the_call_adds(lines: Records) -> None:
    logger_for("plans").info("plan found", extra={"plan_id": "p-1"})
    (line,) = lines()
    assert (line["level"], line["service"], line["message"], line["plan_id"]) == ("INFO", "plans", "plan found", "p-1")
    assert line["timestamp"].endswith("+00:00")
    assert line["location"].startswith("test_a_line_has_time")


def test_bound_fields_are_on_every_line_inside_the_block_and_on_none_after_it(lines: Records) -> None:
    logger = logger_for("plans")
    with bind(tenant="acme", workflow_id="w-1"):
        with bind(step_id="s1", workflow_id=None):
            logger.info("inner")
        logger.info("outer")
    logger.info("after")
    inner, outer, after = lines()
    assert (inner["tenant"], inner["step_id"]) == ("acme", "s1")
    assert "workflow_id" not in inner
    assert (outer["tenant"], outer["workflow_id"]) == ("acme", "w-1")
    assert "step_id" not in outer
    assert not set(FIELD_NAMES) & set(after)


def test_a_call_cannot_put_another_tenant_on_a_bound_line(lines: Records) -> None:
    with bind(tenant="acme"):
        logger_for("plans").info("plan found", extra={"tenant": "globex"})
    assert lines()[0]["tenant"] == "acme"


def test_there_is_one_set_of_field_names() -> None:
    with pytest.raises(TypeError, match="no such field: tenant_id"):
        annotate(tenant_id="acme")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="no such field"), bind(workflow="w"):  # type: ignore[call-arg]
        pass
    assert bound_fields() == {}


def test_secrets_are_taken_out_of_messages_arguments_fields_and_structures(lines: Records) -> None:
    logger = logger_for("plans")
    with bind(trace_id="ada@example.com"):
        logger.info("password=%s", "hunter2")
        logger.info({"note": "ada@example.com", "api_key": "hunter2"})
        logger.info('{"token": "hunter2"}')
        logger.warning("kept", extra={"input": {"card_number": "4111111111111111"}, "to": ["ada@example.com"]})
    text = json.dumps(lines())
    assert len(lines()) == 4
    for secret in ("hunter2", "ada@example.com", "4111"):
        assert secret not in text


def test_what_json_does_not_have_is_logged_as_text(lines: Records) -> None:
    logger_for("plans").info("odd", extra={"set": {1}, "complex": 1j, "nan": float("nan")})
    assert (lines()[0]["set"], lines()[0]["complex"], lines()[0]["nan"]) == ([1], "1j", "nan")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("hunter2")


def test_a_line_that_cannot_be_made_is_told_without_its_content(
    lines: Records, capfd: pytest.CaptureFixture[str]
) -> None:
    with bind(tenant="acme"):
        logger_for("plans").info("password=hunter2", extra={"odd": Unprintable()})
    (line,) = lines()
    assert (line["level"], line["error"], line["tenant"]) == ("ERROR", "RuntimeError", "acme")
    assert "hunter2" not in json.dumps(line) + "".join(capfd.readouterr())


def test_a_closed_pipe_does_not_fail_the_work() -> None:
    stream = io.StringIO()
    stream.close()
    previous = redirect_output(stream)
    try:
        logger_for("plans").info("lost")
    finally:
        redirect_output(previous)


def test_lines_go_to_whatever_standard_output_is_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger_for("plans").info("first")
    assert json.loads(capsys.readouterr().out)["message"] == "first"
    replaced = io.StringIO()
    monkeypatch.setattr(sys, "stdout", replaced)
    logger_for("plans").info("second")
    assert json.loads(replaced.getvalue())["message"] == "second"


def test_no_service_name_silences_other_loggers(caplog: pytest.LogCaptureFixture) -> None:
    """Powertools by itself filters the root handlers for names that contain the service's."""
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logging.root.addHandler(handler)
    try:
        logger_for("api").info("ours")
        logging.getLogger("some.api.client").warning("theirs")
    finally:
        logging.root.removeHandler(handler)
    assert seen == ["theirs"]


def test_a_service_has_one_logger_and_each_line_comes_once(lines: Records) -> None:
    assert logger_for("plans") is logger_for("plans")
    logger_for("plans").info("once")
    assert len(lines()) == 1


def test_fields_annotated_outside_of_any_block_are_not_kept() -> None:
    annotate(attempt=7)
    assert "attempt" not in bound_fields()
