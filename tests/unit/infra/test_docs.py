"""The generated parts of docs/ say what the code says."""

import subprocess
import sys
from pathlib import Path

import pytest

from apex.errors import InvalidInput, StepBusy
from apex.workflow.transitions import TRANSITIONS
from infra import docs
from infra.docs import Part, main, refresh

BEFORE = "# By hand\n\n<!-- generated: sample (make docs) -->\nold\n<!-- end: sample -->\n\nAlso by hand\n"


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A document with one generated part, which is out of date."""
    document = tmp_path / "sample.md"
    document.write_text(BEFORE)
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "PARTS", {"sample": Part("sample.md", lambda: r"new \1 \g<0>")})
    return document


def test_the_documents_are_up_to_date() -> None:
    # In a process of its own: other tests add errors to the tree of this one.
    done = subprocess.run(
        [sys.executable, "-m", "infra.docs", "--check"], check=False, capture_output=True, text=True, cwd=docs.ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_only_what_is_between_the_markers_is_written(sample: Path) -> None:
    assert main() == 0
    assert sample.read_text() == BEFORE.replace("\nold\n", "\n\nnew \\1 \\g<0>\n\n")
    assert main(["--check"]) == 0


def test_check_sees_a_document_that_is_out_of_date_and_leaves_it(
    sample: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"]) == 1
    assert "sample.md" in capsys.readouterr().err
    assert sample.read_text() == BEFORE


@pytest.mark.parametrize("text", ["nothing here", BEFORE + BEFORE, BEFORE.replace("end: sample", "end: other")])
def test_a_document_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="exactly once"):
        refresh("sample", text, Part("sample.md", str))


def test_an_unknown_part_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errrors"]) == 2
    assert "errors, transitions" in capsys.readouterr().err


def test_an_error_is_listed_with_its_kinds_cause_and_remedy() -> None:
    section = docs.errors().split(f"### {StepBusy.code} ")[1].split("###")[0]
    assert section.startswith("StepBusy\n")
    assert "StepError → ApexError" in section
    assert StepBusy.cause in section
    assert StepBusy.remedy in section


def test_every_transition_is_drawn_and_listed() -> None:
    text = docs.transitions()
    drawing, table = text.split("```\n")
    for change in TRANSITIONS:
        assert f"| {change.trigger.value} | {change.target.value} | {change.actor} | {change.condition} |" in table
        assert f"--> {change.target.value}: " in drawing
    assert table.count("\n| ") == len(TRANSITIONS) + 1
