"""Looks the pinned packages up in the public vulnerability list: ``python -m infra.audit [LOCK ...]``.

A finding fails. A list that cannot be reached, or that does not know a package, is said plainly and does not fail:
the check must also run where only a package mirror can be reached, and "not looked up" must never read like "clean".
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apex.errors import InvalidInput

LOCKS = (Path("requirements/dev.lock"), Path("requirements/bootstrap.lock"))
"""Between them they pin everything that is ever installed; the other lock files are parts of the first."""

_PATIENCE = 180.0
"""Seconds for one lock file, after which the list counts as unreachable."""

_UNREACHABLE = ("requests.exceptions.", "ConnectionError", "ServiceError", "Could not connect")
"""What the last line of pip-audit's error output holds when the list did not answer as it should."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said about one lock file, and whether it fails the check."""

    lines: tuple[str, ...]
    failed: bool = False


def judge(report: Mapping[str, Any]) -> Verdict:
    """Judge pip-audit's JSON report."""
    packages = report["dependencies"]
    skipped = [package["name"] for package in packages if "skip_reason" in package]
    findings = [
        f"{package['name']} {package['version']}: {finding['id']}, mended in {_versions(finding['fix_versions'])}"
        for package in packages
        for finding in package.get("vulns", ())
    ]
    looked_up = len(packages) - len(skipped)
    if looked_up == 0:
        summary = "NOT AUDITED: the vulnerability list that can be reached from here knows none of the packages"
    elif skipped:
        summary = f"{looked_up} packages looked up, NOT AUDITED: {', '.join(skipped)}"
    else:
        summary = f"{looked_up} packages looked up"
    return Verdict((summary, *findings), failed=bool(findings))


def audit(lock: Path) -> Verdict:
    """Audit one lock file. Raises ``InvalidInput`` when it cannot be read as one."""
    options = ["--requirement", str(lock), "--require-hashes", "--disable-pip"]
    command = [sys.executable, "-m", "pip_audit", *options, "--format", "json", "--progress-spinner", "off"]
    try:
        # This interpreter, a fixed module, and a file name of our own.
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Verdict((f"NOT AUDITED: the vulnerability list did not answer within {_PATIENCE:.0f} s",))
    if done.stdout.strip():
        return judge(json.loads(done.stdout))
    *_, reason = done.stderr.strip().splitlines() or [f"pip-audit ended with {done.returncode} and said nothing"]
    if any(sign in reason for sign in _UNREACHABLE):
        return Verdict(("NOT AUDITED: the vulnerability list cannot be reached from here",))
    raise InvalidInput(f"{lock} cannot be audited: {reason}")


def main(arguments: Sequence[str] = ()) -> int:
    """Audit the lock files named, or all; answers the exit code."""
    failed = False
    for lock in [Path(argument) for argument in arguments] or LOCKS:
        try:
            verdict = audit(lock)
        except InvalidInput as error:
            verdict = Verdict((str(error),), failed=True)
        for line in verdict.lines:
            print(f"{lock}: {line}")
        failed = failed or verdict.failed
    return int(failed)


def _versions(versions: Sequence[str]) -> str:
    return " or ".join(versions) or "no version so far"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
