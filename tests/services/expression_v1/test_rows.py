"""Answers of expression-v1 as rows, against a second, plain reading and against the stitching of whole answers."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.errors import ResultsError
from hume_runner.media.cuts import Part
from hume_runner.services.expression_v1.rows import reader
from hume_runner.services.table_shapes import Piece
from tests.services.expression_v1.stitching import PartAnswer, stitch
from tests.tiers import examples

RATE = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A member of a job, as the results know it."""

    kind: str = "file"
    position: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()

    @property
    def match(self) -> str:
        return str(self.position)


def window(number: int, utterance: int, begin: int, end: int, **more: Any) -> dict[str, Any]:
    scores = [{"name": "joy", "probability": 0.4931}, {"name": "feeling uplifted", "probability": 0.25}]
    return {
        "measurement_id": number, "utterance_id": utterance, "audio_start_ms": begin, "audio_end_ms": end,
        "trigger": "interval", "expressions": scores[: 1 + number % 2],
        "voice_attributes": [{"name": "husky", "probability": 0.75}][: number % 2], **more,
    }  # fmt: skip


def spoken(spans: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """An answer to a recording with speech in these spans (ms), two windows each."""
    utterances = [{"utterance_id": n, "audio_start_ms": a, "audio_end_ms": b} for n, (a, b) in enumerate(spans)]
    windows = [window(2 * n + half, n, a, [(a + b) // 2, b][half]) for n, (a, b) in enumerate(spans) for half in (0, 1)]
    return {"request_id": "q", "run_id": "r", "received": {}, "utterances": utterances, "measurements": windows}


def rows(path: Path, shares: Sequence[Carried], read: Any = None) -> list[dict[str, Any]]:
    """Every row as a plain record, with its entry's place and the number of its row."""
    found = []
    for entry in (read or reader())(path, shares):
        number = entry.first_row
        for block in entry.blocks():
            for row in range(block.rows):
                record = {name: cells[row] for name, cells in block.columns.items()}
                for name, ragged in block.ragged.items():
                    record[name] = None if row in ragged.unmeasured else dict(ragged.row(row))
                extra = block.extra[row]
                found.append(record | {"at": entry.match, "row": number, "extra": extra and json.loads(extra)})
                number += 1
    return found


def written(folder: Path, name: str, answer: Any) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(answer))
    return path


# -- recordings --------------------------------------------------------------------------------------------------------


@st.composite
def recordings(draw: st.DrawFn) -> list[tuple[int, list[tuple[int, int]]]]:
    """Parts as (length in ms, speech in it); speech often touches the ends."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1_000, 5_000))
        edges = st.one_of(st.integers(0, length), st.integers(0, 90), st.integers(length - 90, length))
        marks = sorted(draw(st.lists(edges, min_size=0, max_size=6, unique=True)))
        parts.append((length, list(zip(marks[::2], marks[1::2], strict=False))))
    return parts


def placed(parts: Sequence[tuple[int, Any]]) -> list[dict[str, int]]:
    first, details = 0, []
    for number, (length, _) in enumerate(parts):
        samples = length * RATE // 1000
        details.append({"part": number, "parts": len(parts), "first": first, "samples": samples, "start_ms": 40})
        first += samples
    return details


@settings(max_examples=examples(150), deadline=None)
@given(recordings(), st.randoms(use_true_random=False))
def test_parts_read_in_any_order_are_the_stitched_recording(
    parts: list[tuple[int, list[tuple[int, int]]]], chance: Any
) -> None:
    with tempfile.TemporaryDirectory() as name:
        details = placed(parts)
        answers = [spoken(spans) for _, spans in parts]
        paths = [written(Path(name), str(n), answer) for n, answer in enumerate(answers)]
        pieces = tuple(Piece(path=path, detail=detail) for path, detail in zip(paths, details, strict=True))
        order = list(range(len(parts)))
        chance.shuffle(order)
        read = reader()
        found = [row for n in order for row in rows(paths[n], [Carried(detail=details[n], pieces=pieces)], read)]
    found.sort(key=lambda row: row["row"])
    whole = stitch(
        [
            PartAnswer(part=Part(index=d["part"], first_sample=d["first"], samples=d["samples"]), answer=answer)
            for d, answer in zip(details, answers, strict=True)
        ]
    )
    said = {one["utterance_id"]: one for one in whole.utterances}
    assert [row["row"] for row in found] == list(range(len(whole.measurements)))
    for row, one in zip(found, whole.measurements, strict=True):
        utterance = said[one["utterance_id"]]
        assert (row["measurement_id"], row["utterance_id"]) == (one["measurement_id"], one["utterance_id"])
        assert row["begin_s"] == (one["audio_start_ms"] + 40) / 1000
        assert row["end_s"] == (one["audio_end_ms"] + 40) / 1000
        assert row["utterance_begin_s"] == (utterance["audio_start_ms"] + 40) / 1000
        assert row["utterance_end_s"] == (utterance["audio_end_ms"] + 40) / 1000
        assert row["cut_in_speech"] is utterance["cut_in_speech"]
        for column in ("expressions", "voice_attributes"):
            assert row[column] == {score["name"]: score["probability"] for score in one[column]}


def test_while_a_part_is_missing_the_others_are_told_and_the_cut_is_not_known(tmp_path: Path) -> None:
    details = placed([(1000, None)] * 3)
    first, last = (written(tmp_path, name, spoken([(0, 300), (700, 1000)])) for name in ("a", "c"))
    pieces = (Piece(path=first, detail=details[0]), Piece(path=last, detail=details[2]))

    a = rows(first, [Carried(detail=details[0], pieces=pieces)])
    c = rows(last, [Carried(detail=details[2], pieces=pieces)])

    assert [row["cut_in_speech"] for row in a] == [False, False, None, None]
    assert [row["cut_in_speech"] for row in c] == [None, None, False, False]
    assert [row["utterance_id"] for row in (*a, *c)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [row["row"] for row in c] == [4, 5, 6, 7]
    assert c[0]["begin_s"] == 2.04


def test_an_utterance_without_a_measurement_has_a_row_without_scores(tmp_path: Path) -> None:
    answer = spoken([(0, 300), (500, 900)])
    answer["measurements"] = answer["measurements"][:2]

    *_, last = rows(written(tmp_path, "a", answer), [Carried(detail=placed([(1000, None)])[0])])

    assert (last["utterance_id"], last["utterance_begin_s"], last["measurement_id"]) == (1, 0.54, None)
    assert (last["expressions"], last["row"]) == (None, 2)


def test_what_no_column_holds_goes_to_extra(tmp_path: Path) -> None:
    odd = [
        {"name": "joy", "probability": 0.5, "calibrated": True},
        {"name": "awe", "probability": 0.4},
        {"name": "joy", "probability": 0.3},
    ]
    answer = spoken([(0, 300)]) | {"later": 1}
    answer["utterances"][0]["speaker"] = "A"
    answer["measurements"] = [window(0, 0, 0, 300, expressions=odd, language="en")]

    (row,) = rows(written(tmp_path, "a", answer), [Carried(detail=placed([(1000, None)])[0])])

    assert row["expressions"] == {"joy": 0.5, "awe": 0.4}
    assert row["extra"] == {
        "language": "en",
        "utterance": {"speaker": "A"},
        "expressions": [{"name": "joy", "probability": 0.3}, odd[0]],
    }


def test_clips_that_were_joined_are_taken_apart_by_time(tmp_path: Path) -> None:
    starts = (0, 25, 0)
    clips = [
        {"clip": True, "samples": 2 * RATE, "start_ms": start, "first": n * 3 * RATE} for n, start in enumerate(starts)
    ]
    answer = spoken([(100, 900), (1100, 1900), (3200, 4000), (6500, 7000)])
    shares = [Carried(position=n, detail=detail) for n, detail in enumerate(clips)]

    found = rows(written(tmp_path, "a", answer), shares)

    told = [(row["at"], row["utterance_id"], row["measurement_id"], row["utterance_begin_s"]) for row in found]
    assert told == [
        ("0", 0, 0, 0.1), ("0", 0, 1, 0.1), ("0", 1, 2, 1.1), ("0", 1, 3, 1.1),
        ("1", 0, 0, 0.225), ("1", 0, 1, 0.225), ("2", 0, 0, 0.5), ("2", 0, 1, 0.5),
    ]  # fmt: skip
    assert not any(row["cut_in_speech"] for row in found)
    # The second left the manifest since: what was said in it is nobody's.
    assert [row["at"] for row in rows(tmp_path / "a.json", [shares[0], shares[2]])] == ["0"] * 4 + ["2"] * 2


def test_speech_that_runs_over_the_silence_between_clips_is_flagged(tmp_path: Path) -> None:
    clips = [{"clip": True, "samples": RATE, "start_ms": 0, "first": n * 2 * RATE} for n in (0, 1)]
    path = written(tmp_path, "a", spoken([(200, 2600)]))

    found = rows(path, [Carried(position=n, detail=detail) for n, detail in enumerate(clips)])

    assert [(row["at"], row["cut_in_speech"]) for row in found] == [("0", True), ("0", True)]


# -- faces -------------------------------------------------------------------------------------------------------------


def face(number: int | None, left: float = 10.5, **more: Any) -> dict[str, Any]:
    if number is None:
        return {"face_id": None, "bbox": [left, 1, 90, 95.25], "confidence": 0.93} | more
    scores = [{"name": "surprise (positive)", "probability": 0.1234}]
    return {
        "face_id": number, "bbox": [left, 1, 90, 95.25], "confidence": 0.99, "expressions": scores,
        "descriptions": [], **more,
    }  # fmt: skip


def seen(*images: Sequence[dict[str, Any]]) -> dict[str, Any]:
    frames = [{"frame_id": n, "faces": list(faces)} for n, faces in enumerate(images)]
    return {"request_id": "q", "run_id": "r", "received": {"frames": len(frames)}, "measurements": frames}


def chain(folder: Path, answers: Sequence[Any], continues: Sequence[bool]) -> list[dict[str, Any]]:
    """The rows of one video whose requests had these answers, two frames each."""
    details = [{"first_frame": 2 * n, "times_ms": [667 * n, 667 * n + 333]} for n in range(len(answers))]
    paths = [written(folder, str(n), answer) for n, answer in enumerate(answers)]
    pieces = tuple(
        Piece(path=path, detail={"first_frame": detail["first_frame"]}, continues=goes_on)
        for path, detail, goes_on in zip(paths, details, continues, strict=True)
    )
    read = reader()
    return [
        row
        for path, detail in zip(paths, details, strict=True)
        for row in rows(path, [Carried(detail=detail, pieces=pieces)], read)
    ]


def test_faces_keep_their_names_over_the_requests_of_a_video(tmp_path: Path) -> None:
    answers = [seen([face(0), face(1)], []), seen([face(1), face(None)], [face(2)])]

    found = chain(tmp_path, answers, [False, True])

    assert [row["group_id"] for row in found] == ["face_0", "face_1", "face_1", "unknown", "face_2"]
    assert [(row["frame"], row["time_s"]) for row in found] == [(0, 0.0), (0, 0.0), (2, 0.667), (2, 0.667), (3, 1.0)]
    assert [row["row"] for row in found] == [0, 1, 2, 3, 4]
    assert {row["epoch"] for row in found} == {0}
    assert found[0]["expressions"] == {"surprise (positive)": 0.1234}
    assert (found[0]["descriptions"], found[0]["measured"]) == ({}, True)
    assert (found[3]["expressions"], found[3]["measured"], found[3]["face_id"]) == (None, False, None)
    box = {name: found[0][f"box_{name}"] for name in ("x", "y", "right", "bottom", "w", "h")}
    assert box == {"x": 10.5, "y": 1, "right": 90, "bottom": 95.25, "w": 79.5, "h": 94.25}


def test_where_numbering_began_anew_two_faces_never_pass_for_one(tmp_path: Path) -> None:
    answers = [seen([face(0), face(1)], []), seen([face(0)], [face(3)]), seen([face(1)], []), seen([face(0)], [])]

    found = chain(tmp_path, answers, [False, False, True, False])

    assert [row["group_id"] for row in found] == ["face_0", "face_1", "face_2", "face_5", "face_3", "face_6"]
    assert [row["epoch"] for row in found] == [0, 0, 1, 1, 1, 2]
    assert [row["face_id"] for row in found] == [0, 1, 0, 3, 1, 0]


def test_faces_do_not_leak_between_pictures_that_travelled_together(tmp_path: Path) -> None:
    path = written(tmp_path, "a", seen([face(0)], [face(1), face(0), face(None)], [], [face(1)]))
    shares = [Carried(position=n, detail={"still": True, "bytes": 1}) for n in (0, 1, 2, 3)]

    found = rows(path, shares)

    assert [(row["at"], row["group_id"]) for row in found] == [
        ("0", "face_0"), ("1", "face_0"), ("1", "face_1"), ("1", "unknown"), ("3", "face_0"),
    ]  # fmt: skip
    assert {(row["face_id"], row["frame"], row["time_s"], row["epoch"]) for row in found} == {(None, 0, None, 0)}
    assert [row["row"] for row in found] == [0, 0, 1, 2, 0]
    # One that left the manifest does not move the others.
    assert [row["at"] for row in rows(path, [shares[0], shares[3]])] == ["0", "3"]


def test_unknown_members_of_a_picture_and_a_face_are_kept(tmp_path: Path) -> None:
    answer = seen([face(0, gaze=[0.5, 0.25])])
    answer["measurements"][0]["blur"] = 0.5

    (row,) = rows(written(tmp_path, "a", answer), [Carried(detail={"still": True})])

    assert row["extra"] == {"gaze": [0.5, 0.25], "frame": {"blur": 0.5}}


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        ({"measurements": []}, {"still": True}),
        ({"measurements": [{"frame_id": 1, "faces": [face(0)]}]}, {"first_frame": 0, "times_ms": [0]}),
        ({"measurements": "none"}, {"still": True}),
        ({"utterances": [], "measurements": [{}]}, {"part": 0, "parts": 1, "first": 0, "samples": 16}),
        ([], {"part": 0, "parts": 1, "first": 0, "samples": 16}),
    ],
)
def test_an_answer_that_cannot_be_read_is_named(answer: Any, detail: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, "odd", answer)

    with pytest.raises(ResultsError, match=r"odd\.json: not an answer that can be read"):
        rows(path, [Carried(detail=detail)])


@pytest.mark.parametrize("rest", ["{}", "\n[]", " notes"])
def test_an_answer_that_goes_on_is_not_read_in_part(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "response.json"
    path.write_text(json.dumps(spoken([(0, 1000)])) + rest)

    with pytest.raises(ResultsError, match=r"response\.json: not an answer that can be read: .*trailing"):
        rows(path, [Carried()])
