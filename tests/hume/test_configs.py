from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.hume.configs import (
    CONFIGS,
    BurstConfig,
    FaceConfig,
    FacemeshConfig,
    LanguageConfig,
    ModelConfig,
    ModelType,
    NerConfig,
    ProsodyConfig,
    TranscriptionConfig,
    configs_of,
    models_of,
)

FULL: list[tuple[ModelConfig, str, dict[str, Any]]] = [
    (
        FaceConfig(
            fps_pred=1.5,
            prob_threshold=0.9,
            identify_faces=True,
            min_face_size=30,
            save_faces=False,
            descriptions={},
            facs={},
        ),
        "face",
        {
            "fps_pred": 1.5,
            "prob_threshold": 0.9,
            "identify_faces": True,
            "min_face_size": 30,
            "save_faces": False,
            "descriptions": {},
            "facs": {},
        },
    ),
    (BurstConfig(), "burst", {}),
    (
        ProsodyConfig(identify_speakers=True, granularity="word", window={"length": 4.0, "step": 1.0}),
        "prosody",
        {"identify_speakers": True, "granularity": "word", "window": {"length": 4.0, "step": 1.0}},
    ),
    (
        LanguageConfig(granularity="word", identify_speakers=False, sentiment={}, toxicity={}),
        "language",
        {"granularity": "word", "identify_speakers": False, "sentiment": {}, "toxicity": {}},
    ),
    (NerConfig(identify_speakers=True), "ner", {"identify_speakers": True}),
    (FacemeshConfig(), "facemesh", {}),
]


@pytest.mark.parametrize(("config", "name", "members"), FULL, ids=[name for _, name, _ in FULL])
def test_a_configuration_becomes_its_members_and_back(config: ModelConfig, name: str, members: dict[str, Any]) -> None:
    assert config.get_model_type().value == name
    assert config.to_dict() == members
    assert type(config).from_dict(members) == config
    assert CONFIGS[ModelType.from_str(name)] is type(config)


@pytest.mark.parametrize("kind", CONFIGS.values(), ids=lambda kind: kind.__name__)
def test_what_is_not_set_is_left_out_or_null(kind: type[ModelConfig]) -> None:
    assert kind().to_dict() == {}
    assert set(kind().to_dict(skip_none=False).values()) <= {None}
    assert kind.from_dict(kind().to_dict(skip_none=False)) == kind()


def test_transcription_has_all_its_members() -> None:
    config = TranscriptionConfig("en", True, 0.3)
    assert config.to_dict() == {"language": "en", "identify_speakers": True, "confidence_threshold": 0.3}
    assert TranscriptionConfig.from_dict(config.to_dict()) == config


def test_an_unknown_member_warns_and_the_callers_object_stays_as_it_was() -> None:
    members = {"fps_pred": 2, "brand_new": 1}
    with pytest.warns(UserWarning, match="FaceConfig does not know the member 'brand_new'"):
        assert FaceConfig.from_dict(members) == FaceConfig(fps_pred=2)
    assert members == {"fps_pred": 2, "brand_new": 1}


def test_of_two_configurations_of_one_model_the_last_wins() -> None:
    assert models_of([FaceConfig(fps_pred=1), BurstConfig(), FaceConfig(facs={})]) == {
        "face": {"facs": {}},
        "burst": {},
    }


def test_an_echo_with_nulls_and_unknown_models_is_read() -> None:
    echoed = {"face": {"facs": None, "fps_pred": 3.0}, "burst": None, "telepathy": {}}
    with pytest.warns(UserWarning, match="'telepathy'"):
        assert configs_of(echoed) == {ModelType.FACE: FaceConfig(fps_pred=3.0)}


@given(
    st.dictionaries(st.text(max_size=9), st.none() | st.integers() | st.dictionaries(st.text(max_size=9), st.none()))
)
def test_no_echo_breaks_the_reader(echoed: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(configs_of(echoed)) <= set(ModelType)


def test_an_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="burst, face, facemesh, language, ner, prosody"):
        ModelType.from_str("voice")
