from __future__ import annotations

import io
import pickle
import zipfile

import pytest

from hume_runner.services.local.model_files import File, own_file, refusal

SHA256 = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "tiny/../x",
        "tiny/../../etc/passwd",
        "/etc/passwd",
        "tiny//x",
        "tiny/",
        "tiny",
        "",
        "Tiny/x",
        "tiny/.hidden",
        "tiny/x\n",
        "tiny\\x",
        "tiny/a b",
        "tiny/C:x",
        "tiny/\u2024\u2024/x",
        f"tiny/{'x' * 200}",
    ],
)
def test_a_name_that_could_lead_elsewhere_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        File(name=name, size_bytes=1, sha256=SHA256)


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "G" * 64, SHA256.upper(), f"{SHA256}\n"])
def test_a_hash_is_64_small_digits(sha256: str) -> None:
    with pytest.raises(ValueError, match="no SHA-256"):
        File(name="tiny/x", size_bytes=1, sha256=sha256)


def test_a_file_lies_in_folders_of_its_model() -> None:
    assert File(name="tiny/deep/er/model.bin", size_bytes=1, sha256=SHA256).model == "tiny"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_by_how_it_begins(protocol: int) -> None:
    assert "pickle" in str(refusal(pickle.dumps({"a": [1, 2]}, protocol=protocol)))


def test_archives_and_programs_are_refused_by_how_they_begin() -> None:
    saved = io.BytesIO()
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    assert "torch.save" in str(refusal(saved.getvalue()))
    assert "Keras" in str(refusal(b"\x89HDF\r\n\x1a\n"))
    assert "a program" in str(refusal(b"\x7fELF\x02\x01"))
    assert "a program" in str(refusal(b"#!/bin/sh\n"))


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x80",
        b"\x80\xa5nodes",
        b"\x84\xa5nodes",
        b"\x1c\x00\x00\x00TFL3",
        b"\x08\x08\x12\x07pytorch",
        b"{}",
        b"P",
    ],
)
def test_formats_without_code_are_not_refused(head: bytes) -> None:
    assert refusal(head) is None


def test_an_own_model_is_named_by_its_hash() -> None:
    file = own_file("https://example.org/a/best.onnx?token=x", SHA256.upper())
    assert (file.name, file.sha256) == (f"own/{SHA256}", SHA256)
    assert file.urls == ("https://example.org/a/best.onnx?token=x",)


@pytest.mark.parametrize("url", ["https://example.org/m.pkl", "https://example.org/m.pt", "https://example.org/model"])
def test_an_own_model_in_a_format_that_may_run_code_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no format that is known to run no code"):
        own_file(url, SHA256)


def test_an_own_models_hash_chooses_no_path() -> None:
    with pytest.raises(ValueError, match=r"no name|no SHA-256"):
        own_file("https://example.org/m.onnx", "../../x")
