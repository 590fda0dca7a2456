"""The self-check: pairs planted into an image, and what is resolved of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.self_check import Resolved
from napari_dps.physics.psf import fwhm_nm
from napari_dps.stages.dps import DpsParameters, self_check

OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)


def image_of(peak: float, shape: tuple[int, int] = (140, 130)) -> ImageStack:
    """A few bright blobs on an even background of 10 counts, with shot noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    blobs = np.exp(-((y % 60 - 30) ** 2 + (x % 60 - 30) ** 2) / 18)
    counts = np.random.default_rng(1).poisson(10 + peak * blobs)
    data = counts.astype(np.float32)
    return ImageStack(data, "YX", pixel_size_nm=65, optics=OPTICS)


def checked(image: ImageStack, **options: float) -> tuple[Resolved, Resolved]:
    parameters = DpsParameters(method="rl", strength=options.pop("strength", 0.5))
    return finish(self_check(image, parameters, Context("cpu"), **options))


@pytest.mark.slow
def test_input_resolves_what_rayleigh_says() -> None:
    lines, points = checked(image_of(4000))
    assert lines.kind == "lines"
    assert points.kind == "points"
    # A dip of 26 % is at 0.61 λ/NA, 1.19 widths; the pixels add a little.
    for answer in (lines, points):
        assert answer.input_nm == pytest.approx(1.22 * fwhm_nm(OPTICS), rel=0.08)
        assert answer.pairs >= 4


@pytest.mark.slow
def test_result_resolves_more_with_more_light_and_more_strength() -> None:
    dim, bright = checked(image_of(60))[1], checked(image_of(4000))[1]
    sharp = checked(image_of(4000), strength=0.9)[1]
    assert bright.result_nm is not None
    assert bright.input_nm is not None
    assert dim.result_nm is not None
    assert sharp.result_nm is not None
    assert bright.result_nm < 0.75 * bright.input_nm
    assert sharp.result_nm < bright.result_nm < dim.result_nm


@pytest.mark.slow
def test_image_is_not_changed_and_the_answer_repeats() -> None:
    image = image_of(500)
    before = image.data.copy()
    image.data.setflags(write=False)
    assert checked(image) == checked(image)
    np.testing.assert_array_equal(image.data, before)


def test_progress_rises_to_its_total() -> None:
    steps = self_check(image_of(500), DpsParameters(method="rl"), Context("cpu"))
    shares = [report.done / report.total for report in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_noise_alone_is_refused() -> None:
    with pytest.raises(InputError, match="no structure"):
        checked(image_of(0))


def test_tiny_image_is_refused() -> None:
    with pytest.raises(InputError, match="too small"):
        checked(image_of(500, (30, 30)))


def test_image_without_optics_is_refused() -> None:
    image = ImageStack(image_of(500).data, "YX")
    with pytest.raises(InputError, match="NA, emission") as caught:
        checked(image)
    assert "optics.na" in caught.value.fields


@pytest.mark.parametrize("brightness", [0.0, -1.0, 1000.0, float("nan")])
def test_brightness_out_of_range_is_refused(brightness: float) -> None:
    with pytest.raises(InputError, match="brightness"):
        checked(image_of(500), brightness=brightness)
