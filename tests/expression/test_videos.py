"""A video: its sound goes like any recording, its frames in order, and faces keep their numbers on the way."""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, VIDEO, Folder, measured_runs, metered
from tests.media_files import people, speech, write_video

FPS = 3
SECONDS = 4
FRAMES = FPS * SECONDS


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with sound, one picture a tick."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sound = speech([("speech", 1.5), ("pause", 0.7), ("speech", 1.2), ("pause", 0.6)])
    return write_video(path, seconds=SECONDS, fps=FPS, sound=sound, draw=people(1))


@pytest.fixture(scope="module")
def silent_films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_video(folder / f"{n}.mp4", seconds=SECONDS, fps=FPS, draw=people(n)) for n in (2, 3)]


def frame_answers(folder: Folder) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """(detail, answer) of every request with frames, in the order of the frames."""
    found = [
        (request["sources"][0]["detail"], answer)
        for request, answer in folder.raw()
        if "first_frame" in request["sources"][0].get("detail", {})
    ]
    return sorted(found, key=lambda pair: pair[0]["first_frame"])


def face_ids(folder: Folder) -> list[list[int | None]]:
    """The numbers of the faces in each frame, over all requests of one video."""
    return [
        [face["face_id"] for face in frame["faces"]]
        for _, answer in frame_answers(folder)
        for frame in answer["measurements"]
    ]


@pytest.mark.sweep
def test_a_video_gives_its_sound_and_its_frames(folder: Folder, emulator: Emulator, film: Path) -> None:
    folder.write({"files": [str(film)]}, batching={"max_sources": 5})
    assert folder.run().code == 0
    asked = emulator.requests()["by_route"]
    assert (asked[AUDIO], asked[VIDEO]) == (1, 3)
    details = [detail for detail, _ in frame_answers(folder)]
    assert [detail["first_frame"] for detail in details] == [0, 5, 10]
    times = [ms for detail in details for ms in detail["times_ms"]]
    assert times == pytest.approx([round(1000 * n / FPS) for n in range(FRAMES)], abs=3)
    [sound] = [answer for _, answer in folder.raw() if "utterances" in answer]
    assert len(sound["utterances"]) == 2
    assert folder.summary()["bill"]["billable_seconds"] == pytest.approx(metered(measured_runs(emulator.url)), abs=0.1)


@pytest.mark.sweep
def test_faces_keep_their_numbers_as_if_all_frames_had_gone_at_once(folder: Folder, silent_films: list[Path]) -> None:
    film = str(silent_films[0])
    folder.write({"files": [film]}, batching={"max_sources": 2})
    assert folder.run().code == 0
    at_once = Folder(path=folder.path / "whole", url=folder.url, key=folder.key).write({"files": [film]})
    assert at_once.run().code == 0
    assert len(frame_answers(folder)) == FRAMES / 2
    assert len(frame_answers(at_once)) == 1
    assert face_ids(folder) == face_ids(at_once)
    assert len({number for frame in face_ids(folder) for number in frame}) > 2


@pytest.mark.sweep
def test_without_tracking_every_request_counts_anew_and_none_waits(folder: Folder, silent_films: list[Path]) -> None:
    video = {"video": {"track_faces": False}}
    folder.write({"files": [str(silent_films[0])]}, batching={"max_sources": 2}, models=video)
    assert folder.run().code == 0
    assert all("face_state" not in answer for _, answer in frame_answers(folder))
    assert folder.ask("SELECT count(*) FROM jobs WHERE after IS NOT NULL") == [(0,)]
    for _, answer in frame_answers(folder):
        numbers = [face["face_id"] for frame in answer["measurements"] for face in frame["faces"]]
        assert numbers[:1] in ([], [0])


def test_requests_of_one_video_follow_each_other_and_videos_go_in_parallel(
    tmp_path: Path, silent_films: list[Path]
) -> None:
    with Emulator(processing_time_s=0.25) as emulator:
        folder = Folder(path=tmp_path / "case", url=emulator.url, key=emulator.api_key)
        folder.write({"files": [str(film) for film in silent_films]}, batching={"max_sources": 4})
        assert folder.run().code == 0
        when = {run["run_id"]: (run["started_at"], run["ended_at"]) for run in measured_runs(emulator.url)}
    spans: dict[str, list[tuple[str, str]]] = {}
    for request, answer in folder.raw():
        spans.setdefault(request["sources"][0]["ids"][0], []).append(when[answer["run_id"]])
    first, second = (sorted(found) for found in spans.values())
    for one in (first, second):
        assert len(one) == 3
        assert all(before[1] <= after[0] for before, after in pairwise(one))
    assert any(a[0] < b[1] and b[0] < a[1] for a in first for b in second)


def broken_off(folder: Folder, film: Path) -> None:
    """A run that ended after the first of three requests of a video, at its cap."""
    folder.write({"files": [str(film)]}, batching={"max_sources": 4}, execution={"max_billable_seconds": 10})
    assert folder.run().code == 8
    assert folder.jobs() == {"done": 1, "planned": 2}


@pytest.mark.sweep
def test_a_run_that_is_resumed_goes_on_with_the_faces_that_it_knew(folder: Folder, silent_films: list[Path]) -> None:
    broken_off(folder, silent_films[1])
    assert folder.run("--max-billable-seconds", "30").code == 0
    whole = Folder(path=folder.path / "whole", url=folder.url, key=folder.key).write({"files": [str(silent_films[1])]})
    assert whole.run().code == 0
    assert face_ids(folder) == face_ids(whole)


@pytest.mark.sweep
def test_a_face_state_of_yesterday_is_not_sent(folder: Folder, silent_films: list[Path]) -> None:
    broken_off(folder, silent_films[1])
    folder.forget_seal()
    with sqlite3.connect(folder.state) as db:
        db.execute("UPDATE jobs SET finished_at = finished_at - 25 * 3600 WHERE status = 'done'")
    db.close()
    assert folder.run("--max-billable-seconds", "30").code == 0
    first, second, third = (answer for _, answer in frame_answers(folder))
    # The second request begins anew; the third goes on with what the second knew.
    assert second["measurements"][0]["faces"][0]["face_id"] == 0
    whole = Folder(path=folder.path / "whole", url=folder.url, key=folder.key)
    whole.write({"files": [str(silent_films[1])]})
    assert whole.run().code == 0
    expected = face_ids(whole)
    assert [[f["face_id"] for f in frame["faces"]] for frame in first["measurements"]] == expected[:4]
    later = [[f["face_id"] for f in frame["faces"]] for one in (second, third) for frame in one["measurements"]]
    assert later != expected[4:]


@pytest.mark.sweep
def test_the_face_state_is_in_no_file_that_people_read(folder: Folder, silent_films: list[Path]) -> None:
    folder.write({"files": [str(silent_films[0])]}, batching={"max_sources": 4})
    assert folder.run().code == 0
    states = [answer["face_state"] for _, answer in frame_answers(folder)]
    assert len(set(states)) == 3
    for name in ("results.jsonl", "run.json"):
        assert not any(state in (folder.outputs / name).read_text() for state in states)
    assert not any(state in str(request) for request, _ in folder.raw() for state in states)


@pytest.mark.sweep
def test_what_follows_a_failed_request_of_a_video_fails_with_it_and_is_not_sent(
    folder: Folder, emulator: Emulator, silent_films: list[Path]
) -> None:
    error = {"type": "error", "code": "image_decode_failed", "message": "not these", "request_id": "0" * 32}
    emulator.inject([{"route": VIDEO, "nth": [2], "action": {"status": 400, "body": error}}])
    folder.write({"files": [str(silent_films[0])]}, batching={"max_sources": 4})
    assert folder.run().code == 3
    assert emulator.requests()["by_route"][VIDEO] == 2
    [line] = folder.results().values()
    assert "not these" in line["error"]
    emulator.inject([])
    assert folder.run("--retry-failed").code == 0
    assert len(measured_runs(emulator.url)) == 3
    whole = Folder(path=folder.path / "whole", url=folder.url, key=folder.key).write({"files": [str(silent_films[0])]})
    assert whole.run().code == 0
    assert face_ids(folder) == face_ids(whole)
