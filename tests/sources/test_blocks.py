"""Links in blocks are the links that are read one by one: the same rows staged, the same digest, the same words."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner import wiring
from hume_runner.errors import HumeRunnerError
from hume_runner.machine import Machine
from hume_runner.manifest.addresses import url_fault
from hume_runner.manifest.load import load_manifest
from hume_runner.planning.fingerprint import url_content, url_contents
from hume_runner.planning.scan import NothingCached, scan_sources
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.sources import expand_in_blocks, listing
from hume_runner.sources.blocks import Block, names_of, plain_ids, plain_urls
from hume_runner.sources.ids import id_fault
from hume_runner.sources.urls import url_id
from hume_runner.state.paths import Paths
from hume_runner.state.staging import Scan
from tests.manifest.writing import write
from tests.tiers import examples, sampled

Found = tuple[list[tuple[Any, ...]], str, object]
ROWS = 2_300  # three blocks, the last of them not whole


def good(number: int) -> bytes:
    return b"n%d,https://media.example.org/a/%d.mp4,%d,x%d\n" % (number, number, number % 5, number % 3)


def listed(change: Callable[[list[bytes]], None] = lambda rows: None, *, head: bytes = b"id,url,wave,mood\n") -> bytes:
    """A list of so many rows, changed."""
    rows = [good(number) for number in range(ROWS)]
    change(rows)
    return head + b"".join(rows)


def at(place: int, *instead: bytes) -> Callable[[list[bytes]], None]:
    def change(rows: list[bytes]) -> None:
        rows[place : place + 1] = instead

    return change


def found(folder: Path, name: str, more: str = "", selection: Selection = EVERYTHING) -> Found:
    """(all that is staged, the digest, what is told as wrong)."""
    machine = Machine.this()
    manifest = load_manifest(write(folder, f"{{urls: [{{from: {name}{more}}}, 'https://example.org/one.mp4']}}"))
    with wiring.endpoint(manifest, Paths.of(manifest, None), machine) as endpoint:
        scan = Scan()
        try:
            pieces = expand_in_blocks(manifest)
            scan_sources(manifest, pieces, endpoint.service, NothingCached(), scan, selection=selection)
        except HumeRunnerError as error:
            return [], "", (type(error), str(error), getattr(error, "problems", ()), error.hint)
        db = sqlite3.connect(scan.hand_over())
        rows = db.execute("SELECT * FROM staged ORDER BY ord").fetchall()
        db.close()
        scan.close()
        return rows, scan.digest, None


def both(
    folder: Path, content: bytes, more: str = "", *, name: str = "l.csv", selection: Selection = EVERYTHING
) -> Found:
    """What is found in blocks, which has to be what is found row by row."""
    (folder / name).write_bytes(content)
    in_blocks = found(folder, name, more, selection)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_IN_BLOCKS", {})  # there is no other way to have it without blocks
        assert found(folder, name, more, selection) == in_blocks
    return in_blocks


ODD: dict[str, bytes] = {
    "nothing": listed(),
    "a value over several lines, in quotes": listed(
        at(1_500, b'n1500,https://example.org/x.mp4,1,"sad\nand\r\nold"\n')
    ),
    "a URL over two lines": listed(at(1_500, b'n1500,"https://example.org/x\nhttps://example.org/y",1,x\n')),
    "an id over two lines": listed(at(1_500, b'"a\nb",https://example.org/x,1,x\n')),
    "quotes around all": listed(at(7, b'"n7","https://example.org/7.mp4","2","x, y"\n')),
    "a mark at the beginning": b"\xef\xbb\xbf" + listed(),
    "a separator that is declared": b"sep=,\n" + listed(),
    "blank lines": listed(at(1_200, b"\n", good(1_200), b"\r\n", b"\n")),
    "CRLF": listed().replace(b"\n", b"\r\n"),
    "CR alone": listed().replace(b"\n", b"\r"),
    "no line end behind the last": listed()[:-1],
    "repeated ids": listed(at(2_200, good(3), good(4))),
    "derived ids that repeat": b"url\n" + b"https://example.org/a\n" * 1_100,
    "rows that repeat": listed(lambda rows: rows.extend(b"x" + row for row in rows[:30])),
    "bad URLs in a later part": listed(
        at(1_700, b"n1700,ftp://example.org/x,1,x\n", b"q,https://u:p@example.org/,1,x\n")
    ),
    "what is bad in turns": listed(
        at(
            1_700,
            b"a,nowhere,1,x\n",
            b"b,https://example.org/1,1\n",
            b"c,http://,1,x\n",
            b"d,,1,x\n",
            b" e ,https://x.org,1,x\n",
        )
    ),
    "an id that is too long": listed(at(1_001, b"n" * 201 + b",https://example.org/x,1,x\n")),
    "an id with dots": listed(at(1_001, b"a/../b,https://example.org/x,1,x\n")),
    "an id with blanks inside": listed(at(1_001, b"a  b c,https://example.org/x,1,x\n")),
    "an id in other letters": listed(at(1_001, "Zoë,https://example.org/x,1,x\n".encode())),
    "a label in other letters": listed(at(1_001, "z,https://example.org/x,1,fröhlich\n".encode())),
    "a URL in other letters": listed(at(1_001, "z,https://example.org/ä,1,x\n".encode())),
    "a URL with capitals": listed(at(1_001, b"z,HTTPS://Example.ORG/A,1,x\n")),
    "a URL with a query": listed(at(1_001, b"z,https://example.org/a?b=1&x-amz-date=2#c,1,x\n")),
    "queries, and no ids": b"url\n"
    + b"".join(b"https://x.org/%d?a=%d&x-amz-date=1#%d?\n" % (n, n, n) for n in range(1_100)),
    "a query with dots": listed(
        at(1_001, b"z,https://example.org/a?b=/../c,1,x\n", b"y,https://example.org?/..,1,x\n")
    ),
    "a URL with dots in its path": listed(
        at(1_001, b"z,https://example.org/a/../b,1,x\n", b"y,https://example.org/..a,1,x\n")
    ),
    "a URL with a port": listed(
        at(1_001, b"z,https://example.org:8080/a,1,x\n", b"y,https://example.org:99999/a,1,x\n")
    ),
    "a URL of a host in brackets": listed(at(1_001, b"z,https://[::1]/a,1,x\n")),
    "a URL without a path": listed(at(1_001, b"z,https://example.org,1,x\n")),
    "a URL of dots": listed(at(1_001, b"z,https://.../a,1,x\n")),
    "a URL with a backslash": listed(at(1_001, b"z,https://example.org/a\\b,1,x\n")),
    "blanks around a URL": listed(at(1_001, b"z, https://example.org/a ,1,x\n")),
    "numbers but for the last row": listed(at(ROWS - 1, b"last,https://example.org/last.mp4,many,x\n")),
    "numbers but for one blank": listed(at(1_900, b"b,https://example.org/b.mp4,,x\n")),
    "decimal numbers in one row": listed(at(1_900, b"b,https://example.org/b.mp4,1.50,x\n")),
    "a row without an id": listed(at(1_900, b",https://example.org/b.mp4,1,x\n")),
    "no ids at all": listed(lambda rows: rows.__setitem__(slice(None), [row[row.index(b",") :] for row in rows])),
    "a row without a URL": listed(at(1_900, b"b, ,1,x\n")),
    "rows that are too short and too long": listed(at(1_900, b"b\n", b"b,https://example.org/b.mp4\n", b"a,b,c,d,e\n")),
    "a NUL in a label": listed(at(1_900, b"b,https://example.org/b.mp4,1,x\0y\n")),
    "a NUL in an id": listed(at(1_900, b"b\0,https://example.org/b.mp4,1,x\n")),
    "a quote that is not closed": listed(at(1_900, b'"b,https://example.org/b.mp4,1,x\n')),
    "a quote that is not closed behind a bad URL": listed(
        at(1_900, b"z,nowhere,1,x\n", b'"b,https://example.org/b,1,x\n')
    ),
    "text behind a quote": listed(at(1_900, b'"b"c,https://example.org/b.mp4,1,x\n')),
    "bytes that are no UTF-8": listed(at(1_900, b"b\xff,https://example.org/b.mp4,1,x\n")),
    "bytes that are no UTF-8 behind a bad URL": b"url\n"
    + b"nowhere\n" * 3
    + b"https://example.org/\n" * 1_500
    + b"\xff\n",
    "names alone": b"id,url,wave,mood\n",
    "nothing at all": b"",
    "a label of its own a row": b"url,title\n" + b"".join(b"https://x.org/%d,t%d\n" % (n, n) for n in range(1_100)),
    "a column without a name": b"url,,wave\n" + b"".join(b"https://x.org/%d,y,%d\n" % (n, n) for n in range(1_100)),
}


@sampled(4)
@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
def test_an_odd_list_is_the_same_in_blocks_and_row_by_row(tmp_path: Path, content: bytes) -> None:
    both(tmp_path, content)


LINES = [b"https://example.org/%d.mp4\n" % number for number in range(1_500)]
ODD_LINES: dict[str, bytes] = {
    "nothing": b"".join(LINES),
    "blanks and blank lines": b"\n \n" + b"".join(LINES[:1_100]) + b"\n\t \r\n  https://example.org/x \r\n" + LINES[3],
    "CRLF, and no line end behind the last": b"\r\n".join(line[:-1] for line in LINES),
    "CR alone": b"\r".join(line[:-1] for line in LINES),
    "a mark at the beginning": b"\xef\xbb\xbf" + b"".join(LINES),
    "bad URLs": b"".join(LINES[:1_200]) + b"nowhere\nhttps://example.org/a b\n" + b"".join(LINES),
    "queries": b"".join(LINES[:1_200]) + b"https://example.org/?a=1\nhttps://example.org/?a=2#b\n",
    "other blanks at the ends": b"".join(LINES[:1_200]) + "https://example.org/\u00a0\n\u2003\n".encode(),
    "bytes that are no UTF-8": b"".join(LINES[:1_200]) + b"nowhere\n" + LINES[0] * 500 + b"\xff\n",
    "a table": b"\nid,url\na,https://example.org/\n",
    "blank lines alone": b"\n" * 1_100,
    "nothing at all": b"",
}


@sampled(3)
@pytest.mark.parametrize("content", ODD_LINES.values(), ids=ODD_LINES.keys())
def test_an_odd_list_of_lines_is_the_same_in_blocks_and_line_by_line(tmp_path: Path, content: bytes) -> None:
    both(tmp_path, content, name="l.txt")
    both(tmp_path, content, ", column: url", name="l.txt")


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    "more",
    [
        ", labels: {site: north, mood: told above}",
        ", id_column: mood",
        ", blank: skip",
        ", labels: [mood]",
        ", labels: []",
        ", labels: [wave, mood], id_column: id",
        ", column: mood",
    ],
)
def test_what_the_manifest_says_beside_a_list_holds_in_blocks_too(tmp_path: Path, more: str) -> None:
    both(tmp_path, listed(at(1_300, b"z, ,1,x\n")), more)
    both(tmp_path, listed(), more)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("selection", "number"),
    [
        (Selection.of(limit=1_234), 1_234),
        (Selection.of(select="label.wave == 2"), ROWS // 5),
        (Selection.of(select="label.mood == 'x1'", limit=20), 20),
    ],
)
def test_a_part_of_a_long_list_is_the_part_that_is_asked_for(tmp_path: Path, selection: Selection, number: int) -> None:
    rows, _, wrong = both(tmp_path, listed(), selection=selection)
    assert (len(rows), wrong) == (number, None)


@pytest.mark.sweep
def test_the_shards_of_a_long_list_are_all_of_it(tmp_path: Path) -> None:
    shards = [both(tmp_path, listed(), selection=Selection.of(shard=f"{index}/3"))[0] for index in (1, 2, 3)]
    assert all(len(shard) > ROWS // 4 for shard in shards)
    assert sorted(row[1] for shard in shards for row in shard) == sorted(row[1] for row in both(tmp_path, listed())[0])


def test_a_long_list_beside_a_file_is_the_same_list(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(listed())
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    manifest = load_manifest(write(tmp_path, "{urls: [{from: l.csv}], files: [a.wav]}"))
    with wiring.endpoint(manifest, Paths.of(manifest, None), Machine.this()) as endpoint, Scan() as scan:
        scan_sources(manifest, expand_in_blocks(manifest), endpoint.service, NothingCached(), scan)
        assert scan.count == ROWS + 1


def test_most_of_a_long_list_comes_in_blocks_and_what_is_odd_does_not_end_that(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(listed(at(1_500, b"n1500,https://Example.org/,1,x\n")))
    pieces = list(expand_in_blocks(load_manifest(write(tmp_path, "{urls: [{from: l.csv}]}"))))
    assert [len(piece) for piece in pieces if isinstance(piece, Block)] == [1_000, 300]
    assert len([piece for piece in pieces if not isinstance(piece, Block)]) == 1_000
    assert [item.id for piece in pieces for item in (piece.items() if isinstance(piece, Block) else [piece])] == [
        f"n{number}" for number in range(ROWS)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_IN_BLOCKS", {})
        assert not any(
            isinstance(piece, Block) for piece in expand_in_blocks(load_manifest(tmp_path / "manifest.yaml"))
        )


CHANGES = st.tuples(
    st.integers(0, ROWS - 1),
    st.sampled_from(
        [
            b'"a, b",https://example.org/x.mp4,1,"q""r"\n',
            b'm,https://example.org/x.mp4,1,"over\nlines"\n',
            b"\n",
            b"n5,https://example.org/x.mp4,1,x\n",
            b"n,nowhere,1,x\n",
            b"o,https://media.example.org/a/7.mp4,1,x\n",
            b"p,https://example.org/x.mp4,many,x\r\n",
            b"q,https://example.org/x.mp4,1\n",
            b",https://example.org/y.mp4,1,x\n",
            b'"r,https://example.org/x.mp4,1,x\n',
        ]
    ),
)


@pytest.mark.sweep
@settings(max_examples=examples(25), deadline=None)
@given(st.lists(CHANGES, max_size=4))
def test_whatever_is_odd_wherever_the_same_is_found(changes: list[tuple[int, bytes]]) -> None:
    def change(rows: list[bytes]) -> None:
        for place, instead in changes:
            rows[place] = instead

    with tempfile.TemporaryDirectory() as folder:
        both(Path(folder), listed(change))


URLS = st.one_of(
    st.text('ahtps:/.?#@[]\\%~!"$>\n Ä\t09-_', max_size=20).map(lambda end: f"https://{end}"),
    st.text("ah:/.0", max_size=8).map(lambda end: f"http{end}"),
    st.from_regex(r"https?://[a-z0-9._-]{1,5}(:[0-9]{1,6})?(/[!-~]{0,8})?", fullmatch=True),
)


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(URLS, min_size=1, max_size=3))
def test_urls_that_are_plain_are_what_a_look_at_each_finds_good(urls: list[str]) -> None:
    if plain_urls(urls):
        assert [url_fault(url) for url in urls] == [None] * len(urls)
        assert [url.strip() for url in urls] == urls
        assert names_of(urls) == [url_id(url) for url in urls]
    assert url_contents(urls) == [url_content(url) for url in urls]


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.text("ab ./\n\r\t\0\x7f\x85\u2028Ä\\", min_size=1, max_size=205), min_size=1, max_size=3))
def test_ids_that_are_plain_are_what_a_look_at_each_finds_good(names: list[str]) -> None:
    if plain_ids(names):
        assert [id_fault(name) for name in names] == [None] * len(names)


def test_the_urls_and_ids_of_most_lists_are_plain() -> None:
    assert plain_urls(["https://media.example.org/a/B-1_(2)%20.mp4", "http://127.0.0.1:8080", "https://a.b/"])
    assert plain_ids(["p01", "clip 7 of 9", "a" * 200])
    assert plain_urls(["https://a.b/c?d=%20&e#f", "https://a.b#c", "https://a.b?c"])
    assert not plain_urls(["https://a.b", "https://a.B"])
    assert not plain_ids(["a", "a" * 201])
