"""The one place that opens media through PyAV: loaded late, forced to the format that the bytes showed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from typing import TYPE_CHECKING, overload

from hume_runner.errors import MissingExtra, is_scarce
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind
from hume_runner.media.transport import one_program
from hume_runner.media.whole import check_bytes, check_end

if TYPE_CHECKING:
    from types import ModuleType

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

# What libav calls the container of each kind. A kind that is absent here is never handed to libav: its demuxers
# include playlists that open other files and addresses, so the format is named instead of guessed.
_DEMUXERS = {
    Kind.WAV: "wav",
    Kind.W64: "w64",
    Kind.MP3: "mp3",
    Kind.AAC: "aac",
    Kind.FLAC: "flac",
    Kind.AIFF: "aiff",
    Kind.AU: "au",
    Kind.CAF: "caf",
    Kind.AMR: "amr",
    Kind.OGG: "ogg",
    Kind.MP4: "mov",
    Kind.M4A: "mov",
    Kind.MOV: "mov",
    Kind.MATROSKA: "matroska",
    Kind.WEBM: "matroska",
    Kind.AVI: "avi",
    Kind.ASF: "asf",
    Kind.FLV: "flv",
    Kind.MPEG_PS: "mpeg",
    Kind.MPEG_TS: "mpegts",
}
# Fewest threads that keep two cores busy: each decoding thread holds frames of its own.
DECODER_THREADS = 2


def load_av(needed_for: str) -> ModuleType:
    """The `av` module. Raises MissingExtra, naming the pip command, where it is not installed."""
    try:
        import av
        import av.filter
    except ImportError as error:
        raise MissingExtra("media", needed_for) from error
    return av


def is_damage(error: Exception) -> bool:
    """Whether what libav raised tells of the medium, and not of a machine that has run out of something."""
    return not (isinstance(error, MemoryError) or (isinstance(error, OSError) and is_scarce(error)))


@contextmanager
def libav_problems(name: str, *, reason: str = "undecodable") -> Iterator[None]:
    """Turn libav's exceptions into MediaProblem(reason), with the library's own words."""
    import av

    try:
        yield
    except av.error.FFmpegError as error:
        if not is_damage(error):
            raise
        raise MediaProblem(reason, f"{name}: {error.strerror}") from error
    except OSError as error:
        if is_scarce(error):
            raise
        raise MediaProblem("unreadable", f"{name}: {error.strerror or error}") from error


@contextmanager
def _problems_of_header(path: Path, kind: Kind) -> Iterator[None]:
    """A file that was cut off often lacks what is written last, and libav calls that invalid."""
    try:
        with libav_problems(path.name):
            yield
    except MediaProblem:
        check_bytes(path, kind)
        check_end(path, kind)
        raise


@contextmanager
def open_container(
    path: Path, kind: Kind, *, needed_for: str, content: RawIOBase | None = None
) -> Iterator[InputContainer]:
    """The opened container of a file whose kind is known. `content`: what to read in place of the file's own bytes.

    Raises: MediaProblem "unsupported" for a kind without a demuxer, "undecodable" where the header does not hold,
    "truncated" where that is because the file was cut off.
    """
    demuxer = _DEMUXERS.get(kind)
    if demuxer is None:
        raise MediaProblem("unsupported", f"{path.name}: {kind.words} cannot be read as audio or video")
    av = load_av(needed_for)
    if kind is Kind.MPEG_TS and content is None:
        content = one_program(path)
    with _problems_of_header(path, kind):
        # "file:" and an absolute path: a name such as "http:x" must not choose a protocol.
        container = av.open(
            f"file:{path.absolute()}" if content is None else content,
            format=demuxer,
            options={"protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    try:
        yield container
    except MediaProblem as problem:
        if problem.reason == "undecodable":
            check_end(path, kind)  # half a box makes no sense to libav
        raise
    finally:
        container.close()
        if content is not None:
            content.close()
        if content is not None:
            content.close()


def moving_picture(container: InputContainer) -> VideoStream | None:
    """The first video stream that is no cover art and no thumbnail."""
    import av

    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    for stream in container.streams.video:
        if not stream.disposition & still:
            return stream
    return None


def sound_track(container: InputContainer, track: int | None = None) -> AudioStream | None:
    """Sound track number `track`, from 1; without a number the one that players choose: the default one, else the
    first that is no commentary. One that cannot be decoded only where there is no other. None without any."""
    import av

    tracks = container.streams.audio
    if track is not None:
        return tracks[track - 1] if 1 <= track <= len(tracks) else None
    flags = av.stream.Disposition
    aside = flags.comment | flags.hearing_impaired | flags.visual_impaired | flags.descriptions | flags.karaoke

    def rank(stream: AudioStream) -> tuple[bool, bool, bool]:
        said = stream.disposition
        return stream.codec_context is None, not said & flags.default, bool(said & aside)

    return min(tracks, key=rank, default=None)


def declared_seconds(container: InputContainer, stream: AudioStream | VideoStream | None) -> float | None:
    """How long a track says that it is, or else its container."""
    if stream is not None and stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


@overload
def decoder_of(stream: AudioStream, name: str) -> AudioCodecContext: ...
@overload
def decoder_of(stream: VideoStream, name: str) -> VideoCodecContext: ...
def decoder_of(stream: AudioStream | VideoStream, name: str) -> AudioCodecContext | VideoCodecContext:
    """The stream's decoder. Raises: MediaProblem "unsupported" where libav has none for it."""
    decoder: AudioCodecContext | VideoCodecContext | None = stream.codec_context
    if decoder is None:
        what = "sound is" if stream.type == "audio" else "pictures are"
        raise MediaProblem("unsupported", f"{name}: its {what} in a codec that cannot be decoded here")
    return decoder
