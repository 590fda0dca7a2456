"""Denoising three-beam z-stacks: what planes know together, and what they lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stages.test_reconstruct_volume import likeness, made_settings

from napari_dps import pipeline
from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.methods.denoise.volume import axial_band
from napari_dps.physics.sim.volume_gains import VolumeGains
from napari_dps.physics.simulate import simulate
from napari_dps.pipeline import choose_steps
from napari_dps.stages.denoise import STAGE, DenoiseParameters
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT
from napari_dps.stages.reconstruct import ReconstructParameters


def counts(made):
    data = made.raw.data.astype(np.float32) - made.settings.offset_counts
    return made.raw.derive(data)


def with_axial_period(made):
    axial = {"axial_period_nm": 1 / made.settings.axial_per_nm}
    return tuple(
        pattern.model_copy(
            update={
                "orders": (
                    pattern.orders[0].model_copy(update=axial),
                    *pattern.orders[1:],
                )
            }
        )
        for pattern in made.patterns
    )


@pytest.fixture(scope="module")
def dim():
    return simulate(made_settings(planes=12, photons=8))


@pytest.fixture(scope="module")
def found(dim):
    """The dim stack with its patterns and its noise."""
    stack = counts(dim)
    parameters = ReconstructParameters()
    return finish(RECONSTRUCT.prepare(stack, stack, parameters, Context()))


def reconstructed(stack, *names, **parameters):
    steps = choose_steps(stack, [*names, "reconstruct"], parameters)
    return finish(pipeline.run(stack, steps)).images[-1]


@pytest.mark.parametrize("haze", [0.0, 0.5])
@pytest.mark.parametrize("photons", [8, 100])
def test_a_volume_is_nearer_to_the_truth_than_without(haze, photons):
    structure = "shells" if haze else "filaments"
    settings = made_settings(
        planes=12, photons=photons, haze_fraction=haze, structure=structure, seed=4
    )
    made = simulate(settings)
    stack, truth = counts(made), made.truth.data
    alone = likeness(reconstructed(stack).data, truth)
    after = likeness(reconstructed(stack, "denoise").data, truth)
    assert after > alone + (0.03 if photons < 50 else 0)


def test_planes_alone_are_denoised_less_well(dim, found):
    planes = [
        finish(STAGE.run(found.derive(p, axes="APYX"), DenoiseParameters(), Context()))
        for p in found.data
    ]
    whole = finish(STAGE.run(found, DenoiseParameters(), Context()))
    assert whole.axes == "ZAPYX"
    alone = replace(whole, data=np.stack([plane.data for plane in planes]))
    truth = dim.truth.data
    by_planes, together = (
        likeness(reconstructed(stack).data, truth) for stack in (alone, whole)
    )
    assert together > by_planes + 0.01


def test_gains_that_depend_on_the_frequency_of_the_object_are_found():
    made = simulate(made_settings(planes=10, photons=2000))
    raw = torch.from_numpy(counts(made).data)
    shape = raw.shape[0], raw.shape[-2], raw.shape[-1]
    gains = VolumeGains(shape, made.patterns, made.raw.optics)

    def weakened(order_gain):
        """Take from the orders what depends on index, |q| and |kz|."""
        planes = gains._paddings[0].size // 2 + 1
        rings = np.arange(97)
        table = order_gain(np.linspace(0, 1, planes)[:, None], rings / 48)
        clean = raw.clone()
        finish(gains.apply_steps(clean, {n: (1 - 0.15 * n) * table for n in range(3)}))
        return clean

    clean = weakened(lambda kz, q: 0.9 - 0.4 * kz - 0.2 * np.minimum(q, 1))
    lost = float((clean - raw).square().mean())
    measured = finish(gains.measure_steps(raw, clean))
    left = 0.9 - 0.2 * 3 / 48
    assert measured[0][0, 3] == pytest.approx(1 / left, rel=0.02)
    assert measured[0][3, 3] > measured[0][0, 3] + 0.1
    assert measured[1][0, 3] == pytest.approx(1 / (0.85 * left), rel=0.02)
    finish(gains.apply_steps(clean, measured))
    assert float((clean - raw).square().mean()) < 0.02 * lost


def test_gains_of_what_lost_nothing_are_one(dim, found):
    raw = torch.from_numpy(found.data)
    shape = raw.shape[0], raw.shape[-2], raw.shape[-1]
    gains = VolumeGains(shape, found.patterns, found.optics)
    measured = finish(gains.measure_steps(raw, raw))
    kept = raw.clone()
    finish(gains.apply_steps(kept, measured))
    np.testing.assert_allclose(kept, raw, atol=1e-3 * float(raw.max()))


def test_the_band_along_z_keeps_what_the_lens_passes(dim):
    clean = simulate(made_settings(planes=24, photons=1000)).clean
    stack = replace(dim.raw.derive(clean), patterns=with_axial_period(dim))
    weights = axial_band(stack)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-9)
    kept = np.tensordot(weights, clean, axes=([1], [0]))
    inside = slice(4, -4)
    error = np.sqrt(np.mean((kept - clean)[inside] ** 2))
    assert error < 0.05 * np.std(clean[inside])
    # Of all frequencies, up to 4 / µm, the lens passes those up to some 2.4 / µm.
    assert np.square(weights).sum(axis=1)[12] < 0.7


def test_strength_zero_and_scale_of_a_volume(found):
    none = finish(STAGE.run(found, DenoiseParameters(strength=0), Context()))
    np.testing.assert_array_equal(none.data, found.data)
    once, twice = (
        finish(
            STAGE.run(found.derive(k * found.data), DenoiseParameters(), Context())
        ).data
        for k in (1, 8)
    )
    np.testing.assert_allclose(twice, 8 * once, atol=2e-3 * twice.max())


def test_progress_of_a_volume_never_goes_back(found):
    shares = [
        report.done / report.total
        for report in STAGE.run(found, DenoiseParameters(), Context())
    ]
    assert shares == sorted(shares)
    assert shares[-1] > 0.95


def test_planes_of_three_beams_have_patterns_found_in_three_dimensions(dim):
    stack, truth = counts(dim), dim.truth.data
    flat = {"reconstruct": ReconstructParameters(dimension="2d")}
    image = reconstructed(stack, **flat)
    assert image.axes == "ZYX"
    assert not any(pattern.is_three_dimensional for pattern in image.patterns)
    middle = stack.derive(stack.data.mean(axis=0), axes="APYX")
    mean = finish(
        RECONSTRUCT.prepare(middle, middle, ReconstructParameters(), Context(planes=12))
    )
    planes = [
        finish(
            RECONSTRUCT.run(
                replace(stack.derive(p, axes="APYX"), patterns=mean.patterns),
                ReconstructParameters(),
                Context(),
            )
        ).data
        for p in stack.data
    ]
    assert likeness(image.data, truth) > likeness(np.stack(planes), truth) + 0.02


@pytest.mark.parametrize(
    ("period_nm", "photons", "structure"),
    [(230, 100, "filaments"), (260, 300, "shells")],
)
def test_two_beams_of_five_phases_are_not_taken_for_three(
    period_nm, photons, structure
):
    made = simulate(
        made_settings(
            beams="two",
            planes=10,
            period_nm=period_nm,
            photons=photons,
            structure=structure,
            modulation=0.8,
            second_modulation=0,
        )
    )
    stack = counts(made)
    result = finish(pipeline.run(stack, choose_steps(stack, ["reconstruct"])))
    assert any("not found in 3-D at 3 of 3 angles" in text for text in result.warnings)
    assert not any(pattern.is_three_dimensional for pattern in result.patterns)
    periods = [pattern.period_nm for pattern in result.patterns]
    assert periods == pytest.approx([period_nm] * 3, rel=0.02)
