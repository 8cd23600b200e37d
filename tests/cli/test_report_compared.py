"""A report that carries a comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.cli.main import main
from tests.results.browser import chromium, opened
from tests.tiers import sampled

TEXTS = ["I love this. Thank you!", "How dare you?", "What a surprise.", "<b>The bus</b> leaves at nine. & so on"]


@pytest.fixture
def studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two manifests of the same texts, both measured."""
    monkeypatch.chdir(tmp_path)
    for name, granularity in (("fine", "sentence"), ("coarse", "text")):
        manifest = {"version": 1, "name": name, "service": {"api": "local"}, "sources": {"text": TEXTS}}
        manifest |= {"models": {"language": {"granularity": granularity}}, "outputs": {"directory": name}}
        Path(f"{name}.yaml").write_text(json.dumps(manifest))
        assert main([f"{name}.yaml"]) == 0
    return tmp_path


@pytest.mark.sweep
def test_a_report_carries_a_comparison(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for other in ("coarse", "coarse.yaml"):
        capsys.readouterr()
        assert main(["report", "fine.yaml", "--compare", other]) == 0
        written = Path(capsys.readouterr().out.strip())
        assert written.name == "report-compared.html"
        with chromium() as browser, opened(browser, written) as seen:
            page = seen.page
            section = page.locator("#compared")
            assert section.locator("h2").inner_text() == "Beside coarse"
            assert "4 items with the same content in both, 4 compared" in section.inner_text()
            assert "granularity" in section.inner_text()
            row = page.locator("section[aria-labelledby='compared-1'] tbody tr", has_text="goemotions_surprise")
            assert row.locator("td").first.inner_text() == "4"
            assert page.locator(".plots figure").count() > 20
            page.locator("#list button").first.click()  # the rest of the report is as it was
            assert page.locator("#detail h3").count() > 0
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.locator("b", has_text="The bus").count() == 0
            assert seen.console == []
            assert seen.requests == [written.as_uri()]
    before = written.read_bytes()
    assert main(["fine.yaml"]) == 0
    assert written.read_bytes() == before  # no run takes it away
    assert main(["report", "fine.yaml"]) == 0
    assert b'id="compared"' not in Path("fine/report.html").read_bytes()


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["fine.yaml", "--compare", "coarse", "--out", "fine/report.html"], "the next run would write it anew"),
        (["fine.yaml", "--pair", "language.known=language.words"], "add --compare OTHER"),
        (["fine.yaml", "--compare", "nowhere"], "there is no such thing"),
        (["--from", "x.json", "--out", "y.html", "--compare", "coarse"], "needs the results of a manifest"),
        (["fine.yaml", "--compare", "coarse", "--pair", "language.no=language.known"], "has no column 'no'"),
    ],
)
def test_what_cannot_be_carried_is_told(
    studies: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    capsys.readouterr()
    assert main(["report", *flags]) == 64
    assert said in capsys.readouterr().err
    assert not list(studies.glob("**/*.html"))


def test_a_result_that_is_not_there_yet_is_told(studies: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("new.yaml").write_text(Path("fine.yaml").read_text().replace('"fine"', '"new"'))
    assert main(["report", "fine.yaml", "--compare", "new.yaml"]) == 64
    assert "there are no results yet" in capsys.readouterr().err
