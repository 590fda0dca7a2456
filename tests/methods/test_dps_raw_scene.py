"""What frames say of their light before their likelihood is climbed."""

from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

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
def reconstruction(background: float) -> tuple[ImageStack, NDArray[np.float32]]:
    """Return a SIM image on an even background, and the truth on the grid of `dps`."""
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
    image = finish(RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu")))
    truth = blur_truth(simulation.truth, modulation_factor=3.8).data
    return image, resample(truth, (4 * SIDE_PX, 4 * SIDE_PX))


def scene(image: ImageStack) -> RawScene:
    raw = recording_behind(image)
    assert raw is not None
    return scene_of(raw, image.data, Context("cpu"), torch.device("cpu"))[0]


@pytest.mark.parametrize("background", [0.03, 10])
def test_background_adds_noise_but_no_clear_photons(background: float) -> None:
    found = scene(reconstruction(background)[0]).clear_photons
    # Counts above the background, squared, over the noise of all light.
    wanted = PHOTONS**2 / (PHOTONS * (1 + background) + 1.5**2)
    assert found == pytest.approx(wanted, rel=0.25)


def test_raw_frames_gain_much_on_a_bright_background() -> None:
    image, truth = reconstruction(10)
    found = []
    for raw_frames in (True, False):
        chosen = DpsParameters(raw_frames=raw_frames)
        result = finish(STAGE.run(image, chosen, Context("cpu"))).data
        found.append(psnr_db(fit_intensity(result, truth), truth))
    assert found[0] > found[1] + 2
