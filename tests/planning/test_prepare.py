"""From sources to a plan: what a file is told by, and how often it is read for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.manifest.model import Place
from hume_runner.planning.fingerprint import url_identity
from hume_runner.sources.base import SourceItem
from hume_runner.state.reader import StateReader
from tests.fakes import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, [])
    world.service.matches_by_md5 = True
    return world


def file_item(path: Path) -> SourceItem:
    place = Place(file="manifest.yaml", line=1, column=1, path="sources.files[0]")
    return SourceItem(kind="file", id=path.name, explicit_id=False, value=path.name, place=place, path=path)


def clip(world: World, content: bytes, name: str = "a.wav") -> Path:
    path = world.folder / name
    path.write_bytes(content)
    return path


def test_a_file_is_known_by_both_digests_of_its_bytes(world: World) -> None:
    content = bytes(range(256)) * 5_000
    path = clip(world, content)
    world.sources = [file_item(path)]
    assert world.run().exit_code == 0
    with StateReader.peek(world.state) as store:
        key = store.find_by_md5(hashlib.md5(content).digest())
        assert key is not None
        assert key == store.find_item("file", hashlib.sha256(content).digest())
        assert store.find_by_md5(hashlib.md5(b"other").digest()) is None
        (item,) = store.load_items([key])
        assert item.content_md5 == hashlib.md5(content).hexdigest()
        member = store.load_job(1).members[0].item
        assert member.content_md5 == item.content_md5


def test_where_nobody_matches_by_md5_none_is_made(world: World) -> None:
    world.service.matches_by_md5 = False
    world.sources = [file_item(clip(world, b"sound"))]
    assert world.run().exit_code == 0
    with StateReader.peek(world.state) as store:
        assert store.find_by_md5(hashlib.md5(b"sound").digest()) is None


def test_a_digest_without_md5_stays_good_until_the_file_changes(world: World) -> None:
    path = clip(world, b"sound")
    world.sources = [file_item(path)]
    world.service.matches_by_md5 = False
    assert world.run().exit_code == 0
    world.service.matches_by_md5 = True
    path.chmod(0o644)
    found = path.stat()
    with StateReader.peek(world.state) as store:
        before = store.digest(str(path), found.st_size, found.st_mtime_ns, found.st_ino)
    world.run()
    with StateReader.peek(world.state) as store:
        after = store.digest(str(path), found.st_size, found.st_mtime_ns, found.st_ino)
    assert before is not None
    assert before == after  # not read again
    assert len(world.service.submitted) == 1
    clip(world, b"sound, again")
    assert world.run().exit_code == 0
    with StateReader.peek(world.state) as store:
        assert store.find_by_md5(hashlib.md5(b"sound, again").digest()) is not None


@given(st.text(max_size=40))
def test_most_links_are_their_own_identity_and_no_other_is_taken_for_one(rest: str) -> None:
    """The short way gives what the long way gives: an empty fragment sends any link the long way."""
    for url in (f"https://example.org/{rest}", f"https://{rest}/a", rest):
        assert url_identity(url) == url_identity(f"{url}#")
