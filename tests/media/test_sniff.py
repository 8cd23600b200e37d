"""What a file is, from its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import HEAD_BYTES, Kind, sniff, sniff_path


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", Kind.EMPTY),
        (b"RIFF\x24\0\0\0WAVEfmt ", Kind.WAV),
        (b"RIFF\x24\0\0\0AVI LIST", Kind.AVI),
        (b"RIFF\x24\0\0\0WEBPVP8 ", Kind.WEBP),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind.PNG),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", Kind.JPEG),
        (b"GIF89a\1\0\1\0", Kind.GIF),
        (b"fLaC\0\0\0\x22", Kind.FLAC),
        (b"OggS\0\2", Kind.OGG),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", Kind.MP4),
        (b"\0\0\0\x18ftypM4A \0\0\0\0", Kind.M4A),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", Kind.MOV),
        (b"\0\0\0\x18ftypheic\0\0\0\0", Kind.HEIC),
        (b"PK\x03\x04\x14\0", Kind.ZIP),
        (b"\x1f\x8b\x08\0", Kind.GZIP),
        (b"\0" * 257 + b"ustar\0", Kind.TAR),
        (b"%PDF-1.7", Kind.PDF),
        (b"<!DOCTYPE html><html>", Kind.HTML),
        (b'{"a": 1}', Kind.JSON),
        ("Grüße, Welt\n".encode(), Kind.TEXT),
        (b"\xef\xbb\xbfwords", Kind.TEXT),
        (b"\0\1\2\3\4\5", Kind.UNKNOWN),
        (b"caf\xe9", Kind.UNKNOWN),
        (b"RF64\xff\xff\xff\xffWAVEds64", Kind.WAV),
        (b"RIFF\x24\0\0\0RMIDdata", Kind.UNKNOWN),
        (b"FORM\0\0\0\x24AIFFCOMM", Kind.AIFF),
        (b".snd\0\0\0\x18", Kind.AU),
        (b"caff\0\1\0\0", Kind.CAF),
        (b"#!AMR\n", Kind.AMR),
        (b"FLV\x01\5", Kind.FLV),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x88matroska", Kind.MATROSKA),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\1B\x82\x84webm", Kind.WEBM),
        (b"\0\0\0\x18ftypavif\0\0\0\0", Kind.AVIF),
        (b"\0\0\0\x08wide\0\0\0\0mdat", Kind.MOV),
        ((b"G" + bytes(187)) * 3, Kind.MPEG_TS),
        (b"\0\0\1\xba\x44", Kind.MPEG_PS),
        (b"\xff\xfb\x90\x64" + bytes(413) + b"\xff\xfb\x90\x64", Kind.MP3),
        (b"\xff\xfb\x90\x64" + bytes(500) + b"\xff\xfb\x90\x64", Kind.UNKNOWN),
        (b"ID3\3\0\0\0\0\0\4" + bytes(4) + b"\xff\xfb\x90\x64", Kind.MP3),
        (b"ID3\3\0\0\0\0\0\4" + bytes(4) + b"fLaC\0\0\0\x22", Kind.FLAC),
        (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Kind.BMP),
        (b"BMW drives well", Kind.TEXT),
        (b"II*\0\x08\0\0\0", Kind.TIFF),
        (b"BZh91AY", Kind.BZIP2),
        (b"\xfd7zXZ\0", Kind.XZ),
        ("\ufeffgr\u00fc\u00dfe".encode("utf-16-le"), Kind.TEXT),
        (b"  \n<html lang='en'>", Kind.HTML),
        (b"<?xml version='1.0'?><!DOCTYPE html><html>", Kind.HTML),
        (b"<?xml version='1.0'?><svg/>", Kind.TEXT),
        (b"#EXTM3U\n", Kind.TEXT),
    ],
)
def test_the_first_bytes_tell_the_kind(head: bytes, kind: Kind) -> None:
    assert sniff(head) is kind


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_family_and_words_for_a_sentence(kind: Kind) -> None:
    assert kind.family in ("audio", "media", "image", "archive", "document", "nothing")
    assert kind.words


def test_text_that_is_cut_inside_a_character_is_text() -> None:
    text = ("é" * HEAD_BYTES).encode()
    assert sniff(b"x" + text[: HEAD_BYTES - 1]) is Kind.TEXT


@given(st.binary(max_size=600))
def test_any_bytes_have_a_kind(head: bytes) -> None:
    assert isinstance(sniff(head), Kind)


def test_a_name_is_no_evidence(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"just words")
    assert sniff_path(path) is Kind.TEXT


def test_a_tag_that_is_longer_than_the_head_is_looked_behind(tmp_path: Path) -> None:
    """The cover of a song can be megabytes, and the tag before it stands in front of FLAC, too."""
    size = 100_000
    tag = b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)
    path = tmp_path / "song"
    path.write_bytes(tag + b"fLaC\0\0\0\x22")
    assert sniff_path(path) is Kind.FLAC


def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(MediaProblem) as caught:
        sniff_path(tmp_path / "missing.wav")
    assert caught.value.reason == "unreadable"


def test_text_of_one_letter_is_no_transport_stream() -> None:
    assert sniff(b"xG" + b"G" * 4_000) is Kind.TEXT
