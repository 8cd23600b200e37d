from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.answer import check_zip, decoded, parse_json, read_bounded


@given(st.binary(max_size=2000), st.integers(1, 50), st.sampled_from(["gzip", "X-GZIP", "deflate", "", "identity"]))
def test_a_body_in_a_known_encoding_comes_back_whole(body: bytes, size: int, encoding: str) -> None:
    wire = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)(body)
    chunks = (wire[i : i + size] for i in range(0, len(wire), size))
    assert b"".join(decoded(chunks, encoding, "x")) == body


@given(st.binary(min_size=1, max_size=500), st.data())
def test_a_compressed_body_cut_anywhere_is_an_error(body: bytes, data: st.DataObject) -> None:
    wire = gzip.compress(body)
    short = wire[: data.draw(st.integers(1, len(wire) - 1))]
    with pytest.raises(UnexpectedResponse, match="cut off"):
        list(decoded([short], "gzip", "x"))


def test_damaged_compression_is_an_error() -> None:
    wire = bytearray(gzip.compress(b"a" * 1000))
    wire[15] ^= 0xFF
    with pytest.raises(UnexpectedResponse, match=r"damaged|cut off"):
        list(decoded([bytes(wire)], "gzip", "x"))


def test_an_unknown_encoding_is_an_error() -> None:
    with pytest.raises(UnexpectedResponse, match="'br'"):
        list(decoded([b"x"], "br", "x"))


@pytest.mark.sweep
def test_a_small_body_that_unpacks_to_gigabytes_is_handed_on_in_pieces() -> None:
    compressor = zlib.compressobj(9, wbits=31)
    zeros = bytes(1 << 20)
    wire = b"".join([*(compressor.compress(zeros) for _ in range(64)), compressor.flush()])
    pieces = decoded([wire], "gzip", "x")
    body, complete = read_bounded(pieces, 100_000)
    assert (len(body), complete) == (100_000, False)
    assert max(map(len, pieces)) <= 65536


@pytest.mark.sweep
def test_a_zip_that_unpacks_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.csv", bytes(30 << 20))
    with pytest.raises(UnexpectedResponse, match="100 times their size") as caught:
        check_zip(path, "the artifacts")
    assert "outputs.artifacts" in caught.value.hint


@pytest.mark.sweep
def test_a_zip_that_announces_less_than_it_holds_is_damaged_and_read_no_further(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", bytes(200 << 20))
    body = path.read_bytes()
    path.write_bytes(body.replace((200 << 20).to_bytes(4, "little"), (5).to_bytes(4, "little")))
    with pytest.raises(UnexpectedResponse, match="damaged"):
        check_zip(path, "the artifacts")


def test_bounded_reading_stops_reading() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 100

    assert read_bounded(endless(), 250) == (b"x" * 250, False)
    assert read_bounded([b"ab", b"c"], 3) == (b"abc", True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"<!DOCTYPE html><html><head><title> Sign in </title>", r"a web page \('Sign in'\)"),
        (b"\n<html>", "a web page instead of JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": 1', "damaged JSON"),
        (b'{"a": 1}}', "damaged JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (b"[" * 500_000, "nested too deeply"),
        (b"9" * 10_000, "damaged JSON"),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_not_json_is_described(body: bytes, words: str) -> None:
    with pytest.raises(UnexpectedResponse, match=f"GET /x at host answered with .*{words}") as caught:
        parse_json(body, where="GET /x at host", status=200)
    assert caught.value.status == 200


def test_a_web_page_is_told_by_its_type_too() -> None:
    with pytest.raises(UnexpectedResponse, match="a web page"):
        parse_json(b"Welcome", where="x", content_type="text/html; charset=utf-8")


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', where="x") == {"a": 1}
