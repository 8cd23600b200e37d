"""What the six models say: real structure and times, full name lists, groups and errors."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.emulator.batch_v0 import names
from hume_runner.emulator.batch_v0.predictions import shuffled
from hume_runner.emulator.batch_v0.transcript import segments, spoken, written
from tests.emulator.api import JOBS, Api, png, video, wav


def models_of(answer: Any, source: int = 0) -> Any:
    """The models of the only file of one source."""
    results = answer[source]["results"]
    assert results["errors"] == []
    assert len(results["predictions"]) == 1
    return results["predictions"][0]["models"]


def rows_of(model: Any) -> list[Any]:
    return [row for group in model["grouped_predictions"] for row in group["predictions"]]


def names_in(scores: Any) -> tuple[str, ...]:
    return tuple(score["name"] for score in scores)


def all_scores(value: Any) -> Iterator[float]:
    match value:
        case dict():
            if set(value) == {"name", "score"}:
                yield value["score"]
            for inner in value.values():
                yield from all_scores(inner)
        case list():
            for inner in value:
                yield from all_scores(inner)


@pytest.mark.sweep
def test_every_model_carries_its_full_name_lists_in_order(api: Api) -> None:
    body = {
        "models": {
            "face": {"facs": {}, "descriptions": {}},
            "burst": {},
            "prosody": {},
            "language": {"sentiment": {}, "toxicity": {}},
            "ner": {},
        }
    }
    models = models_of(api.measured(body, [("file", ("clip.mp4", video(6)))]))
    assert list(models) == ["burst", "face", "language", "ner", "prosody"]
    face, burst, prosody, language = (rows_of(models[name])[0] for name in ("face", "burst", "prosody", "language"))
    assert (
        names_in(face["emotions"])
        == names_in(burst["emotions"])
        == names_in(prosody["emotions"])
        == names.EXPRESSIONS_48
    )
    assert names_in(face["facs"]) == names.FACS
    assert names_in(face["descriptions"]) == names.FACE_DESCRIPTIONS
    assert names_in(burst["descriptions"]) == names.BURST_TYPES
    assert names_in(language["emotions"]) == names.EXPRESSIONS_53
    assert names_in(language["sentiment"]) == names.SENTIMENT
    assert names_in(language["toxicity"]) == names.TOXICITY


def test_name_lists_are_complete_and_alphabetical() -> None:
    assert (len(names.EXPRESSIONS_48), len(names.EXPRESSIONS_53)) == (48, 53)
    assert (len(names.FACS), len(names.FACE_DESCRIPTIONS), len(names.BURST_TYPES)) == (36, 27, 67)
    assert set(names.EXPRESSIONS_53) - set(names.EXPRESSIONS_48) == {
        "Annoyance", "Disapproval", "Enthusiasm", "Gratitude", "Sarcasm",
    }  # fmt: skip
    for listing in (names.EXPRESSIONS_48, names.EXPRESSIONS_53, names.FACE_DESCRIPTIONS, names.BURST_TYPES):
        assert list(listing) == sorted(listing) or listing is names.BURST_TYPES
        assert len(set(listing)) == len(listing)


def test_scores_are_float32_values_printed_as_doubles(api: Api) -> None:
    scores = list(all_scores(api.measured({"text": ["One fine day."], "models": {"language": {"sentiment": {}}}})))
    assert len(scores) == 3 * (53 + 9)
    assert all(struct.unpack("<f", struct.pack("<f", score))[0] == score for score in scores)
    assert all(0 <= score < 1.6 for score in scores)
    assert len(set(scores)) > 150


def test_optional_lists_are_null_unless_asked_for(api: Api) -> None:
    models = models_of(api.measured({"models": {"face": {}, "language": {}}}, [("file", ("clip.mp4", video()))]))
    face, language = rows_of(models["face"])[0], rows_of(models["language"])[0]
    assert (face["facs"], face["descriptions"]) == (None, None)
    assert (language["sentiment"], language["toxicity"]) == (None, None)


class TestText:
    def test_strings_share_one_source_and_come_in_another_order(self, api: Api) -> None:
        strings = [f"sentence number {at}" for at in range(1, 26)]
        answer = api.measured({"text": strings, "models": {"language": {"granularity": "sentence"}}})
        assert [entry["source"] for entry in answer] == [{"type": "text"}]
        entries = answer[0]["results"]["predictions"]
        order = [entry["file"] for entry in entries]
        assert order != sorted(order, key=int)
        assert sorted(order, key=int) == [str(at) for at in range(1, 26)]
        for entry in entries:
            assert entry["file_type"] == "text"
            assert rows_of(entry["models"]["language"])[0]["text"] == strings[int(entry["file"]) - 1]

    def test_words_are_the_real_ones_where_they_stand(self, api: Api) -> None:
        text = "  Well,\tnice to see\nyou \U0001f600 again!  "
        language = models_of(api.measured({"text": [text], "models": {"language": {}}}))["language"]
        assert language["metadata"] is None
        assert [group["id"] for group in language["grouped_predictions"]] == ["unknown"]
        rows = rows_of(language)
        assert [row["text"] for row in rows] == text.split()
        for row in rows:
            assert text[row["position"]["begin"] : row["position"]["end"]] == row["text"]
            assert (row["time"], row["confidence"], row["speaker_confidence"]) == (None, None, None)

    @pytest.mark.parametrize(
        ("granularity", "expected"),
        [
            ("word", ["Hello", "Bob.", "How", "are", "you?", "Fine"]),
            ("sentence", ["Hello Bob.", "How are you?", "Fine"]),
            ("utterance", ["Hello Bob.", "How are you?", "Fine"]),
            ("conversational_turn", ["Hello Bob. How are you?\nFine"]),
        ],
    )
    def test_the_granularity_is_honoured(self, api: Api, granularity: str, expected: list[str]) -> None:
        body = {"text": ["Hello Bob. How are you?\nFine"], "models": {"language": {"granularity": granularity}}}
        assert [row["text"] for row in rows_of(models_of(api.measured(body))["language"])] == expected

    def test_names_are_found_where_they_stand(self, api: Api) -> None:
        text = "Yesterday we met Maria in Lisbon, I think."
        ner = models_of(api.measured({"text": [text], "models": {"ner": {}}}))["ner"]
        found = rows_of(ner)
        assert [row["entity"] for row in found] == ["Maria", "Lisbon"]
        for row in found:
            assert text[row["position"]["begin"] : row["position"]["end"]] == row["entity"] == row["link_word"]
            assert set(row) == {
                "entity", "position", "entity_confidence", "support", "uri", "link_word", "time", "confidence",
                "speaker_confidence", "emotions",
            }  # fmt: skip

    def test_models_that_need_sound_or_pictures_do_not_run_on_text(self, api: Api) -> None:
        assert list(models_of(api.measured({"text": ["hi"]}))) == ["language", "ner"]

    def test_an_empty_string_has_no_segments(self, api: Api) -> None:
        assert rows_of(models_of(api.measured({"text": [" "], "models": {"language": {}}}))["language"]) == []

    def test_a_text_file_is_read_like_a_string(self, api: Api) -> None:
        answer = api.measured({"models": {"language": {}}}, [("file", ("a.txt", "grüß Gott".encode()))])
        assert answer[0]["results"]["predictions"][0]["file_type"] == "text"
        assert [row["text"] for row in rows_of(models_of(answer)["language"])] == ["grüß", "Gott"]


class TestRecordings:
    def test_segments_lie_within_the_real_length(self, api: Api) -> None:
        answer = api.measured({"models": {"prosody": {}, "language": {}, "burst": {}}}, [("file", ("a.wav", wav(7.5)))])
        assert answer[0]["results"]["predictions"][0]["file_type"] == "audio"
        models = models_of(answer)
        for name in ("prosody", "language", "burst"):
            rows = rows_of(models[name])
            assert rows, name
            assert all(0 <= row["time"]["begin"] < row["time"]["end"] <= 7.5 for row in rows)
        assert max(row["time"]["end"] for row in rows_of(models["language"])) > 6.5
        assert models["burst"]["metadata"] is None
        assert models["prosody"]["metadata"] == models["language"]["metadata"]
        assert models["prosody"]["metadata"]["detected_language"] == "en"

    def test_positions_count_over_the_whole_transcript_with_one_space_between_segments(self, api: Api) -> None:
        language = models_of(api.measured({"models": {"language": {}}}, [("file", ("a.wav", wav(9)))]))["language"]
        rows = rows_of(language)
        transcript = " ".join(row["text"] for row in rows)
        assert len(rows) > 1
        for row in rows:
            assert transcript[row["position"]["begin"] : row["position"]["end"]] == row["text"]
            assert 0 < row["confidence"] <= 1

    @pytest.mark.parametrize(
        ("seconds", "window", "spans"),
        [
            (6, {}, [(0.0, 4.0), (1.0, 5.0), (2.0, 6.0)]),
            (3, {"length": 1, "step": 0.5}, [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.5, 2.5), (2.0, 3.0)]),
            (2, {}, [(0.0, 2.0)]),
        ],
    )
    def test_a_window_slides_over_the_recording(self, api: Api, seconds: int, window: Any, spans: Any) -> None:
        body = {"models": {"prosody": {"window": window}}}
        rows = rows_of(models_of(api.measured(body, [("file", ("a.wav", wav(seconds)))]))["prosody"])
        assert [(row["time"]["begin"], row["time"]["end"]) for row in rows] == spans
        assert {row["text"] for row in rows} == {None}

    def test_without_transcription_prosody_has_no_words_and_language_does_not_run(self, api: Api) -> None:
        models = models_of(api.measured({"transcription": None}, [("file", ("a.wav", wav(5)))]))
        assert list(models) == ["burst", "prosody"]
        assert models["prosody"]["metadata"] is None
        assert {row["text"] for row in rows_of(models["prosody"])} == {None}

    def test_speakers_are_told_apart_on_request_only(self, api: Api) -> None:
        body = {"models": {"prosody": {"identify_speakers": True}, "language": {}}}
        files = [("file", (f"{at}.wav", wav(30, pitch=200 + at, rate=1000))) for at in range(4)]
        answer = api.measured(body, files)
        speakers = set()
        for source in range(4):
            models = models_of(answer, source)
            assert [group["id"] for group in models["language"]["grouped_predictions"]] == ["unknown"]
            speakers |= {group["id"] for group in models["prosody"]["grouped_predictions"]}
        assert speakers == {"spk_0", "spk_1"}

    def test_silence_cannot_be_transcribed(self, api: Api) -> None:
        answer = api.measured({"models": {"language": {}}}, [("file", ("quiet.wav", wav(2, loudness=0)))])
        message = "unable to transcribe file: transcript confidence (0.0) below threshold value (0.5)"
        assert answer[0]["results"] == {"predictions": [], "errors": [{"message": message, "file": "quiet.wav"}]}

    def test_a_transcript_below_the_wanted_confidence_is_an_error_of_the_file(self, api: Api) -> None:
        body = {"models": {"prosody": {}}, "transcription": {"confidence_threshold": 1}}
        answer = api.measured(body, [("file", ("a.wav", wav(2)))])
        assert "below threshold value (1)" in answer[0]["results"]["errors"][0]["message"]

    def test_models_without_words_run_on_silence(self, api: Api) -> None:
        body = {"models": {"prosody": {"window": {}}, "burst": {}}}
        models = models_of(api.measured(body, [("file", ("quiet.wav", wav(4, loudness=0)))]))
        assert rows_of(models["burst"]) == []
        assert len(rows_of(models["prosody"])) == 1


class TestFaces:
    def test_frames_follow_fps_pred_over_the_real_frames(self, api: Api) -> None:
        content = video(2, fps=10, sound=False)
        for fps_pred, frames in ((3, [0, 3, 7, 10, 13, 17]), (0, list(range(20))), (50, list(range(20))), (0.5, [0])):
            answer = api.measured({"models": {"face": {"fps_pred": fps_pred}}}, [("file", ("v.mp4", content))])
            rows = rows_of(models_of(answer)["face"])
            assert sorted({row["frame"] for row in rows}) == frames
            assert all(row["time"] == row["frame"] / 10 for row in rows)

    def test_an_image_is_one_frame_with_a_box_inside_it(self, api: Api) -> None:
        answer = api.measured({"models": {"face": {}}}, [("file", ("i.png", png(320, 240)))])
        assert answer[0]["results"]["predictions"][0]["file_type"] == "image"
        row = rows_of(models_of(answer)["face"])[0]
        box = row["box"]
        assert (row["frame"], row["time"]) == (0, 0.0)
        assert 0 <= box["x"] <= box["x"] + box["w"] <= 320
        assert 0 <= box["y"] <= box["y"] + box["h"] <= 240
        assert 0.99 <= row["prob"] <= 1

    @pytest.mark.parametrize("options", [{"min_face_size": 400}, {"prob_threshold": 1}])
    def test_faces_below_a_limit_are_dropped(self, api: Api, options: Any) -> None:
        face = models_of(api.measured({"models": {"face": options}}, [("file", ("i.png", png()))]))["face"]
        assert face == {"metadata": None, "grouped_predictions": []}

    def test_people_are_followed_on_request_only(self, api: Api) -> None:
        for identify, expected in ((True, {"face_0", "face_1"}), (False, {"unknown"})):
            body = {
                "urls": [f"https://example.org/{at}.mp4" for at in range(12)],
                "models": {"face": {"identify_faces": identify}},
            }
            answer = api.measured(body)
            groups = {g["id"] for at in range(12) for g in models_of(answer, at)["face"]["grouped_predictions"]}
            assert groups == expected

    def test_landmark_files_are_measured_by_facemesh(self, api: Api) -> None:
        landmarks = json.dumps([[[0.1, 0.2, 0.3]] * 478] * 2).encode()
        answer = api.measured({}, [("file", ("mesh.json", landmarks))])
        assert answer[0]["results"]["predictions"][0]["file_type"] == "mediapipe_facemesh"
        models = models_of(answer)
        assert list(models) == ["facemesh"]
        assert [names_in(row["emotions"]) for row in rows_of(models["facemesh"])] == [names.EXPRESSIONS_48] * 2

    def test_landmarks_by_url_are_landmarks_and_their_artifacts_have_rows(self, api: Api) -> None:
        body = {"urls": ["https://example.org/p07.JSON?sig=1"], "models": {"facemesh": {}}}
        answer = api.measured(body)
        assert answer[0]["results"]["predictions"][0]["file_type"] == "mediapipe_facemesh"
        rows = rows_of(models_of(answer)["facemesh"])
        assert 1 <= len(rows) <= 3
        assert answer == api.measured(body)
        job_id = api.submit(body)
        api.ended(job_id)
        packed = api.call("GET", f"{JOBS}/{job_id}/artifacts").content
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            (name,) = [one for one in archive.namelist() if one.endswith("facemesh.csv")]
            assert len(archive.read(name).decode().splitlines()) == 1 + len(rows)

    def test_json_by_url_is_text_where_nobody_asks_for_facemesh(self, api: Api) -> None:
        answer = api.measured({"urls": ["https://example.org/words.json"], "models": {"language": {}, "face": {}}})
        assert list(models_of(answer)) == ["language"]


class TestSources:
    def test_sources_are_named_as_they_were_submitted(self, api: Api) -> None:
        url = "https://example.org/a%20b.mp4?X-Sig=1#t"
        answer = api.measured(
            {"urls": [url], "text": ["x"], "models": {"language": {}}},
            [("file", ("a/b\\c.txt", b"hello", "text/plain"))],
        )
        by_type = {entry["source"]["type"]: entry for entry in answer}
        assert by_type["url"]["source"] == {"type": "url", "url": url}
        assert by_type["url"]["results"]["predictions"][0]["file"] == "a b.mp4"
        assert by_type["file"]["source"]["filename"] == "a/b\\c.txt"
        assert by_type["file"]["source"]["content_type"] == "text/plain"
        assert by_type["file"]["results"]["predictions"][0]["file"] == "c.txt"

    def test_sources_do_not_come_in_the_order_of_the_request(self, api: Api) -> None:
        urls = [f"https://example.org/{at}.txt" for at in range(8)]
        answer = api.measured({"urls": urls, "models": {"language": {}}})
        listed = [entry["source"]["url"] for entry in answer]
        assert listed != urls
        assert sorted(listed) == urls

    def test_a_url_that_cannot_be_fetched_is_an_error_of_its_source(self, api: Api) -> None:
        job = api.ended(api.submit({"urls": ["https://gone.invalid/a.mp4"]}))
        assert (job["state"]["num_predictions"], job["state"]["num_errors"]) == (0, 1)
        answer = api.predictions(job["job_id"])
        assert set(answer[0]) == {"source", "error"}
        assert "gone.invalid" in answer[0]["error"]

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.wav", b"not a wav at all"),
            ("b.wav", wav(1)[:20]),
            ("c.png", png()[:40]),
            ("d.mp4", b"\0\0\0\x18ftypmp42" + bytes(500)),
            ("e.bin", bytes(range(256))),
            ("f.txt", b""),
            ("g.zip", b"PK\x03\x04 broken"),
            ("h.tar.gz", b"\x1f\x8b\x08 broken"),
        ],
    )
    def test_a_file_that_does_not_decode_is_an_error_of_that_file(self, api: Api, name: str, content: bytes) -> None:
        answer = api.measured({"models": {"prosody": {}, "face": {}}}, [("file", (name, content))])
        results = answer[0]["results"]
        assert results["predictions"] == []
        assert [error["file"] for error in results["errors"]] == [name]
        assert results["errors"][0]["message"].startswith("unable to ")

    @pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
    def test_an_archive_gives_one_entry_a_member(self, api: Api, form: str) -> None:
        members = {"in/a.txt": b"hello there", "in/b.wav": wav(2), "in/.hidden": b"\0\1\2", "../up.txt": b"upwards"}
        buffer = io.BytesIO()
        if form == "zip":
            with zipfile.ZipFile(buffer, "w") as archive:
                archive.writestr("in/", b"")
                for name, content in members.items():
                    archive.writestr(name, content)
        else:
            with tarfile.open(fileobj=buffer, mode=f"w:{form[4:]}") as tar:  # type: ignore[call-overload]
                link = tarfile.TarInfo("in/link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(link)
                for name, content in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        answer = api.measured({"models": {"language": {}}}, [("file", (f"all.{form}", buffer.getvalue()))])
        results = answer[0]["results"]
        assert sorted(entry["file"] for entry in results["predictions"]) == ["../up.txt", "in/a.txt", "in/b.wav"]
        assert [error["file"] for error in results["errors"]] == ["in/.hidden"]

    def test_the_counts_of_a_job_are_those_of_its_answer(self, api: Api) -> None:
        body = {"urls": ["https://example.org/a.mp4", "https://x.invalid/"], "text": ["To Anna from Peter", "b"]}
        files = [("file", ("a.wav", wav(4))), ("file", ("bad.wav", b"bad"))]
        job = api.ended(api.submit(body, files))
        answer = api.predictions(job["job_id"])
        rows = [
            row
            for entry in answer
            for prediction in entry.get("results", {}).get("predictions", [])
            for model in prediction["models"].values()
            for row in rows_of(model)
        ]
        errors = sum(len(e.get("results", {}).get("errors", [])) + ("error" in e) for e in answer)
        assert job["state"]["num_predictions"] == len(rows) > 20
        assert job["state"]["num_errors"] == errors == 2


def test_the_same_content_measures_the_same_in_any_job(api: Api) -> None:
    body = {"models": {"prosody": {}}}
    first, second = (api.measured(body, [("file", (name, wav(3)))]) for name in ("one.wav", "two.wav"))
    assert models_of(first) == models_of(second)
    other = api.measured(body, [("file", ("one.wav", wav(3, pitch=221)))])
    assert models_of(other) != models_of(first)


def test_predictions_may_be_fetched_again_and_are_the_same_bytes(api: Api) -> None:
    job_id = api.submit({"urls": ["https://example.org/long.mp4"], "models": {"face": {"fps_pred": 0, "facs": {}}}})
    api.ended(job_id)
    first, second = (api.call("GET", f"{JOBS}/{job_id}/predictions").content for _ in range(2))
    assert first == second
    assert len(first) > 262_144  # long enough to be sent as it is made


@given(st.lists(st.integers(), min_size=2, max_size=50, unique=True), st.integers())
def test_a_shuffle_keeps_everything_and_never_the_order(items: list[int], seed: int) -> None:
    mixed = shuffled(items, seed)
    assert mixed != items
    assert sorted(mixed) == sorted(items)
    assert mixed == shuffled(items, seed)


@given(st.text(), st.sampled_from(["word", "sentence", "utterance"]))
def test_segments_of_any_text_are_its_words_in_order(text: str, granularity: str) -> None:
    parts = list(segments(written(text), granularity, by_speaker=False))
    assert " ".join(part.text for part in parts).split() == text.split()
    ends = [0] + [part.end for part in parts]
    assert all(before <= part.begin < part.end <= len(text) for before, part in zip(ends, parts, strict=False))


@given(st.floats(0, 120), st.integers(0, 2**64))
def test_a_simulated_transcript_fits_any_length(duration_s: float, content: int) -> None:
    words = spoken(f"{content:064x}", duration_s)
    times = [0.0, *(time for word in words for time in (word.begin_s or 0.0, word.end_s or 0.0))]
    assert times == sorted(times)
    assert times[-1] <= duration_s + 0.001
