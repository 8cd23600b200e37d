"""Measurers of other packages that are wrong in every way that one thought of: what each costs, and whom it is laid to.

All goes through the command, as people meet it: an exit code, a line that names the package, and no traceback.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.cli.main import main
from hume_runner.errors import ResultsError
from hume_runner.results import columns
from hume_runner.results.tables import _AllOrNone
from hume_runner.services.local.layouts import MEASURED_BY
from hume_runner.services.local.measurers import found
from hume_runner.services.local.measurers.table_check import OF_SCORES, OWN_COLUMNS, OWN_TABLES, layout_fault
from hume_runner.services.table_shapes import Layout
from tests.services.local.mirror import look_again
from tests.tiers import sampled

# A measurer that is right, but for what a test puts in the place of one of its lines.
MEASURER = {
    "first": "import sys, os, time",
    "layout": "Layout(name='xx', row='a text', columns=(Column(name='text', type='string', meaning='the text'), "
    "Column(name='v', type='number', meaning='a number'), Column(name='n', type='integer', meaning='one'), "
    "Column(name='yes', type='boolean', meaning='whether'), Column(name='all', type='strings', meaning='some'), "
    "Column(name='more', type='json', meaning='what else'), Column(name='track', type='integer', meaning='which')), "
    "families=(Family(prefix='fam', names=('a', 'b'), bounds=(0.0, 1.0)),), "
    "open_families=(OpenFamily(name='open', prefix='o', meaning='open'),))",
    "reads": "'text'",
    "modules": "()",
    "schema": "{'type': 'object', 'description': 'xx', 'additionalProperties': False, 'properties': {}}",
    "card": "Card(name='xx', version='1', licence='MIT', trained_on='nothing', scale='0 to 1', limits='none')",
    "fault": "None",
    "caution": "None",
    "open": "Session()",
    "bad": "pass",
}
CODE = """
{first}
from hume_runner.services.local.measurers.base import *
from hume_runner.services.table_shapes import *

def good(text, **more):
    return Row(layout='xx', values={{'text': text, 'v': 1.0, 'n': 1, 'yes': True, 'all': ['x'], 'more': {{'x': [1]}},
        'track': 0, 'fam': {{'a': 0.5, 'b': None}}, 'open': {{'anything': 2.5}}, **more}})

def fail(error):
    raise error

class Lying(float):
    __le__ = __ge__ = lambda self, other: True

class Equal(str):
    __eq__ = lambda self, other: True
    __hash__ = lambda self: hash('a')

class Session:
    def measure(self, passages):
        for number, p in enumerate(passages):
            if 'bad' in p.text:
                {bad}
            else:
                yield number, good(p.text)

class XX:
    model = 'xx'
    reads, modules, layouts = {reads}, {modules}, ({layout},)
    @property
    def schema(self): return {schema}
    def card(self, options): return {card}
    def fault(self, options): return {fault}
    def caution(self, options): return {caution}
    def open(self, options, files): return {open}

XX = XX()
"""
_number = iter(range(10_000))


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a package that offers a measurer; gives the folder that is worked in."""
    paths = []

    def install(name: str = "xx", package: str = "strange", **lines: str) -> Path:
        module = f"strange_{next(_number)}"
        info = tmp_path / module / f"{package}-1.dist-info"
        info.mkdir(parents=True)
        (info.parent / f"{module}.py").write_text(CODE.format(**{**MEASURER, **lines}))
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{found.GROUP}]\n{name} = {module}:XX\n")
        monkeypatch.syspath_prepend(str(info.parent))
        paths.append(str(info.parent))
        # Others of this test are worker processes, which look there, too.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, str(Path(__file__).parents[3])]))
        look_again()
        work = tmp_path / "deep" / "work"
        work.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(work)
        return work

    yield install
    monkeypatch.undo()
    look_again()


def write(*texts: str, models: dict[str, Any] | None = None, **more: Any) -> None:
    document = {
        "version": 1,
        "name": "here",
        "service": {"api": "local"},
        "sources": {"text": list(texts) or ["fine"]},
        "models": models or {"xx": {}},
        "execution": {"workers": 1},
        "outputs": {"directory": "out", "tables": ["csv"]},
        **more,
    }
    Path("m.yaml").write_text(json.dumps(document))


def table(name: str) -> list[dict[str, str]]:
    with Path("out", "tables", f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What a run says that is refused before anything is measured; without a word of Python's."""
    capsys.readouterr()
    code = main(["run", "m.yaml", "--json"])
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, lines[-1]["event"], lines[-1]["exit_code"]) == (64, "done", 64), err
    assert "Traceback" not in err
    assert not list(Path("out").glob("raw/*"))
    return err


# -- what is wrong with the measurer -----------------------------------------------------------------------------------


@sampled(9)
@pytest.mark.parametrize(
    "name",
    [
        *("../../evil", "/tmp/evil-table", "a/b", "a\0b", "", "Upper", "x" * 65, "\ud800"),
        *(*sorted(OWN_TABLES), "language", "words", "language_long", "speech_scores"),
    ],
)
def test_a_table_s_name_chooses_no_path_and_takes_none_of_ours(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    work = offer(layout=MEASURER["layout"].replace("name='xx'", f"name={name!r}"))
    write(models={"language": {}, "xx": {}})
    before = sorted(work.parent.parent.rglob("*.csv"))
    said = refused(capsys)
    assert "the measurer 'xx' of the package strange cannot be used" in said
    assert "update or uninstall strange" in said
    assert sorted(work.parent.parent.rglob("*.csv")) == before


@pytest.mark.parametrize(
    "name", ["event", "item_id", "measured_by", "extra", "fam_a", "text", "a b", "../x", "score", "begin_s"]
)
def test_a_column_is_a_word_of_its_own(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    offer(layout=MEASURER["layout"].replace("name='v', type='number'", f"name={name!r}, type='string'"))
    write()
    assert "the table xx: " in refused(capsys)


# What stands in the place of which line, and what is said of it.
WRONG = [
    ("first", "import no_such_module", "it cannot be loaded: ModuleNotFoundError"),
    ("first", "def (:", "it cannot be loaded: SyntaxError"),
    ("first", "import sys; sys.exit(0)", "it cannot be loaded: SystemExit"),
    ("first", "raise KeyboardInterrupt", "it cannot be loaded: KeyboardInterrupt"),
    ("first", "class Own(BaseException): pass\nraise Own('so')", "it cannot be loaded: Own: so"),
    ("reads", "'smell'", "it reads 'smell'"),
    ("modules", "(7,)", "the modules that it needs"),
    ("modules", "None", "it is no measurer: TypeError"),
    ("layout", "42", "a table is a int (42), and no Layout"),
    ("layout", "Layout(name='xx', row='a', columns=(Column(name='v', type='colour', meaning='v'),))", "type 'colour'"),
    ("layout", "Layout(name='xx', row='a', columns=(Column(name='track', type='string', meaning='v'),))", "integer"),
    ("layout", "Layout(name='xx', row='a', columns=(), text='nowhere')", "a column 'nowhere' that it has not"),
    ("layout", "Layout(name='xx', row='a', columns=(), families=(Family(prefix='f', names=()),))", "have no names"),
    ("layout", "Layout(name='xx', row='a', columns=None)", "the table xx: 'NoneType' object is not iterable"),
    ("schema", "{'type': 42}", "the schema of its options is none"),
    ("schema", "[{}]", "it says no schema of its options"),
    ("schema", "{'type': 'object', 'properties': {'x': {'pattern': '('}}}", "the schema of its options is none"),
    ("schema", "{'type': 'object', 'properties': {'x': {'$ref': '#/$defs/y'}}}", "refers to another"),
    ("card", "fail(RuntimeError('no card today'))", "it says no card: RuntimeError: no card today"),
    ("card", "fail(SystemExit(0))", "it says no card: SystemExit"),
    ("card", "os._exit(0)", "it ends the process that asks it, with exit code 0"),
    ("first", "import os; os._exit(0)", "it ends the process that asks it, with exit code 0"),
    ("card", "{}", "its card is a dict"),
    ("card", MEASURER["card"].replace("'1'", "str(time.perf_counter_ns())"), "it says another one each time"),
    ("card", MEASURER["card"].replace("name='xx'", "name='x@1#y'"), "the name on its card"),
    ("card", MEASURER["card"].replace("'none'", "None"), "the limits on its card is no text"),
    ("card", MEASURER["card"].replace("limits=", "files=('x',), limits="), "the files on its card are none"),
    *(
        (
            "card",
            MEASURER["card"].replace("limits=", f"files=(WeightFile(name={name!r}, sha256='0' * 64),), limits="),
            said,
        )
        for name in ("../../evil.bin", "/etc/passwd", "a\0/b", "", "a/\ud800")
        for said in ("a file on its card is none: no name of a model's file",)
    ),
    *(
        (
            "card",
            MEASURER["card"].replace(
                "limits=", f"files=(WeightFile(name='x/y', sha256='0' * 64, lies=Path({lies!r})),), limits="
            ),
            said,
        )
        for lies, said in (
            ("pipe", "where x/y lies is a pipe, not a file"),
            ("/dev/zero", "where x/y lies is a device, not a file"),
            ("/", "where x/y lies is a folder: /"),
            ("a\0b", "where x/y lies is no path: embedded null byte"),
        )
    ),
    ("fault", "fail(RuntimeError('f'))", "its fault cannot be asked: RuntimeError: f"),
    ("fault", "'yes'", "is no Fault"),
]


@sampled(7)
@pytest.mark.parametrize(("line", "instead", "said"), WRONG)
def test_what_is_wrong_with_a_measurer_is_refused_before_anything_is_measured(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], line: str, instead: str, said: str
) -> None:
    offer(**{line: instead})
    os.mkfifo("pipe")
    write()
    told = refused(capsys)
    assert "the measurer 'xx' of the package strange cannot be used" in told
    assert said in told
    assert main(["doctor"]) in (0, 64), "it tells of the others all the same"
    assert "local.language" in capsys.readouterr().out


def test_what_a_measurer_of_others_needs_is_named_and_no_extra_of_ours(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    offer(modules="('no_such_module', 'no.such.part')")
    write()
    assert "models.xx needs what is not installed: no_such_module, no.such.part" in refused(capsys)


def test_two_packages_do_not_write_one_table(offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    offer("xx")
    offer("yy", package="other")
    for models in ({"xx": {}}, {"yy": {}}):
        write(models=models)
        assert main(["validate", "m.yaml"]) == 0
    write(models={"xx": {}, "yy": {}})
    assert "models.xx and models.yy both give the table xx" in refused(capsys)


def test_who_offers_a_name_of_ours_is_named_and_who_offers_a_hosted_one_changes_nothing(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    offer("language")
    offer("prosody", package="other")
    write(models={"language": {}})
    assert "the package strange offers the measurer 'language'" in refused(capsys)
    write(models={"acoustics": {}})
    assert main(["validate", "m.yaml"]) == 0
    Path("m.yaml").write_text(
        json.dumps(
            {
                "version": 1,
                "name": "hosted",
                "service": {"api": "batch-v0"},
                "sources": {"urls": ["https://example.org/a.wav"]},
                "models": {"prosody": {}, "burst": {"no": 1}},
            }
        )
    )
    capsys.readouterr()
    assert main(["validate", "m.yaml"]) == 65
    said = "".join(capsys.readouterr())
    assert "models.burst.no" in said
    assert "models.prosody" not in said


def test_ours_are_what_is_asked_of_others() -> None:
    assert [layout_fault(layout) for one in found.own().values() for layout in one.layouts] == [None] * 6
    bare = Layout(name="bare", row="nothing", columns=(MEASURED_BY,))
    every = (*columns.own_columns(bare, (columns.EVENT,)), columns._EXTRA)
    assert {column.name for column in every} == OWN_COLUMNS
    assert {column.name for column in columns.LONG_SCORES} == OF_SCORES


def test_where_files_get_their_names_none_chooses_a_path(tmp_path: Path) -> None:
    files = _AllOrNone(tmp_path / "tables", "csv", lambda path, schema: pytest.fail(str(path)))
    for stem in ("../evil", "/tmp/evil", "a/b", "a\0b", "../evil_long", ""):
        with pytest.raises(ResultsError, match="no file's name"):
            files.sink(stem, None)


# -- what is wrong with one measurement --------------------------------------------------------------------------------

NONSENSE = [
    ("yield number, good(7)", "text of the table xx a int (7), and no text"),
    ("yield number, good('\\ud800')", "half a character"),
    ("yield number, good('t', v='7')", "v of the table xx a str ('7'), and no number"),
    ("yield number, good('t', v=True)", "and no number"),
    ("yield number, good('t', v=float('nan'))", "v of the table xx nan"),
    ("yield number, good('t', v=10**400)", "v of the table xx"),
    ("yield number, good('t', n=1.5)", "n of the table xx a float (1.5), and no whole number"),
    ("yield number, good('t', n=2**63)", "larger than 64 bits"),
    ("yield number, good('t', track=-1)", "which counts nothing"),
    ("yield number, good('t', yes=1)", "neither true nor false"),
    ("yield number, good('t', all='text')", "no list of texts"),
    ("yield number, good('t', more={'x': float('inf')})", "cannot be kept as JSON"),
    ("yield number, good('t', other=object())", "cannot be kept as JSON"),
    ("yield number, good('t', measured_by='somebody@1#00000000')", "no column for it to fill"),
    ("yield number, good('t', fam=[1, 2])", "no scores by name"),
    ("yield number, good('t', fam={'zz': 1.0})", "a score 'zz'"),
    ("yield number, good('t', fam={'a': 'x'})", "as 'a' a str ('x'), and no number"),
    ("yield number, good('t', fam={'a': 1.01})", "which is not between 0 and 1"),
    ("yield number, good('t', fam={'a': 10**400})", "as 'a'"),
    ("yield number, good('t', open={7: 1.0})", "a score 7"),
    ("yield number, good('t', fam={'a': Lying('nan')})", "as 'a' nan"),
    ("yield number, good('t', fam={Equal('nonsense'): 0.9})", "a score 'nonsense'"),
    ("yield number, Row(layout='other', values={})", "a row of the table 'other', and declares xx"),
    ("yield number, Row(layout='xx', values=[1])", "for the values of a row"),
    ("yield number, 'no row'", "for a Row"),
    ("yield 'garbage'", "gave no pair"),
    ("yield number + 999, good('t')", "a row of a passage that there is not"),
    ("yield -1, good('t')", "a row of a passage that there is not"),
    ("yield '0', good('t')", "a row of a passage that there is not"),
    ("yield number, good('t', end_s=1e308)", "which is no time"),
    ("sys.exit(0)", "SystemExit: 0"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("raise OSError('boo')", "OSError: boo"),
    ("from hume_runner.media import problems; raise problems.MediaProblem('../x', 'half \\ud800')", "half \\ud800"),
    ("raise type('Mute', (Exception,), {'__str__': lambda self: 7})()", "Mute: it cannot say what"),
    ("raise ValueError('half \\ud800')", "half \\ud800"),
    ("(lambda f: f(f))(lambda f: f(f))", "RecursionError"),
]


@pytest.mark.sweep
@sampled(12)
@pytest.mark.parametrize(("bad", "said"), NONSENSE)
def test_nonsense_fails_its_item_alone_and_says_whose_it_is(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], bad: str, said: str
) -> None:
    offer(bad=bad)
    write("fine", "bad", "as fine")
    code = main(["run", "m.yaml", "--json"])
    out, err = capsys.readouterr()
    assert code == 3, err
    assert json.loads(out.splitlines()[-1])["exit_code"] == 3
    assert sorted(row["text"] for row in table("xx")) == ["as fine", "fine"]
    [error] = table("errors")
    assert error["reason"] == "measurer_failed"
    assert "xx" in error["message"]
    assert said in error["message"]
    assert "Traceback" not in err
    assert main(["tables", "m.yaml", "--format", "jsonl"]) == 0


REUSES = """
class Again:
    def measure(self, passages):
        scores, more = {}, {}
        for number, p in enumerate(passages):
            scores['a'] = number / 10
            more['x'] = scores
            yield number, good(p.text, v=number / 10, fam=scores, open=scores, more=more)
        REST
"""


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    "rest",
    ["pass", "scores['a'] = float('nan')", "scores['a'] = '0.9'; scores['zzz'] = True", "more['x'] = more"],
)
def test_a_measurer_that_fills_one_mapping_again_gives_each_row_its_own_scores(
    offer: Callable[..., Path], rest: str
) -> None:
    offer(first=f"import sys, os, time, types\n{REUSES.replace('REST', rest)}", open="Again()")
    write(*(f"text {number}" for number in range(6)))
    assert main(["run", "m.yaml"]) == 0
    for number, row in enumerate(table("xx")):
        assert (float(row["v"]), float(row["fam_a"])) == (number / 10, number / 10)
        assert json.loads(row["open"]) == {"a": number / 10}
        assert json.loads(row["more"]) == {"x": {"a": number / 10}}


@pytest.mark.sweep
def test_scores_may_be_any_mapping(offer: Callable[..., Path]) -> None:
    offer(
        first="import sys, os, time, types, collections",
        bad="yield number, good(p.text, fam=types.MappingProxyType({'a': 0.25}), "
        "open=collections.ChainMap({'w': 0.5}), more=collections.UserDict(x=[1]))",
    )
    write("fine", "bad")
    assert main(["run", "m.yaml"]) == 0
    _, row = table("xx")
    assert [json.loads(row[name]) for name in ("fam_a", "open", "more")] == [0.25, {"w": 0.5}, {"x": [1]}]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "lack",
    [
        "MemoryError('Unable to allocate 1 TiB for an array')",
        "OSError(28, 'No space left on device')",
        "OSError(24, '')",
    ],
)
def test_what_a_measurer_lacks_over_one_source_fails_that_source_and_measures_the_others(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], lack: str
) -> None:
    """That source may be larger than anything that the machine will ever have: the run would never end."""
    offer(bad=f"fail({lack})")
    write("fine", "bad", "as fine")
    assert main(["run", "m.yaml"]) == 3
    assert sorted(row["text"] for row in table("xx")) == ["as fine", "fine"]
    [error] = table("errors")
    assert (error["reason"], lack.partition("(")[0] in error["message"]) == ("measurer_failed", True)
    assert "asking the service" not in capsys.readouterr().err
    assert main(["run", "m.yaml"]) == 3
    assert "nothing to do" in capsys.readouterr().err


@pytest.mark.sweep
def test_where_a_measurer_cannot_be_loaded_for_want_of_memory_the_run_ends_and_the_next_one_goes_on(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    work = offer(open="Session() if os.path.exists('room') else fail(MemoryError('no room for weights'))")
    write("fine")
    assert main(["run", "m.yaml"]) == 5
    said = capsys.readouterr().err
    assert "xx: this machine has no more memory" in said
    assert "the answer was lost" not in said
    (work / "room").touch()
    assert main(["run", "m.yaml"]) == 0
    assert [row["text"] for row in table("xx")] == ["fine"]


@pytest.mark.sweep
def test_a_measurer_that_failed_leaves_no_rows_beside_those_of_another(offer: Callable[..., Path]) -> None:
    """A time that is no time is told as nonsense, and the row before it goes with it."""
    times = (
        "columns=(Column(name='begin_s', type='number', meaning='s'), Column(name='end_s', type='number', meaning='s'))"
    )
    work = offer(
        reads="'sound'",
        layout=f"Layout(name='xx', row='one', {times})",
        open="Heard()",
        first="""
class Heard:
    def measure(self, sound):
        for end_s in (1.0, 1e308):
            yield Row(layout='xx', values={'begin_s': 0.0, 'end_s': end_s})
""",
    )
    with wave.open(str(work / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 16_000)
    write(models={"xx": {}, "acoustics": {"window": 1.0}}, sources={"files": ["a.wav"]})
    assert main(["run", "m.yaml"]) == 0
    assert table("xx") == []
    assert len(table("acoustics")) == 1
    [error] = table("errors")
    assert "end_s of the table xx 1e+308, which is no time" in error["message"]


HEARD = """
class Heard:
    def measure(self, sound):
        for begin_s, end_s in ROWS:
            yield Row(layout='xx', values={'begin_s': begin_s, 'end_s': end_s})
"""


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([(-5.0, -1.0)], "begin_s of the table xx -5, which is before the beginning"),
        ([(1.5, 0.2)], "ends at 0.2 s, before it begins at 1.5 s"),
        ([(100.0, 200.0)], "begin_s of the table xx 100, which is after the end of what it measured, 2 s"),
        ([(1.0, 1.5), (0.0, 0.5)], "at 0 s after one at 1 s"),
        ([(0, 1), (0, 1), (1, 2.01)], None),
        ([(0.5, None), (None, 2.0)], None),
    ],
)
def test_a_time_that_cannot_be_fails_its_recording_and_none_is_moved(
    offer: Callable[..., Path], rows: Any, said: str | None
) -> None:
    times = "Column(name='begin_s', type='number', meaning='s'), Column(name='end_s', type='number', meaning='s')"
    work = offer(
        reads="'sound'",
        layout=f"Layout(name='xx', row='one', columns=({times}))",
        open="Heard()",
        first=HEARD.replace("ROWS", repr(rows)),
    )
    with wave.open(str(work / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(b"\0\1" * 32_000)
    write(sources={"files": ["a.wav"]})
    assert main(["run", "m.yaml"]) == (0 if said is None else 3)
    told = [tuple(float(row[name]) if row[name] else None for name in ("begin_s", "end_s")) for row in table("xx")]
    assert told == (rows if said is None else [])
    assert [error["reason"] for error in table("errors")] == ["measurer_failed"] * (said is not None)
    assert all(said is not None and said in error["message"] for error in table("errors"))


@pytest.mark.sweep
def test_a_row_of_an_earlier_passage_has_each_text_measured_by_itself(offer: Callable[..., Path]) -> None:
    """Rows come in the order of the passages: where they do not, nobody knows of which text one is."""
    offer(bad="yield 0, good('astray', v=99.0)")
    write("fine", "as fine", "bad")
    assert main(["run", "m.yaml"]) == 0
    assert [(row["source"][: len("sources.text[0]")], row["v"]) for row in table("xx")] == [
        ("sources.text[0]", "1.0"),
        ("sources.text[1]", "1.0"),
        ("sources.text[2]", "99.0"),
    ]


@pytest.mark.sweep
@pytest.mark.parametrize("largest", ["1.7e308", "1e306", "1e61"])
def test_scores_of_which_no_mean_can_be_made_are_told_and_spoil_no_output(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str], largest: str
) -> None:
    layout = MEASURER["layout"].replace("bounds=(0.0, 1.0)", "bounds=None")
    signals = "signals=Signals(title='xx', place=0, curves=(Curve(column='v', name='v', unit=''),))"
    rows = f"dict(fam={{'a': {largest}, 'b': -{largest}}}, open={{'w': {largest}}}, v={largest})"
    offer(
        first="from hume_runner.services.signals import Curve, Signals",
        layout=f"{layout[:-1]}, text='text', {signals})",
        bad=f"yield number, good('one', **{rows}); yield number, good('two', **{rows})",
    )
    write("bad", "fine", outputs={"directory": "out", "tables": ["csv", "jsonl", "parquet", "xlsx"], "report": True})
    assert main(["run", "m.yaml"]) == 0, capsys.readouterr().err

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    for path in Path("out", "tables").glob("*.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line, parse_constant=refuse)
    bad, fine = (json.loads(line) for line in Path("out", "tables", "sources.jsonl").read_text().splitlines())
    assert (bad["strongest_mean"], bad["mean"]["fam_a"], bad["mean"]["o_w"]) == (None, None, None)
    assert bad["highest"]["fam_a"] == float(largest)
    assert fine["mean"]["fam_a"] == 0.5
    assert [row["fam_a"] for row in table("xx")] == [largest.replace("e", "e+")] * 2 + ["0.5"]
    for path in Path("out", "tables").glob("*.csv"):
        assert not re.search(r"\binf|Infinity|\bnan\b", path.read_text(), re.IGNORECASE), path
    assert "1 source has numbers beyond ±1e+60 in xx" in Path("out", "report.html").read_text()
    assert main(["report", "m.yaml", "--figures", "pictures"]) == 0
    assert main(["compare", "out", "out", "--out", "side.html"]) == 0


@pytest.mark.sweep
def test_a_number_beyond_what_can_be_summed_is_told_where_results_are_compared(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no number that was not measured, nor one that both agree on."""
    layout = MEASURER["layout"].replace("bounds=(0.0, 1.0)", "bounds=None")
    texts = [f"text {number}" for number in range(6)]
    for side, value in (("a", "1e61"), ("b", "0.4")):
        x = f"({value} if number == 3 else number / 10)"
        offer(
            first="import sys, os, time, math",
            layout=layout,
            bad=f"yield number, good(p.text, v={x}, fam={{'a': {x}}})",
        )
        write(*(f"bad {text}" for text in texts), outputs={"directory": side, "tables": ["csv"], "report": False})
        assert main(["run", "m.yaml"]) == 0
    capsys.readouterr()
    assert main(["compare", "a", "b"]) == 0
    told = "pairs left out of the numbers, since a value is beyond ±1e+60: 1 of v, 1 of fam_a"
    assert told in capsys.readouterr().out
    assert main(["compare", "a", "b", "--json"]) == 0
    document = next(one for one in map(json.loads, capsys.readouterr().out.splitlines()) if one["event"] == "compare")
    columns = {one["column_a"]: one for one in document["columns"]}
    for name in ("v", "fam_a"):
        assert {what: columns[name][what] for what in ("n", "only_a", "only_b", "beyond")} == {
            "n": 5,
            "only_a": 0,
            "only_b": 0,
            "beyond": 1,
        }
    assert columns["o_anything"]["beyond"] == 0
    for form in ("md", "csv", "html", "json"):
        assert main(["compare", "a", "b", "--out", f"c.{form}"]) == 0
    for form in ("md", "html"):
        assert told in Path(f"c.{form}").read_text().replace("\\", "")
    with Path("c.csv").open(newline="") as file:
        assert [row["beyond"] for row in csv.DictReader(file)][:2] == ["1", "1"]
    assert main(["report", "m.yaml", "--compare", "a"]) == 0
    assert told in Path("b", "report-compared.html").read_text()


@pytest.mark.sweep
def test_a_measurer_of_others_that_ends_its_process_does_not_end_the_run(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """However light it says that it is."""
    offer(bad="os._exit(7)")
    write("fine", "bad")
    assert main(["run", "m.yaml", "--json"]) == 3
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[-1]["event"] == "done"
    [error] = table("errors")
    assert error["reason"] == "worker_died"
    assert "exit code 7" in error["message"]
    assert [row["text"] for row in table("xx")] == ["fine"]


@pytest.mark.sweep
def test_what_a_measurer_writes_is_no_line_of_the_result(offer: Callable[..., Path]) -> None:
    """Nor what a library of it, a program that it starts or a thread that it left writes to descriptor 1."""
    offer(
        first="""
print('as it is loaded')
import sys, os, time, threading
os.write(1, b'from native code\\n')
threading.Thread(target=lambda: [os.write(1, b'from a thread\\n') and time.sleep(0.01) for _ in range(99)]).start()
""",
        card=f"print('as it says its card') or os.system('echo from a program') or {MEASURER['card']}",
        schema=f"print('as it says its schema') or {MEASURER['schema']}",
        bad="print('as it measures'); yield number, good('t')",
    )
    write("bad")
    ended = command("run", "m.yaml", "--json")
    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line)["event"] for line in ended.stdout.splitlines()]
    assert (events[0], events[-1]) == ("launch", "done")
    said = {f"as it {what}" for what in ("is loaded", "says its card", "says its schema", "measures")}
    for words in (*said, "from native code", "from a thread", "from a program"):  # which may stand between each other
        assert words in ended.stderr


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("end", ["sys.exit(0)", "raise_(GeneratorExit)", "raise_(asyncio.CancelledError)"])
def test_a_timer_that_ends_the_program_is_the_packages_fault_and_no_success(
    offer: Callable[..., Path], end: str
) -> None:
    offer(
        first=f"""
import asyncio, signal, sys
def raise_(kind): raise kind
signal.signal(signal.SIGALRM, lambda *_: {end})
signal.setitimer(signal.ITIMER_REAL, 0.3)
""",
        bad="import time; time.sleep(2); yield number, good('t')",
    )
    write("bad")
    ended = command("run", "m.yaml", "--json")
    assert ended.returncode == 64, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1])["event"] == "done"
    assert "code of another package ended the command: " in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "left",
    [
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "atexit.register(time.sleep, 60)",
        "atexit.register(os._exit, 7)",
        "atexit.register(lambda: 1 / 0)",
        "atexit.register(print, 'bye')",
    ],
)
def test_a_command_ends_as_it_would_whatever_a_measurer_left_running(offer: Callable[..., Path], left: str) -> None:
    """It is asked for its card alone, and the command has a process of its own, as people start it."""
    offer(first=f"import sys, os, time, atexit, threading; {left}")
    write()
    ended = command("validate", "m.yaml")
    assert (ended.returncode, ended.stdout) == (0, "m.yaml: ok, 1 item (1 text)\n"), ended.stderr
    assert "Traceback" not in ended.stderr


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """`hume-runner` in a process of its own, which is to end soon."""
    argv = [sys.executable, "-m", "hume_runner", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.sweep
def test_the_table_of_a_model_that_a_manifest_names_no_more_goes_as_ours_do(offer: Callable[..., Path]) -> None:
    """Nothing of its package is loaded for that."""
    offer()
    write(models={"xx": {}, "language": {}})
    assert main(["m.yaml"]) == 0
    tables = Path("out", "tables")
    (tables / "mine.csv").write_text("mine")
    offer(first="import no_such_module")
    write(models={"language": {}})
    assert main(["m.yaml"]) == 0
    assert sorted(path.stem for path in tables.iterdir()) == ["errors", "items", "language", "mine", "sources"]


@pytest.mark.sweep
def test_an_answer_from_before_rows_were_looked_at_costs_its_own_item_its_rows(
    offer: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its package has other labels by now."""
    offer()
    write("fine")
    assert main(["m.yaml"]) == 0
    offer(layout=MEASURER["layout"].replace("('a', 'b')", "('b', 'c')"))
    assert main(["tables", "m.yaml", "--format", "csv"]) in (0, 3)
    said = "".join(capsys.readouterr())
    assert "is none of the table as it is known here" in said
    assert "Traceback" not in said
