"""What families of scores are called on the page, and how their scores are read, is their layout's to say."""

from __future__ import annotations

from pathlib import Path

import hume_runner.services.batch_v0.layouts as batch_v0
import hume_runner.services.expression_v1.layouts as expression_v1
import hume_runner.services.local.layouts as local
from hume_runner.results.report.families import families_of
from hume_runner.results.report.gather import gather
from hume_runner.services.table_shapes import Family, Layout, OpenFamily
from tests.results.sample_answers import interviews


def test_a_family_is_called_by_its_words_or_else_by_its_prefix() -> None:
    layout = Layout(
        name="table",
        row="a row",
        columns=(),
        families=(
            Family(prefix="mood_swing", names=("a",)),
            Family(prefix="gloom", words="Gloom", tells="mean level", names=("1", "2")),
        ),
        open_families=(OpenFamily(name="colours", prefix="colour", words="colours", meaning="colours, by name"),),
    )
    assert families_of(layout) == {
        "mood_swing": {"words": "mood swing"},
        "gloom": {"words": "Gloom", "tells": "mean level"},
        "colour": {"words": "colours"},
        "value": {"words": "measurements"},
    }


def test_the_page_has_them_of_each_table_that_it_shows(tmp_path: Path) -> None:
    gathered = gather(interviews(tmp_path, 3))
    assert set(gathered.families) == set(gathered.models)
    assert gathered.families["face"]["facs"]["words"] == "FACS"


def test_what_the_families_of_each_api_are_called() -> None:
    layouts = (*batch_v0.LAYOUTS, *expression_v1.LAYOUTS, *local.layouts().values())
    called = {family: told["words"] for layout in layouts for family, told in families_of(layout).items()}
    assert called == {
        "emotion": "expressions",
        "facs": "FACS",
        "description": "descriptions",
        "sentiment": "sentiment",
        "toxicity": "toxicity",
        "expression": "expressions",
        "voice_attribute": "voice attributes",
        "goemotions": "emotions",
        "value": "measurements",
    }
