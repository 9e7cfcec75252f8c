"""What ``cdk bootstrap`` and ``cdk deploy`` do before the stack exists: the asset bucket and what belongs into it."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apex.errors import TemplateNotSupported

_QUALIFIER = "hnb659fds"


@dataclass(frozen=True, slots=True)
class Asset:
    """One thing to upload: a file as it is, or a folder as a zip archive, under ``key``."""

    key: str
    source: Path
    packaging: str


@dataclass(frozen=True, slots=True)
class Assets:
    """The asset bucket of one assembly and everything that belongs into it."""

    bucket: str
    items: tuple[Asset, ...]

    def folder(self, key: str) -> Path | None:
        """The folder an archive was packed from; None for an unknown key."""
        return next((item.source for item in self.items if item.key == key and item.source.is_dir()), None)


def read_assets(assembly: Path, account: str, region: str) -> Assets:
    """The assets that the manifest of ``assembly`` lists for its stack.

    Raises ``TemplateNotSupported`` for a packaging other than ``file`` and ``zip``.
    """
    manifest = json.loads(_only(assembly, "*.assets.json").read_text(encoding="utf-8"))
    items = []
    buckets = set()
    for entry in manifest["files"].values():
        source = entry["source"]
        if source["packaging"] not in ("file", "zip"):
            raise TemplateNotSupported(f"an asset is packaged as {source['packaging']}")
        destination = next(iter(entry["destinations"].values()))
        buckets.add(destination["bucketName"])
        items.append(Asset(destination["objectKey"], assembly / source["path"], source["packaging"]))
    bucket = _QUALIFIER if not buckets else buckets.pop()
    return Assets(_fill_in(bucket, account, region), tuple(items))


def bootstrap(assets: Assets, s3: Any) -> None:
    """Create the asset bucket and upload every asset."""
    s3.create_bucket(Bucket=assets.bucket)
    for item in assets.items:
        s3.put_object(Bucket=assets.bucket, Key=item.key, Body=_content(item))


def _content(item: Asset) -> bytes:
    if item.packaging == "file":
        return item.source.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(item.source.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(item.source))
    return packed.getvalue()


def _fill_in(text: str, account: str, region: str) -> str:
    return text.replace("${AWS::AccountId}", account).replace("${AWS::Region}", region)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise TemplateNotSupported(f"expected one {pattern} in the cloud assembly, found {len(found)}")
    return found[0]
