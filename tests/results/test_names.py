from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.names import label_columns


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (["Wave", "Wave 2", "wave"], ["label_wave", "label_wave_2", "label_wave_3"]),
        (["wave", "Wave"], ["label_wave", "label_wave_2"]),
        (["a", "A", "A 2", "a-2", "a 3"], ["label_a", "label_a_4", "label_a_2", "label_a_2_2", "label_a_3"]),
        (["年", "性", "Unnamed"], ["label_unnamed", "label_unnamed_2", "label_unnamed_3"]),
        (["", " "], ["label_unnamed", "label_unnamed_2"]),
    ],
)
def test_labels_that_would_be_called_the_same_get_numbers_that_are_free(labels: list[str], columns: list[str]) -> None:
    assert list(label_columns(labels).values()) == columns


@given(st.lists(st.text(st.sampled_from("aA _-2é3"), max_size=5), unique=True, max_size=12))
def test_no_two_labels_share_a_column_and_names_that_are_alone_stay(labels: list[str]) -> None:
    columns = label_columns(labels)
    assert list(columns) == labels
    assert len(set(columns.values())) == len(labels)
    for label in labels:
        alone = label_columns([label])[label]
        if sum(label_columns([other])[other] == alone for other in labels) == 1:
            assert columns[label] == alone
