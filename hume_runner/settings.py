"""What comes from the environment, read once and passed on; and how secrets are kept out of free text."""

from __future__ import annotations

import base64
import html
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path

from hume_runner.errors import NoKey, ServiceRefused, UsageError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular

DEFAULT_KEY_VARIABLE = "HUME_API_KEY"
_LONGEST_KEY_FILE = 100_000


@frozen
class Secret:
    """A value that no repr, log or message shows."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "<hidden>"


@frozen
class Settings:
    """What the environment says.

    `settle_s` (HUME_RUNNER_SETTLE): seconds from the end of a submission whose connection was cut, after which the
    service shows the job if it took it. `settle_slow_s` (HUME_RUNNER_SETTLE_SLOW): the same after a time-out; seven and
    a half times `settle_s` unless it is set. `late_s` (HUME_RUNNER_LATE): seconds that an answer may lag behind its
    job's end. `cluster_wait_s` (HUME_RUNNER_CLUSTER_WAIT): seconds that a run waits for a cluster that has no
    worker, or whose scheduler went away. `max_answer_bytes` (HUME_RUNNER_MAX_ANSWER): what one answer of a service may
    have, unpacked. `runs` (HUME_RUNNER_RUNS): the folder where runs see what others have under way, in place of the
    usual ones.

    Of a remote state: `lease_s` (HUME_RUNNER_LEASE): for so long a lock that does not move is its owner's;
    `heartbeat_s` (HUME_RUNNER_HEARTBEAT; a quarter of the lease): so often its owner moves it; `half_open_s`
    (HUME_RUNNER_HALF_OPEN): for so long a service keeps a request open whose last byte does not come;
    `store_patience_s` (HUME_RUNNER_STORE_PATIENCE): for so long a store may be out of order.
    """

    settle_s: float = 120.0
    settle_slow_s: float | None = None
    late_s: float = 60.0
    cluster_wait_s: float = 60.0
    max_answer_bytes: int = 20_000_000_000
    runs: Path | None = None
    lease_s: float = 60.0
    heartbeat_s: float | None = None
    half_open_s: float = 75.0
    store_patience_s: float = 60.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        usual = cls()
        slow, heartbeat = "HUME_RUNNER_SETTLE_SLOW", "HUME_RUNNER_HEARTBEAT"
        return cls(
            settle_s=_seconds(environ, "HUME_RUNNER_SETTLE", usual.settle_s),
            settle_slow_s=_seconds(environ, slow, 0.0) if environ.get(slow) else None,
            late_s=_seconds(environ, "HUME_RUNNER_LATE", usual.late_s),
            cluster_wait_s=_seconds(environ, "HUME_RUNNER_CLUSTER_WAIT", usual.cluster_wait_s),
            max_answer_bytes=_bytes(environ, "HUME_RUNNER_MAX_ANSWER", usual.max_answer_bytes),
            runs=Path(environ["HUME_RUNNER_RUNS"]).absolute() if environ.get("HUME_RUNNER_RUNS") else None,
            lease_s=_seconds(environ, "HUME_RUNNER_LEASE", usual.lease_s),
            heartbeat_s=_seconds(environ, heartbeat, 0.0) or None if environ.get(heartbeat) else None,
            half_open_s=_seconds(environ, "HUME_RUNNER_HALF_OPEN", usual.half_open_s),
            store_patience_s=_seconds(environ, "HUME_RUNNER_STORE_PATIENCE", usual.store_patience_s),
        )

    @property
    def beat_s(self) -> float:
        """`heartbeat_s`, or a quarter of the lease."""
        return self.heartbeat_s or max(0.05, self.lease_s / 4)

    @property
    def slow_s(self) -> float:
        """`settle_slow_s`, or what follows from `settle_s`."""
        return _SLOWER * self.settle_s if self.settle_slow_s is None else self.settle_slow_s


@frozen
class ModelSettings:
    """Where models lie and where they may come from besides.

    `root` (HUME_RUNNER_MODELS; else `hume_runner/models` in the user's cache folder): `<root>/<model>/<file>`. `mirror`
    (HUME_RUNNER_MODELS_MIRROR): a URL below which the same names are served. `folder` (HUME_RUNNER_MODELS_FROM): a
    folder with the same names. `certificates` (REQUESTS_CA_BUNDLE): a file of authorities to trust instead.
    """

    root: Path
    mirror: str | None = field(default=None, repr=False)  # may hold a password
    folder: Path | None = None
    certificates: str | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ModelSettings:
        root, folder = environ.get("HUME_RUNNER_MODELS"), environ.get("HUME_RUNNER_MODELS_FROM")
        return cls(
            root=Path(root).absolute() if root else _cache_folder(environ) / "hume_runner" / "models",
            mirror=environ.get("HUME_RUNNER_MODELS_MIRROR") or None,
            folder=Path(folder).absolute() if folder else None,
            certificates=environ.get("REQUESTS_CA_BUNDLE") or None,
        )


def _cache_folder(environ: Mapping[str, str]) -> Path:
    """Where this user's programs keep what can be fetched again."""
    named = Path(environ.get("XDG_CACHE_HOME") or "")
    if named.is_absolute():  # the specification has others ignored
        return named
    local = environ.get("LOCALAPPDATA")
    if sys.platform == "win32" and local:
        return Path(local)
    home = Path(environ.get("HOME") or Path.home())
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII
)
_TRACEPARENT_CHARACTERS = 55  # later versions may add members behind these


def traceparent(environ: Mapping[str, str]) -> str | None:
    """The trace that this run belongs to (TRACEPARENT, W3C Trace Context); None without one that is valid."""
    text = environ.get("TRACEPARENT", "").strip()
    found = _TRACEPARENT.fullmatch(text)
    if found is None or (found[1] == "00" and found[2]):
        return None
    return text[:_TRACEPARENT_CHARACTERS]


# Two minutes after a cut, fifteen after a time-out.
_SLOWER = 7.5


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:  # CI sets what is not there to nothing
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isnan(seconds):
        raise UsageError(f"{name} is not a number of seconds: {text!r}", hint=f"export {name}=20")
    return max(0.0, seconds)


def _bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name)
    if not text:  # CI sets what is not there to nothing
        return default
    if not text.strip().isascii() or not text.strip().isdigit():
        raise UsageError(f"{name} is not a number of bytes: {text!r}", hint=f"export {name}={default}")
    return int(text)


def read_key(*, env: str | None, file: Path | None, environ: Mapping[str, str]) -> Secret:
    """The API key from the environment or its file. Raises: NoKey, saying where it was
    looked for; ServiceRefused for one that cannot be sent."""
    if file is not None:
        try:
            with open_regular(file) as opened:
                value = opened.read(_LONGEST_KEY_FILE).decode("utf-8").strip()
        except (OSError, ValueError) as error:
            refuse_scarce(error)
            reason = getattr(error, "strerror", None) or "not a text file"
            raise NoKey(
                f"cannot read the API key from {file}: {reason}", hint="service.api_key.file names the file"
            ) from None
        origin, cure = str(file), "put it there"
    else:
        name = env or DEFAULT_KEY_VARIABLE
        value = environ.get(name, "").strip()
        origin = f"the environment variable {name}"
        cure = f"set it (export {name}=…), or let service.api_key: {{file: key.txt}} name a file with it"
    if not value:
        said = "is empty" if file is not None else "is empty or not set"
        rehearse = "`hume-runner run MANIFEST --endpoint emulator --output-dir rehearsal` rehearses without one"
        raise NoKey(f"no API key: {origin} {said}", hint=f"{cure}; {rehearse}")
    if not value.isascii() or not value.isprintable():
        raise ServiceRefused(f"the API key in {origin} has characters that no header can carry", hint="copy it again")
    return Secret(value=value)


_URL = re.compile(r"https?://[^\s'\"<>]+")
# A password that holds a `?`, or a query that holds an `@`: nobody can tell which.
_EITHER = re.compile(r"(?<=//)[^/?#\s]*[?#][^/\s]*@.*", re.DOTALL)
_USERINFO = re.compile(r"(?<=//)[^/?#\s]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)


def masked_url(url: str) -> str:
    """`url` without user name, password, query and fragment, which may grant access."""
    return _QUERY.sub("?…", _USERINFO.sub("…@", _EITHER.sub("…", url)))


def mask_secrets(text: str) -> str:
    """Any text, with each URL in it as `masked_url` shows it."""
    return _URL.sub(lambda found: masked_url(found.group()), text)


# So short a secret would be found inside ordinary words: only whole words of messages are compared with it.
_SHORT = 8
HIDDEN = "***"  # in the place of a secret


class Masker:
    """Keeps secrets that are known out of everything that leaves us, in whatever spelling a service quotes them.

    Known spellings: as it is, in other case, with escapes of JSON, URLs, HTML and mail for any of its characters, with
    line breaks in it, and inside hexadecimal or base64. What is found is replaced by `***`, which is as safe inside a
    JSON string as what it replaces.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        long = [secret for secret in found if len(secret) >= _SHORT]
        self._words = re.compile("|".join(map(_whole_word, found[len(long) :]))) if found[len(long) :] else None
        self._long = long
        self._needles = tuple(needle.lower() for secret in long for needle in (secret, *_encoded(secret)))
        self._byte_needles = tuple(needle.encode() for needle in self._needles)
        # Longer than any spelling; one with line breaks between all its letters excepted.
        self._reach = 12 * max(map(len, long), default=0) + 64

    def __repr__(self) -> str:
        return "<Masker>"

    # Made where a document first shows a sign of a secret: most runs see none, and to make the two takes as long as the
    # rest of a short run.
    @cached_property
    def _text(self) -> re.Pattern[str]:
        return re.compile("|".join(map(_spellings, self._long)))

    @cached_property
    def _bytes(self) -> re.Pattern[bytes]:
        return re.compile("|".join(map(_spellings, self._long)).encode())

    @property
    def knows_any(self) -> bool:
        """Whether there is anything to keep out of documents."""
        return bool(self._long)

    def keys(self, text: str) -> str:
        """`text` without the secrets; everything else stays."""
        if self._words is not None:
            text = self._words.sub(HIDDEN, text)
        if not self._long:
            return text
        plain = "".join(text.lower().split())
        if not any(sign in plain for sign in (*self._needles, "\\", "%", "&", "=")):
            return text
        return self._text.sub(HIDDEN, text)

    def text(self, text: str) -> str:
        """`text` for people and files: without the secrets, and without the queries and credentials of URLs."""
        return mask_secrets(self.keys(text))

    def stream(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The bytes of a document without the secrets, wherever they are cut into chunks."""
        if not self._long:
            yield from chunks
            return
        rest = b""
        for chunk in chunks:
            block = self._hidden(rest + chunk)
            cut = max(0, len(block) - self._reach)
            if cut:
                yield block[:cut]
            rest = block[cut:]
        if rest:
            yield rest

    def _hidden(self, block: bytes) -> bytes:
        # Answers are large, so what most of them show at once comes before the search proper.
        plain = block.lower().translate(None, b" \t\r\n")
        signs = (*self._byte_needles, b"\\", b"%", b"&", b"=")
        return self._bytes.sub(HIDDEN.encode(), block) if any(sign in plain for sign in signs) else block


def _whole_word(secret: str) -> str:
    return rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"


def _spellings(secret: str) -> str:
    """A pattern for one secret in all its spellings. Each alternative begins with a plain character, as the search for
    those is quick."""
    between = r"(?:\s|\\+[nrt]|%0[AaDd9]|&#1[03];|=\r?\n)*"
    return "|".join((between.join(map(_letter, secret)), *(between.join(map(_exactly, e)) for e in _encoded(secret))))


def _letter(letter: str) -> str:
    cases = sorted({letter, letter.lower(), letter.upper()})
    plain = [re.escape(case) for case in cases]
    hexes = "|".join("".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in f"{ord(case):02x}") for case in cases)
    numbers = "|".join(str(ord(case)) for case in cases)
    names = [re.escape(html.escape(case)) for case in cases if html.escape(case) != case]
    escaped = rf"\\\\*(?:u00(?:{hexes})|x(?:{hexes})|{'|'.join(plain)})"
    entity = rf"&(?:amp;)?#(?:0*(?:{numbers})|[xX]0*(?:{hexes}));"
    return f"(?:{'|'.join([*plain, escaped, rf'%(?:25)*(?:{hexes})', entity, rf'=(?:{hexes})', *names])})"


def _exactly(letter: str) -> str:
    return re.escape(letter)


def _encoded(secret: str) -> Iterator[str]:
    """What hexadecimal and base64 make of a secret, wherever in a longer text it stands."""
    content = secret.encode()
    yield content.hex()
    yield content.hex().upper()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + content).decode()
        # The first and last characters hold bits of the neighbours as well.
        own = whole[-(-before * 8 // 6) : (before + len(content)) * 8 // 6]
        yield own
        if "+" in own or "/" in own:
            yield own.translate(str.maketrans("+/", "-_"))
