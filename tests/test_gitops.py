"""docs/gitops.md, the action, the component, the hook and the Containerfile: parsed, linted, and their commands run."""

from __future__ import annotations

import argparse
import ast
import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from hume_runner import errors
from hume_runner.cli.main import COMMANDS, common_flags
from tests import warm
from tests.servers import Quiet, Server
from tests.tiers import sampled

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "gitops.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
# Files that the page tells, by name: what stands in the block that follows the name.
RECIPES = {
    name: (language, text)
    for name, language, text in re.findall(r"^`([\w./-]+)`\n\n```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}
SHELL = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
# Nothing of these gets better by itself.
PERSON = {
    kind.exit_code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.HumeRunnerError) and kind.exit_code not in (1, 5, 6, 130)
}
STUDY = """
version: 1
name: study
service: {api: batch-v0, endpoint: emulator}
sources: {text: [One., Two., Three., Four., Five.]}
models: {language: {}}
outputs: {directory: results/study, tables: [csv], report: true}
"""


def block(name: str) -> str:
    return RECIPES[name][1]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the study, and `hume-runner` on the path of what is run there."""
    (tmp_path / "bin").mkdir()
    warm.program(tmp_path / "bin" / "hume-runner")
    folder = tmp_path / "place"
    (folder / "manifests").mkdir(parents=True)
    for name in ("study.yaml", "manifests/study.yaml"):
        (folder / name).write_text(STUDY)
    return folder


def bash(script: str, place: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    path = f"{place.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    # Their absolute paths are below the folder here.
    for root in ("/manifests/", "/results/", "/srv/study"):
        script = script.replace(f" {root}", f" {place}{root if root != '/srv/study' else ''}")
    return subprocess.run(
        ["bash", "-c", script],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def commands_in(script: str) -> Iterator[list[str]]:
    """The words of each call of hume-runner in a script, variables as they are."""
    for line in script.replace("\\\n", " ").splitlines():
        for found in re.finditer(r"(?:^|[\s/])hume-runner (?=[a-z])", line):
            words = shlex.split(re.split(r" (?:&|\|\||;)(?: |$)", line[found.end() :])[0], comments=True)
            yield [word for word in words if not word.startswith("${HUME_ENDPOINT")]


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_tells_every_recipe() -> None:
    assert set(RECIPES) == {
        *(".pre-commit-config.yaml", "manifests/study.yaml", ".gitlab-ci.yml", "cronjob.yaml", "indexed-job.yaml"),
        "merge-job.yaml",
        *(".github/workflows/hume-plan.yml", ".github/workflows/hume-run.yml", "hume-study.service"),
        *("hume-study.timer", "crontab", "hume_study.py", "parts.sbatch", "merge.sbatch"),
    }


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_what_it_says_to_be(name: str) -> None:
    language, text = RECIPES[name]
    match language:
        case "yaml":
            assert isinstance(yaml.safe_load(text), dict)
        case "python":
            assert ast.parse(text).body
        case "bash":
            assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
        case "ini":
            assert units(text).sections()
        case _:
            assert name == "crontab"


def units(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_every_command_on_the_page_is_one() -> None:
    """The parser takes it; what it names need not be there."""
    found = [words for text in [*SHELL, *(text for _, text in RECIPES.values())] for words in commands_in(text)]
    assert len(found) > 8
    for command, *rest in found:
        assert command in COMMANDS
        parser = argparse.ArgumentParser(prog=command, exit_on_error=False)
        common_flags(parser)
        importlib.import_module(f"hume_runner.cli.{command}").configure(parser)
        words = [word.replace("$SLURM_ARRAY_TASK_ID/$parts", "1/2") for word in rest]
        _, unknown = parser.parse_known_args(words)
        assert unknown == [], (command, words)


def test_the_table_of_exit_codes_knows_what_a_person_has_to_decide() -> None:
    (row,) = re.findall(r"^\| ([\d, ]+) \| a person", PAGE, re.MULTILINE)
    assert {int(code) for code in row.split(",")} == PERSON


@pytest.mark.sweep
def test_the_manifest_of_the_page_is_one(place: Path) -> None:
    from hume_runner.manifest.published import schema_text

    text = block("manifests/study.yaml")
    if '"state"' not in schema_text():
        text = re.sub(r"^state:.*\n", "", text, flags=re.MULTILINE)
    (place / "manifests" / "study.yaml").write_text(text)
    done = bash("hume-runner validate --no-files manifests/study.yaml", place)
    assert done.returncode == 0, done.stdout


# -- pre-commit --------------------------------------------------------------------------------------------------------


def hooked(hook: Mapping[str, Any], place: Path) -> subprocess.CompletedProcess[str]:
    """As pre-commit calls it: with what is staged and fits."""
    staged = bash("git diff --cached --name-only --diff-filter=ACMR", place).stdout.split()
    names = [name for name in staged if re.search(hook["files"], name)]
    bash("git commit --quiet --message x", place)
    return bash(f"{hook['entry']} {shlex.join(names)}", place)


@pytest.mark.sweep
def test_the_hook_is_one_and_does_what_it_says(place: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (repository,) = yaml.safe_load(block(".pre-commit-config.yaml"))["repos"]
    assert [one["id"] for one in repository["hooks"]] == [hook["id"]]
    assert hook["language"] == "python"
    hook["entry"] = hook["entry"].replace("python", shlex.quote(sys.executable))
    assert not re.search(hook["files"], "manifests/media/one.wav")
    bash("git init --quiet && git config user.name n && git config user.email e", place)
    (place / "manifests" / "lists").mkdir()
    answers = place / "manifests" / "lists" / "answers.csv"
    answers.write_text("answer\nYes.\n")
    text = re.sub(r"^state:.*\n", "", block("manifests/study.yaml"), flags=re.MULTILINE)
    (place / "manifests" / "study.yaml").write_text(text)
    # Another program's, which names the list as well.
    (place / "manifests" / "other.yaml").write_text("on: {paths: [lists/answers.csv]}\n")
    bash("git add manifests/study.yaml manifests/lists", place)
    good = hooked(hook, place)
    assert good.returncode == 0, good.stderr
    assert good.stdout.count(": ok, 1 item") == 1
    bash("git add manifests/other.yaml && git commit --quiet --message other", place)
    answers.write_text("reply\nYes.\n")
    bash("git add manifests/lists/answers.csv", place)
    bad = hooked(hook, place)
    assert bad.returncode == 65
    assert "manifests/study.yaml" in bad.stdout
    assert "'answer'" in bad.stdout
    assert "other.yaml" not in bad.stdout
    (place / "notes.txt").write_text("Nothing of a manifest.")
    bash("git add notes.txt", place)
    assert hooked(hook, place).returncode == 0


# -- GitHub ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def zizmor() -> str:
    found = shutil.which("zizmor", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        assert not os.environ.get("CI"), "zizmor is not installed"
        pytest.skip("zizmor is not installed")
    return found


@pytest.mark.sweep
def test_the_workflows_and_the_action_have_no_weakness_that_is_known(zizmor: str, tmp_path: Path) -> None:
    workflows = [name for name in RECIPES if name.startswith(".github/workflows/")]
    for name in workflows:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block(name))
    shutil.copy(ROOT / "action.yml", tmp_path)
    command = [zizmor, "--offline", "--no-progress", "--persona=pedantic", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # It would tell: an action that is not pinned, and a script with something of the pull request's in it.
    bad = block(workflows[0]).replace("@11bd71901bbe5b1630ceea73d27597364c9af683", "@v4")
    (tmp_path / workflows[0]).write_text(bad)
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("name", ["hume-plan", "hume-run"])
def test_a_workflow_names_inputs_and_outputs_that_the_action_has(name: str) -> None:
    text = block(f".github/workflows/{name}.yml")
    (job,) = yaml.safe_load(text)["jobs"].values()
    steps = [step for step in job["steps"] if step.get("uses", "").startswith("research/hume-runner@")]
    assert steps
    for step in steps:
        assert set(step["with"]) <= set(ACTION["inputs"])
        required = {one for one, about in ACTION["inputs"].items() if about["required"]}
        assert required <= set(step["with"])
    used = set(re.findall(r"steps\.(?:plan|run)\.outputs\.(\w+)", text))
    assert used
    assert used <= set(ACTION["outputs"])


def test_a_run_is_never_cancelled_and_never_beside_another() -> None:
    run = yaml.safe_load(block(".github/workflows/hume-run.yml"))
    assert run["concurrency"] == {"group": "hume-run", "cancel-in-progress": False}


def test_no_script_of_the_action_or_the_workflows_holds_an_expression() -> None:
    scripts = [step["run"] for step in ACTION["runs"]["steps"]]
    for name in (".github/workflows/hume-plan.yml", ".github/workflows/hume-run.yml"):
        (job,) = yaml.safe_load(block(name))["jobs"].values()
        scripts += [step["run"] for step in job["steps"] if "run" in step]
    assert len(scripts) == 5
    assert not any("${{" in script for script in scripts)


class Runner:
    """What a runner of GitHub does with a composite action: environment in, outputs out."""

    def __init__(self, folder: Path) -> None:
        self.temp = folder / "temp"
        self.workspace = folder / "workspace"
        self.output, self.summary = folder / "output", folder / "summary.md"
        for one in (self.temp, self.workspace / "manifests"):
            one.mkdir(parents=True)
        sites = [path for path in sys.path if path.endswith("site-packages")]
        self.environ = {
            **{name: os.environ[name] for name in ("HOME", "TMPDIR", "LANG") if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
            # There is no index here: what the package needs lies beside, and it is built with what lies there.
            "PYTHONPATH": os.pathsep.join(sites),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_IGNORE_INSTALLED": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
        }
        self.steps = {step["name"]: step for step in ACTION["runs"]["steps"]}

    def step(self, name: str, inputs: Mapping[str, str], **environ: str) -> subprocess.CompletedProcess[str]:
        step = self.steps[name]
        given = {name: about.get("default", "") for name, about in ACTION["inputs"].items()} | inputs
        members = {}
        for variable, text in step["env"].items():
            found = re.fullmatch(r"\$\{\{ (?:inputs\.([\w-]+)|steps\.command\.outputs\.(\w+)) \}\}", text)
            assert found, text
            members[variable] = given[found[1]] if found[1] else self.outputs()[found[2]]
        self.written = self.output.stat().st_size if self.output.exists() else 0
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace,
            env={**self.environ, **members, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )

    def outputs(self) -> dict[str, str]:
        """The last value of each, as a runner takes them."""
        lines = self.output.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def command(self, command: str, **inputs: str) -> tuple[int, dict[str, str], str]:
        self.output.unlink(missing_ok=True)
        names = {name.replace("_", "-"): value for name, value in inputs.items()}
        done = self.step("hume-runner", {"command": command, "manifests": "manifests/*.yaml", **names})
        assert "Traceback" not in done.stderr
        return done.returncode, self.outputs(), done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    runner = Runner(tmp_path_factory.mktemp("runner"))
    done = runner.step("Install hume_runner", {})
    assert done.returncode == 0, done.stdout + done.stderr
    return runner


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """The same without an installation, which takes as long as all that is done with it."""
    runner = Runner(tmp_path_factory.mktemp("checkout"))
    python = runner.temp / "hume-runner" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    runner.environ["PYTHONPATH"] = str(ROOT)
    return runner


@pytest.fixture(params=["checkout", pytest.param("installed", marks=pytest.mark.sweep)])
def runner(request: pytest.FixtureRequest) -> Runner:
    found: Runner = request.getfixturevalue(request.param)
    shutil.rmtree(found.workspace)
    (found.workspace / "manifests").mkdir(parents=True)
    (found.workspace / "manifests" / "study.yaml").write_text(STUDY)
    found.summary.unlink(missing_ok=True)
    return found


@pytest.mark.sweep
def test_the_action_installs_itself_from_its_own_path(installed: Runner) -> None:
    code = "import hume_runner; print(hume_runner.__file__)"
    python = installed.temp / "hume-runner" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code], env=installed.environ, cwd=installed.temp, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(installed.temp / "hume-runner")


def test_extras_are_names_and_nothing_else(checkout: Runner) -> None:
    done = checkout.step("Install hume_runner", {"extras": "all]; touch gone #"})
    assert done.returncode == 64
    assert "names and commas only" in done.stdout


@pytest.mark.sweep
def test_the_action_validates_and_tells_problems_beside_their_lines(runner: Runner) -> None:
    code, outputs, _ = runner.command("validate")
    assert (code, outputs["items"], outputs["failure_reason"], outputs["exit_code"]) == (0, "5", "", "0")
    (runner.workspace / "manifests" / "bad.yaml").write_text(STUDY.replace("language", "langage"))
    code, outputs, said = runner.command("validate")
    assert (code, outputs["failure_reason"], outputs["exit_code"]) == (65, "manifest_error", "65")
    assert re.search(r"^::error file=manifests/bad\.yaml,line=6,col=\d+::models\.langage: unknown member", said, re.M)


@pytest.mark.sweep
def test_the_action_plans_runs_that_plan_and_has_nothing_to_do(runner: Runner) -> None:
    code, planned, _ = runner.command("plan")
    assert (code, planned["changes"], planned["items"], planned["exit_code"]) == (0, "true", "5", "2")
    assert (planned["billable_seconds"], planned["failure_reason"]) == ("", "")
    assert json.loads(Path(planned["plan_path"]).read_text(encoding="utf-8"))["summary"]["new"] == 5
    assert Path(planned["markdown_path"]).read_text(encoding="utf-8") == runner.summary.read_text(encoding="utf-8")
    code, ran, _ = runner.command("run", plan=planned["plan_path"])
    assert (code, ran["changes"], ran["items"], ran["failure_reason"]) == (0, "true", "5", "")
    assert (runner.workspace / "manifests" / "results" / "study" / "run.json").exists()
    code, ran, _ = runner.command("run", plan=planned["plan_path"])
    assert (code, ran["failure_reason"]) == (64, "usage_error")  # stale
    code, planned, _ = runner.command("plan")
    assert (code, planned["changes"], planned["items"], planned["exit_code"]) == (0, "false", "0", "0")


@pytest.mark.sweep
def test_a_bill_is_an_output(runner: Runner) -> None:
    from tests.cli.project import tone

    (runner.workspace / "manifests" / "one.wav").write_bytes(tone(1))
    manifest = STUDY.replace("batch-v0", "expression-v1").replace("language", "audio")
    manifest = manifest.replace("{text: [One., Two., Three., Four., Five.]}", "{files: [one.wav]}")
    (runner.workspace / "manifests" / "study.yaml").write_text(manifest)
    assert runner.command("plan")[1]["billable_seconds"] == "10"
    code, ran, said = runner.command("run")
    assert (code, ran["billable_seconds"]) == (0, "10"), said


@pytest.mark.sweep
def test_several_manifests_have_no_saved_plan(runner: Runner) -> None:
    other = STUDY.replace("study", "other")
    (runner.workspace / "manifests" / "other.yaml").write_text(other)
    code, planned, _ = runner.command("plan")
    assert (code, planned["items"], planned["plan_path"]) == (0, "10", "")
    assert Path(planned["markdown_path"]).read_text(encoding="utf-8").startswith("## Plans of 2 manifests")


@pytest.mark.sweep
def test_failed_items_fail_the_action_unless_they_are_allowed(runner: Runner) -> None:
    (runner.workspace / "manifests" / "empty.wav").write_bytes(b"")
    manifest = STUDY.replace("{text: [One., Two., Three., Four., Five.]}", "{files: [empty.wav]}")
    (runner.workspace / "manifests" / "study.yaml").write_text(manifest)
    code, ran, _ = runner.command("run")
    assert (code, ran["failure_reason"], ran["exit_code"]) == (3, "items_failed", "3")
    assert runner.command("run", allow_failed_items="true")[0] == 0


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("command", "inputs", "reason"),
    [
        ("destroy", {}, "usage_error"),
        ("plan", {"manifests": " \n"}, "usage_error"),
        ("plan", {"manifests": "--help"}, "manifest_error"),
        ("plan", {"manifests": "$(touch gone)"}, "manifest_error"),
        ("run", {"endpoint": "http://example.org"}, "usage_error"),
        ("plan", {"arguments": "--select\nlabel.wave = 2"}, "usage_error"),
    ],
)
def test_odd_inputs_are_told_and_are_never_a_script(
    runner: Runner, command: str, inputs: dict[str, str], reason: str
) -> None:
    code, outputs, _ = runner.command(command, **inputs)
    assert code in (64, 65)
    assert outputs["failure_reason"] == reason
    assert not (runner.workspace / "gone").exists()


class GitHub(Server):
    """The part of GitHub that keeps comments."""

    def __init__(self) -> None:
        super().__init__(_Comments)
        self.comments: list[dict[str, Any]] = []
        self.refuses: set[str] = set()
        self.seen: list[str] = []

    def answer(self, method: str, path: str, body: Mapping[str, Any], key: str) -> tuple[int, Any]:
        if key != "Bearer secret" or method in self.refuses:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "GET":
            page = int(path.rpartition("page=")[2])
            return 200, self.comments[(page - 1) * 100 : page * 100]
        if method == "PATCH":
            number = int(path.rpartition("/")[2])
            self.comments[number]["body"] = body["body"]
            return 200, self.comments[number]
        self.comments.append({"id": len(self.comments), "body": body["body"]})
        return 201, self.comments[-1]


class _Comments(Quiet):
    server: GitHub

    def _do(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else {}
        self.server.seen.append(f"{self.command} {self.path.partition('?')[0]}")
        status, answer = self.server.answer(self.command, self.path, body, self.headers["Authorization"])
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    do_GET = do_POST = do_PATCH = _do  # noqa: N815 - what the server looks for


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as github:
        yield github


def comment(runner: Runner, github: GitHub, **inputs: str) -> str:
    event = runner.temp / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    done = runner.step(
        "Comment",
        {"token": "secret", **inputs},
        GITHUB_API_URL=github.url,
        GITHUB_REPOSITORY="research/studies",
        GITHUB_EVENT_PATH=str(event),
        GITHUB_SHA="0123456789abcdef",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.sweep
def test_the_plan_is_one_comment_that_is_updated(runner: Runner, github: GitHub) -> None:
    github.comments += [{"id": number, "body": "LGTM"} for number in range(150)]
    runner.command("plan")
    comment(runner, github)
    runner.command("run")
    runner.command("plan")
    comment(runner, github)
    (body,) = [one["body"] for one in github.comments if one["body"] != "LGTM"]
    assert body.startswith("<!-- hume-runner plan -->\n### Plan for `study`")
    assert "| done | 5 |" in body
    assert "For 0123456789ab; nothing was sent." in body
    comment(runner, github, **{"comment-name": "other"})
    assert len(github.comments) == 152


@pytest.mark.sweep
def test_a_comment_of_somebody_else_is_left_alone(runner: Runner, github: GitHub) -> None:
    github.comments.append({"id": 0, "body": "<!-- hume-runner plan --> mine"})
    github.refuses.add("PATCH")
    runner.command("plan")
    comment(runner, github)
    assert [one["body"].endswith("mine") for one in github.comments] == [True, False]


@pytest.mark.sweep
def test_a_token_that_may_not_write_is_told_and_no_failure(runner: Runner, github: GitHub) -> None:
    runner.command("plan")
    assert "::warning::the plan is not at the pull request" in comment(runner, github, token="readonly")
    assert github.comments == []


# -- GitLab ------------------------------------------------------------------------------------------------------------


def component(**inputs: str) -> dict[str, Any]:
    """The component as a project gets it, with these inputs."""
    text = (ROOT / "templates" / "hume-runner.yml").read_text(encoding="utf-8")
    spec, body = text.split("\n---\n")
    known = yaml.safe_load(spec)["spec"]["inputs"]
    given = {name: about["default"] for name, about in known.items() if "default" in about} | inputs
    assert set(given) == set(known)
    assert set(re.findall(r"\$\[\[ inputs\.(\w+) \]\]", body)) == set(known)
    filled = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: json.dumps(given[found[1]]), body)
    jobs: dict[str, Any] = yaml.safe_load(filled)
    return jobs


def test_the_component_of_the_page_takes_its_inputs() -> None:
    (include,) = yaml.safe_load(block(".gitlab-ci.yml"))["include"]
    jobs = component(**include["inputs"])
    assert jobs[".hume-runner"]["image"]["name"] == include["inputs"]["image"]
    run = jobs["hume-run"]
    assert run["retry"] == {"max": 2, "exit_codes": [5]}
    assert run["allow_failure"] == {"exit_codes": [3]}
    assert run["resource_group"]
    assert run["interruptible"] is False


@pytest.mark.sweep
def test_the_jobs_of_the_component_run(place: Path) -> None:
    jobs = component(image="x", manifest="manifests/study.yaml")
    variables = {name: str(value) for name, value in jobs[".hume-runner"]["variables"].items()}
    for name, code in (("hume-validate", 0), ("hume-plan", 0), ("hume-run", 0)):
        for line in jobs[name]["script"]:
            assert "$[[" not in line
            done = bash(line, place, **variables)
            assert done.returncode == code, (name, done.stderr)
    assert json.loads((place / "plan.json").read_text())["summary"]["new"] == 5
    assert (place / "plan.md").read_text().startswith("### Plan for `study`")
    odd = bash(jobs["hume-validate"]["script"][0], place, HUME_MANIFEST="$(touch gone); touch gone")
    assert (odd.returncode, (place / "gone").exists()) == (65, False)
    elsewhere = bash(jobs["hume-plan"]["script"][0], place, **variables | {"HUME_ENDPOINT": "http://example.org"})
    assert elsewhere.returncode == 64


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def job_of(name: str) -> Mapping[str, Any]:
    document = yaml.safe_load(block(name))
    assert document["apiVersion"] == "batch/v1"
    spec: Mapping[str, Any] = document["spec"]
    return spec["jobTemplate"]["spec"] if document["kind"] == "CronJob" else spec  # type: ignore[no-any-return]


PODS = ["cronjob.yaml", "indexed-job.yaml", "merge-job.yaml"]


def script_of(name: str) -> str:
    """What the shell of a pod runs."""
    (container,) = job_of(name)["template"]["spec"]["containers"]
    assert container["command"] == ["/bin/sh", "-c"]
    (script,) = container["args"]
    assert isinstance(script, str)
    return script


@pytest.mark.parametrize("name", PODS)
def test_pods_fail_their_job_by_exit_code(name: str) -> None:
    job = job_of(name)
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["restartPolicy"] == "Never"  # a failure policy asks for it
    assert pod["securityContext"]["runAsNonRoot"] is True
    (rule,) = [rule for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert rule["action"] == ("FailIndex" if job.get("completionMode") == "Indexed" else "FailJob")
    codes = rule["onExitCodes"]
    assert (codes["containerName"], codes["operator"]) == (container["name"], "In")
    assert set(codes["values"]) == PERSON | {1}
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.sweep
def test_the_cron_jobs_pod_runs(place: Path) -> None:
    assert yaml.safe_load(block("cronjob.yaml"))["spec"]["concurrencyPolicy"] == "Forbid"
    done = bash(script_of("cronjob.yaml"), place)
    assert done.returncode == 0, done.stderr
    assert (place / "results" / "study" / "results.jsonl").exists()


@pytest.mark.sweep
def test_the_parts_of_an_indexed_job_are_merged(place: Path) -> None:
    job = job_of("indexed-job.yaml")
    script, of = script_of("indexed-job.yaml"), job["completions"]
    assert (job["completionMode"], f"/{of}" in script) == ("Indexed", True)
    for index in range(of):
        done = bash(script, place, JOB_COMPLETION_INDEX=str(index))
        assert done.returncode == 0, done.stderr
        assert (place / "results" / "study" / "shards" / f"{index + 1}-of-{of}" / "run.json").exists()
    mounts = [job_of(name)["template"]["spec"]["containers"][0]["volumeMounts"] for name in PODS]
    assert mounts[1] == mounts[2]
    done = bash(script_of("merge-job.yaml"), place)
    assert done.returncode == 0, done.stderr
    results = (place / "results" / "study" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["status"] for line in results] == ["done"] * 5


# -- a machine of one's own --------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_the_service_runs_and_its_codes_are_ours(place: Path, tmp_path: Path) -> None:
    service = units(block("hume-study.service"))["Service"]
    command = service["ExecStart"]
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == PERSON | {1}
    assert service["SuccessExitStatus"] == "3"
    words = command.replace("/opt/hume-runner/bin/", "")
    for folder in ("/var/log/hume", "/var/lib/node_exporter"):
        words = words.replace(folder, str(tmp_path))
    done = bash(words, place)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study.log").exists()
    assert 'hume_runner_exit_code{manifest="study"} 0' in (tmp_path / "hume_study.prom").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("hume-study.service", "hume-study.timer"):
        (tmp_path / name).write_text(block(name).replace("/opt/hume-runner/bin/hume-runner", "/bin/true"))
    command = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Unknown" not in done.stderr


@pytest.mark.sweep
def test_the_line_of_the_crontab_runs(place: Path) -> None:
    *fields, command = block("crontab").strip().split(" ", 5)
    assert len(fields) == 5
    command = command.replace("/opt/hume-runner/bin/", "")
    for _ in range(2):
        done = bash(command, place)
        assert (done.returncode, done.stderr) == (0, "")
    assert (place / "study.log").read_text().count("exit code 0") == 2


def operators() -> dict[str, dict[str, Any]]:
    calls = [node for node in ast.walk(ast.parse(block("hume_study.py"))) if isinstance(node, ast.Call)]
    found = {}
    for call in calls:
        if isinstance(call.func, ast.Name) and call.func.id.endswith("Operator"):
            members = {one.arg or "": ast.literal_eval(one.value) for one in call.keywords}
            found[members["task_id"]] = members
    return found


@pytest.mark.sweep
def test_the_tasks_of_airflow_run(place: Path) -> None:
    tasks = operators()
    assert set(tasks) == {"validate", "run", "report"}
    for name in ("validate", "run"):
        done = bash(tasks[name]["bash_command"], place)
        assert done.returncode == 0, done.stderr
    words = [*tasks["report"]["cmds"], *tasks["report"]["arguments"]]
    assert bash(shlex.join(words), place).returncode == 0
    (place / "study.yaml").write_text("version: 1\n")
    assert bash(tasks["run"]["bash_command"], place).returncode == 99
    away = STUDY.replace("emulator", "http://127.0.0.1:9").replace("results/study", "results/away")
    (place / "study.yaml").write_text(f"{away}execution: {{retry: {{attempts: 1}}}}\n")
    assert bash(tasks["run"]["bash_command"], place, HUME_API_KEY="x").returncode == 5


@pytest.mark.sweep
def test_the_array_of_slurm_is_merged(place: Path) -> None:
    parts = block("parts.sbatch")
    first, last = map(int, re.findall(r"^#SBATCH --array=(\d+)-(\d+)$", parts, re.MULTILINE)[0])
    # A part that is submitted again alone is still one of as many.
    assert (first, re.findall(r"^parts=(\d+)", parts, re.MULTILINE)) == (1, [str(last)])
    for number in range(first, last + 1):
        done = bash(parts, place, SLURM_ARRAY_TASK_ID=str(number))
        assert done.returncode == 0, done.stderr
    done = bash(block("merge.sbatch"), place)
    assert done.returncode == 0, done.stderr
    run = json.loads((place / "results" / "study" / "run.json").read_text())
    assert run["counts"]["items"]["done"] == 5


# -- all of them -------------------------------------------------------------------------------------------------------


def scripts() -> dict[str, str]:
    """Each recipe that a shell runs, as it is run, and how."""
    return {
        **{name: script_of(name) for name in PODS},
        **{name: block(name) for name in ("parts.sbatch", "merge.sbatch")},
        "hume_study.py": operators()["run"]["bash_command"],
    }


def stand_in(place: Path, code: int) -> None:
    """A `hume-runner` that merges, and whose run ends so; told to end it says so, and takes a moment."""
    command = place.parent / "bin" / "hume-runner"
    command.write_text(
        f"""#!/bin/sh
[ "$1" = state ] && exit 0
echo $$ > begun
trap 'echo > "ended-well"; exit 143' TERM
[ {code} = 143 ] && while :; do sleep 0.05; done
exit {code}
"""
    )
    command.chmod(0o755)


ENVIRON = {"JOB_COMPLETION_INDEX": "0", "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_COUNT": "4"}


@pytest.mark.sweep
@pytest.mark.parametrize("name", scripts())
def test_every_script_ends_as_the_table_of_exit_codes_says(name: str, place: Path) -> None:
    stop = 99 if name == "hume_study.py" else None  # what Airflow takes for "not again"
    for code in (0, 3, 5, 6, 8, 64):
        stand_in(place, code)
        expected = 0 if code in (0, 3) else code if code in (5, 6) else stop or code
        assert bash(scripts()[name], place, **ENVIRON).returncode == expected, code


@pytest.mark.parametrize("name", [*PODS, "parts.sbatch"])
def test_a_shell_in_between_hands_a_signal_on_and_waits(name: str, place: Path) -> None:
    """Not a test by hand: a pod's first process is that shell, and dies alone of nothing."""
    stand_in(place, 143)
    path = f"{place.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    with subprocess.Popen(
        ["sh", "-c", scripts()[name]], cwd=place, env={**os.environ, **ENVIRON, "PATH": path}
    ) as shell:
        while not (place / "begun").exists() or not (place / "begun").read_text().strip():
            assert shell.poll() is None
            time.sleep(0.02)
        shell.terminate()
        assert shell.wait(timeout=20) == 143
    assert (place / "ended-well").exists()


def test_the_recipes_agree() -> None:
    """The table, and whatever decides by exit code or waits for an end."""
    later = [int(code) for code in re.findall(r"^\| (\d+), (\d+) \| service unavailable", PAGE, re.MULTILINE)[0]]
    assert later == [5, 6]
    run = component(image="x", manifest="y")["hume-run"]
    assert set(run["retry"]["exit_codes"]) <= set(later)
    assert run["allow_failure"]["exit_codes"] == [3]
    service = units(block("hume-study.service"))["Service"]
    assert service["SuccessExitStatus"] == "3"
    assert service["TimeoutStopSec"] == "2min"
    for name in PODS:
        assert job_of(name)["template"]["spec"]["terminationGracePeriodSeconds"] == 120
        assert {job_of(name).get("backoffLimit"), job_of(name).get("backoffLimitPerIndex")} == {4, None}
    assert "#SBATCH --signal=B:TERM@120" in block("parts.sbatch")
    # Elsewhere they are only pointed at: two that are written down go apart.
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert page.name == "gitops.md" or not re.search(r"^#SBATCH|podFailurePolicy", text, re.MULTILINE), page.name


# -- the container -----------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    found = instructions()
    bases = [rest.split()[0] for name, rest in found if name == "FROM"]
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+-[\w-]+", base) for base in bases)
    assert len(set(bases)) == 1
    names = [name for name, _ in found]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name == "RUN")
    (user,) = [rest for name, rest in found if name == "USER"]
    uid = user.partition(":")[0]
    assert int(uid) > 1000
    assert f"--uid {uid} " in " ".join(rest for name, rest in found if name == "RUN")


@pytest.mark.sweep
def test_the_commands_of_the_image_build_install_and_run(installed: Runner, tmp_path: Path) -> None:
    """Here in a virtual environment, and with the folders of the image below a temporary one."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    environ = {**installed.environ, "PATH": f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    steps = [rest for name, rest in instructions() if name == "RUN" and "pip" in rest]
    assert len(steps) == 2
    for step in steps:
        script = step.replace("/wheels", str(tmp_path / "wheels")).replace(" /source", f" {ROOT}")
        done = subprocess.run(
            ["bash", "-ec", script], env={**environ, "EXTRAS": "all"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    (entry,) = [json.loads(rest) for name, rest in instructions() if name == "ENTRYPOINT"]
    (default,) = [json.loads(rest) for name, rest in instructions() if name == "CMD"]
    done = subprocess.run([*entry, *default], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: hume-runner")
