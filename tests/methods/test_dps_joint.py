"""Data consistency with the raw frames: what it gains, and when it keeps away."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Pattern, RawFrames, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps import raw_scene
from napari_dps.methods.dps.joint import LEAST_MODULATION, climb_steps, modulations
from napari_dps.methods.dps.raw_scene import scene_of
from napari_dps.methods.dps.recording import Recording, recording_behind
from napari_dps.metrics.reference import fit_intensity, psnr_db
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.raw_light import Light, stripes_of
from napari_dps.physics.sim.shot_noise import ShotNoise
from napari_dps.physics.simulate import blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps, run
from napari_dps.stages.dps import STAGE, DpsParameters

OFFSET = 100.0


@cache
def reconstruction(photons: float = 300) -> tuple[ImageStack, NDArray[np.float32]]:
    """Return a SIM image with its raw frames, and the truth on the grid of `dps`."""
    from napari_dps.stages.reconstruct import STAGE as reconstruct

    simulation = simulate(
        SimulationSettings(
            structure="er",
            height_px=96,
            width_px=88,
            na=1.3,
            modulation=0.8,
            haze_fraction=0.1,
            photons=photons,
            seed=21,
        )
    )
    raw = simulation.raw.derive(simulation.raw.data.astype(np.float32) - OFFSET)
    image = finish(reconstruct.run(raw, reconstruct.parameters(), Context("cpu")))
    truth = blur_truth(simulation.truth, modulation_factor=3.8).data
    return image, resample(truth, (384, 352))


def sharpened(
    image: ImageStack, context: Context | None = None, **parameters: object
) -> NDArray[np.float32]:
    """Run the stage."""
    chosen = DpsParameters(**parameters)  # type: ignore[arg-type]
    return finish(STAGE.run(image, chosen, context or Context("cpu"))).data


def likeness(result: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Return the PSNR after an affine fit."""
    return psnr_db(fit_intensity(result, truth), truth)


def with_patterns(image: ImageStack, **changes: object) -> ImageStack:
    """Return an image that was reconstructed with other stripes."""
    patterns = [pattern.model_copy(update=changes) for pattern in image.patterns]
    return image.derive(image.data, patterns=tuple(patterns))


def turned(image: ImageStack, degrees: float) -> ImageStack:
    """Return an image whose stripes are said to run in other directions."""
    patterns = []
    for pattern in image.patterns:
        order = pattern.orders[0]
        angle = (order.angle_deg or 0.0) + degrees
        orders = (order.model_copy(update={"angle_deg": angle}),)
        patterns.append(pattern.model_copy(update={"orders": orders}))
    return image.derive(image.data, patterns=tuple(patterns))


def test_raw_frames_bring_the_network_nearer_to_the_truth() -> None:
    image, truth = reconstruction()
    with_frames, alone = sharpened(image), sharpened(image, raw_frames=False)
    assert likeness(with_frames, truth) > likeness(alone, truth) + 1


def test_the_network_of_raw_frames_is_nearer_to_the_truth_than_their_fit() -> None:
    image, truth = reconstruction()
    default = sharpened(image)
    for other in ({"method": "joint"}, {"weights": "hybrid"}):
        assert likeness(default, truth) > likeness(sharpened(image, **other), truth)


def test_turned_frames_give_the_turned_result() -> None:
    from napari_dps.stages.reconstruct import STAGE as reconstruct

    image, _ = reconstruction()
    assert image.frames is not None
    result, span = sharpened(image), float(np.ptp(image.data))
    for turn in (np.rot90, np.flipud):
        frames = turn(np.moveaxis(image.frames.data, (2, 3), (0, 1)))
        raw = ImageStack(
            np.ascontiguousarray(np.moveaxis(frames, (0, 1), (2, 3))),
            "APYX",
            pixel_size_nm=2 * (image.pixel_size_nm or 0),
            optics=image.require_optics("a test").at_pixel_size(
                2 * (image.pixel_size_nm or 0)
            ),
        )
        again = finish(reconstruct.run(raw, reconstruct.parameters(), Context("cpu")))
        assert sharpened(again) == pytest.approx(turn(result), abs=1e-3 * span)


def test_the_lens_of_a_sharp_image_is_undone() -> None:
    image, _ = reconstruction()
    raw = recording_behind(image)
    assert raw is not None
    scene, thing = scene_of(raw, image.data, Context("cpu"), torch.device("cpu"))
    inside = scene.plane.inside(thing)
    sharp = 2.4 * scene.raw.finest_per_pixel
    _, again = scene.begin(scene.seen(inside, sharp), sharp)
    _, blurred = scene.begin(scene.seen(inside, sharp))

    def error(other: torch.Tensor) -> float:
        difference = scene.plane.inside(other) - inside
        return float(difference.norm() / inside.norm())

    assert error(again) < 0.3 * error(blurred)


def test_three_beam_orders_that_share_their_light_otherwise_still_agree() -> None:
    image, _ = reconstruction()
    raw = recording_behind(image)
    assert raw is not None
    first = stripes_of(raw.patterns, raw.shape, raw.optics.pixel_size_nm)[0]
    orders = [replace(first, modulation=m) for m in (0.8, 0.5)]
    fitted = [replace(first, modulation=m) for m in (0.45, 0.7)]
    even = np.ones((1, 3))
    was, now = (modulations(Light(even, tuple(x))) for x in (orders, fitted))
    assert now[first.angle] > LEAST_MODULATION * was[first.angle]
    assert fitted[0].modulation < LEAST_MODULATION * orders[0].modulation


def test_joint_is_better_than_richardson_lucy_on_the_reconstruction() -> None:
    image, truth = reconstruction()
    joint, plain = (sharpened(image, method=method) for method in ("joint", "rl"))
    assert likeness(joint, truth) > likeness(plain, truth)


def test_phases_that_are_wrong_cost_little() -> None:
    image, truth = reconstruction()
    turns = [(8.0, -5.0, 3.0), (-6.0, 7.0, 2.0), (4.0, -8.0, -5.0)]
    patterns = tuple(
        p.model_copy(update={"phases_deg": tuple(np.add(p.phases_deg, turn))})
        for p, turn in zip(image.patterns, turns, strict=True)
    )
    wrong = image.derive(image.data, patterns=patterns)
    right = likeness(sharpened(image), truth)
    assert likeness(sharpened(wrong), truth) > right - 0.3


def test_stripes_that_the_frames_do_not_show_are_not_used() -> None:
    image, _ = reconstruction()
    context = Context("cpu")
    wrong = turned(image, 25)
    result = sharpened(wrong, context)
    assert np.array_equal(result, sharpened(wrong, raw_frames=False))
    assert any("raw frames do not agree" in text for text in context.warnings)
    with pytest.raises(InputError, match="do not agree"):
        sharpened(wrong, method="joint")


@pytest.mark.parametrize("method", ["network", "joint"])
def test_error_is_within_two_deviations_where_frames_are_fitted(method: str) -> None:
    image, truth = reconstruction()
    chosen = DpsParameters(method=method, uncertainty=True)  # type: ignore[arg-type]
    result = finish(STAGE.run(image, chosen, Context("cpu")))
    inside = np.s_[16:-16, 16:-16]
    fit = np.polynomial.Polynomial.fit(truth.ravel(), result.data.ravel(), 1)
    error = (result.data - fit(truth))[inside]
    deviation = result.maps["uncertainty"][inside]
    is_within = np.abs(error - np.median(error)) < 2 * deviation
    light = result.data[inside]
    darkest, brightest = np.percentile(light, [10, 90])
    is_bright, is_dark = light > brightest, light < darkest
    assert 0.85 < is_within.mean() < 0.99
    assert is_within[is_bright].mean() > 0.9
    scaled = error[is_bright] / deviation[is_bright]
    assert np.sqrt(np.mean(scaled**2)) > 0.5  # nor is it overstated
    # Nor is it the same everywhere: darkness is surer than structure.
    assert np.median(deviation[is_dark]) < 0.05 * np.median(deviation[is_bright])


def test_uncertainty_is_that_of_the_image_alone_where_frames_are_no_use() -> None:
    image, _ = reconstruction()
    told = [
        finish(STAGE.run(one, DpsParameters(uncertainty=True), Context("cpu")))
        for one in (turned(image, 25), replace(image, frames=None))
    ]
    without, alone = (one.maps["uncertainty"] for one in told)
    np.testing.assert_array_equal(told[0].data, told[1].data)
    # Half as many draws are made.
    np.testing.assert_allclose(without.mean(), alone.mean(), rtol=0.1)
    assert np.corrcoef(without.ravel(), alone.ravel())[0, 1] > 0.95


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_brighter_frames_give_a_brighter_result(scale: float) -> None:
    image, _ = reconstruction()
    assert image.frames is not None
    frames = RawFrames((scale * image.frames.data).astype(np.float32))
    brighter = image.derive((scale * image.data).astype(np.float32), frames=frames)
    plain = sharpened(image, method="joint")
    assert sharpened(brighter, method="joint") / scale == pytest.approx(
        plain, abs=1e-3 * float(np.ptp(plain))
    )


def test_total_is_that_of_the_input() -> None:
    image, _ = reconstruction()
    assert sharpened(image).mean() == pytest.approx(image.data.mean(), rel=1e-4)


def test_joint_without_raw_frames_is_refused_in_plain_words() -> None:
    image, _ = reconstruction()
    alone = image.derive(image.data, frames=None)
    with pytest.raises(InputError, match="raw SIM frames"):
        sharpened(alone, method="joint")


def test_frames_of_another_field_or_without_stripes_are_left_alone() -> None:
    image, _ = reconstruction()
    part = image.derive(image.data[:100, :100])
    assert np.array_equal(sharpened(part), sharpened(part, raw_frames=False))
    assert image.frames is not None
    dark = image.derive(image.data, frames=RawFrames(-image.frames.data))
    assert np.array_equal(sharpened(dark), sharpened(dark, raw_frames=False))
    none = tuple(Pattern(angle_index=a, status="not found") for a in range(3))
    without = image.derive(image.data, patterns=none)
    assert np.array_equal(sharpened(without), sharpened(without, raw_frames=False))


def test_a_run_hands_the_frames_as_recorded_to_dps() -> None:
    simulation = simulate(SimulationSettings(height_px=64, width_px=64, seed=3))
    steps = choose_steps(simulation.raw, ["denoise", "reconstruct", "dps"])
    result = finish(run(simulation.raw, steps, camera_offset=OFFSET))
    image = result.outputs[1].image
    assert image is not None
    behind = RawFrames(simulation.raw.data.astype(np.float32) - np.float32(OFFSET))
    expected = sharpened(image.derive(image.data, frames=behind))
    last = result.images[-1]
    assert last.data == pytest.approx(expected, abs=1e-4 * float(np.ptp(expected)))
    assert all(image.frames is None for image in result.images)


def test_the_uncertainty_knows_the_noise_of_the_frames() -> None:
    image, _ = reconstruction()
    result = finish(
        STAGE.run(image, DpsParameters(uncertainty=True, strength=0.3), Context("cpu"))
    )
    assert result.uncertainty is not None
    assert 0 < result.uncertainty.mean() < result.data.max()


def test_frames_fitted_in_blocks_show_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"structure": "er", "height_px": 208, "width_px": 144, "modulation": 0.8}
    simulation = simulate(SimulationSettings(**values, photons=300, seed=2))
    raw = Recording(
        simulation.raw.data.astype(np.float32) - np.float32(OFFSET),
        simulation.patterns,
        simulation.raw.require_optics("a test"),
        ShotNoise(1.0, 0.0),
    )
    start = resample(raw.frames.mean(axis=(0, 1)), (416, 288))
    found = []
    for edge in (1024, 64):
        monkeypatch.setattr(raw_scene, "BLOCK_PX", edge)
        scene, thing = scene_of(raw, start, Context("cpu"), torch.device("cpu"))
        found += finish(climb_steps(scene, thing, (12,)))
    assert len(scene.plane.blocks) == 12
    whole, blocks = (one.numpy()[16:-16, 16:-16] for one in found)
    error, span = np.abs(blocks - whole), float(np.ptp(whole))
    # The far flanks of a PSF reach beyond any block.
    assert np.percentile(error, 99.9) < 5e-3 * span
    assert np.sqrt(np.mean(error**2)) < 5e-4 * span
