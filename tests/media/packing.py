"""Archives of every form, made of members."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

FORMS = ("a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz")


def pack(path: Path, *members: tuple[str, bytes]) -> Path:
    return zipped(path, *members) if path.suffix == ".zip" else tarred(path, *members)


def zipped(path: Path, *members: tuple[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, body)
    return path


def tarred(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    packing = {".gz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, packing, format=tarfile.PAX_FORMAT) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path
