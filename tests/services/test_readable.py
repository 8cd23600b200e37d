"""One source of an answer that cannot be read fails alone: at fetching, and in the tables."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hume_runner.emulator.server import Emulator
from hume_runner.errors import ResultsError, UnexpectedResponse
from hume_runner.manifest.model import SourceKind
from hume_runner.results.base import AnswerMember
from hume_runner.results.read import LooseResults
from hume_runner.results.tables import write_tables
from hume_runner.services.batch_v0.answers import read_outcomes
from hume_runner.services.batch_v0.rows import read_entries
from hume_runner.services.expression_v1 import rows as rows_expression_v1
from hume_runner.services.expression_v1.readable import check_audio, check_images
from hume_runner.services.jobs import ALL_THERE_IS, Job, Leniency, Member, PlanItem
from tests.cli.project import Project
from tests.results.sample_answers import face_rows, file_element, model
from tests.tiers import examples, sampled

_GOOD = json.dumps(file_element("good.jpg", {"face": model({"unknown": face_rows(2)})}))
_BAD = json.dumps(file_element("bad.jpg", {"face": model({"unknown": face_rows(2)})}))

ODD = {
    "too large a number": _BAD.replace('"prob": ', '"prob": 1e999, "other": '),
    "too small a number": _BAD.replace('"prob": ', '"prob": -1e400, "other": '),
    "an endless integer": _BAD.replace('"frame": ', '"frame": ' + "9" * 10_000 + ', "other": '),
    "a model that is a list": _BAD.replace('"models": {"face": ', '"models": {"face": [], "other": '),
    "models that are text": _BAD.replace('"models": ', '"models": "x", "other": '),
    "predictions that are an object": '{"source": {"type": "file", "filename": "bad.jpg"}, '
    '"results": {"predictions": {}}}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_one_odd_source_leaves_the_others_their_rows(odd: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(f"[{odd}, {_GOOD}]")
    write_tables(LooseResults([path], tmp_path), tmp_path / "t", format="jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t" / "face.jsonl").read_text().splitlines()]
    assert [row["item_id"] for row in rows].count("good.jpg") == 2
    (error,) = [json.loads(line) for line in (tmp_path / "t" / "errors.jsonl").read_text().splitlines()]
    assert error["item_id"] == "bad.jpg"
    assert "cannot be read" in error["message"]


@pytest.mark.parametrize("nobody", ['{"source": null}', '{"results": {}}', "5", "[]"])
def test_an_element_that_is_nobodys_takes_nothing_from_the_others(nobody: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(f"[{nobody}, {_GOOD}]")
    write_tables(LooseResults([path], tmp_path), tmp_path / "t", format="jsonl")
    assert len((tmp_path / "t" / "face.jsonl").read_text().splitlines()) == 2


@pytest.mark.sweep
def test_an_item_with_an_unreadable_answer_fails_alone_in_a_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    urls = ["https://example.org/good.jpg", "https://example.org/bad.jpg"]
    project.manifest["sources"] = {"urls": urls}
    project.manifest["models"] = {"face": {}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}
    good, bad = json.loads(_GOOD), json.loads(_BAD)
    good["source"], bad["source"] = ({"type": "url", "url": url} for url in urls)
    bad["results"]["predictions"][0]["models"]["face"] = []
    body = [bad, good]
    route = "GET /v0/batch/jobs/{id}/predictions"
    project.emulator.inject([{"route": route, "action": {"status": 200, "body": body}}])
    ran = project.run()
    assert ran.code == 3, ran.err
    found = {Path(line["source"]).name: line for line in project.results()}
    assert found["good.jpg"]["status"] == "done"
    assert (found["bad.jpg"]["status"], "cannot be read" in found["bad.jpg"]["error"]) == ("failed", True)
    assert len((project.out / "tables" / "face.jsonl").read_text().splitlines()) == 2
    (error,) = [json.loads(line) for line in (project.out / "tables" / "errors.jsonl").read_text().splitlines()]
    assert error["item_id"] == found["bad.jpg"]["id"]
    assert project.call("verify").code == 0


# -- the check at fetching, against the reader -------------------------------------------------------------------------

_NESTED = "[" * 100_000 + "]" * 100_000
SPOILT = {
    "NaN": '"prob": NaN',
    "Infinity": '"prob": -Infinity',
    "too large": '"prob": 1e999',
    "endless": '"frame": ' + "9" * 10_000,
    "nested": '"prob": ' + _NESTED,
    "not UTF-8": '"prob": "\udcff\udcfe"',
    "twice": '"prob": 1, "prob": 2',
    "no colon": '"prob" 1',
    "a word": '"prob": nothing',
    "a control character": '"prob": "\x01"',
}


def _write(path: Path, *elements: str) -> Path:
    path.write_bytes(("[" + ", ".join(elements) + "]").encode("utf-8", "surrogateescape"))
    return path


def _job(*names: tuple[SourceKind, str]) -> Job:
    # A text has no value here, as one that is not listed any more: the answers are about any words.
    members = [
        Member(
            item=PlanItem(
                key=b"",
                id="" if kind == "text" else name,
                kind=kind,
                value=name,
                path=None,
                size_bytes=1,
                content_sha256="",
            ),
            position=position,
        )
        for position, (kind, name) in enumerate(names)
    ]
    matches = {position: name for position, (_, name) in enumerate(names)}
    return Job(number=1, key="", nonce="0123456789", members=tuple(members), size_bytes=1, matches=matches)


def _rows(path: Path) -> dict[tuple[str, str], list[Any]]:
    """What the tables get of each source; what the reader refuses of one is an error under it."""
    found: dict[tuple[str, str], list[Any]] = {}
    for entry in read_entries(path):
        mine = found.setdefault((entry.kind, entry.match), [])
        mine += [error.message[:30] for error in entry.errors]
        try:
            for block in entry.blocks():
                grids = {name: (grid.values.tolist(), dict(grid.absent)) for name, grid in block.grids.items()}
                mine.append(repr((block.columns, block.extra, grids)))
        except ResultsError as error:
            mine.append(error)
    return found


@sampled(3)
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT)
def test_what_no_reader_takes_fails_alone_at_fetching_and_its_neighbours_have_their_rows(
    spoilt: str, large: bool, tmp_path: Path
) -> None:
    bad = _BAD.replace('"prob": ', spoilt + ', "other": ', 1)
    if large:
        bad = bad.replace('"predictions": [{"frame"', '"filler": "' + "x" * 2_000_000 + '", "predictions": [{"frame"')
    path = _write(tmp_path / "predictions.json", bad, _GOOD)
    outcomes = read_outcomes(_job(("file", "bad.jpg"), ("file", "good.jpg")), path, {}, Leniency(unreadable=True))
    assert [one.ok for one in outcomes] == [False, True]
    assert outcomes[0].reason == "unexpected_answer"
    assert (outcomes[0].message or "").startswith("the answer about this source cannot be read: ")
    alone = _rows(_write(tmp_path / "alone.json", _GOOD))
    assert _rows(path)["file", "good.jpg"] == alone["file", "good.jpg"]


def test_half_a_character_is_replaced_and_spoils_nothing(tmp_path: Path) -> None:
    element = '{"source": {"type": "file", "filename": "a"}, "results": null, "error": "odd \\ud800 word"}'
    (outcome,) = read_outcomes(
        _job(("file", "a")), _write(tmp_path / "predictions.json", element), {}, Leniency(unreadable=True)
    )
    assert (outcome.ok, outcome.message) == (False, "odd \ufffd word")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, list[str]]:
    """A job of the emulator and the elements of its answer."""
    with Emulator(processing_time_s=0.01) as emulator:
        project = Project(tmp_path_factory.mktemp("real") / "project", emulator)
        assert project.run().code == 0
        (folder,) = (project.out / "raw").iterdir()
        sources = json.loads((folder / "request.json").read_bytes())["sources"]
        elements = json.loads((folder / "predictions.json").read_bytes())
    urls = ["https://example.org/one.mp4"]
    names = [(one["kind"], one.get("match") or urls.pop()) for one in sources]
    return _job(*names), [json.dumps(element) for element in elements]


_VALUE = re.compile(r'(?<=[:,\[ ])(?:"(?:[^"\\]|\\.)*"|-?\d[\d.e+-]*|null|true|false|\{\}|\[\])(?=\s*[,\]}])')
_ODD_VALUES = (
    *("NaN", "-Infinity", "1e999", "-1e400", "7" * 10_000, "9" * 30, "null", "true", '""', "{}", "[]", "[[]]", "01"),
    *('"\udcff"', '"\\ud800"', '"\x00"', '{"a": 1, "a": 2}', "nothing", "-", '{"a" 1}', "[" * 3_000 + "]" * 3_000, "0"),
)


@pytest.mark.sweep
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_answer_costs_its_own_source_at_most(
    real: tuple[Job, list[str]], tmp_path: Path, data: st.DataObject
) -> None:
    job, elements = real
    place = data.draw(st.integers(0, len(elements) - 1))
    element = elements[place]
    values = list(_VALUE.finditer(element))
    for _ in range(data.draw(st.integers(1, 2))):
        value = data.draw(st.sampled_from(values))
        element = element[: value.start()] + data.draw(st.sampled_from(_ODD_VALUES)) + element[value.end() :]
        values = [one for one in values if one.end() < value.start()] or values[:1]
        if values[0].start() >= value.start():
            break
    mutated = [*elements[:place], element, *elements[place + 1 :]]
    before = _rows(_write(tmp_path / "before.json", *elements))
    mine = set(_rows(_write(tmp_path / "mine.json", elements[place])))
    path = _write(tmp_path / "after.json", *mutated)
    outcomes = read_outcomes(job, path, {}, ALL_THERE_IS)
    try:
        after = _rows(path)
    except ResultsError as error:
        raise AssertionError("one source took the whole answer") from error
    for outcome in outcomes:
        key = (job.members[outcome.position].item.kind, job.matches[outcome.position])
        if key not in mine:
            assert outcome.ok, outcome
            assert after[key] == before[key]
        elif outcome.ok:
            assert not [one for one in after[key] if isinstance(one, Exception)], (key, after[key])
        else:
            assert outcome.reason


@pytest.mark.sweep
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_answer_with_damaged_bytes_is_read_or_refused_and_never_breaks_the_reader(
    real: tuple[Job, list[str]], tmp_path: Path, data: st.DataObject
) -> None:
    job, elements = real
    body = bytearray(("[" + ",".join(elements) + "]").encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    path = tmp_path / "damaged.json"
    path.write_bytes(body)
    try:
        outcomes = read_outcomes(job, path, {}, ALL_THERE_IS)
    except UnexpectedResponse:
        outcomes = ()
    try:
        after = _rows(path)
    except ResultsError:
        after = None
    for outcome in outcomes:
        if outcome.ok and after is not None:
            key = (job.members[outcome.position].item.kind, job.matches[outcome.position])
            assert not [one for one in after[key] if isinstance(one, Exception)], (key, after[key])


# -- expression-v1 -----------------------------------------------------------------------------------------------------


def _images(*faces: str) -> bytes:
    images = ", ".join(f'{{"frame_id": {number}, "faces": [{face}]}}' for number, face in enumerate(faces))
    body = f'{{"request_id": "r", "run_id": "u", "received": {{"frames": {len(faces)}}}, "measurements": [{images}]}}'
    return body.encode("utf-8", "surrogateescape")


_FACE = '{"bbox": [1, 2, 3, 4], "confidence": 0.5, "expressions": [{"name": "Joy", "probability": 0.25}]}'


@pytest.mark.parametrize(
    "odd",
    [
        _FACE.replace("0.25", "NaN"),
        _FACE.replace("0.25", "1e999"),
        _FACE.replace("0.5", "9" * 5_000),
        _FACE.replace("Joy", "\udcff"),
        _FACE.replace('"bbox"', '"confidence": 1, "bbox"'),
        _FACE.replace("[1, 2, 3, 4]", "[1]"),
        _NESTED,
        "5",
    ],
    ids=["NaN", "too large", "endless", "not UTF-8", "twice", "shape", "nested", "number"],
)
def test_one_odd_picture_fails_alone_and_the_reader_has_the_others(odd: str, tmp_path: Path) -> None:
    body = _images(_FACE, odd, _FACE)
    whole, single = check_images(body, 3)
    assert (whole, list(single)) == (None, [1])
    path = tmp_path / "response.json"
    path.write_bytes(body)
    shares = [
        AnswerMember(match=str(place), kind="file", items=(), position=place, detail={"still": True})
        for place in (0, 2)
    ]
    assert [sum(block.rows for block in entry.blocks()) for entry in rows_expression_v1.reader()(path, shares)] == [
        1,
        1,
    ]


@pytest.mark.parametrize("odd", ["NaN", "-1e400", "7" * 4_000, '"\udcff"', "[[]]", '1, "audio_start_ms": 2', "null"])
def test_an_odd_answer_about_speech_is_told_and_breaks_nothing(odd: str, tmp_path: Path) -> None:
    body = (
        '{"request_id": "r", "run_id": "u", "received": {"audio_duration_ms": 900}, "utterances": [{"utterance_id": 0, '
        f'"audio_start_ms": {odd}, "audio_end_ms": 900}}], "measurements": []}}'
    ).encode("utf-8", "surrogateescape")
    assert check_audio(body)
    assert check_audio(body.replace(odd.encode("utf-8", "surrogateescape"), b"0")) is None


WRONG_TYPES = {
    "a score that is text": ('"score": 0', '"score": "0.85", "was": 0'),
    "a score that is true": ('"score": 0', '"score": true, "was": 0'),
    "a score that is a list": ('"score": 0', '"score": [0.5], "was": 0'),
    "a score without end": ('"score": 0', f'"score": {"9" * 400}, "was": 0'),
    "a name that is a number": ('"name": "', '"name": 5, "was": "'),
    "scores that are an object": ('"emotions": [', '"emotions": {"Joy": 0.5}, "was": ['),
    "scores that are numbers": ('"emotions": [', '"emotions": [0.5], "was": ['),
    "a time that is text": ('"time": ', '"time": "1.5", "was": '),
    "a box that is a list": ('"box": {', '"box": [1, 2, 3, 4], "was": {'),
    "a corner that is text": ('"x": ', '"x": "12", "was": '),
    "a probability that is false": ('"prob": ', '"prob": false, "was": '),
    "a frame that is text": ('"frame": ', '"frame": "7", "was": '),
    "a row that is a number": ('"predictions": [{"frame"', '"predictions": [5, {"frame"'),
    "a row that is null": ('"predictions": [{"frame"', '"predictions": [null, {"frame"'),
}


@sampled(5)
@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize(("right", "wrong"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_value_of_another_type_than_its_column_fails_its_source_and_is_never_an_empty_cell(
    right: str, wrong: str, large: bool, tmp_path: Path
) -> None:
    bad = _BAD.replace(right, wrong, 1)
    assert bad != _BAD
    if large:
        bad = bad.replace('"predictions": [', '"filler": "' + "x" * 5_000_000 + '", "predictions": [', 1)
    path = _write(tmp_path / "predictions.json", bad, _GOOD)
    outcomes = read_outcomes(_job(("file", "bad.jpg"), ("file", "good.jpg")), path, {}, Leniency(unreadable=True))
    assert [(one.ok, one.reason) for one in outcomes] == [(False, "unexpected_answer"), (True, None)]
    rows = _rows(path)
    (told,) = rows["file", "bad.jpg"]
    assert isinstance(told, ResultsError)
    assert str(told) == outcomes[0].message
    assert rows["file", "good.jpg"] == _rows(_write(tmp_path / "alone.json", _GOOD))["file", "good.jpg"]


@pytest.mark.parametrize("metadata", ['{"confidence": "0.9"}', '{"detected_language": 5}', "[]", "5"])
def test_metadata_of_another_type_than_its_columns_fails_its_source(metadata: str, tmp_path: Path) -> None:
    content = model({"unknown": [{"text": "so", "emotions": []}]})
    element = json.dumps(file_element("bad.jpg", {"prosody": content | {"metadata": "HERE"}}))
    path = _write(tmp_path / "predictions.json", element.replace('"HERE"', metadata))
    (outcome,) = read_outcomes(_job(("file", "bad.jpg")), path, {}, Leniency(unreadable=True))
    assert (outcome.ok, outcome.reason) == (False, "unexpected_answer")
    (told,) = _rows(path)["file", "bad.jpg"]
    assert isinstance(told, ResultsError)


def test_a_score_that_is_null_or_has_no_name_is_no_score_and_spoils_nothing(tmp_path: Path) -> None:
    path = _write(tmp_path / "predictions.json", _BAD.replace('"score": 0', '"score": null, "was": 0'))
    (outcome,) = read_outcomes(_job(("file", "bad.jpg")), path, {})
    assert outcome.ok
    assert not [one for one in _rows(path)["file", "bad.jpg"] if isinstance(one, Exception)]


def test_an_item_whose_scores_are_text_fails_in_a_run_and_its_bytes_are_kept(project: Project) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}, {"text": "Bye.", "id": "bye"}]}
    project.manifest["models"] = {"language": {}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}

    def said(file: str, score: Any) -> dict[str, Any]:
        rows = [{"text": {"1": "Hello", "2": "Bye"}[file], "emotions": [{"name": "Joy", "score": score}]}]
        return {"file": file, "models": {"language": {"grouped_predictions": [{"id": "a", "predictions": rows}]}}}

    body = [{"source": {"type": "text"}, "results": {"predictions": [said("1", "0.85"), said("2", 0.5)]}}]
    route = "GET /v0/batch/jobs/{id}/predictions"
    project.emulator.inject([{"route": route, "action": {"status": 200, "body": body}}])
    assert project.run().code == 3
    found = {line["id"]: line for line in project.results()}
    assert {name: line["status"] for name, line in found.items()} == {"hello": "failed", "bye": "done"}
    assert "the score of 'Joy', which is text, not a number" in found["hello"]["error"]
    (kept,) = (project.out / "raw").glob("*/predictions.json")
    assert json.loads(kept.read_text()) == body
    (row,) = (project.out / "tables" / "language.jsonl").read_text().splitlines()
    assert json.loads(row)["item_id"] == "bye"


@pytest.mark.parametrize("wrong", ['"0.25"', "true", "null", "[0.25]"])
def test_a_probability_of_another_type_fails_its_picture_or_recording_at_fetching(wrong: str) -> None:
    whole, single = check_images(_images(_FACE, _FACE.replace("0.25", wrong), _FACE), 3)
    assert (whole, list(single)) == (None, [1])
    score = f'[{{"name": "Joy", "probability": {wrong}}}]'
    body = (
        '{"request_id": "r", "run_id": "u", "received": {"audio_duration_ms": 900}, "utterances": [], "measurements": '
        '[{"measurement_id": 0, "utterance_id": 0, "audio_start_ms": 0, "audio_end_ms": 9, "trigger": "interval", '
        f'"expressions": {score}, "voice_attributes": []}}]}}'
    )
    assert check_audio(body.encode())
    assert check_audio(body.replace(wrong, "0.25").encode()) is None
