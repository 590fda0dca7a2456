"""Raw SIM simulation against sums of Airy discs, and its book-keeping."""

import numpy as np
import pytest

from napari_dps.core import InputError, Optics, Pattern, PatternOrder
from napari_dps.core.params import describe, parse
from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.psf import airy_intensity, fwhm_nm
from napari_dps.physics.sim.separate import mixing_matrix, separation_matrix
from napari_dps.physics.simulate import (
    SimulationSettings,
    blur_truth,
    simulate,
    simulate_object,
)

QUIET = {
    "haze_fraction": 0.0,
    "background_photons": 0.0,
    "read_noise_e": 0.0,
    "photons": 1000.0,
}
MARGIN = (40, 36)
SIZE = (15, 22)
FINE = 4
SPOTS = [(5.125, 8.625), (9.375, 3.875), (-3.375, 12.125)]
"""Emitters (y, x) in camera pixels; the last is outside the frame."""


def settings_of(**changes):
    return SimulationSettings(**{**QUIET, **changes})


def spots_object():
    """A dark object with an emitter of brightness 1, 2, 3 on each spot."""
    shape = [
        (side + 2 * margin) * FINE for side, margin in zip(SIZE, MARGIN, strict=True)
    ]
    emitters = np.zeros(shape, np.float32)
    for brightness, spot in enumerate(SPOTS, 1):
        fine = (np.array(spot) + 0.5 + MARGIN) * FINE - 0.5
        index = tuple(fine.astype(int))
        assert np.all(fine == index)
        emitters[index] = brightness
    return emitters


def spots_seen(optics, factors):
    """Sum over the spots of factor × Airy disc of unit energy, in pixels."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    image = np.zeros(SIZE, np.result_type(*factors))
    k = 2 * np.pi * optics.na / optics.emission_nm
    for spot, factor in zip(SPOTS, factors, strict=True):
        axes = [
            (np.arange(side)[:, np.newaxis] + nodes / 2 - place) * optics.pixel_size_nm
            for side, place in zip(SIZE, spot, strict=True)
        ]
        radius = np.hypot(axes[0][:, :, None, None], axes[1][None, None])
        energy = 4 * np.pi / k**2  # of the Airy disc of peak 1
        disc = airy_intensity(k * radius) * optics.pixel_size_nm**2 / energy
        image += factor * np.einsum("ipjq,p,q->ij", disc, weights / 2, weights / 2)
    return image


def phasor(order, optics, spot):
    """e^{2πi k·r} at a spot; r from the centre of camera pixel (0, 0)."""
    place_nm = np.array(spot) * optics.pixel_size_nm
    return np.exp(2j * np.pi * np.dot(order.wavevector_per_nm, place_nm))


def bands_seen(pattern, optics, unit):
    """D_0, D_1, … of the spots, analytic."""
    brightness = [1.0 * unit, 2.0 * unit, 3.0 * unit]
    bands = [spots_seen(optics, brightness)]
    for order in pattern.orders:
        bands.append(
            spots_seen(
                optics,
                [
                    b * order.modulation * phasor(order, optics, spot)
                    for b, spot in zip(brightness, SPOTS, strict=True)
                ],
            )
        )
    return bands


@pytest.mark.parametrize("pixel_size_nm", [65.0, 130.0, 210.0])
@pytest.mark.parametrize("phases", [3, 5])
def test_separated_bands_equal_airy_sums(phases, pixel_size_nm):
    settings = settings_of(
        phases=phases, phase_error_deg=20, seed=3, pixel_size_nm=pixel_size_nm
    )
    result = simulate_object(spots_object(), settings, margin_px=MARGIN)
    unit = result.truth.data.max() / 2  # the brightest spot inside has brightness 2
    for pattern in result.patterns:
        psi = [order.order * np.radians(pattern.phases_deg) for order in pattern.orders]
        parts = np.tensordot(
            separation_matrix(psi), result.clean[pattern.angle_index], axes=1
        )
        expected = bands_seen(pattern, settings.optics, unit)
        scale = expected[0].max()
        np.testing.assert_allclose(parts[0], expected[0], atol=2e-4 * scale)
        for n, band in enumerate(expected[1:]):
            np.testing.assert_allclose(parts[1 + 2 * n], band.real, atol=2e-4 * scale)
            np.testing.assert_allclose(parts[2 + 2 * n], band.imag, atol=2e-4 * scale)


def test_hexagonal_frames_equal_airy_sums():
    settings = settings_of(pattern="hexagonal", angles=1, phases=7, first_angle_deg=100)
    result = simulate_object(spots_object(), settings, margin_px=MARGIN)
    assert [pattern.angle_index for pattern in result.patterns] == [0, 0, 0]
    angles = [pattern.angle_deg for pattern in result.patterns]
    assert angles == pytest.approx([100, 160, 40])
    psi = [np.radians(pattern.phases_deg) for pattern in result.patterns]
    unit = result.truth.data.max() / 2
    bands = [bands_seen(p, settings.optics, unit) for p in result.patterns]
    parts = [bands[0][0]]
    for _, band in bands:
        parts += [band.real, band.imag]
    expected = np.tensordot(mixing_matrix(psi), np.stack(parts), axes=1)
    np.testing.assert_allclose(result.clean[0], expected, atol=2e-4 * parts[0].max())
    # Seven exact steps separate the seven bands perfectly.
    assert np.linalg.cond(mixing_matrix(psi)) == pytest.approx(np.sqrt(2), rel=1e-6)


def test_hexagonal_illumination_is_dark_but_never_negative():
    rng = np.random.default_rng(2)
    settings = settings_of(pattern="hexagonal", angles=1, phases=7, modulation=2 / 3,
                           phase_error_deg=15)  # fmt: skip
    patterns = draw_patterns(settings, rng)
    place_nm = rng.uniform(-5000, 5000, (40_000, 2))
    for frame in range(7):
        light = 1 + sum(
            2 / 3 * np.cos(
                2 * np.pi * place_nm @ pattern.orders[0].wavevector_per_nm
                + np.radians(pattern.phases_deg[frame])
            )
            for pattern in patterns
        )  # fmt: skip
        assert -1e-9 < light.min() < 0.01


def test_mean_over_phases_is_the_widefield_image_for_every_angle():
    result = simulate(settings_of(height_px=63, width_px=48, seed=1, haze_fraction=0.3))
    means = result.clean.mean(axis=1)
    even = simulate(
        settings_of(height_px=63, width_px=48, seed=1, haze_fraction=0.3, modulation=0)
    )
    scale = means.max()
    np.testing.assert_allclose(means, even.clean.mean(axis=1), atol=1e-4 * scale)
    np.testing.assert_allclose(means[0], means[1], atol=1e-4 * scale)


def test_given_patterns_are_used_and_returned():
    patterns = (
        Pattern(
            phases_deg=(10.0, 100.0, 200.0),
            orders=(PatternOrder(period_nm=301.0, angle_deg=77.0, modulation=0.9,
                                 offset_deg=30.0),),
        ),
    )  # fmt: skip
    settings = settings_of(angles=3)
    result = simulate_object(
        spots_object(), settings, patterns=patterns, margin_px=MARGIN
    )
    assert result.patterns == patterns
    assert result.raw.shape == (1, 3, *SIZE)
    unit = result.truth.data.max() / 2
    base, band = bands_seen(patterns[0], settings.optics, unit)
    turned = np.exp(1j * np.radians([40.0, 130.0, 230.0]))
    expected = base + (turned[:, np.newaxis, np.newaxis] * band).real
    np.testing.assert_allclose(result.clean[0], expected, atol=2e-4 * base.max())


@pytest.mark.parametrize(
    "patterns",
    [
        (),
        (Pattern(period_nm=300, angle_deg=0),),
        (Pattern(phases_deg=(0, 120, 240), modulation=0.5, status="not found"),),
        (Pattern(angle_index=1, phases_deg=(0, 120, 240), period_nm=300, angle_deg=0),),
        (
            Pattern(phases_deg=(0, 120, 240), period_nm=300, angle_deg=0),
            Pattern(angle_index=1, phases_deg=(0, 90), period_nm=300, angle_deg=9),
        ),
    ],
)
def test_patterns_that_do_not_fit_are_refused(patterns):
    with pytest.raises(InputError, match="patterns"):
        simulate_object(spots_object(), settings_of(), patterns=patterns)


def test_truth_lies_on_the_half_pixel_grid():
    result = simulate_object(spots_object(), settings_of(), margin_px=MARGIN)
    truth = result.truth
    assert truth.shape == (30, 44)
    assert truth.pixel_size_nm == 32.5
    assert truth.origin_nm == (-16.25, -16.25)
    assert truth.optics.pixel_size_nm == 32.5
    for brightness, spot in enumerate(SPOTS[:2], 1):
        # Spots lie on fine pixels, so the truth's pixel is at most 1/8 pixel away.
        index = np.rint(2 * np.array(spot) + 0.5).astype(int)
        position_nm = index * 32.5 - 16.25
        np.testing.assert_allclose(position_nm, np.array(spot) * 65, atol=65 / 8)
        assert truth.data[tuple(index)] == pytest.approx(
            truth.data.max() * brightness / 2
        )
    assert np.count_nonzero(truth.data) == 2


def test_photons_are_those_of_the_bright_pixels_evenly_lit():
    result = simulate(
        settings_of(height_px=96, width_px=96, photons=400.0, background_photons=7.0)
    )
    even = result.clean.mean(axis=(0, 1)) - 7
    assert np.percentile(even, 99.9) == pytest.approx(400, rel=1e-3)
    counts = result.raw.data.astype(float)
    expected = 100 + 2 * result.clean
    error = (counts - expected) / np.sqrt(4 * result.clean + 1 / 12)
    assert error.mean() == pytest.approx(0, abs=0.02)
    assert error.std() == pytest.approx(1, abs=0.02)


def test_lone_spot_is_at_most_four_times_the_photons():
    emitters = np.zeros((800, 800), np.float32)
    emitters[400, 400] = 1
    result = simulate_object(emitters, settings_of(modulation=0.0))
    assert result.clean.max() == pytest.approx(4000, rel=1e-3)


def test_haze_takes_its_share_of_light_and_of_modulation():
    emitters = np.random.default_rng(0).random((160, 160)).astype(np.float32)
    patterns = simulate_object(emitters, settings_of()).patterns
    clear, hazy = (
        simulate_object(
            emitters,
            settings_of(haze_fraction=haze, haze_blur_nm=800),
            patterns=patterns,
        )
        for haze in (0.0, 0.4)
    )
    share = hazy.truth.data.sum() / hazy.clean.mean(axis=(0, 1)).sum()
    assert share == pytest.approx(0.6, rel=1e-3)
    stripes = [
        (r.clean[0, 0] - r.clean[0].mean(axis=0)) / r.truth.data.sum()
        for r in (clear, hazy)
    ]
    np.testing.assert_allclose(stripes[0], stripes[1], atol=1e-3 * stripes[0].max())


def test_bleaching_dims_frame_after_frame():
    result = simulate(
        settings_of(height_px=40, width_px=40, bleaching=0.05, modulation=0)
    )
    light = result.clean.sum(axis=(2, 3)).ravel()
    np.testing.assert_allclose(light / light[0], 0.95 ** np.arange(9), rtol=1e-4)


def test_intensity_jitter_has_the_size_asked_for():
    result = simulate(
        settings_of(height_px=20, width_px=20, intensity_jitter=0.1, angles=12,
                    phases=25, orders=1, modulation=0)
    )  # fmt: skip
    light = result.clean.sum(axis=(2, 3)).ravel()
    assert light.std() / light.mean() == pytest.approx(0.1, rel=0.15)


def test_motion_moves_the_sample_under_standing_stripes():
    motion_nm = 40.0
    settings = settings_of(motion_nm=motion_nm, angles=1, seed=4)
    emitters = np.zeros((384, 384), np.float32)
    emitters[190, 200] = 1
    result = simulate_object(emitters, settings)
    light = result.clean[0].sum(axis=(1, 2))
    # The object is periodic, so the phase of its first harmonics is exactly its place.
    harmonics = np.fft.fft2(result.clean[0])[:, [1, 0], [0, 1]]
    moved = -np.angle(harmonics[1:] / harmonics[:-1]) * 96 * 65 / (2 * np.pi)
    np.testing.assert_allclose(np.hypot(*moved.T), motion_nm, rtol=1e-4)
    np.testing.assert_allclose(moved[0], moved[1], atol=1e-2)
    order = result.patterns[0].orders[0]
    middle = (np.array([190, 200]) + 0.5) / 4 - 0.5
    for frame, step in enumerate((-1, 0, 1)):
        place_nm = middle * 65 + step * moved.mean(axis=0)
        stripe = order.modulation * np.cos(
            2 * np.pi * np.dot(order.wavevector_per_nm, place_nm)
            + np.radians(result.patterns[0].phases_deg[frame])
        )
        expected = result.truth.data.sum() * (1 + stripe)
        assert light[frame] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_blurred_truth_has_the_width_of_its_psf(factor):
    emitters = np.zeros((640, 512), np.float32)
    emitters[320:322, 256:258] = 1  # one pixel of the truth
    truth = simulate_object(emitters, settings_of(pixel_size_nm=40.0)).truth
    seen = blur_truth(truth, modulation_factor=factor)
    assert seen.shape == truth.shape
    assert seen.origin_nm == truth.origin_nm
    assert seen.optics.modulation_factor == factor
    assert seen.data.argmax() == truth.data.argmax()
    row = seen.data[160, 128:]
    half = np.interp(0.5, row[20::-1] / row[0], np.arange(20, -1, -1) * 20.0)
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=20, modulation_factor=factor)
    assert 2 * half == pytest.approx(fwhm_nm(optics), rel=0.02)


def test_blurring_keeps_the_light_of_a_small_odd_image():
    truth = simulate(settings_of(structure="er", height_px=17, width_px=33)).truth
    even = truth.derive(np.ones_like(truth.data))
    np.testing.assert_allclose(
        blur_truth(even, modulation_factor=1.5).data, 1, rtol=1e-5
    )


def test_same_seed_gives_the_same_stack_and_other_seeds_others():
    first, again, other = (
        simulate(SimulationSettings(height_px=31, width_px=37, seed=seed))
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.raw.data, again.raw.data)
    assert first.patterns == again.patterns
    assert (first.raw.data != other.raw.data).any()
    assert first.raw.data.dtype == np.uint16
    assert first.raw.shape == (3, 3, 31, 37)
    assert first.raw.optics.pixel_size_nm == first.raw.pixel_size_nm == 65


def test_finest_order_is_at_the_share_of_the_cutoff_when_no_period_is_given():
    cutoff_nm = SimulationSettings().optics.cutoff_period_nm
    for phases, orders, finest in ((3, 0, 0), (5, 0, 1), (5, 1, 0)):
        patterns = draw_patterns(
            settings_of(phases=phases, orders=orders), np.random.default_rng(0)
        )
        for pattern in patterns:
            assert len(pattern.orders) == finest + 1
            assert pattern.orders[finest].period_nm == pytest.approx(cutoff_nm / 0.9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"oversampling": 3}, "oversampling 3 must be even"),
        ({"pattern": "hexagonal"}, "hexagonal pattern needs 1 angle"),
        ({"pattern": "hexagonal", "angles": 1, "phases": 7, "modulation": 0.7},
         "illumination negative"),
        ({"phases": 4, "orders": 2}, "2 orders need"),
        ({"phases": 5, "modulation": 1.0, "second_modulation": 1.0}, "negative"),
        ({"structure": "unicorn"}, "structure"),
        ({"photons": 0}, "photons"),
        ({"na": 1.6}, "NA 1.6 must be below"),
        ({"colour": 1}, "colour is not a parameter"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        parse(SimulationSettings, values, "simulate")


def test_every_setting_can_be_shown():
    for info in describe(SimulationSettings):
        assert info.kind in (int, float, str)
        assert info.title
        assert info.description
        assert isinstance(info.default, info.kind)
        assert info.choices or info.kind is not str
    units = {info.name: info.unit for info in describe(SimulationSettings)}
    assert all(units[name] == "nm" for name in units if name.endswith("_nm"))


@pytest.mark.parametrize(
    ("emitters", "margin_px", "message"),
    [
        (np.ones((42, 40)), (0, 0), "shape of the object"),
        (np.ones((4, 40, 40)), (0, 0), "shape of the object"),
        (np.ones((40, 40)), (5, 0), "margin"),
        (np.ones((40, 40)), (-1, 0), "margin"),
        (np.zeros((40, 40)), (0, 0), "brightness of the object"),
        (np.full((40, 40), np.nan), (0, 0), "brightness of the object"),
        (-np.ones((40, 40)), (0, 0), "brightness of the object"),
    ],
)
def test_impossible_objects_are_refused(emitters, margin_px, message):
    with pytest.raises(InputError, match=message):
        simulate_object(emitters, settings_of(), margin_px=margin_px)
