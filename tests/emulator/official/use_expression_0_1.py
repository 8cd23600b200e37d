"""Run by the interpreter of an environment that holds the official package: URL, KEY, FOLDER."""

import asyncio
import datetime
import json
import sys
from pathlib import Path

from hume_expression_measurement import (
    AsyncExpressionMeasurementClient,
    AudioFileConfig,
    BadRequestError,
    ExpressionMeasurementClient,
    ExpressionMeasurementClientEnvironment,
    NotFoundError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    VideoFileConfig,
    VideoFileConfigFace,
)

url, key, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
environment = ExpressionMeasurementClientEnvironment(base=url, production=url.replace("http", "ws"))
client = ExpressionMeasurementClient(environment=environment, api_key=key)
began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=5)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error.body.model_dump()
    raise AssertionError(f"not refused with {kind.__name__}")


with (folder / "speech.wav").open("rb") as file:
    speech = client.audio.measure(file=file)
plain = client.audio.measure(
    file=(folder / "speech.wav").read_bytes(), config=AudioFileConfig(measurement_timer_ms=10000)
)
raw = client.audio.measure(file=("x.pcm", b"\0\0" * 16000, "application/octet-stream"), config=AudioFileConfig())


async def measure_images():
    other = AsyncExpressionMeasurementClient(environment=environment, api_key=key)
    state, answers = None, []
    for order in (1, -1):
        face = VideoFileConfigFace(return_face_state=True, threshold=0.5, min_size=10)
        config = VideoFileConfig(face=face, face_state=state) if state else VideoFileConfig(face=face)
        pictures = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))[::order]]
        answers.append(await other.video.measure(file=pictures, config=config))
        state = answers[-1].face_state
    return answers


first, second = asyncio.run(measure_images())
page = client.runs.list(page_size=2, mode="file", started_after=began)
pages = [page]
while pages[-1].next_cursor:
    pages.append(client.runs.list(page_size=2, mode="file", started_after=began, cursor=pages[-1].next_cursor))
video_run = client.runs.get(first.run_id)

print(
    json.dumps(
        {
            "speech": speech.model_dump(),
            "timer_10s": [one.trigger for one in plain.measurements],
            "silence": [raw.received.audio_duration_ms, len(raw.utterances)],
            "answered": [one.run_id for one in (speech, plain, raw, first, second)],
            "listed": [run.run_id for page in pages for run in page.runs],
            "page_sizes": [len(page.runs) for page in pages],
            "video_run": [
                video_run.status,
                video_run.endpoint,
                video_run.metered_seconds,
                video_run.config.face.min_size,
            ],
            "audio_run": client.runs.get(speech.run_id).config.measurement_timer_ms,
            "events": client.runs.list_events(speech.run_id).events,
            "face_ids": [
                [[face.face_id for face in one.faces] for one in answer.measurements] for answer in (first, second)
            ],
            "boxes": [face.bbox for one in first.measurements for face in one.faces],
            "frames": first.received.frames,
            "refused": {
                "config": refused(
                    BadRequestError, lambda: client.audio.measure(file=b"", config=AudioFileConfig(timer=1))
                ),
                "png": refused(UnsupportedMediaTypeError, lambda: client.video.measure(file=[b"\x89PNG\r\n\x1a\n"])),
                "run": refused(NotFoundError, lambda: client.runs.get("none")),
                "key": refused(
                    UnauthorizedError,
                    ExpressionMeasurementClient(environment=environment, api_key="wrong").runs.list,
                ),
            },
        }
    )
)
