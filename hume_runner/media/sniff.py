"""What a file really is, from its bytes and never from its name.

A wrong file can "succeed" at the service: whatever it does not recognise is measured as raw samples and billed. So a
name is no evidence here, and bytes that look like nothing known are refused rather than guessed.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from hume_runner.errors import is_scarce
from hume_runner.media.problems import MediaProblem

Family = Literal["audio", "media", "image", "archive", "document", "nothing"]
HEAD_BYTES = 4096  # enough for every signature below


class Kind(StrEnum):
    """A format; the value is stable and goes into caches and messages."""

    WAV = "wav"
    W64 = "w64"
    MP3 = "mp3"
    AAC = "aac"
    FLAC = "flac"
    AIFF = "aiff"
    AU = "au"
    CAF = "caf"
    AMR = "amr"
    OGG = "ogg"
    MP4 = "mp4"
    M4A = "m4a"
    MOV = "mov"
    MATROSKA = "matroska"
    WEBM = "webm"
    AVI = "avi"
    ASF = "asf"
    FLV = "flv"
    MPEG_PS = "mpeg-ps"
    MPEG_TS = "mpeg-ts"
    JPEG = "jpeg"
    PNG = "png"
    GIF = "gif"
    BMP = "bmp"
    WEBP = "webp"
    TIFF = "tiff"
    HEIC = "heic"
    AVIF = "avif"
    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    SEVEN_ZIP = "7z"
    RAR = "rar"
    OFFICE = "office"
    PDF = "pdf"
    HTML = "html"
    JSON = "json"
    TEXT = "text"
    EMPTY = "empty"
    UNKNOWN = "unknown"

    @property
    def family(self) -> Family:
        """What it can hold. `media`: a container, with sound or pictures or both; only opening it tells."""
        return _FAMILY_OF[self]

    @property
    def words(self) -> str:
        """How a sentence names it: `<file> is <words>`."""
        match self:
            case Kind.EMPTY:
                return "empty"
            case Kind.UNKNOWN:
                return "of no known format"
            case Kind.HTML:
                return "a web page"
            case Kind.TEXT:
                return "plain text"
            case Kind.OFFICE:
                return "an office document"
        article = "an" if self in _SPOKEN_WITH_A_VOWEL else "a"
        return f"{article} {self.value.upper()} {'archive' if self.family == 'archive' else 'file'}"


_FAMILIES: dict[Family, tuple[Kind, ...]] = {
    "audio": (Kind.WAV, Kind.W64, Kind.MP3, Kind.AAC, Kind.FLAC, Kind.AIFF, Kind.AU, Kind.CAF, Kind.AMR, Kind.M4A),
    "media": (
        *(Kind.OGG, Kind.MP4, Kind.MOV, Kind.MATROSKA, Kind.WEBM),
        *(Kind.AVI, Kind.ASF, Kind.FLV, Kind.MPEG_PS, Kind.MPEG_TS),
    ),
    "image": (Kind.JPEG, Kind.PNG, Kind.GIF, Kind.BMP, Kind.WEBP, Kind.TIFF, Kind.HEIC, Kind.AVIF),
    "archive": (Kind.ZIP, Kind.TAR, Kind.GZIP, Kind.BZIP2, Kind.XZ, Kind.SEVEN_ZIP, Kind.RAR),
    "document": (Kind.OFFICE, Kind.PDF, Kind.HTML, Kind.JSON, Kind.TEXT),
    "nothing": (Kind.EMPTY, Kind.UNKNOWN),
}
# How the first letter is said: "an MP3 file", "an FLV file", "a WAV file".
_SPOKEN_WITH_A_VOWEL = frozenset(
    {Kind.MP3, Kind.MP4, Kind.M4A, Kind.MPEG_PS, Kind.MPEG_TS, Kind.AAC, Kind.AIFF, Kind.AU, Kind.AMR, Kind.OGG}
    | {Kind.AVI, Kind.ASF, Kind.FLV, Kind.AVIF, Kind.XZ, Kind.RAR}
)
_FAMILY_OF: dict[Kind, Family] = {kind: family for family, kinds in _FAMILIES.items() for kind in kinds}

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", Kind.PNG),
    (b"\xff\xd8\xff", Kind.JPEG),
    (b"GIF87a", Kind.GIF),
    (b"GIF89a", Kind.GIF),
    (b"II*\x00", Kind.TIFF),
    (b"MM\x00*", Kind.TIFF),
    (bytes.fromhex("726966662e91cf11a5d628db04c10000"), Kind.W64),
    (b"fLaC", Kind.FLAC),
    (b"OggS", Kind.OGG),
    (b".snd", Kind.AU),
    (b"caff", Kind.CAF),
    (b"#!AMR", Kind.AMR),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind.ASF),
    (b"FLV\x01", Kind.FLV),
    (b"\x00\x00\x01\xba", Kind.MPEG_PS),
    (b"PK\x03\x04", Kind.ZIP),
    (b"PK\x05\x06", Kind.ZIP),  # without entries
    (b"\x1f\x8b", Kind.GZIP),
    (b"BZh", Kind.BZIP2),
    (b"\xfd7zXZ\x00", Kind.XZ),
    (b"7z\xbc\xaf\x27\x1c", Kind.SEVEN_ZIP),
    (b"Rar!\x1a\x07", Kind.RAR),
    (b"%PDF-", Kind.PDF),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Kind.OFFICE),  # before 2007
)
# Office documents, e-books and programs are ZIP archives of many small files, none of which anybody means to measure.
# What tells them is a member of a name that belongs to them alone; most begin with it.
_OF_A_DOCUMENT = (b"[Content_Types].xml", b"_rels/.rels", b"mimetype", b"META-INF/MANIFEST.MF", b"Index/Document.iwa")
_DIRECTORY_BYTES = 1 << 20  # a larger list of members is no document's
_RIFF_FORMS = {b"WAVE": Kind.WAV, b"AVI ": Kind.AVI, b"WEBP": Kind.WEBP}
_BRANDS = {
    **dict.fromkeys((b"M4A ", b"M4B ", b"F4A "), Kind.M4A),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), Kind.HEIC),
    **dict.fromkeys((b"avif", b"avis"), Kind.AVIF),
    b"qt  ": Kind.MOV,
}
_OLD_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_BMP_HEADERS = (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
_STRIDES = (188, 192, 204)  # bare, with a time before it (cameras), with error correction behind it (broadcasts)
_PACKET = 188  # bytes of an MPEG transport stream's packet, each opening with 0x47


def sniff(head: bytes) -> Kind:
    """The kind of a file that begins with these bytes: the first `HEAD_BYTES`, or all of a shorter file."""
    if not head:
        return Kind.EMPTY
    if head[:3] == b"ID3":
        return _after_id3(head[_id3_bytes(head) :])
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return Kind.OFFICE if kind is Kind.ZIP and _first_member(head) in _OF_A_DOCUMENT else kind
    found = _chunked(head) or _inside(head) or _frames(head) or _words(head)
    return _lost_beginning(head) or found if found is Kind.UNKNOWN else found


def sniff_path(path: Path) -> Kind:
    """`sniff` of a file's first bytes. Raises MediaProblem "unreadable" where it cannot be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if head[:3] == b"ID3":
                # The tag may hold a cover of several megabytes; what follows it says what the file is.
                file.seek(_id3_bytes(head))
                return _after_id3(file.read(HEAD_BYTES))
    except OSError as error:
        if is_scarce(error):
            raise
        raise MediaProblem("unreadable", f"{path.name}: {error.strerror or error}") from error
    kind = sniff(head)
    if kind is Kind.ZIP and _is_document(path):
        return Kind.OFFICE
    if kind is Kind.UNKNOWN and len(head) == HEAD_BYTES:
        return _lost_beginning(_behind_zeros(path)) or kind
    return kind


def _first_member(head: bytes) -> bytes:
    return head[30 : 30 + int.from_bytes(head[26:28], "little")]


def _is_document(path: Path) -> bool:
    """Whether a ZIP archive lists a member that only documents have."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - (1 << 16) - 22))
        tail = file.read()
        end = tail.rfind(b"PK\x05\x06")
        if end < 0 or len(tail) < end + 22:
            return False
        length, offset = (int.from_bytes(tail[end + at : end + at + 4], "little") for at in (12, 16))
        if not length or length > _DIRECTORY_BYTES or offset + length > size:
            return False
        file.seek(offset)
        directory = file.read(length)
    at = 0
    while directory[at : at + 4] == b"PK\x01\x02":
        name, extra, comment = (int.from_bytes(directory[at + n : at + n + 2], "little") for n in (28, 30, 32))
        if directory[at + 46 : at + 46 + name] in _OF_A_DOCUMENT:
            return True
        at += 46 + name + extra + comment
    return False


_ZEROS_AT_MOST = 1 << 24
_LOOKED_AT = 1 << 16


def _behind_zeros(path: Path) -> bytes:
    """The first bytes of a file, or those behind the zeros that it begins with."""
    with path.open("rb") as file:
        at = 0
        while at < _ZEROS_AT_MOST and (block := file.read(_LOOKED_AT)):
            if rest := block.lstrip(b"\0"):
                file.seek(at + len(block) - len(rest))
                return file.read(_LOOKED_AT)
            at += len(block)
    return b""


def wrong_kind(name: str, kind: Kind, wanted: str) -> MediaProblem:
    """The problem of a file that is not the `wanted` thing ("recording", "video", "picture")."""
    if kind is Kind.EMPTY:
        return MediaProblem("empty", f"{name} is empty")
    if kind is Kind.OFFICE:
        return MediaProblem("not_media", f"{name} is an office document, no medium")
    by_family = {"document": "not_media", "archive": "archive"}
    reason = {Kind.UNKNOWN: "unknown_format"}.get(kind, by_family.get(kind.family, "unsupported"))
    return MediaProblem(reason, f"{name} is {kind.words}, not a {wanted}")


def _chunked(head: bytes) -> Kind | None:
    """Formats that say what they are a few bytes in."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _RIFF_FORMS.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Kind.AIFF
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], Kind.MP4)
    if head[4:8] in _OLD_QUICKTIME and head[0] < 0x20:
        return Kind.MOV
    if head.startswith(b"\x1aE\xdf\xa3"):
        return Kind.WEBM if b"webm" in head[:64] else Kind.MATROSKA
    return None


def _inside(head: bytes) -> Kind | None:
    """Marks that stand further inside, or that prove something only by coming back."""
    if head[257:262] == b"ustar":
        return Kind.TAR
    if len(head) > _PACKET and all(head[at] == 0x47 for at in range(0, len(head), _PACKET)):
        return Kind.MPEG_TS
    if any(_has_packets(head, stride) for stride in _STRIDES):
        return Kind.MPEG_TS
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and b"\0" in head[2:8]:
        return Kind.TEXT  # UTF-16; its mark resembles the first bytes of MPEG sound
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and head[14:18] in _BMP_HEADERS:
        return Kind.BMP
    return None


def _has_packets(head: bytes, stride: int) -> bool:
    """Whether packets of a transport stream follow each other at this distance, from wherever the file begins."""
    if len(head) < 5 * stride:
        return False
    for begin in range(stride):
        if head[begin] == 0x47 and all(head[at] == 0x47 for at in range(begin, len(head), stride)):
            # Each says that it holds something.
            return all(head[at + 3] & 0x30 for at in range(begin, len(head) - 3, stride))
    return False


def _id3_bytes(head: bytes) -> int:
    """Length of an ID3v2 tag with its header: four bytes of seven bits each."""
    if len(head) < 10:
        return len(head)
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _after_id3(rest: bytes) -> Kind:
    if rest.startswith(b"fLaC"):
        return Kind.FLAC
    return Kind.AAC if _frames(rest.lstrip(b"\0")) is Kind.AAC else Kind.MP3


def _frames(head: bytes) -> Kind | None:
    """Bare MPEG audio: a sync word that comes again where the first frame says that it ends."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if len(head) > 5 else 0
        return Kind.AAC if length > 6 and _repeats(head, length, 0xF6) else None
    mpeg_length = _mpeg_frame_bytes(head)
    return Kind.MP3 if mpeg_length and _repeats(head, mpeg_length, 0xFE) else None


def _lost_beginning(data: bytes) -> Kind | None:
    """Bare MPEG sound behind zeros, or the rest of a frame that was cut: frames, each where the one before says."""
    begin = len(data) - len(data.lstrip(b"\0"))
    for at in range(begin, min(len(data), begin + _LONGEST_FRAME)):
        if data[at] == 0xFF and (kind := _chain(data, at)) is not None:
            return kind
    return None


def _chain(data: bytes, at: int) -> Kind | None:
    first = data[at : at + 4]
    if len(first) < 4 or first[1] & 0xE0 != 0xE0:
        return None
    aac = first[1] & 0xF6 == 0xF0
    for _ in range(_FRAMES_THAT_PROVE):
        head = data[at : at + 6]
        if len(head) < 6 or head[0] != 0xFF or (head[1] ^ first[1]) & 0xFE:
            return None
        if (head[2] ^ first[2]) & (0x3C if aac else 0x0C):  # another rate
            return None
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if aac else _mpeg_frame_bytes(head)
        if length <= 6:
            return None
        at += length
    return Kind.AAC if aac else Kind.MP3


_LONGEST_FRAME = 8192
_FRAMES_THAT_PROVE = 3


def _repeats(head: bytes, length: int, mask: int) -> bool:
    if length + 1 >= len(head):
        return len(head) < HEAD_BYTES  # one frame and no more to look at
    return head[length] == 0xFF and head[length + 1] & mask == head[1] & mask


_BITRATES = {  # kilobit a second, by (MPEG-1?, layer); index 1 to 14
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mpeg_frame_bytes(head: bytes) -> int:
    """Length of the MPEG audio frame at the start of `head`; 0 if its header is none."""
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bitrate_index, rate_index, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version == 1 or layer == 4 or not 1 <= bitrate_index <= 14 or rate_index == 3:
        return 0
    bits_per_second = _BITRATES[version == 3, layer][bitrate_index - 1] * 1000
    rate = _RATES[version][rate_index]
    if layer == 1:
        return (12 * bits_per_second // rate + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits_per_second // rate + padding


def _words(head: bytes) -> Kind:
    """Text decodes and holds no control characters. The head of a longer file may end inside a character."""
    for cut in range(4 if len(head) >= HEAD_BYTES else 1):
        try:
            text = head[: len(head) - cut].decode("utf-8-sig")
            break
        except UnicodeDecodeError:
            continue
    else:
        return Kind.UNKNOWN
    if any(character < " " and character not in "\t\n\r\f\v\x1b" for character in text):
        return Kind.UNKNOWN
    start = text.lstrip()[:64].lower()
    if start.startswith(("<!doctype html", "<html", "<head", "<body", "<script")) or (
        start.startswith(("<!--", "<?xml")) and "<html" in text[:1024].lower()
    ):
        return Kind.HTML
    return Kind.JSON if start.startswith(("{", "[")) else Kind.TEXT
