"""Reconstruction in three dimensions: against a full 3-D transform, points, planes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import torch

from napari_dps.core import InputError, Optics, Pattern, PatternOrder, finish
from napari_dps.physics.otf3d import cap_height_per_nm, defocus_table
from napari_dps.physics.sim.separate import separation_matrix
from napari_dps.physics.sim.volume import (
    HAZE_STRENGTH,
    HAZE_WIDENING,
    VolumeSolver,
)
from napari_dps.physics.sim.volume_patterns import VolumeEstimator
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.sim.wiener_grid import Padding
from napari_dps.physics.sim.wiener_weights import PEAK_RADIUS, WienerSettings
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.physics.simulate_volume import simulate_emitters, simulate_volume

LIGHT = {
    "phases": 5,
    "beams": "three",
    "modulation": 4 / 3,
    "second_modulation": 2 / 3,
    "pixel_size_nm": 80.0,
    "haze_fraction": 0.0,
    "background_photons": 0.0,
    "oversampling": 2,
    "period_nm": 395.0,  # the second order lies at .95 of the cut-off
}
FILTER = WienerSettings(
    wiener_parameter=1e-3, attenuation_strength=0.99, attenuation_width=0.15
)


def settings_of(**changes):
    return SimulationSettings(
        **{**LIGHT, "structure": "points", "planes": 9, **changes}
    )


def exact_patterns(made):
    """The patterns of a simulation with their axial period."""
    settings = made.settings
    axial_nm = 1 / settings.axial_per_nm if settings.axial_per_nm else None
    return [
        pattern.model_copy(
            update={
                "orders": (
                    pattern.orders[0].model_copy(update={"axial_period_nm": axial_nm}),
                    *pattern.orders[1:],
                )
            }
        )
        for pattern in made.patterns
    ]


def reconstructed(frames, made, patterns=None, settings=FILTER, **options):
    solver = VolumeSolver(
        (len(frames), *frames.shape[-2:]),
        exact_patterns(made) if patterns is None else patterns,
        made.settings.optics,
        made.settings.z_step_nm,
        settings,
        **options,
    )
    return finish(solver.solve_steps(torch.from_numpy(np.ascontiguousarray(frames))))


def full_transform(frames, made, padding_px=14, padding_planes=4):
    """The same filter as one would write it on paper: 3-D FFTs of whole bands."""
    settings, patterns = made.settings, exact_patterns(made)
    optics = settings.optics
    pads = [
        Padding(len(frames), padding_planes, continued="edge"),
        *(Padding(n, padding_px) for n in frames.shape[-2:]),
    ]
    table = defocus_table(optics, pads[0].size, settings.z_step_nm)
    fine = (pads[0].size, 2 * pads[1].size, 2 * pads[2].size)
    kz, fy, fx = (
        np.fft.fftfreq(n) * n / pad.size for n, pad in zip(fine, pads, strict=True)
    )
    total, power, trusted = (np.zeros(fine, complex) for _ in range(3))
    finest = axial = 0.0
    for angle, pattern in enumerate(patterns):
        phases = np.radians(pattern.phases_deg)
        second = 2 * phases + math.radians(pattern.orders[1].offset_deg)
        terms = np.tensordot(
            separation_matrix([phases, second]), frames[:, angle], (1, 1)
        )
        bands = [(0.0, 0.0, 0.0, 1.0, terms[0] + 0j)]
        for order, (real, imaginary) in zip(
            pattern.orders, (terms[1:3], terms[3:5]), strict=True
        ):
            y, x = (k * optics.pixel_size_nm for k in order.wavevector_per_nm)
            kz0 = 1 / (order.axial_period_nm or math.inf)
            finest, axial = max(finest, math.hypot(y, x)), max(axial, kz0)
            band = (real + 1j * imaginary) / 2
            bands.append((y, x, kz0, order.modulation / 2, band))
            bands.append((-y, -x, kz0, order.modulation / 2, band.conj()))
        for y, x, kz0, strength, band in bands:
            for axis, (pad, wave) in enumerate(zip(pads, (0.0, y, x), strict=True)):
                ends = [
                    np.take(band, source, axis)
                    * np.expand_dims(factor, tuple(a for a in range(3) if a != axis))
                    for source, factor in zip(
                        pad.sources, pad.factors(wave), strict=True
                    )
                ]
                band = np.concatenate([band, ends[0] + ends[1]], axis)
            # Interpolated to the fine grid, then moved by its wave vector in space.
            spectrum = np.zeros(fine, complex)
            rows, columns = (
                np.rint(np.fft.fftfreq(pad.size) * pad.size).astype(int)
                for pad in pads[1:]
            )
            spectrum[:, rows[:, None], columns] = scipy.fft.fftn(band)
            radius = np.hypot(fy[:, None], fx) / optics.cutoff_per_pixel
            spectrum *= radius < 1
            wave_y, wave_x = (
                np.exp(-2j * np.pi * k * pad.positions.repeat(2))
                for k, pad in zip((y, x), pads[1:], strict=True)
            )
            half = [np.tile([0.0, 0.5], pad.size) for pad in pads[1:]]
            wave_y = wave_y * np.exp(-2j * np.pi * y * half[0])
            wave_x = wave_x * np.exp(-2j * np.pi * x * half[1])
            image = scipy.fft.ifftn(spectrum) * (wave_y[:, None] * wave_x)
            moved = scipy.fft.fftn(image)
            shifted = np.hypot(fy[:, None] + y, fx + x) / optics.cutoff_per_pixel
            rows_of = table.transfer(kz0).real / table.unit
            grid = np.linspace(0, 1, len(rows_of))
            otf = np.stack([np.interp(shifted, grid, c, right=0) for c in rows_of.T])
            strength_of = np.full(len(kz), FILTER.attenuation_strength)
            width_of = np.full(len(kz), FILTER.attenuation_width)
            strength_of[0], width_of[0] = HAZE_STRENGTH, HAZE_WIDENING * width_of[0]
            dip = 1 - strength_of[:, None, None] * np.exp(
                -((shifted / width_of[:, None, None]) ** 2) / 2
            )
            total += strength * otf * dip * moved
            seen = otf**2
            if (y, x) != (0.0, 0.0):
                most = [np.interp(PEAK_RADIUS, grid, c) ** 2 for c in rows_of.T]
                inside = shifted < PEAK_RADIUS
                seen = np.where(
                    inside, np.minimum(seen, np.array(most)[:, None, None]), seen
                )
            power += strength**2 * seen
            trusted += strength**2 * otf**2 * dip
    highest = min(cap_height_per_nm(optics) + axial, 0.5 / settings.z_step_nm)
    radius = np.hypot(fy[:, None], fx) / (optics.cutoff_per_pixel + finest)
    height = np.abs(kz) / settings.z_step_nm / highest
    fade = np.cos(np.pi / 2 * np.minimum(np.hypot(radius, height[:, None, None]), 1))
    seen = np.abs(trusted) > 1e-12
    gain = np.where(seen, fade * power / (power + FILTER.wiener_parameter), 0)
    spectrum = 4 * gain * total / np.where(seen, trusted, 1) / table.unit
    spectrum *= np.exp(-0.5j * np.pi * fy)[:, None] * np.exp(-0.5j * np.pi * fx)
    image = scipy.fft.ifftn(spectrum).real
    return image[: len(frames), : 2 * frames.shape[-2], : 2 * frames.shape[-1]]


def test_one_filter_for_each_axial_frequency_is_the_full_transform():
    made = simulate(settings_of(structure="shells", height_px=36, width_px=40))
    frames = made.clean
    expected = full_transform(frames, made)
    found = reconstructed(frames, made)
    assert np.abs(found - expected).max() < 0.01 * np.abs(expected).max()


def test_one_plane_without_pads_is_the_reconstruction_of_a_plane():
    """At small aperture, where the OTF in focus is that of a plane."""
    optics = Optics(na=0.15, emission_nm=525, pixel_size_nm=750)
    made = simulate(
        SimulationSettings(
            **{**LIGHT, "beams": "two", "pixel_size_nm": 750.0, "period_nm": 0.0},
            na=0.15,
            height_px=40,
            width_px=44,
        )
    )
    filter_2d = WienerSettings(wiener_parameter=0.01)
    expected = WienerSolver((40, 44), made.patterns, optics, filter_2d).solve(
        made.clean
    )
    unit = defocus_table(optics, 1, 300).unit
    solver = VolumeSolver(
        (1, 40, 44),
        made.patterns,
        optics,
        300.0,
        WienerSettings(wiener_parameter=0.01 / unit**2),
        padding_planes=0,
    )
    found = finish(solver.solve_steps(torch.from_numpy(made.clean[None])))[0]
    slope, level = np.polyfit(found.ravel(), expected.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.02)
    error = slope * found + level - expected
    assert np.abs(error).max() < 0.02 * np.ptp(expected)


def width(profile, step_nm):
    """Full width at half maximum of a peak, interpolated by zero padding."""
    fine = 64
    spectrum = np.fft.rfft(profile)
    smooth = np.fft.irfft(spectrum, len(profile) * fine)
    peak = smooth.argmax()
    half = smooth[peak] / 2
    right = np.argmax(smooth[peak:] < half)
    left = np.argmax(smooth[peak::-1] < half)
    return (left + right - 1) * step_nm / fine


@pytest.fixture(scope="module")
def point():
    emitters = np.zeros((25, 128, 128), np.float32)
    emitters[12, 64, 64] = 1
    made = simulate_emitters(emitters, settings_of())
    return made, reconstructed(made.clean, made)


def test_a_point_is_as_sharp_as_the_orders_allow(point):
    _, image = point
    z, y, x = np.unravel_index(image.argmax(), image.shape)
    lateral = [width(image[z, :, x], 40), width(image[z, y], 40)]
    assert max(lateral) <= 98
    assert width(image[:, y, x], 125) <= 328


def test_a_point_stays_where_it_is(point):
    made, image = point
    crop = slice(54, 76)
    place = []
    for values in (image, made.truth.data):
        light = values[:, crop, crop].clip(values.max() / 10)
        light = light - values.max() / 10
        grid = np.meshgrid(*(np.arange(n) for n in light.shape), indexing="ij")
        place.append([(light * g).sum() / light.sum() for g in grid])
    np.testing.assert_allclose(place[0], place[1], atol=0.03)


def test_finer_planes_are_those_of_the_stack_and_lie_between(thick):
    frames = thick.clean[:9]
    coarse = reconstructed(frames, thick)
    fine = reconstructed(frames, thick, refines_z=True)
    assert fine.shape == (18, *coarse.shape[1:])
    np.testing.assert_allclose(fine[::2], coarse, atol=1e-4 * coarse.max())
    # What lies between is the same field at half the distance: its band ends where
    # that of the coarse planes does.
    inside = fine[4:14] * np.hanning(10)[:, None, None]
    power = (np.abs(np.fft.rfft(inside, axis=0)) ** 2).sum(axis=(1, 2))
    assert power[4:].max() < 1e-3 * power[0]
    between = (coarse[2:7] + coarse[3:8]) / 2
    correlation = np.corrcoef(fine[5:15:2].ravel(), between.ravel())[0, 1]
    assert correlation > 0.98


def test_an_even_plane_becomes_thin_and_keeps_its_counts():
    """The missing cone of the widefield OTF, which sees no depth of it, is filled."""
    emitters = np.zeros((25, 64, 64), np.float32)
    emitters[12] = 1
    made = simulate_emitters(emitters, settings_of())
    image = reconstructed(made.clean, made)
    profile = image.mean(axis=(1, 2))
    assert width(profile, 125) == pytest.approx(273, abs=15)
    assert np.abs(profile[:9]).max() < 0.05 * profile.max()
    # As in 2-D, a value is the counts of a whole pixel of the frames.
    assert profile.sum() / 4 == pytest.approx(made.truth.data[12].mean(), rel=0.08)


@pytest.fixture(scope="module")
def bright():
    made = simulate(
        settings_of(
            structure="shells", planes=24, height_px=64, width_px=64, photons=500.0
        )
    )
    settings = made.settings
    frames = made.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    return made, frames / np.float32(settings.gain_counts_per_e)


def ideal(made):
    """The truth as the apodised, extended PSF shows it."""
    settings = made.settings
    truth = np.pad(made.truth.data, ((8, 8), (16, 16), (16, 16)), mode="reflect")
    kz = np.fft.fftfreq(len(truth), settings.z_step_nm)
    f = np.fft.fftfreq(truth.shape[1], settings.pixel_size_nm / 2)
    radius = np.hypot(f[:, None], f)
    radius /= 1 / settings.optics.cutoff_period_nm + 2 / settings.first_order_period_nm
    height = np.abs(kz) / (cap_height_per_nm(settings.optics) + settings.axial_per_nm)
    fade = np.cos(np.pi / 2 * np.minimum(np.hypot(radius, height[:, None, None]), 1))
    shown = scipy.fft.ifftn(scipy.fft.fftn(truth) * fade).real
    return shown[8:-8, 16:-16, 16:-16]


def likeness(image, truth):
    inside = (slice(1, -1), slice(8, -8), slice(8, -8))
    return np.corrcoef(image[inside].ravel(), truth[inside].ravel())[0, 1]


@pytest.fixture(scope="module")
def thick():
    return simulate(
        settings_of(structure="filaments", planes=24, height_px=64, width_px=64)
    )


@pytest.mark.parametrize(
    ("planes", "least"), [(slice(7, 16), 0.96), (slice(0, 24), 0.97)]
)
def test_part_of_a_thick_object_is_reconstructed(thick, planes, least):
    made = thick
    image = reconstructed(made.clean[planes], made)
    assert likeness(image, ideal(made)[planes]) > least


def found_in(made, frames):
    estimator = VolumeEstimator(
        (len(frames), *frames.shape[-2:]),
        made.settings.optics,
        made.settings.z_step_nm,
    )
    return finish(estimator.find(frames))


def test_stripes_are_found_with_phases_of_both_orders(bright):
    made, frames = bright
    for found, exact in zip(
        found_in(made, frames).patterns, made.patterns, strict=True
    ):
        error = np.subtract(
            found.orders[0].wavevector_per_nm, exact.orders[0].wavevector_per_nm
        )
        assert np.hypot(*error) * 64 * 80 < 0.03
        for n in (0, 1):
            psi = (n + 1) * np.array(found.phases_deg) + found.orders[n].offset_deg
            wrong = psi - (n + 1) * np.array(exact.phases_deg)
            turn = np.angle(np.exp(1j * np.radians(wrong)).mean(), deg=True)
            assert abs(turn) < 6
            assert found.orders[n].modulation == pytest.approx(
                exact.orders[n].modulation, rel=0.12
            )


def test_stripes_are_found_in_haze_at_low_light():
    made = simulate(
        settings_of(
            structure="shells",
            planes=16,
            height_px=96,
            width_px=96,
            photons=10.0,
            haze_fraction=0.5,
            gain_counts_per_e=10.0,
            read_noise_e=0.0,
        )
    )
    frames = (made.raw.data.astype(np.float32) - 100) / 10
    for found, exact in zip(
        found_in(made, frames).patterns, made.patterns, strict=True
    ):
        assert found.status == "found"
        error = np.subtract(
            found.orders[0].wavevector_per_nm, exact.orders[0].wavevector_per_nm
        )
        assert np.hypot(*error) * 96 * 80 < 0.1


def worst_error_bins(found, made):
    """The largest error of a wave vector in bins of the field, either sign."""
    worst, side = 0.0, made.settings.height_px * made.settings.pixel_size_nm
    for a, b in zip(found.patterns, made.patterns, strict=True):
        one, other = (np.array(p.orders[0].wavevector_per_nm) for p in (a, b))
        least = min(np.linalg.norm(one - other), np.linalg.norm(one + other))
        worst = max(worst, least * side)
    return worst


@pytest.fixture(scope="module")
def few():
    """A few filaments, whose spectra are lines: correlations peak elsewhere."""
    settings = settings_of(
        structure="filaments", planes=12, height_px=80, width_px=80, seed=7
    )
    return simulate_volume(settings, density=0.25)


def test_wave_vectors_are_found_where_there_are_few_objects(few):
    frames = np.random.default_rng(1).poisson(few.clean / 6)
    found = found_in(few, frames.astype(np.float32))
    assert all(pattern.is_usable for pattern in found.patterns)
    assert worst_error_bins(found, few) < 0.1


def test_angles_beside_a_known_one_are_found(few):
    frames = np.random.default_rng(1).poisson(few.clean / 6).astype(np.float32)
    wave = [k * 80 for k in few.patterns[1].orders[0].wavevector_per_nm]
    estimator = VolumeEstimator(
        (12, 80, 80), few.settings.optics, few.settings.z_step_nm
    )
    found = finish(estimator.find(frames, {1: (wave[0], wave[1])}))
    assert [p.status for p in found.patterns] == ["found", "given", "found"]
    assert worst_error_bins(found, few) < 0.1


def test_angles_tell_where_the_stripes_of_a_faint_one_are(few):
    frames = np.random.default_rng(2).poisson(few.clean / 10).astype(np.float32)
    mean = few.clean[:, 2].mean(axis=1, keepdims=True)
    faint = mean + 0.15 * (few.clean[:, 2] - mean)
    frames[:, 2] = np.random.default_rng(3).poisson(faint / 10)
    found = found_in(few, frames)
    assert worst_error_bins(found, few) < 0.5


def test_an_angle_keeps_stripes_that_the_others_do_not_share():
    patterns = [
        Pattern(
            angle_index=n,
            phases_deg=tuple(72.0 * p for p in range(5)),
            orders=[
                PatternOrder(order=1, period_nm=nm, angle_deg=deg, modulation=1.2),
                PatternOrder(order=2, period_nm=nm / 2, angle_deg=deg, modulation=0.6),
            ],
        )
        for n, (nm, deg) in enumerate(((395, 12), (395, 72), (440, 117)))
    ]
    settings = settings_of(planes=12, height_px=64, width_px=64)
    rng = np.random.default_rng(5)
    emitters = (rng.random((12, 128, 128)) < 2e-3).astype(np.float32)
    made = simulate_emitters(emitters, settings, patterns=patterns)
    assert worst_error_bins(found_in(made, made.clean), made) < 0.1


def test_dim_stripes_in_haze_leave_no_wave_in_the_volume():
    made = simulate(
        settings_of(
            structure="shells",
            planes=12,
            height_px=64,
            width_px=64,
            photons=500.0,
            haze_fraction=0.5,
        )
    )
    frames = np.random.default_rng(4).poisson(made.clean / 100).astype(np.float32)
    noise = found_in(made, frames).noise
    settings = replace(
        FILTER, noise_at_cutoff=noise.at_cutoff, noise_exponent=noise.exponent
    )
    image = reconstructed(frames, made, settings=settings)
    power = (np.abs(np.fft.fft2(image)) ** 2).sum(axis=0)
    f = np.fft.fftfreq(128, 40)
    radius = np.hypot(f[:, None], f)
    for pattern in made.patterns:
        for order in pattern.orders:
            y, x = order.wavevector_per_nm
            ring = np.abs(radius - np.hypot(y, x)) < 1.5 * f[1]
            near = (np.abs(f[:, None] - y) < 0.7 * f[1]) & (np.abs(f - x) < 0.7 * f[1])
            assert power[near].max() < 8 * np.median(power[ring])


def test_no_stripes_are_found_where_there_are_none(bright):
    made, frames = bright
    even = np.broadcast_to(frames.mean(axis=(1, 2), keepdims=True), frames.shape)
    noisy = np.random.default_rng(3).poisson(even.clip(0)).astype(np.float32)
    assert not any(p.is_usable for p in found_in(made, noisy).patterns)


def test_frames_of_another_shape_are_refused(thick):
    with pytest.raises(InputError, match="shape of the frames"):
        reconstructed(thick.clean[:, :, :4], thick)
