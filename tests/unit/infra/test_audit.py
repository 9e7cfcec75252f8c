"""A vulnerability fails the check; not being able to look is said, and never reads like a clean result."""

from pathlib import Path
from typing import Any

import pytest

from apex.errors import InvalidInput
from infra.audit import LOCKS, audit, judge, main
from tests.unit.test_repository import ROOT, locked

CLEAN = {"name": "clean", "version": "1.0", "vulns": []}
SKIPPED = {"name": "skipped", "skip_reason": "not found"}
BROKEN: dict[str, Any] = {
    "name": "broken",
    "version": "2.1",
    "vulns": [{"id": "CVE-1", "fix_versions": ["2.2", "3.0"]}, {"id": "CVE-2", "fix_versions": []}],
}


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way out leads to a port of this machine on which nobody listens."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock file of one package at a version that no earlier look-up can have remembered."""
    path = tmp_path / "one.lock"
    path.write_text("no-such-package==0.0.1 --hash=sha256:" + 64 * "0" + "\n")
    return path


def test_a_finding_fails_and_names_what_mends_it() -> None:
    verdict = judge({"dependencies": [CLEAN, BROKEN]})
    assert verdict.failed
    assert verdict.lines == (
        "2 packages looked up",
        "broken 2.1: CVE-1, mended in 2.2 or 3.0",
        "broken 2.1: CVE-2, mended in no version so far",
    )


def test_without_findings_it_says_how_many_were_looked_up() -> None:
    verdict = judge({"dependencies": [CLEAN]})
    assert (verdict.failed, verdict.lines) == (False, ("1 packages looked up",))


def test_packages_that_were_not_looked_up_are_named() -> None:
    verdict = judge({"dependencies": [CLEAN, SKIPPED]})
    assert (verdict.failed, verdict.lines) == (False, ("1 packages looked up, NOT AUDITED: skipped",))


def test_a_list_that_knows_nothing_does_not_pass_for_a_clean_result() -> None:
    verdict = judge({"dependencies": [SKIPPED]})
    assert not verdict.failed
    assert verdict.lines[0].startswith("NOT AUDITED")


@pytest.mark.usefixtures("unreachable")
def test_an_unreachable_list_is_said_and_does_not_fail(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(lock)]) == 0
    assert "NOT AUDITED: the vulnerability list cannot be reached" in capsys.readouterr().out


def test_a_file_that_is_no_lock_file_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput):
        audit(tmp_path / "absent.lock")
    assert main([str(tmp_path / "absent.lock")]) == 1
    assert "absent.lock" in capsys.readouterr().out


def test_everything_that_is_installed_is_audited() -> None:
    audited = {name for path in LOCKS for name in locked((ROOT / path).stem)}
    assert audited >= {name for part in ("run", "layer", "dev", "bootstrap") for name in locked(part)}
