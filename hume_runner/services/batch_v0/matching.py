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
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from hume_runner.frozen import frozen
from hume_runner.services.batch_v0.echoed_settings import agreement
from hume_runner.services.batch_v0.words import made
from hume_runner.services.jobs import Job

if TYPE_CHECKING:
    from hume_runner.services.batch_v0.reading import JobView


class Verdict(Enum):
    OURS = "ours"
    MAYBE = "maybe"
    FOREIGN = "foreign"


@frozen
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
    # The texts once more, in the order in which their places name them in an answer.
    order: tuple[str, ...] = ()


def sent_by(job: Job, names: Mapping[int, str], settings: Mapping[str, Any]) -> Sent:
    """What `job` sent: `names` tells for each member's position by what its answer names it.

    A text or URL that the manifest does not list any more has no value here; the digest of its content is left, and a
    text can still be told by it.
    """
    urls: Counter[str] = Counter()
    order: list[str] = []
    files: list[tuple[str, str | None]] = []
    for member in job.members:
        item, name = member.item, names[member.position]
        if item.kind == "url":
            urls[one_url(name)] += 1
        elif item.kind == "text":
            order.append(one_text(item.value) if item.id else _UNLISTED + item.content_sha256)
        else:
            files.append((name, item.content_md5))
    return Sent(
        nonce=job.nonce.lower(),
        urls=urls,
        texts=Counter(order),
        files=tuple(files),
        settings=settings,
        order=tuple(order),
    )


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


def in_doubt(sent: Sent, view: JobView, controls: Iterable[tuple[Sent, JobView]]) -> bool:
    """Whether a job that carries the texts that were sent may carry them in another order, with answers that do not
    tell which is whose: somebody else may have sent them so, and a host may put them in an order of its own.

    An answer that tells words is checked by them, and an upload's name tells that the job is ours. Else it counts that
    the echo has the order in which they were sent, if that is none that a host makes by itself, or if this host is seen
    to keep it with `controls`, jobs of ours that it has.
    """
    if len(sent.texts) < 2 or not view.text or _tells_words(sent.settings):
        return False
    if sent.nonce and any(sent.nonce in one_name(file.filename or "") for file in view.files):
        return False
    if not _kept(sent, view):
        return True
    return made(sent.order) and not any(not made(one.order) and _kept(one, seen) for one, seen in controls)


def _tells_words(settings: Mapping[str, Any]) -> bool:
    return (settings.get("models") or {}).get("language") is not None


def _kept(sent: Sent, view: JobView) -> bool:
    """Whether texts are echoed in the order in which they were sent."""
    echoed = [
        (one_text(text), _UNLISTED + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()) for text in view.text
    ]
    return len(echoed) == len(sent.order) and all(
        ours in theirs for ours, theirs in zip(sent.order, echoed, strict=True)
    )


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


def echo_mark(view: JobView) -> int:
    """Alike for two echoes of one job, within one process, of which `contradicts` says the same: polls repeat them."""
    return hash((view.job_id, view.urls, view.text, view.files, view.says, repr(view.models)))


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
