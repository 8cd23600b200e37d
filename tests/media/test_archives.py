"""Archives as people send them, and as people who mean harm send them."""

from __future__ import annotations

import random
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.media.archives import (
    ArchiveLimits,
    Member,
    Skipped,
    is_archive,
    iter_members,
    normal_name,
)
from hume_runner.media.member_reader import MemberReader
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind
from tests.media.packing import FORMS, pack, tarred, zipped
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import examples, sampled

PICTURE = picture_bytes(picture())


def contents(path: Path, limits: ArchiveLimits | None = None) -> tuple[dict[str, bytes], list[tuple[str, str]]]:
    """What is offered, read as a caller would, and what is skipped with its reason."""
    offered: dict[str, bytes] = {}
    skipped: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, member in enumerate(iter_members(path, limits)):
            if isinstance(member, Skipped):
                skipped.append((member.name, member.reason))
            else:
                target = Path(folder) / str(number)
                member.copy_to(target)
                offered[member.name] = target.read_bytes()
                assert member.size_bytes == len(offered[member.name])
        assert all(file.name.isdigit() for file in Path(folder).iterdir())
    return offered, skipped


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_its_members_with_their_paths(name: str, tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "v.wav", speech([("speech", 0.2)])).read_bytes()
    path = pack(tmp_path / name, ("wave 1/a.wav", wav), ("wave 1/b.jpg", PICTURE), ("c.jpg", PICTURE + b"c"))
    offered, skipped = contents(path)
    assert offered == {"wave 1/a.wav": wav, "wave 1/b.jpg": PICTURE, "c.jpg": PICTURE + b"c"}
    assert skipped == []
    assert is_archive(path)


def test_the_kind_of_a_member_is_seen_before_it_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a.wav", PICTURE))
    (member,) = iter_members(path)
    assert isinstance(member, Member)
    assert member.kind is Kind.JPEG


@pytest.mark.parametrize("form", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/etc/passwd", "absolute_name"),
        ("C:\\windows\\x.wav", "absolute_name"),
        ("\\\\host\\share\\x.wav", "absolute_name"),
        ("../x.wav", "parent_name"),
        ("a/../../x.wav", "parent_name"),
        ("a\\..\\x.wav", "parent_name"),
        ("a\nb.wav", "bad_name"),
        ("a\u202egpj.exe", "bad_name"),
        (".DS_Store", "hidden"),
        ("a/.hidden/x.wav", "hidden"),
        ("__MACOSX/a/._x.wav", "hidden"),
    ],
)
def test_names_that_lead_elsewhere_are_skipped_with_the_reason(
    form: str, name: str, reason: str, tmp_path: Path
) -> None:
    offered, skipped = contents(pack(tmp_path / form, (name, PICTURE), ("good.jpg", PICTURE)))
    assert [why for _, why in skipped] == [reason]
    assert all(shown.isprintable() for shown, _ in skipped)
    assert list(offered) == ["good.jpg"]


def test_a_name_with_a_nul_is_skipped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("aXb.wav", PICTURE))
    path.write_bytes(path.read_bytes().replace(b"aXb.wav", b"a\0b.wav"))
    assert contents(path)[1] == [("a\\x00b.wav", "bad_name")]


@pytest.mark.parametrize("form", FORMS)
def test_names_that_come_twice_or_differ_in_case_alone_are_offered_once(form: str, tmp_path: Path) -> None:
    path = pack(
        tmp_path / form,
        ("a/x.jpg", PICTURE),
        ("a/./x.jpg", PICTURE + b"2"),
        ("a//X.JPG", PICTURE + b"3"),
        ("caf\u00e9.jpg", PICTURE),
        ("cafe\u0301.jpg", PICTURE + b"4"),
    )
    offered, skipped = contents(path)
    assert offered == {"a/x.jpg": PICTURE, "caf\u00e9.jpg": PICTURE}
    assert [why for _, why in skipped] == ["duplicate_name", "case_twin", "duplicate_name"]


def test_links_and_devices_are_skipped(tmp_path: Path) -> None:
    kinds = {
        "sym": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "char": tarfile.CHRTYPE,
        "block": tarfile.BLKTYPE,
        "fifo": tarfile.FIFOTYPE,
    }
    members = []
    for name, kind in kinds.items():
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        members.append(info)
    assert contents(tarred(tmp_path / "a.tar", *members)) == (
        {},
        [("sym", "link"), ("hard", "link"), ("char", "device"), ("block", "device"), ("fifo", "device")],
    )
    link = zipped(tmp_path / "a.zip", ("sym", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777)
    assert contents(link) == ({}, [("sym", "link")])


def test_an_archive_in_an_archive_and_an_empty_member_are_skipped(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", ("a.jpg", PICTURE)).read_bytes()
    path = zipped(tmp_path / "a.zip", ("inner.jpg", inner), ("empty.wav", b""))
    assert contents(path) == ({}, [("inner.jpg", "nested_archive"), ("empty.wav", "empty")])


def test_an_encrypted_member_is_skipped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a.jpg", PICTURE))
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert contents(path) == ({}, [("a.jpg", "encrypted")])


@pytest.mark.parametrize("form", FORMS)
def test_a_bomb_is_refused_by_size_and_ratio(form: str, tmp_path: Path) -> None:
    path = pack(tmp_path / form, ("zeros.wav", bytes(3_000_000)), ("a.jpg", PICTURE))
    small = ArchiveLimits(member_bytes=1_000_000)
    assert contents(path, small) == ({"a.jpg": PICTURE}, [("zeros.wav", "too_large")])
    if form != "a.tar":
        tight = ArchiveLimits(ratio=20, ratio_from_bytes=100_000)
        if form == "a.zip":
            assert contents(path, tight)[1] == [("zeros.wav", "too_large")]
        else:
            with pytest.raises(MediaProblem) as caught:
                contents(path, tight)
            assert caught.value.reason == "archive_too_large"


@pytest.mark.parametrize("form", FORMS)
def test_too_many_members_or_bytes_end_the_archive(form: str, tmp_path: Path) -> None:
    path = pack(tmp_path / form, *((f"{number}.jpg", PICTURE) for number in range(20)))
    for limits in (ArchiveLimits(members=10), ArchiveLimits(total_bytes=5 * len(PICTURE))):
        with pytest.raises(MediaProblem) as caught:
            contents(path, limits)
        assert caught.value.reason == "archive_too_large"


def test_a_tar_header_cannot_make_the_reader_take_it_all_into_memory(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a.wav")
    info.pax_headers = {"comment": "x" * 6_000_000}
    path = tarred(tmp_path / "a.tar.gz", info)
    with pytest.raises(MediaProblem) as caught:
        contents(path)
    assert caught.value.reason == "archive_unreadable"


@sampled(3)
@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_archive_is_a_problem_and_not_a_crash(form: str, tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(200_000)
    data = pack(tmp_path / form, ("a.jpg", PICTURE + noise), ("b.jpg", PICTURE + noise)).read_bytes()
    (tmp_path / form).write_bytes(data[: len(data) * 3 // 4])
    with pytest.raises(MediaProblem) as caught:
        contents(tmp_path / form)
    assert caught.value.reason == "archive_unreadable"


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(FORMS), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_ends_in_a_problem_or_in_members(form: str, damage: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = pack(Path(folder) / form, ("a/b.jpg", b"\xff\xd8\xff" + bytes(3000)), ("c.jpg", b"\xff\xd8\xffabc"))
        data = bytearray(path.read_bytes())
        for where, value in damage:
            data[int(where * len(data))] = value
        path.write_bytes(data)
        reason, offered = "", {}
        try:
            offered, _ = contents(path)
        except MediaProblem as problem:
            reason = problem.reason
        assert reason in {"", "archive_unreadable", "archive_too_large", "unsupported"}
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in offered)


@given(st.text(max_size=40))
def test_a_normal_name_stays_the_same_when_normalised_again(name: str) -> None:
    assert normal_name(normal_name(name)) == normal_name(name)


def test_a_lone_compressed_file_is_no_archive_of_members(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.wav.gz"
    path.write_bytes(gzip.compress(PICTURE))
    with pytest.raises(MediaProblem) as caught:
        contents(path)
    assert caught.value.reason == "archive_unreadable"


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("a.jpg", PICTURE))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 16] ^= 0xFF  # the checksum
    path.write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    members = iter_members(path)
    member = next(members)
    assert isinstance(member, Member)
    with pytest.raises(MediaProblem, match="CRC") as caught:
        member.copy_to(out / "x")
    members.close()
    assert caught.value.reason == "archive_unreadable"
    assert list(out.iterdir()) == []


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("size", [10, 5_000, 200_000])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_in_one_member_of_a_zip_leaves_the_others(size: int, packing: int, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    bodies = {f"{number}.bin": random.Random(number).randbytes(size) for number in range(4)}
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, body in bodies.items():
            archive.writestr(name, body)
        hit = archive.getinfo("1.bin")
    data = bytearray(path.read_bytes())
    begin = hit.header_offset + 30 + len("1.bin")
    for at in range(begin + hit.compress_size // 3, begin + hit.compress_size // 3 + 3):
        data[at] ^= 0x5A
    path.write_bytes(data)
    found: dict[str, bytes | str] = {}
    for member in iter_members(path):
        if isinstance(member, Skipped):
            found[member.name] = member.reason
            assert "1.bin" in str(member.message)
            continue
        assert member.alone
        try:
            member.copy_to(tmp_path / "out")
            found[member.name] = (tmp_path / "out").read_bytes()
        except MediaProblem as problem:
            found[member.name] = problem.reason
    assert found == {**bodies, "1.bin": "archive_unreadable"}
    reader = MemberReader(path)
    assert reader.copy("3.bin", tmp_path / "3") == size
    assert reader.copy("0.bin", tmp_path / "0") == size
    reader.close()


def test_a_directory_that_points_before_the_file_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"x" * 100)
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"PK\x05\x06") + 16  # where the directory is said to begin
    whole[at : at + 4] = (int.from_bytes(whole[at : at + 4], "little") + 100_000).to_bytes(4, "little")
    path.write_bytes(whole)
    with pytest.raises(MediaProblem) as caught:
        list(iter_members(path))
    assert caught.value.reason == "archive_unreadable"
