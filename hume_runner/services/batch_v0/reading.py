"""What the batch API's jobs and predictions say, member by member; nothing here talks to anybody.

Reading is lenient: unknown members are ignored, missing and null ones read the same, and a value of the wrong type
reads as missing. Only a job without an id is an error.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, Literal

from hume_runner.errors import UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.http.json_stream import Shape, whole
from hume_runner.settings import HIDDEN

_LARGEST: Final = 2**53
# Of a job's id, in characters: a longer one is more than servers take for a path, and no name to keep in a state.
_LONGEST_ID: Final = 32_000


@frozen
class FileView:
    """An uploaded file as the service remembers it: the name of its form part and the MD5 of its bytes (hex)."""

    filename: str | None
    md5sum: str | None


@frozen
class JobView:
    """A job. Times are Unix milliseconds by the service's clock.

    `status` is upper case as the service writes it, "" if it gave none. `models` and `transcription` are as they are
    echoed, defaults and nulls included; `transcription` is None for `null` and {} where the echo has none. `says` are
    those of "urls", "text", "files" and "models" that the echo has at all.
    """

    job_id: str
    status: str
    created_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    message: str | None = None
    num_predictions: int | None = None
    num_errors: int | None = None
    urls: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    files: tuple[FileView, ...] = ()
    models: Mapping[str, Any] = field(default_factory=dict)
    transcription: Mapping[str, Any] | None = field(default_factory=dict)
    callback_url: str | None = None
    notify: bool = False
    says: frozenset[str] = frozenset(("urls", "text", "files", "models"))


def read_job(raw: Mapping[str, Any]) -> JobView:
    """A job from the details or the list operation.

    Shape: {"job_id", "request": {"urls", "text", "files", "models", "transcription", "callback_url", "notify"},
    "state": {"status", "created_timestamp_ms", "started_timestamp_ms", "ended_timestamp_ms", "num_predictions",
    "num_errors", "message"}}. Raises: UnexpectedResponse if there is no job_id.
    """
    told = raw.get("job_id")
    job_id = read_job_id(told)
    if job_id is None:
        raise UnexpectedResponse(unusable_id(told) or "the service sent a job without a job_id")
    request, state = _object(raw, "request"), _object(raw, "state")
    return JobView(
        job_id=job_id,
        status=(_text(state, "status") or "").upper(),
        created_ms=_whole(state, "created_timestamp_ms"),
        started_ms=_whole(state, "started_timestamp_ms"),
        ended_ms=_whole(state, "ended_timestamp_ms"),
        message=_text(state, "message"),
        num_predictions=_whole(state, "num_predictions"),
        num_errors=_whole(state, "num_errors"),
        urls=tuple(_clean(value) for value in _list(request, "urls") if isinstance(value, str)),
        text=tuple(_clean(value) for value in _list(request, "text") if isinstance(value, str)),
        files=tuple(_file(value) for value in _list(request, "files")),
        models=_object(request, "models"),
        transcription=None if request.get("transcription", {}) is None else _object(request, "transcription"),
        callback_url=_text(request, "callback_url"),
        notify=request.get("notify") is True,
        says=frozenset(
            name
            for name, kinds in (("urls", list), ("text", list), ("files", list), ("models", dict))
            if isinstance(request.get(name), kinds)
            # What is told in another form than texts only says that there is something.
            and (name in ("files", "models") or all(isinstance(value, str) for value in request[name]))
        ),
    )


def read_job_id(value: Any) -> str | None:
    """A job's id as text; some hosts count their jobs. None for what is no id, or none that can be asked about."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _LARGEST else None
    return value if isinstance(value, str) and value and not unusable_id(value) else None


def unusable_id(value: Any) -> str:
    """Why nobody can ask about a job of this id, or ""; what is no id at all is not meant."""
    if not isinstance(value, str) or not value:
        return ""
    if HIDDEN in value:
        # What an answer quotes of the key is replaced before anybody sees it, and is stored nowhere.
        return f"the service puts the API key into the job's id ({value[:80]}), and the key is never kept"
    if not value.strip(". "):
        return f"no request can name a job whose id is {value[:80]!r}"
    if len(value) > _LONGEST_ID:
        return f"no request can name a job whose id is {len(value):,} characters long ({value[:80]!a}…)"
    if _clean(value) != value:
        return f"the job's id {value[:80]!a} is not text, and no request can name it"
    return ""


def _file(value: Any) -> FileView:
    # Old SDKs read a list of names here; the definition has objects.
    if isinstance(value, str):
        return FileView(filename=_clean(value), md5sum=None)
    raw = value if isinstance(value, dict) else {}
    return FileView(filename=_text(raw, "filename"), md5sum=read_md5(_text(raw, "md5sum")))


_HEX_MD5 = re.compile(r"[0-9a-f]{32}")
_BASE64_MD5 = re.compile(r"[A-Za-z0-9+/_-]{22}(==)?")


def read_md5(told: str | None) -> str | None:
    """An MD5 in small hexadecimal digits, however a service writes it: in capitals, in base64, in pairs, in quotes,
    with its name before it. What is none stays as it is, since it tells that there is something."""
    if told is None:
        return None
    plain = re.sub(r"^md5[:=-]\s*", "", told.strip().strip("\"'"), flags=re.IGNORECASE)
    digits = re.sub(r"[:\s-]", "", plain).lower().removeprefix("0x")
    if _HEX_MD5.fullmatch(digits):
        return digits
    if _BASE64_MD5.fullmatch(plain):
        return b64decode(plain[:22].translate(str.maketrans("-_", "+/")) + "==").hex()
    return told


@frozen
class FilePrediction:
    """One file of a source. `file` is the base name, a path inside an archive, or for text its position from "1"."""

    file: str
    file_type: str | None
    models: Mapping[str, Any]


@frozen
class SourceResultView:
    """What the predictions say about one source: one URL, one upload, or all text strings together.

    `errors` are (file, message) pairs; `error` concerns the source as a whole and may come with results.
    """

    kind: Literal["url", "file", "text", "unknown"]
    url: str | None = None
    filename: str | None = None
    md5: str | None = None
    predictions: tuple[FilePrediction, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    error: str | None = None


def read_source_result(raw: Any) -> SourceResultView:
    """One element of the predictions array.

    Shape: {"source": {"type": "url"|"file"|"text", "url", "filename", "md5sum"}, "results": {"predictions": [{"file",
    "file_type", "models": {<model>: {…}}}], "errors": [{"file", "message"}]}, "error"}. Raises: UnexpectedResponse if
    the element is no object.
    """
    if not isinstance(raw, Mapping):
        raise UnexpectedResponse(f"an element of the predictions is a {type(raw).__name__}, not an object")
    source, results = _object(raw, "source"), _object(raw, "results")
    kind = source.get("type")
    error = raw.get("error")
    return SourceResultView(
        kind=kind if kind in ("url", "file", "text") else "unknown",
        url=_text(source, "url"),
        filename=_text(source, "filename"),
        # The second name: as official SDKs of the 0.7 series and later write it when they save what they have read.
        md5=read_md5(_text(source, "md5sum") or _text(source, "md_5_sum")),
        predictions=tuple(
            FilePrediction(
                file=_text(value, "file") or "",
                file_type=_text(value, "file_type"),
                # A model that did not run may be echoed as null.
                models={name: found for name, found in _object(value, "models").items() if found is not None},
            )
            for value in _list(results, "predictions")
            if isinstance(value, dict)
        ),
        errors=tuple(
            (_text(value, "file") or "", _text(value, "message") or "no message")
            for value in _list(results, "errors")
            if isinstance(value, dict)
        ),
        error=error if isinstance(error, str) else _text(_object(raw, "error"), "message"),
    )


# Of a listed job that is large: all but the sources that it carries.
THIN_JOB: Final[Shape] = {
    "job_id": whole,
    "state": whole,
    "request": {"models": whole, "transcription": whole, "callback_url": whole, "notify": whole},
}


def _object(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _list(raw: Mapping[str, Any], name: str) -> list[Any]:
    value = raw.get(name)
    return value if isinstance(value, list) else []


def _text(raw: Mapping[str, Any], name: str) -> str | None:
    value = raw.get(name)
    return _clean(value) if isinstance(value, str) else None


def _clean(text: str) -> str:
    """`text` without halves of characters, which no state or file takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _whole(raw: Mapping[str, Any], name: str) -> int | None:
    value = raw.get(name)
    # Beyond this a time or a count is none, and no state takes it.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value <= _LARGEST:
        return None
    return int(value)
