"""Names that an API gives its members are said in that API's own folders alone."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from hume_runner.registry import all_registered
from tests.package import COMMENTS, FILES, ROOT, SOURCES, TEXTS, words_of

DOCUMENTS = [ROOT / "tests" / "emulator" / api / "openapi.yaml" for api in ("batch_v0", "expression_v1")]
# Members that have the name of something else as well, which anybody may speak of: why, and which.
EVERYDAY = {
    "any program has things of this name": """
        at begin box code config cursor detail end error errors events file filename files frame id json kind length
        limit message metadata mode name position received request results runs schema score source state status step
        text time type uri url urls when fault
    """,
    "letters, of which each is short for much": "h w x y",
    "what HTTP, or whoever speaks it, calls so": "content_type encoding endpoint request_id",
    "the manifest's own, for all APIs (schemas/manifest-v1.schema.json)": "audio callback_url language models notify",
    "columns and members of our own outputs (schemas/)": "confidence ended_at file_type probability run_id started_at",
}
# Members of the same name as something that a part of the program has for itself: place, why, and which.
OF_THEIR_OWN = [
    ("services/local/", "an API too, with members of its own", "emotions entity face faces frames granularity image"),
    ("services/local/", "an API too, with members of its own", "min_size ner window"),
    ("media/", "what each sound and picture has", "channels descriptions frames image sample_rate"),
    ("services/source_store.py", "a kind of medium, as `media` names it", "image"),
    ("api/found_sources.py", "what people call the columns of their lists", "image"),
    ("manifest/", "settings, as the manifest spells them", "fps_pred transcription"),
    ("planning/fingerprint.py", "settings, as the manifest spells them", "fps_pred transcription"),
    ("registry.py", "lines of manifests, as `init` proposes them", "face fps_pred identify_faces measurement_timer_ms"),
    ("cli/plan_shown.py", "a setting as an example, in a comment", "fps_pred"),
    ("results/compare/base.py", "a setting as an example, in a comment", "fps_pred"),
    ("results/figures/choosing.py", "what rows are, for people", "measurements"),
    ("results/report/families.py", "what rows are, for people", "measurements"),
    ("results/compare/reading.html.jinja", "what rows are, for people", "measurements"),
    ("results/report/", "pictures with boxes in them, whichever API found what is there", "frames"),
    ("results/report/pictures.js", "what browsers have of this name", "image"),
    ("results/report/timeline.js", "the part of a drawing that is seen", "window"),
    ("state/", "a table of the state", "measurements"),
    ("state/", "a setting of SQLite", "page_size"),
    ("settings.py", "a letter written as HTML does", "entity"),
    ("api/commanding.py", "how many requests may follow at once", "burst"),
    ("engine/pacer.py", "how many requests may follow at once", "burst"),
    ("wiring.py", "how many requests may follow at once", "burst"),
    ("emulator/", "how much a request sent: what both its APIs are told of each", "bytes_received"),
]
# What is in no document, and one file of an API's folder tells another by way of those that do not look into it.
HANDED_THROUGH = frozenset({"metered_ms"})


def told_by(document: Path) -> set[str]:
    """The members of all objects that an API's document describes, and the parameters of its paths."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("properties"), dict):
                found.update(value["properties"])
            if value.get("in") in ("query", "path"):
                found.add(value["name"])
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                walk(one)

    walk(yaml.load(document.read_text(encoding="utf-8"), Loader=loader))
    return found


@cache
def members() -> frozenset[str]:
    """Names of members that are no words of ours, or of everybody."""
    everyday = " ".join(EVERYDAY.values()).split()
    return HANDED_THROUGH.union(*map(told_by, DOCUMENTS)).difference(everyday)


def own_words(path: str) -> set[str]:
    return {word for place, _, words in OF_THEIR_OWN if path.startswith(place) for word in words.split()}


def said_in(text: str, kind: str = ".py") -> Iterator[str]:
    """Names in code and whole strings. Words that nobody says, as `num_errors`, are looked for in all of a text, words
    for people and SQL as well; `sentiment` may be spoken of. In what is neither Python nor JSON, in comments alone."""
    yield from (word for word in re.findall(r"\w+", text) if "_" in word)
    if comments := COMMENTS[kind]:
        yield from re.findall(r"\w+", re.sub(comments, "", text, flags=re.DOTALL | re.MULTILINE))
    elif kind == ".json":
        yield from strings_in(json.loads(text))
    else:
        yield from said_in_code(text)


def strings_in(value: Any) -> Iterator[str]:
    """The members and the whole strings of what JSON says."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value:
            yield from strings_in(one)
            if isinstance(value, dict):
                yield from strings_in(value[one])


def said_in_code(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Constant(value=bytes(said)):
                yield said.decode("latin-1")
            case ast.alias(name=name) | ast.ImportFrom(module=str(name)):
                yield from name.split(".")
            case ast.MatchClass(kwd_attrs=names):
                yield from names


@cache
def says_members(path: str) -> frozenset[str]:
    # Most files hold none of the words, in whatever sense, and need not be taken apart.
    return members().intersection(said_in(TEXTS[path], kind_of(path))) if words_of(path) & members() else frozenset()


def kind_of(path: str) -> str:
    return Path(path).suffix


def test_every_file_of_the_package_is_looked_into() -> None:
    no_text = {name for name in FILES if name not in TEXTS}
    assert no_text == {"py.typed", "services/local/measurers/goemotions.bin"}
    assert FILES["py.typed"].stat().st_size == 0
    assert {kind_of(name) for name in TEXTS} == set(COMMENTS)


def knows_an_api(path: str) -> bool:
    """The folder of an API. And `hume/`, which has the old package's names because scripts say them; and `migration/`,
    which reads what was written for one API and says it for another."""
    return re.match(r"(services|emulator)/(batch_v0|expression_v1)/|hume/|migration/", path) is not None


def test_only_an_apis_own_folders_hold_the_names_of_its_members() -> None:
    strangers = {path: says_members(path) - own_words(path) for path in TEXTS if not knows_an_api(path)}
    assert {path: sorted(said) for path, said in strangers.items() if said} == {}


def test_no_file_elsewhere_is_called_as_a_member() -> None:
    called = {path: set(re.findall(r"[a-z0-9_]+", path)) & members() - own_words(path) for path in FILES}
    assert {path: words for path, words in called.items() if words and not knows_an_api(path)} == {}


@pytest.mark.parametrize("layer", ["services", "emulator"])
def test_each_of_these_names_is_said_where_it_belongs(layer: str) -> None:
    said = set().union(*(says_members(path) for path in TEXTS if path.startswith(f"{layer}/") and knows_an_api(path)))
    assert said >= {"job_id", "grouped_predictions", "utterance_id", "metered_seconds", "sentiment", "toxicity"}
    everywhere = set().union(*(says_members(path) for path in TEXTS if knows_an_api(path)))
    assert everywhere == members()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row['sentiment'] = 1", {"sentiment"}),
        ("row.get('toxicity', entry.predictions)", {"toxicity", "predictions"}),
        ("match row:\n    case {'channels': 2} | Row(gaps=1): pass", {"channels", "gaps"}),
        ("class Row:\n    utterances: list\n    def faces(self, seq): pass", {"utterances", "faces", "seq"}),
        ("show(trigger=1)", {"trigger"}),
        ("async def toxicity(): pass", {"toxicity"}),
        ("read(b'sentiment')", {"sentiment"}),
        ("from hume_runner.results.sentiment import rows", {"sentiment"}),
        ("Q = 'SELECT job_id FROM t'  # by num_errors", {"job_id", "num_errors"}),
        ("print('sentiment and toxicity')  # the predictions", set()),
        ("source.name = 'file'", set()),
    ],
)
def test_a_member_is_found_however_code_says_it(text: str, said: set[str]) -> None:
    assert members().intersection(said_in(text)) == said


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (".js", "const sorted = set.family === 'sentiment';", {"sentiment"}),
        (".js", "part.more.toxicity.map((a) => a);", {"toxicity"}),
        (".js", "`${told} by ${row.predictions}`", {"predictions"}),
        (".js", "/* The sentiment of\n a face. */\n  // And toxicity.\nconst n = 1;", set()),
        (".js", "/* By num_errors. */", {"num_errors"}),
        (".css", ".sentiment { color: red; } /* faces */", {"sentiment"}),
        (".jinja", "<p>{{ one.toxicity }}</p>{# faces #}<!-- gaps -->", {"toxicity"}),
        (".json", '{"sentiment": ["toxicity", {"a": "the faces"}]}', {"sentiment", "toxicity"}),
    ],
)
def test_a_member_is_found_in_what_is_no_python(kind: str, text: str, said: set[str]) -> None:
    assert members().intersection(said_in(text, kind)) == said


# Who says the name of an API as such: where manifests are made or carried over, and extras of the same name.
NAMES_AN_API = {"registry.py", "api/migrating.py", "api/doctor.py"}


def apis_named_in(text: str) -> set[str]:
    """Names of APIs, and what stands in the paths of their requests."""
    strings = {str(node.value) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    return {said for said in strings if said in {one.api for one in all_registered()} or re.match(r"/?v\d+/\w", said)}


def test_only_who_registers_them_or_carries_over_says_the_name_of_an_api() -> None:
    naming = {
        path
        for path in SOURCES
        if apis_named_in(SOURCES[path])
        and not knows_an_api(path)
        and not path.startswith(("services/local/", "emulator/"))
    }
    assert naming == NAMES_AN_API


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("if api == 'batch-v0': pass", {"batch-v0"}),
        ("match api:\n    case 'expression-v1' | 'local': pass", {"expression-v1", "local"}),
        ("get('/v0/batch/jobs')", {"/v0/batch/jobs"}),
        ("tell('measured with batch-v0 before')", set()),
    ],
)
def test_the_name_of_an_api_is_found_however_code_says_it(text: str, named: set[str]) -> None:
    assert apis_named_in(text) == named


@pytest.mark.sweep
def test_no_word_is_excused_without_need() -> None:
    documented = set().union(*map(told_by, DOCUMENTS))
    everyday = [word for words in EVERYDAY.values() for word in words.split()]
    assert set(everyday) <= documented
    assert len(everyday) == len(set(everyday))
    abroad = [path for path in TEXTS if not knows_an_api(path)]
    unsaid = set(everyday)
    for path in abroad:
        if words_of(path) & unsaid:  # soon none is left, and to take a file apart takes a while
            unsaid.difference_update(said_in(TEXTS[path], kind_of(path)))
    assert unsaid == set()
    for place, _, words in OF_THEIR_OWN:
        said = set().union(*(says_members(path) for path in abroad if path.startswith(place)))
        assert said >= set(words.split()), place
