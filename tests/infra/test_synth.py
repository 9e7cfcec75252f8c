"""The synthesis: once per state of the sources, whoever asks and however many at once."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apex.errors import LocalCloudError
from infra.local import synth

Fake = Callable[[str, Path, Path, Path], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A house with the files a synthesis depends on."""
    for file in ("cdk.json", "infra/app.py", "functions/a/handler.py", "statemachines/m.asl.json"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for the CDK app: writes a manifest, and remembers where."""
    made: list[Path] = []

    def run(_env: str, _root: Path, out: Path, build: Path) -> None:
        made.append(out)
        out.mkdir(parents=True)
        build.mkdir()
        (out / "manifest.json").write_text(str(out), encoding="utf-8")

    monkeypatch.setattr(synth, "_run_app", run)
    return made


def test_the_same_sources_are_synthesised_once(root: Path, runs: list[Path]) -> None:
    assert synth.synthesise(root=root) == synth.synthesise(root=root)
    assert len(runs) == 1


@pytest.mark.parametrize(
    "file", ["cdk.json", "infra/app.py", "functions/a/handler.py", "statemachines/m.asl.json", "functions/b/new.py"]
)
def test_a_changed_source_is_another_synthesis(root: Path, runs: list[Path], file: str) -> None:
    first = synth.synthesise(root=root)
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text("changed", encoding="utf-8")
    assert synth.synthesise(root=root) != first
    assert len(runs) == 2


def test_what_is_no_source_changes_nothing(root: Path, runs: list[Path]) -> None:
    first = synth.synthesise(root=root)
    for file in ("README.md", "functions/a/__pycache__/handler.pyc", "functions/a/.editor"):
        (root / file).parent.mkdir(exist_ok=True)
        (root / file).write_text("x", encoding="utf-8")
    assert synth.synthesise(root=root) == first
    assert len(runs) == 1


def test_many_at_once_agree_and_leave_nothing_lying_about(
    root: Path, runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = threading.Barrier(4, timeout=10)
    run: Fake = synth._run_app

    def together(env: str, root: Path, out: Path, build: Path) -> None:
        run(env, root, out, build)
        barrier.wait()

    monkeypatch.setattr(synth, "_run_app", together)
    results: list[Path] = []
    callers = [threading.Thread(target=lambda: results.append(synth.synthesise(root=root))) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()

    assert len(runs) == 4
    assert len(set(results)) == 1
    assert (results[0] / "manifest.json").exists()
    assert list((root / ".build" / "cdk").iterdir()) == [results[0]]


def test_an_unfinished_result_is_made_again(root: Path, runs: list[Path]) -> None:
    assembly = synth.synthesise(root=root)
    (assembly / "manifest.json").unlink()
    (assembly / "half.json").write_text("{}", encoding="utf-8")
    assert synth.synthesise(root=root) == assembly
    assert (assembly / "manifest.json").exists()
    assert not (assembly / "half.json").exists()
    assert len(runs) == 2


def test_results_nobody_used_for_a_day_are_forgotten(root: Path, runs: list[Path]) -> None:
    old = synth.synthesise(root=root)
    (root / "cdk.json").write_text('{"context": {}}', encoding="utf-8")
    used = synth.synthesise(root=root)
    two_days_ago = time.time() - 2 * 24 * 3600
    for folder in (old, used):
        os.utime(folder, (two_days_ago, two_days_ago))
    assert synth.synthesise(root=root) == used
    (root / "cdk.json").write_text('{"context": {"a": 1}}', encoding="utf-8")
    synth.synthesise(root=root)
    assert not old.exists()
    assert used.exists()
    assert len(runs) == 3


def test_the_child_is_offline_and_has_the_node_of_the_package(root: Path) -> None:
    environment = synth._environment("dev", root, root / "out", root / "build")
    node = Path(environment["PATH"].split(os.pathsep)[0]) / "node"
    assert node.exists()
    assert not any(name.startswith("AWS_") for name in environment)
    assert environment["CDK_CONTEXT_JSON"] == "{}"


def test_one_template_is_expected(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="expected one template"):
        synth.template_path(tmp_path)
