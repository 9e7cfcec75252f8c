"""What holds for every file of the repository, whoever adds it."""

import ast
import importlib
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST_MODULE = 450
LOCKS = ("run", "dev", "layer", "bootstrap")

# Written in pieces, so that this file does not name one either.
PACKAGE_HOSTS = re.compile(
    "|".join(
        [
            r"pypi\.(org|python)",
            "python" + "hosted",
            r"registry\." + "(npm|yarn)",
            "npm" + r"mirror\.com",
            r"(deb|security)\." + r"debian\.org",
            r"(archive|ports)\." + r"ubuntu\.com",
            "extra-" + "index-url",
        ]
    )
)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file under version control that is there, from the root of the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    files = tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())
    assert files, "the repository is empty, or git does not see it"
    return files


def sources(*folders: str) -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py" and path.parts[0] in folders]


def locked(name: str) -> dict[str, str]:
    """Package to version of one lock file."""
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / f"requirements/{name}.lock").read_text(), re.MULTILINE)
    assert pins, f"{name}.lock pins nothing"
    return dict(pins)


def test_no_file_names_a_package_host() -> None:
    naming = {}
    for path in tracked_files():
        found = PACKAGE_HOSTS.search((ROOT / path).read_bytes().decode(errors="replace"))
        if found:
            naming[str(path)] = found.group()
    assert naming == {}


@pytest.mark.parametrize(
    "text", ["--" + "extra-" + "index-url=here", "https://pypi" + ".org/simple", "files.python" + "hosted.org"]
)
def test_a_package_host_would_be_seen(text: str) -> None:
    assert PACKAGE_HOSTS.search(text)


def test_no_lock_file_says_where_packages_come_from() -> None:
    for name in LOCKS:
        assert not re.search(r"://|^-|@ ", (ROOT / f"requirements/{name}.lock").read_text(), re.MULTILINE)


def test_every_module_says_what_it_is_for() -> None:
    """An empty ``__init__.py`` among the functions only marks a package of a bundle."""
    silent = []
    for path in sources("layers", "infra", "functions"):
        text = (ROOT / path).read_text()
        if not ast.get_docstring(ast.parse(text)) and (text or path.parts[0] != "functions"):
            silent.append(str(path))
    assert silent == []


def test_no_module_is_too_long_to_read() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text().splitlines())
        for path in sources("layers", "infra", "functions", "benchmarks")
    }
    assert {path: length for path, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_what_the_packages_export_is_there_and_named_once() -> None:
    wrong = {}
    for path in sources("layers"):
        if path.name == "__init__.py":
            module = importlib.import_module(".".join(path.relative_to("layers/core/python").parent.parts))
            names = list(getattr(module, "__all__", []))
            wrong[module.__name__] = [
                name for name in names if not hasattr(module, name) or names.count(name) > 1 or name.startswith("_")
            ]
    assert {name: names for name, names in wrong.items() if names} == {}
    assert "apex.tools" in wrong


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = [
        f"{path}: {link}"
        for path in tracked_files()
        if path.suffix == ".md"
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", (ROOT / path).read_text())
        if not (ROOT / path.parent / link).exists()
    ]
    assert broken == []


def test_the_tool_sdk_exports_what_a_tool_needs() -> None:
    """Every tool in the world imports these names; removing one breaks them all."""
    tools = importlib.import_module("apex.tools")
    needed = {"Call", "Effect", "Input", "Lane", "Output", "Probe", "UndoOfAbsent", "tool"}
    raised = {"ToolRejected", "ToolRetryable", "ToolOutcomeUnknown"}
    assert needed | raised <= set(tools.__all__)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_is_pinned_by_hash(name: str) -> None:
    text = (ROOT / f"requirements/{name}.lock").read_text()
    pinned = re.findall(r"^[a-z0-9-]+==.*(?:\\\n +--hash=sha256:[0-9a-f]{64}.*)+", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[^ #\n]", text, re.MULTILINE)) > 0


@pytest.mark.parametrize(("part", "whole"), [("layer", "run"), ("run", "dev")])
def test_a_smaller_lock_is_part_of_the_larger_one(part: str, whole: str) -> None:
    assert locked(part).items() <= locked(whole).items()


@pytest.mark.parametrize(
    ("lock", "of"), [("layer", ("core",)), ("run", ("core", "local")), ("dev", ("core", "local", "dev"))]
)
def test_the_locks_hold_every_declared_dependency(lock: str, of: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {
        "core": project["project"]["dependencies"],
        "local": project["project"]["optional-dependencies"]["local"],
        "dev": project["dependency-groups"]["dev"],
    }
    names = {re.split(r"[\[<>=!~; ]", line)[0].lower() for part in of for line in declared[part]}
    assert names - locked(lock).keys() == set()


def test_make_help_lists_every_task() -> None:
    makefile = (ROOT / "Makefile").read_text()
    tasks = {name for line in re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE) for name in line.split()}
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert set(re.findall(r"^  make ([a-z-]+) +\S", shown.stdout, re.MULTILINE)) == tasks


def test_the_coverage_floor_never_falls() -> None:
    """Raise ``fail_under`` when coverage has grown; this compares it with every value it had."""
    command = ["git", "log", "--reverse", "--patch", "--format=", "-G^fail_under", "--", "pyproject.toml"]
    history = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    floors = [float(value) for value in re.findall(r"^\+fail_under = ([\d.]+)$", history, re.MULTILINE)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    floors.append(project["tool"]["coverage"]["report"]["fail_under"])
    assert floors == sorted(floors)
