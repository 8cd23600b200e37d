"""Is this job at the service the one whose answer was lost? And would the list have shown it? Pure.

A host may spell what it was sent another way: file names in another case or with a path before them, URLs decoded,
texts stripped, members left out. What counts is the nonce in a file's name, however it is spelt, a file's MD5, and
else that the sources are the same ones after both sides are brought to one form. What cannot be told stays "maybe": it
is never taken for ours, and never taken for proof that ours is not there.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hume_runner.services.base import Job

if TYPE_CHECKING:
    from hume_runner.client.batch_v0 import JobView


class Verdict(Enum):
    OURS = "ours"
    MAYBE = "maybe"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a lost submission sent, in the form that echoes are compared in.

    `urls` and `texts` are counted, since a job may carry one twice. `files`: (name in the upload, MD5 in hex or None
    where it is not known any more). `settings`: the members of the request that change a result.
    """

    nonce: str
    urls: Counter[str]
    texts: Counter[str]
    files: tuple[tuple[str, str | None], ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


def sent_by(job: Job, names: Mapping[int, str], settings: Mapping[str, Any]) -> Sent:
    """What `job` sent: `names` tells for each member's position by what its answer names it.

    A text or URL that the manifest does not list any more has no value here; the digest of its content is left, and a
    text can still be told by it.
    """
    urls: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    files: list[tuple[str, str | None]] = []
    for member in job.members:
        item, name = member.item, names[member.position]
        if item.kind == "url":
            urls[one_url(name)] += 1
        elif item.kind == "text":
            texts[one_text(item.value) if item.id else _UNLISTED + item.content_sha256] += 1
        else:
            files.append((name, item.content_md5))
    return Sent(nonce=job.nonce.lower(), urls=urls, texts=texts, files=tuple(files), settings=settings)


# A text that is known by its digest alone.
_UNLISTED = "sha256:"


def one_text(text: str) -> str:
    """A text as any host may give it back: composed, without blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def one_url(url: str) -> str:
    """A URL as any host may give it back: percent-decoded, composed, scheme and host in lower case, no fragment."""
    plain = url.strip()
    for _ in range(3):  # a host that encodes what is encoded already
        decoded = unquote(plain, errors="surrogateescape")
        if decoded == plain:
            break
        plain = decoded
    plain = unicodedata.normalize("NFC", plain).partition("#")[0]
    scheme, mark, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{mark}{host.lower()}{slash}{path}".rstrip("/") if mark else plain


def one_name(name: str) -> str:
    """A file's name as any host may give it back: decoded, composed, without regard to case, without folders."""
    plain = unicodedata.normalize("NFC", unquote(name.strip(), errors="surrogateescape")).casefold()
    return plain.replace("\\", "/").rpartition("/")[2]


def judge(sent: Sent, view: JobView) -> Verdict:
    """Whether a job at the service is the lost one.

    The nonce alone is not enough where the MD5s speak against it: another history of the same state may have given it
    to other files.
    """
    if not same_settings(sent.settings, view):
        return Verdict.FOREIGN
    if sent.nonce and any(sent.nonce in one_name(file.filename or "") for file in view.files):
        return Verdict.FOREIGN if _other_bytes(sent, view) else Verdict.OURS
    if not (view.urls or view.text or view.files):
        return Verdict.MAYBE  # it says nothing of what it carries
    urls, texts = Counter(map(one_url, view.urls)), _texts(sent, view)
    if urls - sent.urls or (texts - sent.texts).total() > _spare(sent, texts):
        return Verdict.FOREIGN  # it carries what ours does not
    files = _files(sent, view)
    if files is Verdict.FOREIGN:
        return Verdict.FOREIGN
    # Early echoes have no text member at all; then the other members have to tell.
    silent_texts = not view.text and bool(urls or view.files)
    same = urls == sent.urls and (texts == sent.texts or silent_texts)
    return files if same else Verdict.MAYBE


def _spare(sent: Sent, texts: Counter[str]) -> int:
    """How many of our texts are known by their digest alone and not found: a host may have spelt them another way."""
    return sum(number for text, number in (sent.texts - texts).items() if text.startswith(_UNLISTED))


def _texts(sent: Sent, view: JobView) -> Counter[str]:
    """The echoed texts, each by its digest where ours is known by that alone."""
    found: Counter[str] = Counter()
    for text in view.text:
        plain = one_text(text)
        digest = _UNLISTED + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        found[digest if digest in sent.texts and plain not in sent.texts else plain] += 1
    return found


def _other_bytes(sent: Sent, view: JobView) -> bool:
    ours = Counter(md5 for _, md5 in sent.files)
    theirs = Counter((file.md5sum or "").lower() or None for file in view.files)
    known = None not in ours and None not in theirs
    return known and bool(theirs - ours)


def _files(sent: Sent, view: JobView) -> Verdict:
    """What the files tell where no name carries the nonce: OURS if nothing speaks against it."""
    if not sent.files and not view.files:
        return Verdict.OURS
    if len(view.files) > len(sent.files):
        return Verdict.FOREIGN
    ours = Counter(md5 for _, md5 in sent.files if md5)
    theirs = Counter(file.md5sum.lower() for file in view.files if file.md5sum)
    if theirs and len(ours) and theirs - ours and None not in (md5 for _, md5 in sent.files):
        return Verdict.FOREIGN
    if len(view.files) == len(sent.files) == theirs.total() and theirs == ours:
        return Verdict.OURS
    # A name of its own that is none of ours, with nothing left out: somebody else's upload.
    names = [one_name(file.filename or "") for file in view.files]
    if all(names) and not theirs and not any(_may_be(name, sent) for name in names):
        return Verdict.FOREIGN
    return Verdict.MAYBE


def _may_be(name: str, sent: Sent) -> bool:
    """Whether a name without our nonce may be one of ours with its prefix cut off."""
    return any(one_name(ours).endswith(name) for ours, _ in sent.files)


def names_in(job: Job, sent: Sent, view: JobView, names: Mapping[int, str]) -> dict[int, str]:
    """By what the answer of this job will name each member: as the host spells it where that can be told."""
    echoed: dict[int, str] = {}
    by_md5: dict[str, list[str]] = {}
    for file in view.files:
        position = position_in(file.filename or "", sent.nonce)
        if position is not None and file.filename:
            echoed[position] = file.filename
        elif file.filename and file.md5sum:
            by_md5.setdefault(file.md5sum.lower(), []).append(file.filename)
    found = dict(names)
    for member in job.members:
        if member.item.kind != "file":
            continue
        md5 = member.item.content_md5
        if member.position in echoed:
            found[member.position] = echoed[member.position]
        elif md5 and by_md5.get(md5):
            found[member.position] = by_md5[md5].pop(0)
    return found


def position_in(name: str, nonce: str) -> int | None:
    """The position that an upload's name carries behind the nonce, in whatever spelling; None without it."""
    if not nonce:
        return None
    match = re.search(re.escape(nonce.lower()) + r"-(\d{3})-", one_name(name))
    return int(match[1]) if match else None


# How an upload's name begins: the nonce and the position, see `upload_name`.
_MARK = re.compile(r"([0-9a-f]{10}-\d{3})-")


class SourceFinder:
    """Which member of a job a name in its answer stands for, however the host spells it.

    The name as it was sent comes first, then the nonce and position in an upload's name, then the one form that hosts
    may give names back in. A form that two members have tells nothing: it is never a guess between them.
    """

    def __init__(self, members: Iterable[tuple[int, str, str]]) -> None:
        """`members`: (position, kind, name by which the answer should name it)."""
        self._exact: dict[tuple[str, str], int] = {}
        self._by_mark: dict[str, int] = {}
        forms: dict[tuple[str, str], set[str]] = {}
        positions: dict[tuple[str, str], int] = {}
        for position, kind, name in members:
            self._exact[kind, name] = position
            mark = _MARK.match(one_name(name)) if kind == "file" else None
            if mark:
                self._by_mark[mark[1]] = position
            for form in _forms(kind, name):
                forms.setdefault((kind, form), set()).add(name)
                positions[kind, form] = position
        self._by_form = {form: positions[form] for form, names in forms.items() if len(names) == 1}

    @property
    def exact(self) -> Mapping[tuple[str, str], int]:
        """(kind, name as it was sent) -> position."""
        return self._exact

    def find(self, kind: str, name: str) -> int | None:
        """The position of the member; None where nothing tells it."""
        if (kind, name) in self._exact:
            return self._exact[kind, name]
        if kind == "file":
            marks = {mark for mark in _MARK.findall(one_name(name)) if mark in self._by_mark}
            if marks:
                return self._by_mark[marks.pop()] if len(marks) == 1 else None
        found = {self._by_form[kind, form] for form in _forms(kind, name) if (kind, form) in self._by_form}
        return found.pop() if len(found) == 1 else None


def _forms(kind: str, name: str) -> tuple[str, ...]:
    match kind:
        case "file":
            whole = one_name(name)
            return (whole, _MARK.sub("", whole, count=1)) if _MARK.match(whole) else (whole,)
        case "url":
            return (one_url(name),)
        case _:
            number = name.strip()
            return (str(int(number)),) if number.isascii() and number.isdigit() and len(number) < 10 else (number,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one look listed: `views` oldest first as asked for, `newest` the first page in the other order.

    `since_ms`: the moment from which on jobs were asked for. `older`: whether an unfiltered page shows jobs from before
    that moment, so that the filter is known to have left some out.
    """

    views: Sequence[JobView]
    newest: Sequence[JobView]
    since_ms: int
    older: bool = False


def lacking(listing: Listing, ours: Mapping[str, float], ended_at: float) -> str:
    """What the listing lacks to have shown a job that the service took before `ended_at`, in words; "" for nothing.

    `ours`: remote id -> time of creation of jobs that the service surely took. The list has to show those up to the
    newest that it shows, and one of those that came after the lost one, if there are any. Where there is none of ours,
    the list must have shown somebody's, in the order and from the moment that was asked for: an empty list, or one that
    does as it likes, proves nothing.
    """
    if not _told_the_same(listing):
        return "the list does not tell the same when it is asked in another order"
    shown = {view.job_id for view in (*listing.views, *listing.newest)}
    later = [one for one, at in ours.items() if at > ended_at]
    if later and not any(one in shown for one in later):
        return "the list shows none of the jobs that the service took after it"
    upto = max((at for one, at in ours.items() if one in shown), default=None)
    missing = [one for one, at in ours.items() if one not in shown and (upto is None or at <= upto or not later)]
    if missing:
        return f"the list does not show {missing[0]}, which the service took"
    kept = _in_order(listing.views) or _filtered(listing)
    if ours:
        return "" if kept else "the list keeps neither the order nor the filter that were asked for"
    if not (_in_order(listing.views) and _filtered(listing)):
        return "the list keeps neither the order nor the filter that were asked for"
    if not (listing.views or listing.older):
        return "the list shows no job at all, so it cannot be told whether it would show this one"
    return ""


def _told_the_same(listing: Listing) -> bool:
    """Jobs come, and none goes: what the second answer has more can only be newer than all of the first."""
    seen = {view.job_id for view in listing.views}
    last = max((view.created_ms or 0 for view in listing.views), default=listing.since_ms)
    return all(view.job_id in seen or (view.created_ms or 0) >= last for view in listing.newest)


def _in_order(views: Iterable[JobView]) -> bool:
    times = [view.created_ms for view in views]
    known = [time for time in times if time is not None]
    return len(known) == len(times) and known == sorted(known)


def _filtered(listing: Listing) -> bool:
    return all(view.created_ms is not None and view.created_ms >= listing.since_ms for view in listing.views)


def same_settings(settings: Mapping[str, Any], view: JobView) -> bool:
    """Whether a job's echo measures what `settings` ask for: the same models, each member as it was sent."""
    return settings_agree(settings, {"models": view.models, "transcription": view.transcription})


def settings_agree(settings: Mapping[str, Any], echoed: Mapping[str, Any]) -> bool:
    """The same of an echo's settings, or of the part of both that touches an item."""
    models, found = settings.get("models"), echoed.get("models")
    if models is None or not found:
        return True
    running = {name for name, value in found.items() if value is not None}
    if running != set(models) or not all(_agrees(value, found[name]) for name, value in models.items()):
        return False
    if "transcription" not in settings:
        return True
    wanted, transcription = settings["transcription"], echoed.get("transcription")
    # An echo without the member reads as {}, which agrees with anything but "off".
    if wanted is None or transcription is None:
        return (wanted is None) == (transcription is None)
    return _agrees(wanted, transcription)


def _agrees(sent: Any, echoed: Any) -> bool:
    """Whether an echo, with its defaults filled in, says what was sent. Floats may come back in single precision."""
    if isinstance(sent, Mapping):
        return isinstance(echoed, Mapping) and all(
            name not in echoed or _agrees(value, echoed[name]) for name, value in sent.items()
        )
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return bool(sent == echoed)
    return isinstance(echoed, (int, float)) and abs(sent - echoed) <= 1e-6 * max(1.0, abs(sent))
