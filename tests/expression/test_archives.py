"""An archive's members are items of their own, unpacked safely; nothing of them chooses a path."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.expression.runs import Folder, measured_runs, times_measured
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import sampled


def wav_bytes(tmp_path: Path, seed: int = 0) -> bytes:
    path = write_wav(tmp_path / f"speech-{seed}.wav", speech([("pause", 0.3), ("speech", 0.6)], seed=seed))
    return path.read_bytes()


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.parametrize(("name", "make"), [("a.zip", make_zip), ("a.tar.gz", make_tar)])
def test_every_member_is_an_item_with_its_path_inside(folder: Folder, tmp_path: Path, name: str, make: object) -> None:
    assert callable(make)
    make(folder.path / name, {"day 1/talk.wav": wav_bytes(tmp_path), "day 1/face.jpg": picture_bytes(picture())})
    ran = folder.write({"files": [name]}).run()
    assert ran.code == 0, ran.err
    assert set(folder.results()) == {f"{name}/day 1/talk.wav", f"{name}/day 1/face.jpg"}
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert set(times_measured(measured_runs(folder.url)).values()) == {1}


def test_hostile_and_foreign_members_fail_alone_and_write_nothing_outside(folder: Folder, tmp_path: Path) -> None:
    make_zip(
        folder.path / "a.zip",
        {
            "good.jpg": picture_bytes(picture()),
            "../evil.wav": wav_bytes(tmp_path),
            "/root.wav": wav_bytes(tmp_path, 1),
            "notes.txt": b"not a medium at all",
            "__MACOSX/._good.jpg": b"\0",
            ".DS_Store": b"\0",
        },
    )
    ran = folder.write({"files": ["a.zip"]}).run()
    assert ran.code == 3
    statuses = {name: line["status"] for name, line in folder.results().items()}
    assert statuses["a.zip/good.jpg"] == "done"
    assert sorted(statuses.values()) == ["done", "failed", "failed", "failed"]
    assert not list(tmp_path.rglob("evil.wav"))
    assert "notes.txt is plain text" in str(folder.results()["a.zip/notes.txt"]["error"])


def test_a_member_with_the_bytes_of_another_file_is_measured_once(folder: Folder, tmp_path: Path) -> None:
    content = wav_bytes(tmp_path)
    make_zip(folder.path / "a.zip", {"talk.wav": content})
    (folder.path / "media").mkdir()
    (folder.path / "media" / "talk.wav").write_bytes(content)
    assert folder.write({"files": ["a.zip", "media/*.wav"]}).run().code == 0
    assert len(measured_runs(folder.url)) == 1
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert len(folder.results()) == 2


def test_a_damaged_archive_keeps_what_came_before_the_damage(folder: Folder, tmp_path: Path) -> None:
    path = make_tar(folder.path / "a.tar.gz", {"first.jpg": picture_bytes(picture()), "last.wav": wav_bytes(tmp_path)})
    path.write_bytes(path.read_bytes()[:-2000])
    ran = folder.write({"files": ["a.tar.gz"]}).run()
    assert ran.code == 3
    statuses = sorted(line["status"] for line in folder.results().values())
    assert "failed" in statuses


@sampled(3)
@pytest.mark.parametrize("damaged", ["one", "two", "three"])
@pytest.mark.parametrize("how", ["checksum", "content", "method", "header"])
def test_a_damaged_member_of_a_zip_fails_alone(damaged: str, how: str, folder: Folder, tmp_path: Path) -> None:
    names = ("one", "two", "three")
    path = make_zip(
        folder.path / "a.zip", {f"{name}.wav": wav_bytes(tmp_path, seed) for seed, name in enumerate(names)}
    )
    damage(path, f"{damaged}.wav", how)
    ran = folder.write({"files": ["a.zip"]}).run()
    assert ran.code == 3
    results = folder.results()
    assert {name: line["status"] for name, line in results.items()} == {
        f"a.zip/{name}.wav": "failed" if name == damaged else "done" for name in names
    }
    assert f"{damaged}.wav" in str(results[f"a.zip/{damaged}.wav"]["error"])
    assert folder.summary()["failures"] == {"unsupported" if how == "method" else "archive_unreadable": 1}
    assert len(times_measured(measured_runs(folder.url))) == 2
    assert folder.run().code == 3
    assert len(times_measured(measured_runs(folder.url))) == 2


def damage(path: Path, member: str, how: str) -> None:
    """Harm one member: what its bytes sum to, its bytes, the method that packed it, or its name before it."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    data = bytearray(path.read_bytes())
    entry = data.index(member.encode(), data.index(b"PK\x01\x02")) - 46
    match how:
        case "checksum":
            data[entry + 16] ^= 0xFF
        case "content":
            data[info.header_offset + 30 + len(member) + info.compress_size // 2] ^= 0xFF
        case "method":
            data[entry + 10] = data[info.header_offset + 8] = 9  # Deflate64
        case _:
            data[info.header_offset + 30] ^= 0x01
    path.write_bytes(data)


def test_a_finished_archive_sends_nothing_again(folder: Folder, tmp_path: Path) -> None:
    make_zip(folder.path / "a.zip", {"talk.wav": wav_bytes(tmp_path)})
    folder.write({"files": ["a.zip"]}).run()
    assert folder.run().code == 0
    assert len(measured_runs(folder.url)) == 1


def test_an_office_document_in_a_glob_is_one_line(folder: Folder, tmp_path: Path) -> None:
    names = ("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml")
    make_zip(folder.path / "media" / "participants.xlsx", dict.fromkeys(names, b"<xml/>"))
    (folder.path / "media" / "talk.wav").write_bytes(wav_bytes(tmp_path))
    ran = folder.write({"files": ["media/*"]}).run()
    assert ran.code == 3
    results = folder.results()
    assert len(results) == 2
    assert sorted(line["status"] for line in results.values()) == ["done", "failed"]
    assert ran.err.count("participants.xlsx is an office document, no medium") == 1
