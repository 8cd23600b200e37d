"""Which objects a glob means, and in what order: as files with the same names would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import ManifestError, SourceError, StoreDenied, StoreUnavailable
from hume_runner.manifest.model import Place, SourceEntry
from hume_runner.sources import expand_entries
from hume_runner.sources.base import SourceItem
from hume_runner.sources.remote import matching_objects, object_fault
from hume_runner.stores.base import ObjectInfo
from tests.object_stores import S3Server, only
from tests.sources import trees
from tests.stores.proxy import proxied

PLACE = Place(file="m.yaml", line=3, column=5, path="sources.files[0]")


class Listing:
    """A store that only lists, in the order of all stores; counts how often it is asked."""

    root = "s3://bucket"

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys, key=str.encode)
        self.asked: list[str] = []
        self.given = 0

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        self.asked.append(folder)
        for key in self.keys:
            if not folder or key.startswith(folder + "/"):
                self.given += 1
                yield ObjectInfo(key=key, size_bytes=1, etag='"1"', version=None, modified_at=0.0)


def found(keys: list[str], pattern: str) -> list[str]:
    return [info.key for info in matching_objects(Listing(keys), pattern)]  # type: ignore[arg-type]


KEYS = [
    "a.wav",
    "a/b.wav",
    "a/b/c.wav",
    "a-b/c.wav",
    "a b.wav",
    "a/.hidden/x.wav",
    "a/.hidden.wav",
    ".top.wav",
    "__MACOSX/a.wav",
    "a/b/notes.txt",
    "a!/z.wav",
    "a/e\u0301.wav",
    "b/x1.wav",
    "b/x10.wav",
    "b/x2.wav",
    "take[1].wav",
]
PATTERNS = [
    "**/*.wav",
    "*.wav",
    "a/**/*.wav",
    "a*/*.wav",
    "*/?*.wav",
    "b/x?.wav",
    "**/.hidden/*",
    "a/\u00e9.wav",
    "**",
    "a/*",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_glob_finds_what_it_finds_on_a_disk_by_the_parts_of_the_names(tmp_path: Path, pattern: str) -> None:
    for key in KEYS:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"x")

    here = trees.found(pattern, tmp_path)
    # Numbers are not sorted by size here: a store lists by letters, and a listing streams.
    assert found(KEYS, pattern) == sorted(here, key=lambda path: path.split("/"))
    assert here


NAMES = st.text("ab-. /0", min_size=1, max_size=6).filter(
    lambda name: all(part not in ("", ".", "..") for part in name.split("/"))
)


@given(st.sets(NAMES, max_size=30))
def test_the_order_is_that_of_the_parts(keys: set[str]) -> None:
    expected = sorted(
        (key for key in keys if not any(part[0] == "." for part in key.split("/"))), key=lambda key: key.split("/")
    )
    assert found(list(keys), "**") == expected


def test_a_folder_that_belongs_before_thousands_of_files_comes_before_them() -> None:
    files = [f"rec-{number:05d}.wav" for number in range(3_000)]
    assert found([*files, "rec/1.wav"], "**") == ["rec/1.wav", *files]


def test_names_that_might_stand_behind_a_folder_do_not_pile_up() -> None:
    listing = Listing([f"rec-{number:05d}.wav" for number in range(5_000)])
    keys = matching_objects(listing, "**/*.wav")  # type: ignore[arg-type]
    assert next(keys).key == "rec-00000.wav"
    assert listing.given < 1_100
    assert len(list(keys)) == 4_999
    assert listing.asked == ["", "rec"]


def test_only_the_folder_of_a_glob_is_listed() -> None:
    listing = Listing(["a/b/1.wav", "c/2.wav"])
    assert [info.key for info in matching_objects(listing, "a/b/*.wav")] == ["a/b/1.wav"]  # type: ignore[arg-type]
    assert listing.asked == ["a/b"]


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket", "names no object"),
        ("s3://bucket/folder/", "names no object"),
        ("s3://bucket/new\nline.wav", "a control character"),
        ("s3://bucket/a//b.wav", "an empty part"),
        ("s3://bucket/./b.wav", "an empty part"),
        ("s3://", "names no bucket"),
        ("s3://me:hidden@bucket/a.wav", "a user or a password"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(uri: str, said: str) -> None:
    fault = object_fault(uri)
    assert fault is not None
    assert said in fault[0]
    assert "hidden" not in " ".join(fault)


# -- with a real store -----------------------------------------------------------------------------------------------


def items(folder: Path, *values: str, **more: object) -> list[SourceItem]:
    entries = [SourceEntry(kind="file", place=PLACE, value=value, **more) for value in values]  # type: ignore[arg-type]
    return list(expand_entries(entries, folder=folder))


@pytest.mark.sweep
def test_an_object_is_an_item_with_its_uri(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a/one.wav", b"12345")
    [item] = items(tmp_path, f"s3://{bucket}/a/one.wav", id="first", labels={"wave": 1})
    assert (item.id, item.value, item.path, dict(item.labels)) == (
        "first",
        f"s3://{bucket}/a/one.wav",
        None,
        {"wave": 1},
    )
    assert item.remote is not None
    assert item.remote.info.size_bytes == 5


@pytest.mark.sweep
def test_odd_names_are_found_and_folder_markers_are_not(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    odd = ["a b.wav", "a%2Fb.wav", "a+b.wav", "ü.wav", "q?#.wav"]
    s3.fill(bucket, [*(f"odd/{name}" for name in odd), "odd/folder/x.txt"])
    s3.put(bucket, "odd/folder/", b"")
    s3.put(bucket, "odd/sub/", b"")
    names = [item.value.rpartition("/")[2] for item in items(tmp_path, f"s3://{bucket}/odd/*")]
    assert sorted(names) == sorted(odd)


def test_an_object_that_is_named_and_found_is_one_item(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, ["1.wav", "2.wav"])
    entries = [
        SourceEntry(kind="file", place=PLACE, value=f"s3://{bucket}/*.wav"),
        SourceEntry(kind="file", place=PLACE, value=f"s3://{bucket}/2.wav", id="second"),
    ]
    assert [item.id for item in expand_entries(entries, folder=tmp_path)] == [f"s3://{bucket}/1.wav", "second"]


def test_a_name_with_brackets_is_a_name_where_there_is_such_an_object(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, ["take[1].wav", "take1.wav"])
    assert [item.value for item in items(tmp_path, f"s3://{bucket}/take[1].wav")] == [f"s3://{bucket}/take[1].wav"]


def test_a_list_may_name_objects(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, ["1.wav"])
    listing = tmp_path / "list.csv"
    listing.write_text(f"path,id,wave\ns3://{bucket}/1.wav,one,2\ns3://{bucket}/no.wav,two,3\n")
    entry = SourceEntry(kind="file", place=PLACE, listing=listing)
    with pytest.raises(SourceError, match="there is no object") as caught:
        list(expand_entries([entry], folder=tmp_path))
    assert [problem.line for problem in caught.value.problems] == [3]


@pytest.mark.parametrize(
    ("name", "said"),
    [("none/*.wav", "no object matches"), ("none.wav", "there is no object"), ("Folder/a.wav", "there is no object")],
)
def test_what_is_not_there_is_told_with_its_place(s3: S3Server, tmp_path: Path, name: str, said: str) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "folder/a.wav", b"x")
    with pytest.raises(SourceError, match=said) as caught:
        items(tmp_path, f"s3://{bucket}/{name}")
    assert (caught.value.exit_code, caught.value.problems[0].line) == (66, 3)


@pytest.mark.parametrize("name", ["a.wav", "**/*.wav", "take[1].wav"])
def test_a_bucket_that_is_not_there_is_told_with_its_place(s3: S3Server, tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="there is no such bucket") as caught:
        items(tmp_path, f"s3://no-such-bucket/{name}")
    assert caught.value.problems[0].line == 3


@pytest.mark.parametrize(("key", "shown"), [("a//2.wav", "a//2.wav"), ("a/new\nline.wav", "a/new\ufffdline.wav")])
def test_a_key_that_cannot_be_asked_for_is_told_on_one_line(s3: S3Server, tmp_path: Path, key: str, shown: str) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, ["a/1.wav", key])
    with pytest.raises(SourceError) as caught:
        items(tmp_path, f"s3://{bucket}/a/*.wav")
    [problem] = caught.value.problems
    assert f"the name '{shown}'" in problem.message
    assert "\n" not in problem.message


def test_a_large_object_is_told_to_be_too_large(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"x" * 20)
    entry = SourceEntry(kind="file", place=PLACE, value=f"s3://{bucket}/a.wav")
    from hume_runner.manifest.model import Limits

    with pytest.raises(SourceError, match="of an upload"):
        list(expand_entries([entry], folder=tmp_path, api="batch-v0", limits=Limits(upload_bytes=10)))


def test_a_store_that_may_not_be_read_ends_with_7_and_one_that_is_away_with_5(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 403
        with pytest.raises(StoreDenied):
            items(tmp_path, "s3://bucket/*.wav")
    with pytest.raises(StoreUnavailable):
        items(tmp_path, "s3://bucket/*.wav")


def test_a_uri_with_a_secret_in_a_list_is_refused_and_not_repeated(tmp_path: Path) -> None:
    listing = tmp_path / "list.csv"
    listing.write_text("path\ns3://me:hidden@bucket/1.wav\n")
    with pytest.raises(ManifestError) as caught:
        list(expand_entries([SourceEntry(kind="file", place=PLACE, listing=listing)], folder=tmp_path))
    assert "hidden" not in str(caught.value)
