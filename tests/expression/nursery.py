"""The nursery of the durability tests, with this API imported as well: `python -m tests.expression.nursery`."""

from __future__ import annotations

import sys

import av
import av.codec.context
import av.filter
import av.video.codeccontext

import hume_runner.client.expression_v1
import hume_runner.client.upload
import hume_runner.media.archives
import hume_runner.media.audio
import hume_runner.media.cache
import hume_runner.media.cuts
import hume_runner.media.frames
import hume_runner.media.stills
import hume_runner.services.expression_v1  # noqa: F401
from tests.durability.nursery import serve

if __name__ == "__main__":
    av.logging.set_level(None)
    serve(sys.stdin, sys.stdout)  # type: ignore[arg-type]
