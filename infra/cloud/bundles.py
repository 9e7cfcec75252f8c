"""Code bundles: what is put into the archives that Lambda unpacks.

A bundle keeps the path it has in the repository (``functions/<name>/handler.py``), so that the handler string is the
same on Lambda, in a child process and in a thread.
"""

import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path

_LEAVE_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def stage_function(functions: Path, folders: Iterable[Path], build: Path) -> Path:
    """Copy folders of ``functions`` under ``build``, with the packages above them; returns the root of the bundle.

    The first folder is the function's own and gives the bundle its name.
    """
    inner = [folder.relative_to(functions) for folder in folders]
    target = build / "functions" / "-".join(inner[0].parts)
    shutil.rmtree(target, ignore_errors=True)
    for folder in inner:
        shutil.copytree(functions / folder, target / "functions" / folder, ignore=_LEAVE_OUT)
        for package in folder.parents:
            _mark_package(target / "functions" / package)
    return target


def stage_layer(packages: Iterable[Path], build: Path, wheels: Iterable[Path] = ()) -> Path:
    """Lay out the layer ``core``: our own packages and the unpacked ``wheels`` side by side under ``python/``.

    The wheels must be built for the platform of the functions; this is the place where third-party code comes in.
    """
    target = build / "layers" / "core"
    shutil.rmtree(target, ignore_errors=True)
    python = target / "python"
    python.mkdir(parents=True)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(python)
    for package in packages:
        shutil.copytree(package, python / package.name, ignore=_LEAVE_OUT)
    return target


def _mark_package(folder: Path) -> None:
    """An empty ``__init__.py``: a namespace package would lose to any regular package of the same name."""
    init = folder / "__init__.py"
    if not init.exists():
        init.write_text("", encoding="utf-8")
