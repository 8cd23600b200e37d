"""Model settings of the batch API as the old Python package spelled them; part of the documented client surface.

These are plain mutable dataclasses, not frozen ones: scripts written for the old package set attributes on them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import Enum
from typing import Any, ClassVar, Self


class ModelType(Enum):
    """The six models. The value is the member of `models` in a request."""

    BURST = "burst"
    FACE = "face"
    FACEMESH = "facemesh"
    LANGUAGE = "language"
    NER = "ner"
    PROSODY = "prosody"

    @classmethod
    def from_str(cls, model_type: str) -> ModelType:
        """The model of this name. Raises: ValueError."""
        try:
            return cls(model_type)
        except ValueError:
            names = ", ".join(member.value for member in cls)
            raise ValueError(f"unknown model type {model_type!r}; the models are {names}") from None


@dataclass
class _Config:
    """Settings where None means "not set": the service's own default applies."""

    def to_dict(self, skip_none: bool = True) -> dict[str, Any]:
        """The members of the request; those that are not set only with `skip_none=False`, as null."""
        return {name: value for name, value in asdict(self).items() if value is not None or not skip_none}

    @classmethod
    def from_dict(cls, request_dict: Mapping[str, Any]) -> Self:
        """Settings from a request, as the service echoes it. A member that is not known warns and is left out."""
        known = {field.name for field in fields(cls)}
        for name in request_dict:
            if name not in known:
                warnings.warn(f"{cls.__name__} does not know the member {name!r}; it is ignored", stacklevel=2)
        return cls(**{name: value for name, value in request_dict.items() if name in known})


@dataclass
class TranscriptionConfig(_Config):
    """How speech becomes text, for the prosody, language and ner models.

    `language`: a BCP-47 tag such as "en" or "pt-BR"; recognised if not set. `confidence_threshold` (0 to 1):
    transcripts below it are not used.
    """

    language: str | None = None
    identify_speakers: bool | None = None
    confidence_threshold: float | None = None


@dataclass
class ModelConfig(_Config):
    """What the six have in common."""

    _model_type: ClassVar[ModelType]

    @classmethod
    def get_model_type(cls) -> ModelType:
        """The model that this configures."""
        return cls._model_type


ModelConfigBase = ModelConfig  # the old package's name, for annotations


@dataclass
class FaceConfig(ModelConfig):
    """Facial expression.

    `fps_pred`: frames measured per second of video, 0 for every frame. `prob_threshold` (0 to 1): only detections as
    sure as that. `min_face_size`: pixels. `identify_faces`: follow faces over frames. `facs`, `descriptions`: `{}`
    turns them on. `save_faces`: put the faces found into the artifacts.
    """

    _model_type = ModelType.FACE

    fps_pred: float | None = None
    prob_threshold: float | None = None
    identify_faces: bool | None = None
    min_face_size: float | None = None
    save_faces: bool | None = None
    descriptions: dict[str, Any] | None = None
    facs: dict[str, Any] | None = None


@dataclass
class BurstConfig(ModelConfig):
    """Vocal bursts: laughs, sighs and the like. Nothing can be set."""

    _model_type = ModelType.BURST


@dataclass
class ProsodyConfig(ModelConfig):
    """Speech prosody.

    `granularity`: "word", "sentence", "utterance" or "conversational_turn". `window`: `{"length": 4.0, "step": 1.0}` in
    seconds, measures fixed windows instead.
    """

    _model_type = ModelType.PROSODY

    identify_speakers: bool | None = None
    granularity: str | None = None
    window: dict[str, float] | None = None


@dataclass
class LanguageConfig(ModelConfig):
    """Emotional language. `granularity` as in ProsodyConfig; `sentiment`, `toxicity`: `{}` turns them on."""

    _model_type = ModelType.LANGUAGE

    granularity: str | None = None
    identify_speakers: bool | None = None
    sentiment: dict[str, Any] | None = None
    toxicity: dict[str, Any] | None = None


@dataclass
class NerConfig(ModelConfig):
    """Named entities and the emotions around them."""

    _model_type = ModelType.NER

    identify_speakers: bool | None = None


@dataclass
class FacemeshConfig(ModelConfig):
    """Expression from face landmarks. Nothing can be set."""

    _model_type = ModelType.FACEMESH


CONFIGS: dict[ModelType, type[ModelConfig]] = {
    config.get_model_type(): config
    for config in (BurstConfig, FaceConfig, FacemeshConfig, LanguageConfig, NerConfig, ProsodyConfig)
}


def models_of(configs: Iterable[ModelConfig]) -> dict[str, dict[str, Any]]:
    """The `models` member of a request. One configuration a model: the last wins."""
    return {config.get_model_type().value: config.to_dict() for config in configs}


def configs_of(models: Mapping[str, Any]) -> dict[ModelType, ModelConfig]:
    """Configurations from an echoed `models` member; null is a model that does not run, an unknown name warns."""
    configs: dict[ModelType, ModelConfig] = {}
    for name, settings in models.items():
        if not isinstance(settings, Mapping):
            continue
        try:
            model = ModelType.from_str(name)
        except ValueError as error:
            warnings.warn(f"{error}; it is ignored", stacklevel=2)
            continue
        configs[model] = CONFIGS[model].from_dict(settings)
    return configs
