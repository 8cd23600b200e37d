"""Get the files of models: from whichever place has them, checked, resumable, one pull at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock, Timeout

from hume_runner import aside
from hume_runner.errors import NoRoom, NotRegular, ServiceUnavailable, UsageError, lacks_room
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular
from hume_runner.services.local import catalogue
from hume_runner.services.local.model_files import OWN, File
from hume_runner.services.local.packages import remove_abandoned
from hume_runner.services.local.places import PlaceFailed, Places
from hume_runner.services.local.weights import Verdict, Weights, stamp_of
from hume_runner.settings import ModelSettings

_LOCK: Final = ".lock"
_LICENCES: Final = ".licences.json"
_POLL_S: Final = 0.1
_NOT_OURS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})

Kind = Literal["present", "waiting", "trying", "bytes", "failed", "pulled"]


@frozen
class Step:
    """What a pull tells while it works.

    `present`: the file is here and right. `waiting`: another pull is at work. `trying`, `failed` (with `why`; `again`:
    which was said of another file), `pulled`: from `place`. `bytes`: so many of it are here.
    """

    kind: Kind
    file: File | None = None
    place: str = ""
    why: str = ""
    again: bool = False
    size_bytes: int = 0


@frozen
class Licence:
    """Under what a model comes; `url` leads to its text, or to where the model is from."""

    model: str
    licence: str
    url: str
    size_bytes: int = 0


OnStep = Callable[[Step], None]


def missing(files: Iterable[File], weights: Weights, tell: OnStep) -> tuple[File, ...]:
    """Those that are not here or not right; of the others it is told that they are."""
    lacking = []
    for file in files:
        if weights.check(file) is Verdict.SAME:
            tell(Step(kind="present", file=file))
        else:
            lacking.append(file)
    return tuple(lacking)


def pull(files: Sequence[File], *, weights: Weights, places: Places, tell: OnStep) -> tuple[File, ...]:
    """Get these files; those that were fetched. Files that some place has come even if another's cannot be had.

    Raises: ServiceUnavailable, naming what no place has and why; NoRoom; UsageError where the folder cannot be written.
    """
    lacking = missing(files, weights, tell)
    if not lacking:
        return ()
    with _told(weights.root):
        weights.root.mkdir(parents=True, exist_ok=True)
        with _alone(weights.root, tell):
            remove_abandoned(weights.root)
            # Meanwhile another pull may have brought them.
            lacking = missing(lacking, weights, tell)
            _need_room(lacking, weights)
            failed = {file: why for file in lacking if (why := _pull_one(file, weights, places, tell)) is not None}
    if failed:
        raise _not_had(failed)
    return lacking


def _pull_one(file: File, weights: Weights, places: Places, tell: OnStep) -> str | None:
    """None when it is here; else what each place said."""
    target = weights.path(file)
    folder = aside.refuse_links(weights.root, *target.relative_to(weights.root).parent.parts)
    folder.mkdir(parents=True, exist_ok=True)
    said = []
    for place in places.of(file):
        tell(Step(kind="trying", file=file, place=place.label))

        def told(size_bytes: int, label: str = place.label) -> None:
            tell(Step(kind="bytes", file=file, place=label, size_bytes=size_bytes))

        try:
            place.get(file, target, told)
        except PlaceFailed as failed:
            said.append(f"{place.label}: {failed}")
            tell(Step(kind="failed", file=file, place=place.label, why=str(failed), again=failed.again))
        else:
            seen = target.stat()
            weights.remember(file, file.sha256, stamp_of(seen))
            aside.remove_leftovers(folder, target.name)
            tell(Step(kind="pulled", file=file, place=place.label, size_bytes=seen.st_size))
            return None
    return "; ".join(said) or "no place is known for it"


def _not_had(failed: dict[File, str]) -> ServiceUnavailable:
    first, why = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more files)" if len(failed) > 1 else ""
    hint = "run the same command again: it resumes; or name a place, by --from DIR or HUME_RUNNER_MODELS_MIRROR"
    return ServiceUnavailable(f"{first.name}: no place has it{more}. {why}", hint=hint)


def _need_room(files: Iterable[File], weights: Weights) -> None:
    due = sum(max(0, (file.size_bytes or 0) - _begun(weights.path(file))) for file in files)
    free = shutil.disk_usage(weights.root).free
    if due > free:
        raise NoRoom(
            f"{weights.root}: {due:,} bytes are due, and {free:,} are free",
            hint="free some space, or let HUME_RUNNER_MODELS name a folder on another disk",
        )


def _begun(target: Path) -> int:
    """How much of a file an earlier pull left."""
    with contextlib.suppress(OSError):
        parts = (path for path in target.parent.iterdir() if aside.is_part(path.name, target.name))
        return max((path.lstat().st_size for path in parts), default=0)
    return 0


@contextlib.contextmanager
def _told(root: Path) -> Iterator[None]:
    """What the disk refuses, in a line with the next step."""
    try:
        yield
    except OSError as error:
        if lacks_room(error):
            raise NoRoom(
                f"{root}: {error.strerror}", hint="free some space, then run the same command again: it resumes"
            ) from error
        what = _in_the_way(error)
        if what is not None:
            raise UsageError(
                f"{error.filename or root}: {what}",
                hint="move it away, or let HUME_RUNNER_MODELS name another folder",
            ) from error
        if error.errno in _NOT_OURS:
            raise UsageError(
                f"{root} cannot be written: {error.strerror}", hint="HUME_RUNNER_MODELS names another folder"
            ) from error
        raise


def _in_the_way(error: OSError) -> str | None:
    """What stands where a file or a folder of ours belongs; None if the refusal is about something else."""
    if isinstance(error, NotRegular):
        return error.strerror
    if isinstance(error, IsADirectoryError):
        return "a folder is in the way"
    if isinstance(error, FileExistsError | NotADirectoryError) or error.errno == errno.ELOOP:
        return "a file, or a link, is in the way"
    return None


@contextlib.contextmanager
def _alone(root: Path, tell: OnStep) -> Iterator[None]:
    """Whoever comes second waits, and then finds the files."""
    lock = FileLock(root / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(Step(kind="waiting"))
        lock.acquire(poll_interval=_POLL_S)
    try:
        yield
    finally:
        lock.release()


# -- licences ---------------------------------------------------------------------------------------------------------


def pull_agreed(
    files: Iterable[File],
    settings: ModelSettings,
    *,
    agree: bool | Callable[[Sequence[Licence]], bool],
    environ: Mapping[str, str],
    folder: Path | None = None,
    allow_hosts: tuple[str, ...] = (),
    tell: OnStep = lambda step: None,
) -> None:
    """`pull` from all places, once the licences of what is not here were agreed to. Raises: as `pull`; UsageError for
    a no."""
    weights = Weights(settings.root)
    every = tuple(dict.fromkeys(files))
    lacking = missing(every, weights, tell)
    if not lacking:
        return
    due = unagreed(lacking, weights)
    if due and not (agree if isinstance(agree, bool) else agree(due)):
        told = ", ".join(one.model for one in due)
        raise UsageError(
            f"nothing was downloaded: nobody agreed to the licences of {told}",
            hint="read them, then add --yes to the same command",
        )
    with Places(settings, environ=environ, wheels=settings.root, folder=folder, allow_hosts=allow_hosts) as places:
        remember_agreed(due, weights)
        pull(lacking, weights=weights, places=places, tell=tell)


def unagreed(files: Iterable[File], weights: Weights) -> tuple[Licence, ...]:
    """The licences that nobody agreed to here yet, of models that these files are of."""
    agreed = _agreed(weights.root)
    due: dict[str, Licence] = {}
    for file in files:
        due.setdefault(file.name if file.model == OWN else file.model, _licence(file))
    return tuple(one for one in due.values() if agreed.get(one.model) != _said(one))


def remember_agreed(licences: Iterable[Licence], weights: Weights) -> None:
    """Remember that somebody did. Raises: UsageError, NoRoom."""
    with _told(weights.root):
        weights.root.mkdir(parents=True, exist_ok=True)
        agreed = _agreed(weights.root) | {one.model: _said(one) for one in licences}
        aside.write(weights.root / _LICENCES, json.dumps(agreed, indent=1, sort_keys=True).encode(), durable=False)


def _licence(file: File) -> Licence:
    model = catalogue.model_named(file.model)
    if model is None:
        words = "not known here: whoever named the file has to know it"
        return Licence(model=file.name, licence=words, url=next(iter(file.urls), ""), size_bytes=file.size_bytes or 0)
    return Licence(model=model.name, licence=model.licence, url=model.licence_url, size_bytes=model.size_bytes)


def _said(licence: Licence) -> str:
    return f"{licence.licence} {licence.url}"


def _agreed(root: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        with open_regular(root / _LICENCES) as file:
            agreed = json.loads(file.read())
        if isinstance(agreed, dict):
            return agreed
    return {}
