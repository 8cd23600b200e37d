"""An item as a row of the scratch file."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hume_runner.planning.rows import labels_text


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
        max_size=5,
    )
)
def test_labels_are_written_as_the_json_module_writes_them(labels: dict[str, Any]) -> None:
    assert labels_text(labels) == json.dumps(labels, ensure_ascii=False)
