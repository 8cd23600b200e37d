"""Where names of the `hume` package went that are not found under `hume_runner`, for whoever imports them by habit."""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # as `hume_runner` has it
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_STREAM = "the streaming API is not covered"
_LATER = (
    "the client of hume 0.7 and later has no counterpart: HumeBatchClient does the batch API's part, "
    "and `hume_runner.run` a whole manifest"
)
_HERE = "its names are in hume_runner itself: from hume_runner import "
_PAGE = "docs/migrating-from-hume-sdk.md has the table"

MOVED = {
    "models": _HERE + "FaceConfig, ModelType, …",
    "error": _HERE + "HumeClientException",
    "StreamSocket": _STREAM,
    "HumeStreamClient": _STREAM,
    "HumeVoiceClient": _STREAM,
    "VoiceConfig": _STREAM,
    "MicrophoneInterface": _STREAM,
    "HumeClient": _LATER,
    "AsyncHumeClient": _LATER,
    "expression_measurement": _LATER,
}


class Signpost:
    """The last finder to be asked: says where an old name went instead of that there is no such module.

    `from hume_runner import NAME` asks for a module when there is no such name, so this serves names as well.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, rest = name.partition(".")
        if package != "hume_runner" or rest not in MOVED:
            return None
        raise ImportError(f"hume_runner has no {rest} to import: {MOVED[rest]} ({_PAGE})", name=name)


def put_up() -> None:
    """Ask the signpost from now on, after everybody who finds modules."""
    if Signpost not in sys.meta_path:
        sys.meta_path.append(Signpost)
