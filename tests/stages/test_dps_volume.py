"""``dps`` on whole z-stacks: with the PSF in three dimensions."""

import numpy as np
import pytest
import torch

from napari_dps import pipeline
from napari_dps.core import ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.physics.deconvolution.volume_model import VolumeModel
from napari_dps.physics.psf3d import (
    confocal_transfer,
    sim_transfer,
    widefield_transfer,
)
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.stages.dps import STAGE, DpsParameters

OPTICS = Optics(na=1.3, emission_nm=525, pixel_size_nm=80)
STEP_NM = 150.0


def simulated(photons=500.0, **changes):
    return simulate(
        SimulationSettings(
            structure="filaments",
            planes=12,
            height_px=48,
            width_px=40,
            na=1.3,
            pixel_size_nm=80,
            z_step_nm=STEP_NM,
            photons=photons,
            haze_fraction=0,
            background_photons=0,
            oversampling=2,
            **changes,
        )
    )


@pytest.fixture(scope="module")
def widefield():
    """A widefield stack, and its truth on the grid of the camera."""
    made = simulated()
    even = made.clean.mean(axis=(1, 2))
    data = np.random.default_rng(0).poisson(even).astype(np.float32)
    truth = made.truth.data
    binned = truth.reshape(12, 48, 2, 40, 2).sum(axis=(2, 4))
    stack = ImageStack(data, "ZYX", pixel_size_nm=80, optics=OPTICS, z_step_nm=STEP_NM)
    return stack, binned


def run(stack, **parameters):
    return finish(STAGE.run(stack, DpsParameters(**parameters), Context()))


@pytest.mark.parametrize("method", ["rl", "sparse"])
def test_out_of_focus_light_goes_back_to_its_plane(widefield, method):
    stack, truth = widefield
    assert STAGE.takes_volumes(stack, DpsParameters(method=method))
    volume = run(stack, method=method)
    flat = np.stack(
        [run(plane, method=method).data for plane in planes_of_stack(stack)]
    )
    assert volume.axes == "ZYX"
    assert volume.pixel_size_nm == 40
    assert volume.z_step_nm == STEP_NM

    def likeness(image):
        seen = image.reshape(12, 48, 2, 40, 2).mean(axis=(2, 4))
        inside = (slice(1, -1), slice(4, -4), slice(4, -4))
        smooth = truth_blurred(truth)
        return np.corrcoef(seen[inside].ravel(), smooth[inside].ravel())[0, 1]

    assert likeness(volume.data) > likeness(flat) + 0.1


def test_the_network_is_brought_into_line_with_the_volume_where_asked(widefield):
    stack, truth = widefield
    assert not STAGE.takes_volumes(stack, DpsParameters())
    assert STAGE.takes_volumes(stack, DpsParameters(dimension="3d"))
    volume = run(stack, dimension="3d")
    flat = np.stack([run(plane).data for plane in planes_of_stack(stack)])
    assert volume.data.shape == flat.shape == (12, 96, 80)
    assert volume.data.min() >= 0

    def likeness(image):
        seen = image.reshape(12, 48, 2, 40, 2).mean(axis=(2, 4))
        inside = (slice(1, -1), slice(4, -4), slice(4, -4))
        smooth = truth_blurred(truth)
        return np.corrcoef(seen[inside].ravel(), smooth[inside].ravel())[0, 1]

    assert likeness(volume.data) > likeness(flat) + 0.1


def truth_blurred(truth):
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(truth, (0.8, 0.6, 0.6))


def planes_of_stack(stack):
    return [stack.derive(plane, axes="YX") for plane in stack.data]


@pytest.mark.parametrize("name", ["widefield", "confocal", "sim"])
def test_even_light_stays_even_and_the_adjoint_is_the_transpose(name):
    patterns = simulated(
        phases=5, beams="three", modulation=1.2, second_modulation=0.5
    ).patterns
    transfer = {
        "widefield": lambda: widefield_transfer(OPTICS, STEP_NM),
        "confocal": lambda: confocal_transfer(OPTICS, STEP_NM),
        "sim": lambda: sim_transfer(OPTICS, STEP_NM, patterns),
    }[name]()
    model = VolumeModel((7, 21, 18), OPTICS, STEP_NM, transfer, torch.device("cpu"))
    even = model.forward(torch.full(model.object_shape, 3.0))
    torch.testing.assert_close(even, torch.full((7, 21, 18), 3.0), atol=2e-3, rtol=0)
    rng = np.random.default_rng(0)
    thing, image = (
        torch.from_numpy(rng.random(shape).astype(np.float32))
        for shape in (model.object_shape, model.shape)
    )
    one = float((model.forward(thing) * image).sum())
    other = float((thing * model.adjoint(image)).sum()) / model.binning**2
    assert one == pytest.approx(other, rel=1e-4)


def test_a_confocal_psf_sees_depth_and_a_widefield_psf_does_not():
    wide, confocal = (
        make(OPTICS, STEP_NM)(64) for make in (widefield_transfer, confocal_transfer)
    )
    # The missing cone: beside kr = 0 a widefield OTF is 0 along kz.
    assert np.abs(wide.values[2, 3:61]).max() < 0.01
    assert confocal.values[2, 3] > 0.3
    assert confocal.cutoff_per_nm > 1.9 * wide.cutoff_per_nm


def test_brightness_is_that_of_emitters_in_focus(widefield):
    stack, truth = widefield
    bright = run(stack, method="rl").data
    assert bright.sum() / 4 == pytest.approx(truth.sum(), rel=0.35)
    doubled = run(stack.derive(2 * stack.data), method="rl").data
    np.testing.assert_allclose(doubled, 2 * bright, rtol=0.05, atol=0.02 * bright.max())


def test_stacks_that_are_no_volumes_go_plane_by_plane(widefield):
    stack, _ = widefield
    asked = STAGE.takes_volumes
    assert not asked(stack, DpsParameters())
    assert not asked(stack, DpsParameters(method="rl", dimension="2d"))
    assert not asked(stack, DpsParameters(method="rl", uncertainty=True))
    assert not asked(stack, DpsParameters(method="rl", invented=True))
    few = stack.derive(stack.data[:4])
    assert not asked(few, DpsParameters(method="rl"))
    for image, parameters, message in (
        (few, {"method": "rl"}, "planes for a deconvolution in 3-D: got 4"),
        (stack, {"method": "joint"}, "method in 3-D"),
        (stack, {"method": "rl", "uncertainty": True}, "dimension 2d"),
        (stack, {"method": "rl", "invented": True}, "dimension 2d"),
    ):
        with pytest.raises(InputError, match=message):
            asked(image, DpsParameters(dimension="3d", **parameters))


def test_the_pipeline_hands_over_the_whole_stack(widefield):
    stack, _ = widefield
    parameters = {"dps": DpsParameters(method="rl")}
    steps = pipeline.choose_steps(stack, ["dps"], parameters)
    result = finish(pipeline.run(stack, steps))
    expected = run(stack, method="rl").data
    np.testing.assert_allclose(result.images[0].data, expected, atol=1e-4)
    assert result.images[0].axes == "ZYX"
