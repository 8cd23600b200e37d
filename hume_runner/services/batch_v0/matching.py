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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hume_runner.services.base import Job

if TYPE_CHECKING:
    from hume_runner.services.batch_v0.client import JobView


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
    to other files. Without it, settings that the echo does not tell leave it open.
    """
    agrees = agreement(sent.settings, {"models": view.models, "transcription": view.transcription})
    if agrees is False:
        return Verdict.FOREIGN
    if sent.nonce and any(sent.nonce in one_name(file.filename or "") for file in view.files):
        return Verdict.FOREIGN if _other_bytes(sent, view) else Verdict.OURS
    verdict = _by_content(sent, view)
    return Verdict.MAYBE if verdict is Verdict.OURS and agrees is None else verdict


def contradicts(sent: Sent, view: JobView) -> bool:
    """Whether a job's echo surely speaks of something else than what was sent: other bytes, other texts, other links,
    other models.

    Only what is told in a form that can be read counts, and only where nothing at all agrees: a host that masks, cuts
    or spells another way says nothing of the kind.
    """
    if sent.nonce and any(sent.nonce in one_name(file.filename or "") for file in view.files):
        return False
    theirs = [md5 for file in view.files if (md5 := _hex(file.md5sum))] if "file" in familiar(view) else []
    kinds = [
        _disjoint([md5 for _, md5 in sent.files if md5], theirs),
        _disjoint(map(_loose, sent.texts), map(_loose, view.text)) if not _by_digest(sent.texts) else None,
        _disjoint(map(_loose_url, sent.urls), map(_loose_url, view.urls)),
    ]
    told = [kind for kind in kinds if kind is not None]
    return (bool(told) and all(told)) or _other_kinds(sent, view) or _other_models(sent.settings, view)


def _other_kinds(sent: Sent, view: JobView) -> bool:
    """Whether a job carries sources, says that it has none of the kinds that were sent, and has others."""
    ours = {"urls": bool(sent.urls), "text": bool(sent.texts), "files": bool(sent.files)}
    theirs = {"urls": bool(view.urls), "text": bool(view.text), "files": bool(view.files)}
    there = {kind for kind, has in theirs.items() if has}
    asked = {kind for kind, has in ours.items() if has}
    return bool(there) and not there & asked and asked <= view.says


def _other_models(settings: Mapping[str, Any], view: JobView) -> bool:
    """Whether a job surely runs other models, or in another way than it was told in a word. Numbers may be cut to what
    a host allows, and defaults change: they tell nothing."""
    for name, options in (settings.get("models") or {}).items():
        if name not in view.models:
            continue
        told = view.models[name]
        if told is None:
            return True
        if not isinstance(options, Mapping) or not isinstance(told, Mapping):
            continue
        for option, value in options.items():
            if isinstance(value, str) and isinstance(found := told.get(option), str):
                if value.casefold() != found.casefold():
                    return True
            elif isinstance(value, Mapping) and option in told and told[option] is None:
                return True
    return False


def _disjoint(ours: Iterable[str], theirs: Iterable[str]) -> bool | None:
    """Whether nothing is in both; None where one side tells nothing, or might be part of the other."""
    left, right = {one for one in ours if one}, {one for one in theirs if one}
    if not left or not right or any(_HIDDEN.search(one) for one in right):
        return None
    return not any(one.startswith(other) or other.startswith(one) for one in left for other in right)


# How hosts show that they do not show all.
_HIDDEN = re.compile(r"\*\*|\u2026|\.\.\.|<[^>]*>|\[redacted\]", re.IGNORECASE)
# How they say that there are more, as if that were one of them.
_MORE = re.compile(r"[(\[]?\s*(?:and\s+)?(?:\+\s*\d+|\+?\d+\s+(?:more|others?))(?:\s+\w+)?\s*[)\]]?", re.IGNORECASE)
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


def _hex(md5: str | None) -> str | None:
    return md5.lower() if md5 and _MD5.fullmatch(md5) else None


def other_bytes(ours: str | None, theirs: str | None) -> bool:
    """Whether two MD5s, both told in a form that can be read, differ."""
    left, right = _hex(ours), _hex(theirs)
    return left is not None and right is not None and left != right


def _loose(text: str) -> str:
    return " ".join(one_text(text).casefold().split())


def _loose_url(url: str) -> str:
    plain = one_url(url).partition("?")[0].casefold()
    plain = plain.partition("//")[2] or plain
    return "".join(one for one in plain.replace("+", " ") if one.isalnum())


def _by_digest(texts: Mapping[str, int]) -> bool:
    return any(text.startswith(_UNLISTED) for text in texts)


def familiar(view: JobView) -> frozenset[str]:
    """Kinds of sources (`url`, `file`, `text`) that an echo tells in a form that can be compared. Pure.

    What is masked, cut or written in another way than any that is known says only that there is something.
    """
    strange = set()
    if any(_HIDDEN.search(unquote(url)) for url in view.urls):
        strange.add("url")
    if any(_MORE.fullmatch(url.strip()) for url in view.urls):
        strange.add("url")
    if any(text.rstrip().endswith(("\u2026", "...")) or _MORE.fullmatch(text.strip() or "+1") for text in view.text):
        strange.add("text")
    md5s = [file.md5sum for file in view.files]
    if any(md5 is not None and _hex(md5) is None for md5 in md5s) or len({_hex(md5) for md5 in md5s}) < len(md5s):
        strange.add("file")
    return frozenset({"url", "file", "text"} - strange)


def content_of(view: JobView) -> tuple[tuple[str, ...], ...]:
    """What an echo says that a job carries, whatever the order."""
    files = sorted(f"{file.filename}\0{file.md5sum}" for file in view.files)
    return tuple(sorted(view.urls)), tuple(sorted(view.text)), tuple(files)


def silenced(view: JobView) -> JobView:
    """The same job, of which nothing is known that it carries."""
    return replace(view, urls=(), text=(), files=(), models={}, says=frozenset())


def _by_content(sent: Sent, view: JobView) -> Verdict:
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


def measures(text: str, words: Iterable[str]) -> bool | None:
    """Whether what was measured, told word by word or in longer pieces, is this text: all of it is; another one is;
    None where that cannot be told."""
    said = list(words)
    ours, pieces = _letters(text), [piece for piece in map(_letters, said) if piece]
    if not ours:  # signs alone
        ours, pieces = "".join(text.split()), ["".join(piece.split()) for piece in said]
    told = "".join(pieces)
    if not told:
        return None
    if told == ours:
        return True
    at = missing = 0
    for piece in pieces:
        found = ours.find(piece, at)
        missing, at = (missing + len(piece), at) if found < 0 else (missing, found + len(piece))
    return False if 2 * missing > len(told) else None


def another_s(text: str, words: Sequence[str], all_texts: Iterable[str]) -> bool:
    """Whether what was measured is surely another text than this one: none that is known, or one of `all_texts`."""
    same = measures(text, words)
    return same is False or (same is None and bool(words) and any(measures(one, words) for one in all_texts))


def _letters(text: str) -> str:
    """What every way of cutting a text into words leaves of it."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(one for one in plain if one.isalnum())


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What an answer's words confirm. `names`: position -> the name in the answer that is this member's text;
    `doubtful`: positions of which the answer speaks, and nothing tells that it is this text."""

    names: Mapping[int, str]
    doubtful: frozenset[int]


def confirmed(texts: Mapping[int, tuple[str, str]], words: Mapping[str, Sequence[str]]) -> Confirmed:
    """Which name in an answer stands for which text of a job that was started elsewhere.

    `texts`: position -> (text, name that its echo gives it); `words`: all names of texts in the answer, with the words
    that were measured. The order in which a host echoes texts is no proof of the order in which they were sent: where
    there are two, the words tell, or nobody knows.
    """
    names: dict[int, str] = {}
    said = {name: _said(texts, told) for name, told in words.items()}
    for position, (_, name) in texts.items():
        alike = [one for one, positions in said.items() if position in positions]
        if alike == [name] or (len(alike) == 1 and said[alike[0]] == {position}):
            names[position] = alike[0]
    moved = any(names[position] != texts[position][1] for position in names)
    open_ = {text for position, (text, _) in texts.items() if position not in names}
    # Two that nothing tells apart may have been put in another order, and those in place tell of it only where the
    # order is one that no host makes by itself.
    kept = not moved and 2 * len(names) >= len(texts) and (len(open_) < 2 or not _sorted(texts))
    if len(words) == 1 or kept:
        # What tells nothing by itself stands where the others show that it stands.
        for position, (text, name) in texts.items():
            if name in words and measures(text, words[name]) is not False:
                names.setdefault(position, name)
    doubtful = {position for position, (_, name) in texts.items() if position not in names and name in words}
    return Confirmed(names=names, doubtful=frozenset(doubtful))


def _said(texts: Mapping[int, tuple[str, str]], words: Sequence[str]) -> set[int]:
    """Which texts were measured in these words: by every sign, where that tells one from another; else by letters."""
    alike = {at for at, (text, _) in texts.items() if measures(text, words)}
    told = _signs("".join(words))
    exact = {at for at in alike if _signs(texts[at][0]) == told}
    return exact or alike


def _signs(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


# In what order hosts may put texts that they do not keep in the order in which they were sent.
_ORDERS: tuple[Callable[[str], Any], ...] = (str, str.casefold, str.strip, len, _letters, lambda text: text.encode())


def _sorted(texts: Mapping[int, tuple[str, str]]) -> bool:
    """Whether texts, in the order of their names in the echo, stand in one that a host may have made."""
    numbered = sorted(texts.values(), key=lambda one: (len(one[1]), one[1]))
    for order in _ORDERS:
        keys = [order(text) for text, _ in numbered]
        if keys in (sorted(keys), sorted(keys, reverse=True)):
            return True
    return False


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
            for form in (*_forms(kind, name), *_shorter(kind, name)):
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


def _shorter(kind: str, name: str) -> tuple[str, ...]:
    """What some hosts leave of a name that was sent; what an answer names so, but longer, is another."""
    return (one_url(name.partition("?")[0]),) if kind == "url" and "?" in name else ()


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


# What is known of the service's time comes from headers in whole seconds: of two moments closer than this, nobody can
# say which came first.
_APART_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one look listed: `views` from the oldest on, `newest` the first page in the other order.

    `gap`: why the two do not show all that lies between the oldest and the newest; "" where they do. `nameless`: some
    entries have no id, so that they may be anything.
    """

    views: Sequence[JobView]
    newest: Sequence[JobView]
    gap: str = ""
    nameless: bool = False


def lacking(listing: Listing, ours: Mapping[str, float], sent_at: float, ended_at: float) -> str:
    """What the listing lacks to have shown a job that the service took between these moments, in words; "" for nothing.

    `ours`: remote id -> time of creation of jobs that the service surely took. The list has to show those up to the
    newest that it shows, and one of those that came after the lost one, if there are any. A list that is not shown
    whole counts only as far as its newest page goes, in order, back to one of ours from before.
    """
    shown = {view.job_id for view in (*listing.views, *listing.newest)}
    later = [one for one, at in ours.items() if at > ended_at + _APART_S]
    if later and not any(one in shown for one in later):
        return "the list shows none of the jobs that the service took after it"
    upto = max((at for one, at in ours.items() if one in shown), default=None)
    recent = None if upto is None or not later else upto + _APART_S
    missing = [one for one, at in ours.items() if one not in shown and (recent is None or at <= recent)]
    if listing.gap:
        if listing.nameless:
            return listing.gap
        reaches = any(ours.get(view.job_id, ended_at) <= sent_at - _APART_S for view in listing.newest)
        if not (reaches and in_order(listing.newest, newest_first=True)):
            return listing.gap
        newest = {view.job_id for view in listing.newest}
        missing = [one for one in missing if sent_at - _APART_S < ours[one] and one not in newest]
    if missing:
        return f"the list does not show {missing[0]}, which the service took"
    return ""


def in_order(views: Iterable[JobView], *, newest_first: bool = False) -> bool:
    """Whether every job says when it was created, and they stand in that order."""
    times = [view.created_ms for view in views]
    known = [time for time in times if time is not None]
    return len(known) == len(times) and known == sorted(known, reverse=newest_first)


# What the service fills in where a request does not say (docs/apis/batch_v0.md, options).
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "face": {
        "fps_pred": 3,
        "prob_threshold": 0.99,
        "identify_faces": False,
        "min_face_size": 60,
        "save_faces": False,
        "facs": None,
        "descriptions": None,
    },
    "prosody": {"granularity": "utterance", "identify_speakers": False, "window": None},
    "language": {"granularity": "word", "identify_speakers": False, "sentiment": None, "toxicity": None},
    "ner": {"identify_speakers": False},
}
_TRANSCRIPTION: Mapping[str, Any] = {"language": None, "identify_speakers": False, "confidence_threshold": 0.5}


def same_settings(settings: Mapping[str, Any], view: JobView) -> bool:
    """Whether nothing in a job's echo speaks against its measuring what `settings` ask for."""
    return agreement(settings, {"models": view.models, "transcription": view.transcription}) is not False


def agreement(settings: Mapping[str, Any], echoed: Mapping[str, Any]) -> bool | None:
    """Whether a job whose echo has these settings measures what `settings` ask for: the same models, each option as it
    was sent, or as it is when nobody sends it. None where the echo leaves out what would tell."""
    models, found = settings.get("models"), echoed.get("models")
    if models is None:
        return True
    if not found:
        return None
    running = {name for name, value in found.items() if value is not None}
    if running != set(models):
        return False
    return _all(
        *(_options(value, found[name], _DEFAULTS.get(name, {})) for name, value in models.items()),
        _transcription(settings, echoed),
    )


def _transcription(settings: Mapping[str, Any], echoed: Mapping[str, Any]) -> bool | None:
    wanted = settings.get("transcription", {})
    # An echo without the member reads as {}: transcription is on, and nothing tells how.
    found = echoed.get("transcription", {})
    if wanted is None or found is None:
        return (wanted is None) == (found is None)
    return _options(wanted, found, _TRANSCRIPTION)


def _options(sent: Any, echoed: Any, defaults: Mapping[str, Any]) -> bool | None:
    if not isinstance(sent, Mapping) or not isinstance(echoed, Mapping):
        return _agrees(sent, echoed)
    told = (None if name not in echoed else _agrees(value, echoed[name]) for name, value in sent.items())
    unsent = (
        _agrees(default, echoed[name]) for name, default in defaults.items() if name not in sent and name in echoed
    )
    return _all(*told, *unsent)


def _all(*verdicts: bool | None) -> bool | None:
    return False if False in verdicts else None if None in verdicts else True


def _agrees(sent: Any, echoed: Any) -> bool:
    """Whether an echoed value says what was sent. Floats may come back in single precision."""
    if isinstance(sent, Mapping):
        return isinstance(echoed, Mapping) and all(
            name not in echoed or _agrees(value, echoed[name]) for name, value in sent.items()
        )
    if isinstance(sent, bool) or not isinstance(sent, (int, float)):
        return bool(sent == echoed)
    return isinstance(echoed, (int, float)) and abs(sent - echoed) <= 1e-6 * max(1.0, abs(sent))
