"""What `--cluster` was meant to be, where it is neither an address nor `module:factory`."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.computing.choose import misnamed, place_of
from hume_runner.errors import UsageError

NEITHER = "as --cluster tcp://host:8786, or --cluster mycluster:make"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("mycluster:make", None),
        ("a.package:Maker.make", None),
        ("head:18786", "--cluster tcp://head:18786"),
        ("127.0.0.1:18786", "--cluster tcp://127.0.0.1:18786"),
        ("[::1]:8786", "--cluster tcp://[::1]:8786"),
        ("../x/odd:plain", "--cluster odd:plain, with PYTHONPATH=../x"),
        ("my folder/odd.py:plain", "--cluster odd:plain, with PYTHONPATH='my folder'"),
        ("./odd.py:plain", "--cluster odd:plain"),
        ("/there/odd", "--cluster odd:make, with PYTHONPATH=/there"),
        ("odd:make()", "--cluster odd:make"),
        ("head", NEITHER),
        (".odd:plain", NEITHER),
        ("..:x", NEITHER),
        ("odd:", NEITHER),
        (":make", NEITHER),
        ("odd:8x", NEITHER),
    ],
)
def test_what_was_meant_is_offered(given: str, meant: str | None) -> None:
    told = misnamed(given)
    assert told == meant if meant in (None, NEITHER) else (told or "").endswith(f": {meant}")


def test_a_file_is_told_how_python_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"cannot import nowhere_at_all\.py") as caught:
        place_of("nowhere_at_all.py:make", wait_s=1, warn=lambda said: None)
    assert caught.value.hint == "a module is named as Python imports it: --cluster nowhere_at_all:make"


@pytest.mark.parametrize("given", ["head:18786", "../x/odd:plain"])
def test_nothing_is_imported_by_what_is_no_name(given: str) -> None:
    with pytest.raises(UsageError, match="neither the address of a Dask scheduler nor module:factory"):
        place_of(given, wait_s=1, warn=lambda said: None)
