"""A SIM reconstruction of another program: how sharp `dps` takes it to be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.io import load, save
from napari_dps.methods.dps.optics import RECONSTRUCTION_WIDTH
from napari_dps.metrics.reference import fit_intensity, psnr_db
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver
from napari_dps.physics.simulate import blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import PipelineResult, Settings, open_input, run_plan
from napari_dps.stages.dps import DpsParameters, measures_psf


@cache
def reconstruction() -> tuple[ImageStack, float]:
    """Vesicles that say nothing but lens and pixels, and their modulation factor."""
    settings = SimulationSettings(
        structure="vesicles", height_px=96, width_px=96, photons=300, seed=5
    )
    made = simulate(settings)
    solver = WienerSolver((96, 96), made.patterns, settings.optics, WienerSettings())
    data = solver.solve(made.raw.data - settings.offset_counts)
    optics = settings.optics.at_pixel_size(settings.pixel_size_nm / 2)
    lens_nm = settings.optics.cutoff_period_nm
    factor = RECONSTRUCTION_WIDTH * (1 + lens_nm / (made.patterns[0].period_nm or 1))
    stack = ImageStack(data, "YX", pixel_size_nm=optics.pixel_size_nm, optics=optics)
    return stack, factor


def likeness(result: ImageStack) -> float:
    """PSNR of a result in the pixels of the image against a sharper truth."""
    settings = SimulationSettings(
        structure="vesicles", height_px=96, width_px=96, photons=300, seed=5
    )
    truth = blur_truth(simulate(settings).truth, modulation_factor=3).data[8:-8, 8:-8]
    binned = result.data.reshape(192, 2, 192, 2).mean(axis=(1, 3))[8:-8, 8:-8]
    return psnr_db(fit_intensity(binned, truth), truth, float(np.ptp(truth)))


def sharpened(image: ImageStack, **tables: dict[str, object]) -> PipelineResult:
    tables = {"pipeline": {"stages": ["dps"]}, **tables}
    plan = open_input(image, Settings.from_tables(tables))
    return finish(run_plan(plan, Context("cpu")))


def factor_of(result: PipelineResult) -> float:
    (image,) = result.images
    return image.require_optics("test").modulation_factor


def test_reconstruction_without_a_history_is_as_sharp_as_it_shows() -> None:
    image, factor = reconstruction()
    result = sharpened(image)
    (warning,) = result.warnings
    assert "sharper than its optics allow" in warning
    assert result.images[0].history[-1].warnings == (warning,)
    assert factor_of(result) == pytest.approx(factor, rel=0.15)
    assert result.images[0].is_reconstruction
    stated = sharpened(image, dps={"psf": "stated"})
    assert likeness(result.images[0]) > likeness(stated.images[0]) + 3


def test_psf_that_is_stated_is_taken() -> None:
    image, _ = reconstruction()
    stated = sharpened(image, dps={"psf": "stated"})
    assert factor_of(stated) == 1
    assert not stated.images[0].is_reconstruction
    one = sharpened(image, optics={"modulation_factor": 1})
    np.testing.assert_array_equal(one.images[0].data, stated.images[0].data)
    other = sharpened(image, optics={"modulation_factor": 1.3})
    assert factor_of(other) == 1.3
    assert not any("sharper" in warning for warning in other.warnings)


def test_planes_are_taken_alike(tmp_path) -> None:
    image, factor = reconstruction()
    flat = np.random.default_rng(0).poisson(20, image.shape)
    both = np.stack([image.data, flat.astype(np.float32)])
    result = sharpened(replace(image, data=both, axes="TYX"))
    assert len(result.warnings) == 1
    assert factor_of(result) == pytest.approx(factor, rel=0.15)
    path = tmp_path / "image.ome.tif"
    save(result.images[0], path)
    assert load(path).shows_sim


def test_camera_image_is_as_sharp_as_its_optics_say() -> None:
    image, _ = reconstruction()
    frame = image.derive(np.random.default_rng(0).poisson(20, (96, 96)))
    auto, stated = sharpened(frame), sharpened(frame, dps={"psf": "stated"})
    np.testing.assert_array_equal(auto.images[0].data, stated.images[0].data)
    assert auto.warnings == ()


def test_history_decides_where_there_is_one() -> None:
    image, _ = reconstruction()
    known = replace(image, shows_sim=True)
    assert measures_psf(image, DpsParameters())
    assert not measures_psf(known, DpsParameters())
    assert measures_psf(known, DpsParameters(psf="measured"))


def test_measured_psf_is_that_of_a_reconstruction() -> None:
    image, _ = reconstruction()
    result = sharpened(image, dps={"psf": "measured"})
    assert factor_of(result) > 1.2
    assert result.images[0].is_reconstruction
