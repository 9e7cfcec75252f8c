import json
from pathlib import Path
from typing import Any

import pytest

from apex.cache.templates import Plan
from infra.cli.main import main
from infra.cli.plan_cache_bench import judge, wilson_low


def record(number: int, text: str, intent: str, **slots: str) -> dict[str, Any]:
    placed = [
        {"name": name, "value": value, "start": text.index(value), "end": text.index(value) + len(value)}
        for name, value in slots.items()
    ]
    return {"id": f"r{number}", "tenant": "t", "domain": "d", "intent": intent, "text": text, "slots": placed}


def write(path: Path, *records: dict[str, Any]) -> str:
    path.write_text("".join(f"{json.dumps(item)}\n" for item in records), "utf-8")
    return str(path)


def test_a_stream_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream = write(
        tmp_path / "s.jsonl",
        record(1, "send it to Bob", "send", who="Bob"),
        record(2, "send it to Bob", "send", who="Bob"),
        record(3, "send it to Bob", "other", who="Bob"),
        record(4, "sell everything", "sell"),
    )
    decisions = tmp_path / "d.jsonl"
    assert main(["bench", "plan-cache", "--stream", stream, "--out", str(decisions), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["requests"], summary["hits"], summary["correct"]) == (4, 2, 1)
    assert summary["wrong"] == {"intent": 1, "slots": 0, "values": 0}
    assert (summary["hit_rate"], summary["precision"], summary["wrong_per_1000"]) == (0.5, 0.5, 250.0)
    lines = [json.loads(line) for line in decisions.read_text("utf-8").splitlines()]
    assert [line["hit"] for line in lines] == [False, True, True, False]
    assert lines[1]["served_from"] == "r1"
    assert lines[1]["args"] == [{"name": "who", "value": "Bob"}]
    assert set(lines[0]) == {"id", "hit", "tier", "served_from", "intent", "args", "latency_ms"}


def test_tenants_share_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = record(1, "stop it", "stop"), {**record(2, "stop it", "stop"), "tenant": "u"}
    assert main(["bench", "plan-cache", "--stream", write(tmp_path / "s.jsonl", first, second), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hits"] == 0


def test_pairs_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    side = {"text": "lock the door", "intent": "lock", "slots": []}
    other = {"text": "do not lock the door", "intent": "nothing", "slots": []}
    pairs = write(
        tmp_path / "p.jsonl",
        {"kind": "same", "domain": "d", "expect": "hit", "cached": side, "query": side, "id": "1"},
        {"kind": "negation", "domain": "d", "expect": "miss", "cached": side, "query": other, "id": "2"},
        {"kind": "trap", "domain": "d", "expect": "miss", "cached": side, "query": side, "id": "3"},
    )
    assert main(["bench", "plan-cache", "--pairs", pairs, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "pairs": 3,
        "wrong": 1,
        "wrong_by_kind": {"trap": 1},
        "hit_pairs": 1,
        "hits_served": 1,
    }


def test_one_kind_of_file_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "plan-cache", "--json"]) == 2
    assert "either --stream or --pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("served", "verdict"),
    [
        (Plan("a", (("x", "the Paris"), ("y", "Bob's"))), "right"),
        (Plan("a", (("y", "bob"), ("x", "paris."))), "right"),
        (Plan("b", (("x", "Paris"), ("y", "Bob"))), "intent"),
        (Plan("a", (("x", "Paris"),)), "slots"),
        (Plan("a", (("x", "Bob"), ("y", "Paris"))), "values"),
    ],
)
def test_a_hit_is_right_when_intent_names_and_values_are(served: Plan, verdict: str) -> None:
    assert judge(served, Plan("a", (("x", "Paris"), ("y", "Bob")))) == verdict


def test_the_wilson_bound_is_that_of_the_textbook() -> None:
    assert wilson_low(9, 10) == pytest.approx(0.5958, abs=1e-4)
    assert wilson_low(0, 0) is None
