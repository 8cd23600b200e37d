"""Fitting pictures into the service's limits."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hume_runner.media.jpeg import MAX_IMAGE_PIXELS, encode_within, fit
from hume_runner.media.problems import MediaProblem

NOISE = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.none() | st.integers(16, 4000))
def test_a_fitted_size_is_within_the_limits_and_of_the_same_shape(
    width: int, height: int, max_width: int | None
) -> None:
    new_width, new_height = fit(width, height, max_width=max_width)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert new_width * new_height <= MAX_IMAGE_PIXELS
    assert max_width is None or new_width <= max_width
    if min(new_width, new_height) >= 100:
        assert new_width / new_height == pytest.approx(width / height, rel=0.02)
    if width * height <= MAX_IMAGE_PIXELS and (max_width is None or width <= max_width):
        assert (new_width, new_height) == (width, height)


@pytest.mark.parametrize("max_bytes", [100_000, 20_000, 3_000])
def test_quality_gives_way_before_size_until_the_bytes_fit(max_bytes: int) -> None:
    jpeg = encode_within(av.VideoFrame.from_ndarray(NOISE, format="rgb24"), max_bytes=max_bytes)
    assert len(jpeg.data) <= max_bytes
    with Image.open(io.BytesIO(jpeg.data)) as image:
        image.load()
        assert image.size == (jpeg.width, jpeg.height)
    assert (jpeg.width == 400) == (max_bytes == 100_000)


def test_a_limit_that_nothing_fits_is_said() -> None:
    with pytest.raises(MediaProblem) as caught:
        encode_within(av.VideoFrame.from_ndarray(NOISE, format="rgb24"), max_bytes=100)
    assert caught.value.reason == "too_large"
