"""What frames say of their light before their likelihood is climbed."""

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.raw_scene import RawScene, scene_of
from napari_dps.methods.dps.recording import recording_behind
from napari_dps.metrics.reference import fit_intensity, psnr_db
from napari_dps.physics.resampling import resample
from napari_dps.physics.simulate import blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages.dps import STAGE, DpsParameters
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT

PHOTONS = 200
SIDE_PX = 96


@cache
def recorded(background: float) -> tuple[ImageStack, NDArray[np.float32]]:
    """Return frames on an even background, and the truth on the grid of `dps`."""
    simulation = simulate(
        SimulationSettings(
            height_px=SIDE_PX,
            width_px=SIDE_PX,
            na=1.3,
            modulation=0.8,
            haze_fraction=0,
            photons=PHOTONS,
            background_photons=background * PHOTONS,
            read_noise_e=1.5,
            seed=4001,
        )
    )
    raw = simulation.raw.derive(simulation.raw.data.astype(np.float32) - 100)
    truth = blur_truth(simulation.truth, modulation_factor=3.8).data
    return raw, resample(truth, (4 * SIDE_PX, 4 * SIDE_PX))


def reconstructed(raw: ImageStack) -> ImageStack:
    return finish(RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu")))


def likeness(
    image: ImageStack, truth: NDArray[np.float32], **parameters: object
) -> float:
    """Return the PSNR of the stage's result after an affine fit."""
    chosen = DpsParameters(**parameters)  # type: ignore[arg-type]
    result = finish(STAGE.run(image, chosen, Context("cpu"))).data
    return psnr_db(fit_intensity(result, truth), truth)


def scene(image: ImageStack) -> RawScene:
    raw = recording_behind(image)
    assert raw is not None
    return scene_of(raw, image.data, Context("cpu"), torch.device("cpu"))[0]


@pytest.mark.parametrize("background", [0.03, 10])
def test_background_adds_noise_but_no_clear_photons(background: float) -> None:
    found = scene(reconstructed(recorded(background)[0])).clear_photons
    # Counts above the background, squared, over the noise of all light.
    wanted = PHOTONS**2 / (PHOTONS * (1 + background) + 1.5**2)
    assert found == pytest.approx(wanted, rel=0.25)


def test_raw_frames_gain_much_on_a_bright_background() -> None:
    raw, truth = recorded(10)
    image = reconstructed(raw)
    with_frames = likeness(image, truth)
    assert with_frames > likeness(image, truth, raw_frames=False) + 2


def test_too_large_an_offset_costs_little() -> None:
    raw, truth = recorded(0.03)
    right = likeness(reconstructed(raw), truth)
    # A third of the mean light.
    less = raw.derive(raw.data - 0.33 * raw.data.mean())
    assert likeness(reconstructed(less), truth) > right - 0.4


@pytest.mark.parametrize("method", ["network", "joint"])
def test_sharpened_frames_give_a_finite_result(method: str) -> None:
    raw, _ = recorded(0.03)
    blurred = gaussian_filter(raw.data, (0, 0, 8, 8))
    image = reconstructed(raw.derive(np.maximum(raw.data - blurred, 0)))
    chosen = DpsParameters(method=method)
    result = finish(STAGE.run(image, chosen, Context("cpu"))).data
    assert np.isfinite(result).all()
    assert result.max() < 10 * image.data.max()


def test_a_bright_speck_is_shown_without_a_cross() -> None:
    shown = scene(reconstructed(recorded(0.03)[0]))
    thing = torch.zeros((2 * SIDE_PX, 2 * SIDE_PX))
    thing[100, 90] = 1
    seen = shown.seen(thing, shown.raw.finest_per_pixel / 0.5)
    peak = float(seen.max())
    # Along the rows and columns through the speck, from ten widths of the PSF on.
    far = np.r_[0:130, 240 : 4 * SIDE_PX]
    assert np.abs(seen[200:202, far]).max() < 1e-3 * peak
    assert seen.mean() == pytest.approx(shown.scale * float(thing.mean()), rel=1e-3)
