"""Habits of scripts for the old package: what is not here says where it went."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

import hume_runner
from hume_runner.hume.moved import MOVED


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("from hume_runner.models.config import FaceConfig", "from hume_runner import FaceConfig"),
        ("from hume_runner.models import ModelType", "from hume_runner import FaceConfig, ModelType"),
        ("import hume_runner.error", "from hume_runner import HumeClientException"),
        ("from hume_runner.error import HumeClientException", "from hume_runner import HumeClientException"),
        ("from hume_runner import HumeStreamClient", "the streaming API is not covered"),
        ("from hume_runner import StreamSocket", "the streaming API is not covered"),
        ("from hume_runner import HumeClient", "hume 0.7 and later"),
        ("from hume_runner import AsyncHumeClient", "hume 0.7 and later"),
    ],
)
def test_an_import_by_habit_says_where_the_name_is(script: str, words: str) -> None:
    with pytest.raises(ImportError, match=words):
        exec(script, {})


def test_a_name_that_never_was_is_told_as_python_tells_it() -> None:
    with pytest.raises(ImportError, match="cannot import name 'HumeBachClient'"):
        exec("from hume_runner import HumeBachClient", {})
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'hume_runner\.modles'"):
        importlib.import_module("hume_runner.modles")
    assert not hasattr(hume_runner, "HumeBachClient")


def test_only_names_that_are_not_here_have_a_signpost() -> None:
    for name in MOVED:
        assert name == "models" or name not in hume_runner.__all__
        with pytest.raises(ImportError):
            importlib.util.find_spec(f"hume_runner.{name}")


def test_the_old_paths_work_as_attributes() -> None:
    namespace: dict[str, object] = {}
    exec(
        "import hume_runner as hume\n"
        "face = hume.models.config.FaceConfig(fps_pred=1)\n"
        "kind = hume.models.ModelType.FACE\n"
        "base = hume.ModelConfigBase",
        namespace,
    )
    assert isinstance(namespace["face"], hume_runner.FaceConfig)
    assert namespace["kind"] is hume_runner.ModelType.FACE
    assert issubclass(hume_runner.FaceConfig, hume_runner.ModelConfigBase)
    assert isinstance(hume_runner.models(), list | tuple)
