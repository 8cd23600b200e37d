"""What people see who write a manifest in an editor: the YAML language server itself, with the published schema."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from hume_runner.cli.main import main
from hume_runner.manifest.published import schema
from tests.manifest.language_server import Editor, editing, server_of
from tests.npm import cache
from tests.tiers import sampled

PROJECT = Path(__file__).parents[2]
PUBLISHED = PROJECT / "schemas" / "manifest-v1.schema.json"
HEAD = f"# yaml-language-server: $schema={PUBLISHED.as_uri()}\n"
MODELS = {
    "batch-v0": {"face", "burst", "prosody", "language", "ner", "facemesh"},
    "expression-v1": {"audio", "video"},
    "local": {"face", "language", "ner", "speech", "acoustics"},
}


@pytest.fixture(scope="module")
def editor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Editor]:
    with editing(server_of(cache(tmp_path_factory.getbasetemp())), tmp_path_factory.mktemp("editor")) as found:
        yield found


def labels(offered: list[dict[str, Any]]) -> set[str]:
    return {one["label"] for one in offered}


def inserted(offered: list[dict[str, Any]], label: str) -> str:
    """What one of the offers writes; where it stops for another value, that one."""
    (found,) = [one for one in offered if one["label"] == label]
    text = found["textEdit"]["newText"] if "textEdit" in found else found["insertText"]
    return str(text)


@pytest.mark.sweep
def test_the_apis_are_offered(editor: Editor) -> None:
    assert labels(editor.completions(f"{HEAD}service:\n  api: |\n")) == set(MODELS)


@pytest.mark.sweep
@pytest.mark.parametrize("api", MODELS)
def test_the_models_are_those_that_the_api_has(editor: Editor, api: str) -> None:
    offered = editor.completions(f"{HEAD}service: {{api: {api}}}\nmodels:\n  |\n")
    assert labels(offered) == MODELS[api]
    for model in MODELS[api]:
        assert inserted(offered, model) == f"{model}: {{}}"
        assert next(one for one in offered if one["label"] == model)["documentation"]


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("section", ["service", "notify", "batching", "execution", "outputs", "sources"])
def test_no_member_is_offered_that_the_api_does_not_have(editor: Editor, api: str, section: str) -> None:
    text = f"{HEAD}service:\n  api: {api}\n"
    offered = editor.completions(text + ("  |\n" if section == "service" else f"{section}:\n  |\n"))
    members = set(schema()["properties"][section]["properties"])
    foreign = {
        name
        for rule in schema()["allOf"]
        if Draft202012Validator(rule.get("if", False)).is_valid({"service": {"api": api}})
        for name, member in rule["then"]["properties"].get(section, {}).get("properties", {}).items()
        if "x-instead" in member
    }
    assert labels(offered) & members == members - foreign - {"api"}


@pytest.mark.sweep
def test_before_there_is_an_api_every_model_is_offered(editor: Editor) -> None:
    assert labels(editor.completions(f"{HEAD}models:\n  |\n")) == set().union(*MODELS.values())


@pytest.mark.sweep
def test_a_failure_budget_is_not_nought(editor: Editor) -> None:
    assert "0" not in inserted(editor.completions(f"{HEAD}execution:\n  |\n"), "max_failures")
    assert labels(editor.completions(f"{HEAD}execution:\n  max_failures: |\n")) == {"5%", "20"}


@pytest.mark.sweep
def test_an_empty_file_is_offered_manifests_that_are_valid(editor: Editor, tmp_path: Path) -> None:
    offered = [one for one in editor.completions(f"{HEAD}|") if one["label"].startswith(("texts", "recordings"))]
    assert len(offered) == 4
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.wav").write_bytes((PROJECT / "manifests" / "media" / "interview-1.wav").read_bytes())
    for one in offered:
        text = inserted(offered, one["label"]).replace("${1:interviews-2026}", "interviews-2026")
        path = tmp_path / "manifest.yaml"
        path.write_text(text, encoding="utf-8")
        assert main(["validate", str(path)]) == 0, text


@pytest.mark.sweep
def test_what_is_offered_at_the_root_can_stand_there(editor: Editor) -> None:
    start = "version: 1\nname: x\nservice: {api: batch-v0}\n"
    offered = editor.completions(f"{HEAD}{start}|\n")
    sections = labels(offered) & set(schema()["properties"])
    assert sections == set(schema()["properties"]) - {"version", "name", "service"}
    for name in sections - {"models"}:
        text = inserted(offered, name).replace("${1:", "").replace("}", "")
        assert list(yaml.safe_load(start + text))[-1] == name
        if name not in ("description", "state"):
            rest = {"version": 1, "name": "x", "service": {"api": "batch-v0"}, "sources": {}, "models": {"face": {}}}
            assert list(Draft202012Validator(schema()).iter_errors(rest | yaml.safe_load(text))) == [], text


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("text", "title", "words"),
    [
        ("execution:\n  max_fail|ures: 3\n", "Failure budget", "no more is submitted"),
        ("service:\n  a|pi: local\n", "API", "open models on this machine"),
        ("service: {api: local}\nmodels:\n  spe|ech: {}\n", "Transcript", "voice activity"),
        ("sources:\n  files:\n    - {pa|th: a.wav}\n", "Path or glob", "relative to the manifest"),
    ],
)
def test_hovering_shows_title_and_description(editor: Editor, text: str, title: str, words: str) -> None:
    shown = editor.hover(HEAD + text).replace("\\", "")
    assert f"#### {title}" in shown
    assert words in shown


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("models:", "modles:"), "6: Property modles is not allowed."),
        (("face: {}", "audio: {}"), "6: batch-v0 has no model 'audio'"),
        (("face: {}", "face: {fps: 3}"), "6: Property fps is not allowed."),
        (("api: batch-v0", "api: batch-v1"), "4: Value is not accepted."),
        (("api: batch-v0", "api: batch-v0, timeout: soon"), "4: must be a number with a unit"),
        (("models:", "execution: {max_billable_seconds: 9}\nmodels:"), "batch-v0 states no bill"),
    ],
)
def test_what_the_runner_refuses_is_underlined(editor: Editor, change: tuple[str, str], said: str) -> None:
    head = f"{HEAD}version: 1\nname: x\nservice: {{api: batch-v0}}\n"
    good = head + "sources: {text: [Hello.]}\nmodels: {face: {}}\n"
    assert editor.problems(good) == []
    assert said in "\n".join(editor.problems(good.replace(*change)))


@pytest.mark.sweep
@pytest.mark.parametrize("manifest", sorted(path.name for path in (PROJECT / "manifests").glob("*.yaml")))
def test_the_examples_have_nothing_underlined(editor: Editor, manifest: str) -> None:
    text = (PROJECT / "manifests" / manifest).read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    assert first == "# yaml-language-server: $schema=../schemas/manifest-v1.schema.json"
    assert editor.problems(HEAD + rest) == []


def test_what_editors_offer_follows_from_the_rules() -> None:
    script = PROJECT / "docs" / "write_offers.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_offers_are_no_rules() -> None:
    offers = [rule for rule in schema()["allOf"] if "x-editors" in rule]
    assert len(offers) == 5
    everything = dict.fromkeys(schema()["properties"], "nonsense") | {"models": {"audio": 3, "face": 4}}
    for api in (*MODELS, "none"):
        for rule in offers:
            assert Draft202012Validator(rule).is_valid(everything | {"service": {"api": api}})
