"""Whisper for faster-whisper by name: which files it consists of, and what each must hold.

Names are the catalogue's: `whisper-<model>/<file>`. The files are Systran's conversions of OpenAI's weights (both MIT);
their hashes are those of the hub's commits below.
"""

from __future__ import annotations

from dataclasses import dataclass

from hume_runner.services.local.measurers.base import WeightFile

DEFAULT = "tiny.en"

VOICE = WeightFile(
    name="silero-vad-v6/silero_vad_v6.onnx", sha256="4cbf549b8326f60f80f2536d9eefeb450a9abe83365a098031c89719f1be17d2"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """`revision` is the commit of `Systran/faster-whisper-<name>` on the hub; `files` are (file, SHA-256, bytes)."""

    name: str
    revision: str
    files: tuple[tuple[str, str, int], ...]

    @property
    def english_only(self) -> bool:
        return self.name.endswith(".en")

    @property
    def weights(self) -> tuple[WeightFile, ...]:
        return tuple(WeightFile(name=f"whisper-{self.name}/{file}", sha256=sha256) for file, sha256, _ in self.files)


_ENGLISH = (
    ("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df", 2_128_466),
    ("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf", 422_309),
)
_MANY = (
    ("tokenizer.json", "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab", 2_203_239),
    ("vocabulary.txt", "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913", 459_861),
)

_EVERY = (
    Whisper(
        name="tiny.en",
        revision="0d3d19a32d3338f10357c0889762bd8d64bbdeba",
        files=(
            ("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5", 2_317),
            ("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a", 75_537_502),
            *_ENGLISH,
        ),
    ),
    Whisper(
        name="tiny",
        revision="d90ca5fe260221311c53c58e660288d3deb8d356",
        files=(
            ("config.json", "a73a28cdfe1c43ccc7202fa333d1f89c202477271407ae9a7f19afa52039cac8", 2_249),
            ("model.bin", "dcb76c6586fc06cbdac6dd21f14cfd129cc4cdd9dce19bf4ffa62e59cbe6e6d1", 75_538_270),
            *_MANY,
        ),
    ),
    Whisper(
        name="base.en",
        revision="3d3d5dee26484f91867d81cb899cfcf72b96be6c",
        files=(
            ("config.json", "f3bc3821e9fc76a27bae538e11ae5b677dcdd352b4600429ce7951d398569aeb", 2_227),
            ("model.bin", "2a166925539a16005f14ff328359f9b9adb9dc4fb631bb3b227526862e93e2ef", 145_216_508),
            *_ENGLISH,
        ),
    ),
    Whisper(
        name="base",
        revision="ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
        files=(
            ("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a", 2_309),
            ("model.bin", "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9", 145_217_532),
            *_MANY,
        ),
    ),
    Whisper(
        name="small.en",
        revision="d1d751a5f8271d482d14ca55d9e2deeebbae577f",
        files=(
            ("config.json", "666a9605530ac1f61fa8177f3702b4dacec9966749e42610839fcc32661d5fae", 2_657),
            ("model.bin", "62b2a45b05ee59acb4a5341b33ee35e041395d378d418a18acfe4c9e768ee37a", 483_545_366),
            *_ENGLISH,
        ),
    ),
    Whisper(
        name="small",
        revision="536b0662742c02347bc0e980a01041f333bce120",
        files=(
            ("config.json", "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828", 2_370),
            ("model.bin", "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671", 483_546_902),
            *_MANY,
        ),
    ),
    Whisper(
        name="medium",
        revision="08e178d48790749d25932bbc082711ddcfdfbc4f",
        files=(
            ("config.json", "3622a2ddc41ec0e0fd4e68c13c6830f03b90c38d89aaad184de02c8c642cf807", 2_257),
            ("model.bin", "9b45e1009dcc4ab601eff815b61d80e60ce3fd8c74c1a14f4a282258286b51ae", 1_527_906_378),
            *_MANY,
        ),
    ),
    Whisper(
        name="large-v3",
        revision="edaa852ec7e145841d8ffdb056a99866b5f0a478",
        files=(
            ("config.json", "a9306624f5ec14270a014b647e5c316b6e03a662c369758d1b90697a7b0655b9", 2_394),
            ("model.bin", "69f74147e3334731bc3a76048724833325d2ec74642fb52620eda87352e3d4f1", 3_087_284_237),
            ("preprocessor_config.json", "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711", 340),
            ("tokenizer.json", "6d8cbd7cd0d8d5815e478dac67b85a26bbe77c1f5e0c6d76d1ce2abc0e5f21ca", 2_480_617),
            ("vocabulary.json", "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1", 1_068_114),
        ),
    ),
)
WHISPER = {one.name: one for one in _EVERY}
