from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from hume_runner import installing
from hume_runner.manifest.load import load_manifest
from hume_runner.readiness import Readiness
from hume_runner.registry import Dotted, register, registered
from hume_runner.services.local import ready
from hume_runner.sources import expand
from tests.commands import call
from tests.sources.trees import tree

run = partial(call, "init")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, on a machine that has no weights."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(tmp_path / ".no-models"))
    return tmp_path


def models(path: str) -> set[str]:
    return set(load_manifest(Path(path)).settings["models"])


def line_of(model: str, path: str) -> str:
    """The line of the manifest that names a model, in a comment or not."""
    (line,) = (line for line in Path(path).read_text().splitlines() if line.strip("# ").startswith(f"{model}:"))
    return line.strip()


def kinds(path: str) -> list[tuple[str, str]]:
    return [(item.kind, item.value) for item in expand(load_manifest(Path(path)))]


def test_a_folder_becomes_globs_for_the_media_in_it(folder: Path) -> None:
    tree(folder, "media/a.wav", "media/deep/B.WAV", "media/c.png", "media/notes.doc", "media/.hidden.mp4")
    code, out, _ = run("media", "--api", "batch-v0", "--out", "m.yaml")
    assert (code, out) == (0, "wrote m.yaml: 3 items\n")
    assert {value for _, value in kinds("m.yaml")} == {"media/a.wav", "media/deep/B.WAV", "media/c.png"}
    assert models("m.yaml") == {"face", "prosody", "burst"}
    assert "#" in Path("m.yaml").read_text()


def test_a_list_of_urls_and_a_text_file_become_lists(folder: Path) -> None:
    (folder / "urls.txt").write_text("https://example.org/a.mp3\nhttps://example.org/b.mp3\n")
    (folder / "lines.txt").write_text("I am glad.\nAh: yes.\n")
    (folder / "rows.csv").write_text("id,url\nx,https://example.org/c.png\n")
    assert run("urls.txt", "lines.txt", "rows.csv", "--api", "batch-v0", "--out", "m.yaml")[0] == 0
    found = kinds("m.yaml")
    assert [kind for kind, _ in found] == ["url", "url", "url", "text", "text"]
    assert models("m.yaml") == {"face", "prosody", "burst", "language"}


def test_one_file_and_a_list_of_paths_become_files(folder: Path) -> None:
    tree(folder, "take[1].wav", "b.wav")
    (folder / "paths.txt").write_text("b.wav\n")
    assert run("take[1].wav", "paths.txt", "--out", "m.yaml")[0] == 0
    assert kinds("m.yaml") == [("file", "take[1].wav"), ("file", "b.wav")]


def test_hostile_names_are_kept_as_they_are(folder: Path) -> None:
    tree(folder, 'no: "x" #1 *[a]/y.wav')
    assert run('no: "x" #1 *[a]', "--out", "m.yaml")[0] == 0
    assert kinds("m.yaml") == [("file", 'no: "x" #1 *[a]/y.wav')]


def test_media_outside_the_manifests_folder_are_named_in_full(folder: Path) -> None:
    tree(folder, "media/a.wav", "sub/keep")
    assert run("media", "--out", "sub/m.yaml")[0] == 0
    assert kinds("sub/m.yaml") == [("file", str(folder / "media/a.wav"))]


def test_expression_v1_gets_its_own_models(folder: Path) -> None:
    tree(folder, "media/a.mp4")
    assert run("media", "--api", "expression-v1", "--out", "m.yaml")[0] == 0
    assert models("m.yaml") == {"audio", "video"}


def test_expression_v1_refuses_texts(folder: Path) -> None:
    (folder / "lines.txt").write_text("I am glad.\n")
    code, _, err = run("lines.txt", "--api", "expression-v1", "--out", "m.yaml")
    assert code == 64
    assert "measures no text" in err
    assert not (folder / "m.yaml").exists()


def test_an_existing_file_is_never_overwritten(folder: Path) -> None:
    tree(folder, "media/a.wav")
    (folder / "m.yaml").write_text("mine")
    (folder / "link.yaml").symlink_to(folder / "nothing")
    for name in ("m.yaml", "link.yaml"):
        code, _, err = run("media", "--out", name)
        assert code == 64
        assert "exists already" in err
    assert (folder / "m.yaml").read_text() == "mine"
    assert not (folder / "nothing").exists()


def test_without_a_file_name_the_manifest_is_printed(folder: Path) -> None:
    tree(folder, "media/a.wav")
    code, out, _ = run("media")
    (folder / "m.yaml").write_text(out)
    assert code == 0
    assert kinds("m.yaml") == [("file", "media/a.wav")]


def test_json_says_what_was_written(folder: Path) -> None:
    tree(folder, "media/a.wav")
    code, out, _ = run("media", "--out", "m.yaml", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["launch", "done"]
    assert (events[-1]["exit_code"], events[-1]["path"]) == (code, "m.yaml")
    assert run("media", "--json")[0] == 64


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("absent", None, 66),
        ("empty", "", 66),
        ("a.xyz", "x", 66),
        ("a.txt", "", 66),
        ("a.csv", "one,two\n1,2\n", 64),
        ("a.jsonl", "{", 66),
    ],
)
def test_what_holds_nothing_to_measure_says_so(folder: Path, name: str, content: str | None, expected: int) -> None:
    if name == "empty":
        (folder / name).mkdir()
    elif content is not None:
        (folder / name).write_text(content)
    code, _, err = run(name, "--out", "m.yaml")
    assert code == expected
    assert "next: " in err
    assert not (folder / "m.yaml").exists()


def test_a_list_with_a_bad_row_is_written_and_its_problem_reported(folder: Path) -> None:
    (folder / "rows.csv").write_text("url\nhttps://example.org/a\nnothing\n")
    code, out, err = run("rows.csv", "--out", "m.yaml")
    assert code == 65
    assert out.startswith("wrote m.yaml")
    assert "rows.csv:3:1" in err


@pytest.mark.parametrize("absent", ["clips/c.wav", '"clips/a.wav"', "clips\\b.wav", "example.org/c.mp3"])
def test_a_list_of_paths_of_which_one_is_wrong_is_no_list_of_texts(absent: str, folder: Path) -> None:
    tree(folder, "clips/a.wav", "clips/b.wav")
    (folder / "l.txt").write_text(f"clips/a.wav\nclips/b.wav\n{absent}\n")
    code, _, err = run("l.txt", "--out", "m.yaml")
    assert code == 66
    assert "l.txt:3:1" in err
    assert "files:" in Path("m.yaml").read_text()
    assert "text:" not in Path("m.yaml").read_text()


def test_paths_that_are_all_missing_are_paths_all_the_same(folder: Path) -> None:
    (folder / "l.txt").write_text("a.wav\nb.MP4\n")
    assert run("l.txt", "--out", "m.yaml")[0] == 66
    assert "files:" in Path("m.yaml").read_text()


def test_a_list_of_urls_of_which_one_is_misspelt_is_no_list_of_texts(folder: Path) -> None:
    (folder / "l.txt").write_text("https://example.org/a.mp3\nhttps://example.org/b.mp3\nexample.org/c\n")
    code, _, err = run("l.txt", "--out", "m.yaml")
    assert (code, "l.txt:3:1" in err) == (65, True)
    assert "urls:" in Path("m.yaml").read_text()


def test_texts_among_which_few_are_paths_are_asked_about(folder: Path) -> None:
    (folder / "l.txt").write_text("I am glad.\nMe too.\nhttps://example.org/a.mp3\n")
    code, _, err = run("l.txt", "--out", "m.yaml")
    assert (code, "a list of its own" in err) == (64, True)
    (folder / "prose.txt").write_text("See https://example.org/a.mp3 and weep.\nMe too.\n")
    assert run("prose.txt", "--out", "p.yaml")[0] == 0
    assert [kind for kind, _ in kinds("p.yaml")] == ["text", "text"]


def test_a_list_of_another_separator_is_written_with_it(folder: Path) -> None:
    (folder / "semi.csv").write_text("text;mood\nI am happy;good\n")
    (folder / "sep.csv").write_text("sep=|\ntext|mood\nMe too|good\n")
    (folder / "wide.tsv").write_bytes("text\tmood\nSchön\tgood\n".encode("utf-16"))
    assert run("semi.csv", "sep.csv", "wide.tsv", "--out", "m.yaml")[0] == 0
    assert kinds("m.yaml") == [("text", "I am happy"), ("text", "Me too"), ("text", "Schön")]
    assert '{from: "semi.csv", delimiter: ";"}' in Path("m.yaml").read_text()


# -- a service that is named by nobody --------------------------------------------------------------------------------


def test_without_a_service_texts_are_measured_on_this_machine(folder: Path) -> None:
    (folder / "lines.txt").write_text("I am glad.\nMe too.\n")
    assert run("lines.txt", "--out", "m.yaml")[:2] == (0, "wrote m.yaml: 2 items\n")
    manifest = load_manifest(Path("m.yaml"))
    assert (manifest.service.api, models("m.yaml")) == ("local", {"language"})
    head, _, body = Path("m.yaml").read_text().partition("version: 1")
    assert "--api batch-v0" in head
    assert "--api expression-v1" in head
    assert "api_key" not in body
    assert "endpoint" not in body


def test_a_model_without_its_weights_is_a_comment_that_says_how_to_get_them(folder: Path) -> None:
    tree(folder, "media/a.wav", "media/b.mp4")
    assert run("media", "--out", "m.yaml")[0] == 0
    assert models("m.yaml") == {"acoustics"}
    assert line_of("speech", "m.yaml").startswith("# speech: {}")
    assert "English only: {model: base} hears others" in line_of("speech", "m.yaml")
    assert "first `hume-runner models pull whisper-tiny.en silero-vad-v6`" in line_of("speech", "m.yaml")
    assert "first `hume-runner models pull face-short-range" in line_of("face", "m.yaml")
    assert line_of("language", "m.yaml").startswith(
        "# language"
    )  # without `speech` there is nothing that it could read


def test_without_the_extra_recordings_keep_one_model_and_each_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "find_spec", lambda module: None)
    tree(folder, "media/a.wav")
    assert run("media", "--out", "m.yaml")[0] == 0
    assert models("m.yaml") == {"acoustics"}
    assert f"first `{installing.extras('local')}`" in line_of("acoustics", "m.yaml")
    assert f"`{installing.extras('local')}`, then `hume-runner models pull" in line_of("speech", "m.yaml")


def test_every_kind_that_was_found_has_a_model(folder: Path) -> None:
    tree(folder, "media/a.png")
    (folder / "lines.txt").write_text("I am glad.\n")
    assert run("media", "lines.txt", "--out", "m.yaml")[0] == 0
    assert models("m.yaml") == {"face", "language"}
    assert "first `hume-runner models pull" in line_of("face", "m.yaml")


def all_ready(models: Mapping[str, object]) -> list[Readiness]:
    return [Readiness(model=name) for name in models]


def test_what_is_ready_is_proposed(folder: Path) -> None:
    tree(folder, "media/a.mp4")
    known = registered("local")
    assert known is not None
    register(replace(known, readiness=Dotted(f"{__name__}:all_ready")))
    try:
        assert run("media", "--out", "m.yaml")[0] == 0
    finally:
        register(known)
    assert models("m.yaml") == {"acoustics", "speech", "face", "language"}
    assert "first" not in Path("m.yaml").read_text().partition("models:")[2]


def test_an_endpoint_asks_for_the_service_that_it_is_of(folder: Path) -> None:
    tree(folder, "a.wav")
    code, _, err = run("a.wav", "--endpoint", "emulator")
    assert (code, "--api batch-v0" in err) == (64, True)
    assert run("a.wav", "--endpoint", "emulator", "--api", "batch-v0")[0] == 0


def test_a_folder_s_table_is_offered_beside_media_and_taken_where_there_are_none(folder: Path) -> None:
    tree(folder, "study/p1_1.wav", "survey/keep.txt")
    table = 'Participant,visit,Comment\na,1,I liked it\nb,1,"Well, no"\n'
    (folder / "study" / "answers.csv").write_text(table)
    (folder / "survey" / "answers.csv").write_text(table)

    assert run("study", "--labels", "{who}_{wave}.wav", "--out", "m.yaml")[0] == 0
    text = Path("m.yaml").read_text()
    assert '{path: "study/**/*.wav", labels_from: "{who}_{wave}.wav"}' in text
    assert '# text: [{from: "study/answers.csv", column: Comment, id_column: Participant}]' in text
    assert run("survey", "--out", "n.yaml")[0] == 0
    items = list(expand(load_manifest(Path("n.yaml"))))
    assert [(item.id, item.value) for item in items] == [("a", "I liked it"), ("b", "Well, no")]


def test_a_column_of_ids_is_one_whose_values_all_differ(folder: Path) -> None:
    (folder / "a.csv").write_text("participant,code,text\n1,x,Yes.\n1,y,No.\n")

    _, out, _ = run("a.csv")

    assert '{from: "a.csv", id_column: code}' in out


def test_tables_and_report_are_on_and_the_schema_lies_beside_for_editors(folder: Path) -> None:
    (folder / "lines.txt").write_text("I am glad.\n")
    assert run("lines.txt", "--out", "m.yaml")[0] == 0
    manifest = load_manifest(Path("m.yaml"))
    assert (manifest.outputs.tables, manifest.outputs.report) == (("csv",), True)
    first = Path("m.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=manifest-v1.schema.json"
    assert json.loads(Path("manifest-v1.schema.json").read_text())["$id"] == "urn:hume-runner:manifest-v1"


def test_a_file_of_somebody_else_by_the_schema_s_name_stays(folder: Path) -> None:
    (folder / "lines.txt").write_text("I am glad.\n")
    (folder / "manifest-v1.schema.json").write_text('{"mine": 1}')

    assert run("lines.txt", "--out", "m.yaml")[0] == 0

    assert (folder / "manifest-v1.schema.json").read_text() == '{"mine": 1}'


@pytest.mark.parametrize(
    ("name", "slug"), [("Köln", "koeln"), ("Ko\u0308ln 2", "koeln-2"), ("Été", "ete"), ("日本", "measurement")]
)
def test_a_name_in_other_letters_is_spelt_in_ours(name: str, slug: str, folder: Path) -> None:
    tree(folder, f"{name}/a.wav")

    _, out, _ = run(name)

    assert f'name: "{slug}"' in out


def test_labels_of_an_ending_are_read_from_files_of_other_endings_too(folder: Path) -> None:
    tree(folder, "media/p1_pre.wav", "media/p2_pre.m4a", "media/p3_post.mp4")

    code, out, err = run("media", "--labels", "{participant}_{wave}.wav", "--out", "m.yaml")

    assert (code, out) == (0, "wrote m.yaml: 3 items\n"), err
    assert "names of .m4a files are read as '{participant}_{wave}'" in err
    labels = {item.id: dict(item.labels) for item in expand(load_manifest(Path("m.yaml")))}
    assert labels["media/p3_post.mp4"] == {"participant": "p3", "wave": "post"}


def test_labels_that_do_not_fit_leave_nothing_so_that_the_mended_command_can_be_given(folder: Path) -> None:
    tree(folder, "media/p1_pre.wav", "media/p2-post.wav")

    code, out, err = run("media", "--labels", "{participant}_{wave}", "--out", "m.yaml")

    assert (code, out) == (64, "")
    assert "--labels: the name of 'media/p2-post.wav' does not fit" in err
    assert "nothing was written" in err
    assert {path.name for path in folder.iterdir()} == {"media"}
    assert run("media", "--labels", "{participant}", "--out", "m.yaml")[0] == 0


def test_each_service_has_results_of_its_own_so_that_a_rehearsal_is_in_nobodys_way(folder: Path) -> None:
    tree(folder, "media/a.wav")

    for api in ("local", "batch-v0", "expression-v1"):
        assert run("media", "--api", api, "--out", f"{api}.yaml")[0] == 0

    places = [load_manifest(Path(f"{api}.yaml")).outputs.directory for api in ("local", "batch-v0", "expression-v1")]
    assert [path.name for path in places] == ["media", "media-batch-v0", "media-expression-v1"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", 'id,comment\n1,"Good, really"\n2, \n3,\n4,Bad\n'),
        ("l.tsv", "id\tcomment\n1\tGood\n2\t\n3\t\n4\tBad\n"),
        ("l.csv", "id;comment\n1;Good\n2;\n3;\n4;Bad\n"),
        ("l.jsonl", '{"comment": "Good"}\n{"comment": null}\n{"comment": ""}\n{"comment": "Bad"}\n'),
    ],
)
def test_rows_that_hold_nothing_are_passed_over_and_told(folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)

    code, out, err = run(name, "--out", "m.yaml")

    assert (code, out) == (0, "wrote m.yaml: 2 items\n"), err
    assert f"{name}: 2 rows without comment, passed over: blank: skip" in err
    assert "blank: skip}" in Path("m.yaml").read_text()


def test_a_list_as_excel_saves_it_is_read_and_a_word_shows_whether_rightly(folder: Path) -> None:
    (folder / "german.csv").write_bytes("Nr;text\n1;Schön ist es.\n2;Grüße\n".encode("cp1252"))

    code, out, err = run("german.csv", "--out", "m.yaml")

    assert (code, out) == (0, "wrote m.yaml: 2 items\n"), err
    assert "german.csv is not UTF-8 and is taken for cp1252, as Excel saves it: check that 'Schön' reads right" in err
    assert [item.value for item in expand(load_manifest(Path("m.yaml")))] == ["Schön ist es.", "Grüße"]


def test_bytes_that_are_no_text_of_excel_either_are_refused(folder: Path) -> None:
    (folder / "odd.csv").write_bytes(b"text\nfine\n" + b"x" * 70_000 + b"\x81\n")

    code, _, err = run("odd.csv", "--out", "m.yaml")

    assert (code, "odd.csv: is not UTF-8 text" in err) == (66, True)


def test_the_schema_that_is_written_as_well_is_told_once(folder: Path) -> None:
    (folder / "lines.txt").write_text("I am glad.\n")

    first, second = run("lines.txt", "--out", "m.yaml"), run("lines.txt", "--out", "n.yaml")

    told = "wrote manifest-v1.schema.json as well, with which editors complete it"
    assert (told in first[2], told in second[2]) == (True, False)
