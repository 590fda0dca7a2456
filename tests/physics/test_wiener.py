import numpy as np
import pytest
import torch
from reference_wiener import reference_wiener

from napari_dps.core import InputError, Optics, Pattern, PatternOrder
from napari_dps.physics.otf import widefield_otf
from napari_dps.physics.sim.separate import mixing_matrix, separation_matrix
from napari_dps.physics.sim.wiener import WienerSettings, WienerSolver

OPTICS = Optics(na=1.3, emission_nm=600, pixel_size_nm=65)  # cut-off .282 cycles/pixel
SHARP = WienerSettings(wiener_parameter=1e-9, apodisation="none")
PIXEL_NM = OPTICS.pixel_size_nm


def stripes(angles=3, phases=3, orders=1, period_nm=260.0, modulation=0.8, seed=0):
    """Patterns with uneven phases; the period is that of the highest order."""
    rng = np.random.default_rng(seed)
    steps = np.arange(phases) * 360 / phases
    return [
        Pattern(
            angle_index=angle,
            phases_deg=tuple(rng.uniform(0, 360) + steps + rng.normal(0, 4, phases)),
            orders=tuple(
                PatternOrder(
                    order=n,
                    period_nm=period_nm * orders / n,
                    angle_deg=(13 + 180 * angle / angles) % 180,
                    modulation=modulation / n,
                    offset_deg=25.0 * (n - 1),
                )
                for n in range(1, orders + 1)
            ),
        )
        for angle in range(angles)
    ]


def hexagonal(period_nm=260.0):
    """Three directions in the same seven frames, phase steps of 1, 3 and 2 sevenths."""
    steps = np.arange(7) * 360 / 7
    return [
        Pattern(
            angle_index=0,
            angle_deg=20 + 60 * turn,
            period_nm=period_nm,
            modulation=0.6,
            phases_deg=tuple(40.0 * turn + factor * steps),
        )
        for turn, factor in enumerate((1, 3, 2))
    ]


def on_grid(shape):
    """Two angles whose wave vectors are whole bins of a periodic image."""
    bins = [(5, 14), (-13, 6)]
    patterns = []
    for index, (j_y, j_x) in enumerate(bins):
        k_y, k_x = j_y / shape[0] / PIXEL_NM, j_x / shape[1] / PIXEL_NM
        patterns.append(
            Pattern(
                angle_index=index,
                angle_deg=np.degrees(np.arctan2(k_y, k_x)) % 180,
                period_nm=1 / np.hypot(k_y, k_x),
                modulation=0.7,
                phases_deg=(10.0, 125.0, 260.0),
            )
        )
    return patterns


def image_through_microscope(object_spectrum, patterns, shape):
    """Frames (A, P, Y, X), periodic, of an object given by its Fourier transform."""
    f = np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij")
    otf = widefield_otf(np.hypot(*f), OPTICS.cutoff_per_pixel)
    even = np.fft.ifft2(otf * object_spectrum(*f)).real
    count = max(pattern.angle_index for pattern in patterns) + 1
    phases = len(patterns[0].phases_deg)
    frames = np.broadcast_to(even, (count, phases, *shape)).copy()
    for pattern in patterns:
        for order in pattern.orders:
            k = np.array(order.wavevector_per_nm) * PIXEL_NM
            band = np.fft.ifft2(otf * object_spectrum(f[0] - k[0], f[1] - k[1]))
            psi = order.order * np.radians(pattern.phases_deg)
            psi = psi + np.radians(order.offset_deg)
            lit = np.exp(1j * psi)[:, None, None] * order.modulation * band
            frames[pattern.angle_index] += lit.real
    return frames


def noise(patterns, shape, seed=0):
    angles = max(pattern.angle_index for pattern in patterns) + 1
    phases = len(patterns[0].phases_deg)
    rng = np.random.default_rng(seed)
    return rng.poisson(60, (angles, phases, *shape)).astype(np.float32)


def relative_error(result, expected):
    return np.abs(result - expected).max() / np.abs(expected).max()


# --- separation ---------------------------------------------------------------------


def test_separation_of_a_plane_wave_is_exact():
    phases = [np.array([0.1, 1.4, 2.9, 4.0, 5.1]), np.array([0.4, 3.0, 6.1, 8.0, 9.9])]
    r = np.arange(50)
    zero = 5 + np.cos(0.3 * r)
    bands = [0.8 * np.exp(0.7j * r), 0.4 * np.exp(1.4j * r)]
    frames = zero + sum(
        (np.exp(1j * psi)[:, None] * band).real
        for psi, band in zip(phases, bands, strict=True)
    )
    separated = separation_matrix(phases) @ frames
    np.testing.assert_allclose(separated[0], zero, atol=1e-12)
    np.testing.assert_allclose(separated[1] + 1j * separated[2], bands[0], atol=1e-12)
    np.testing.assert_allclose(separated[3] + 1j * separated[4], bands[1], atol=1e-12)
    np.testing.assert_allclose(mixing_matrix(phases) @ separated, frames, atol=1e-12)


# --- analytic truths ----------------------------------------------------------------


def test_wave_beyond_the_cutoff_is_recovered_exactly():
    shape = (60, 72)
    patterns = on_grid(shape)
    wave = (6 / 60, 30 / 72)  # cycles per pixel: |f| = 0.43, the cut-off is at 0.28
    assert np.hypot(*wave) > 1.4 * OPTICS.cutoff_per_pixel

    def spectrum(f_y, f_x):
        def at(k_y, k_x):
            return np.isclose(f_y, k_y, atol=1e-6) & np.isclose(f_x, k_x, atol=1e-6)

        value = 3.0 * at(0, 0) + 0.5 * np.exp(0.4j) * at(*wave)
        return (value + 0.5 * np.exp(-0.4j) * at(-wave[0], -wave[1])) * 60 * 72

    frames = image_through_microscope(spectrum, patterns, shape)
    solver = WienerSolver(shape, patterns, OPTICS, SHARP, padding_px=0, dtype="float64")
    y, x = (np.arange(2 * n) / 2 - 0.25 for n in shape)
    phase = 2 * np.pi * (wave[0] * y[:, None] + wave[1] * x)
    truth = 3 + np.cos(phase + 0.4)
    np.testing.assert_allclose(solver.solve(frames), truth, atol=1e-6)


def test_order_zero_alone_passes_no_wave_beyond_the_cutoff():
    shape = (60, 72)
    lost = [
        Pattern(angle_index=a, orders=(PatternOrder(status="not found"),))
        for a in (0, 1)
    ]
    frames = noise(on_grid(shape), shape)
    image = WienerSolver(shape, lost, OPTICS, padding_px=0).solve(frames)
    f = np.meshgrid(*(np.fft.fftfreq(2 * n, 0.5) for n in shape), indexing="ij")
    power = np.abs(np.fft.fft2(image)) ** 2
    outside = np.hypot(*f) > OPTICS.cutoff_per_pixel
    assert power[outside].max() < 1e-9 * power[0, 0]


@pytest.mark.parametrize("shape", [(64, 64), (37, 31), (45, 80)])
def test_constant_image_stays_constant(shape):
    frames = np.full((3, 3, *shape), 123.0)
    image = WienerSolver(shape, stripes(), OPTICS).solve(frames)
    assert image.shape == (2 * shape[0], 2 * shape[1])
    np.testing.assert_allclose(image, 123.0, rtol=2e-6)


def test_constant_object_under_stripes_stays_constant_up_to_the_edge():
    shape = (81, 90)

    def spectrum(f_y, f_x):
        return 50.0 * np.isclose(f_y, 0) * np.isclose(f_x, 0) * 81 * 90

    frames = image_through_microscope(spectrum, on_grid(shape), shape)
    assert frames.std() > 1
    image = WienerSolver(shape, on_grid(shape), OPTICS).solve(frames)
    np.testing.assert_allclose(image, 50.0, rtol=1e-5)


def test_total_counts_are_kept():
    shape = (60, 72)
    frames = noise(on_grid(shape), shape)
    image = WienerSolver(shape, on_grid(shape), OPTICS, padding_px=0).solve(frames)
    weights = [
        separation_matrix([np.radians(pattern.phases_deg)])[0]
        for pattern in on_grid(shape)
    ]
    means = frames.mean(axis=(-2, -1))
    expected = np.mean([w @ m for w, m in zip(weights, means, strict=True)])
    assert image.mean() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("centre", [(40.0, 33.0), (37.3, 40.8)])
def test_spot_lies_where_it_was_to_a_hundredth_of_a_pixel(centre):
    shape = (81, 76)

    def spectrum(f_y, f_x):
        envelope = np.exp(-2 * np.pi**2 * 0.8**2 * (f_y**2 + f_x**2))
        return envelope * np.exp(-2j * np.pi * (f_y * centre[0] + f_x * centre[1]))

    frames = 1e4 * image_through_microscope(spectrum, stripes(), shape)
    image = WienerSolver(shape, stripes(), OPTICS).solve(frames)
    y, x = (np.arange(2 * n) / 2 - 0.25 for n in shape)
    light = image * (np.hypot(y[:, None] - centre[0], x - centre[1]) < 12)
    assert (light.sum(1) @ y) / light.sum() == pytest.approx(centre[0], abs=0.01)
    assert (light.sum(0) @ x) / light.sum() == pytest.approx(centre[1], abs=0.01)


def test_spot_is_narrower_than_with_order_zero_alone():
    shape = (64, 64)

    def spectrum(f_y, f_x):
        return np.exp(-2j * np.pi * 32 * (f_y + f_x))

    patterns = stripes()
    frames = 1e4 * image_through_microscope(spectrum, patterns, shape)
    lost = [
        pattern.model_copy(update={"orders": (PatternOrder(status="not found"),)})
        for pattern in patterns
    ]

    def area_above_half(image):
        return (image > image.max() / 2).sum()

    sim = area_above_half(WienerSolver(shape, patterns, OPTICS).solve(frames))
    widefield = area_above_half(WienerSolver(shape, lost, OPTICS).solve(frames))
    assert sim < 0.45 * widefield


def test_edges_do_not_ring_into_the_opposite_edge():
    shape = (64, 64)
    ramp = np.broadcast_to(np.linspace(0, 100, 64), (3, 3, *shape))
    expected = np.interp(np.arange(128) / 2 - 0.25, np.arange(64), ramp[0, 0, 0])

    def worst(padding_px):
        solver = WienerSolver(shape, stripes(), OPTICS, padding_px=padding_px)
        return np.abs(solver.solve(ramp) - expected).max()

    assert worst(14) < 10
    assert worst(0) > 30


# --- against the filter as written on paper -----------------------------------------

CASES = {
    "3x3": (stripes(), (64, 64)),
    "3x3 odd": (stripes(seed=1), (61, 45)),
    "3x5 two orders": (stripes(3, 5, 2, seed=2), (48, 70)),
    "1x3": (stripes(1, 3, seed=3), (50, 33)),
    "5x3": (stripes(5, 3, seed=4), (40, 40)),
    "hexagonal 1x7": (hexagonal(), (45, 52)),
    "stripes beyond the cut-off": (stripes(period_nm=200.0), (54, 54)),
    "clipped by the 2x grid": (stripes(period_nm=80.0), (54, 49)),
    "tiny": (stripes(), (5, 3)),
}


@pytest.mark.parametrize("case", CASES)
def test_solver_equals_double_precision_reference(case):
    patterns, shape = CASES[case]
    frames = noise(patterns, shape)
    expected = reference_wiener(frames, patterns, OPTICS, WienerSettings())
    result = WienerSolver(shape, patterns, OPTICS).solve(frames)
    assert result.dtype == np.float32
    assert relative_error(result, expected) < 2e-6
    exact = WienerSolver(shape, patterns, OPTICS, dtype="float64").solve(frames)
    assert relative_error(exact, expected) < 1e-12


@pytest.mark.parametrize(
    "settings",
    [
        WienerSettings(wiener_parameter=0.001, apodisation="triangle"),
        WienerSettings(apodisation="none", attenuation_strength=0.5),
        WienerSettings(attenuation_width=0.2, notch_strength=0.95, notch_width=0.1),
        WienerSettings(noise_at_cutoff=0.4, noise_exponent=2.5),
    ],
)
def test_settings_mean_what_the_reference_does(settings):
    patterns, shape = stripes(), (42, 51)
    frames = noise(patterns, shape)
    expected = reference_wiener(frames, patterns, OPTICS, settings)
    result = WienerSolver(shape, patterns, OPTICS, settings).solve(frames)
    assert relative_error(result, expected) < 3e-6
    assert (
        relative_error(
            result, reference_wiener(frames, patterns, OPTICS, WienerSettings())
        )
        > 0.01
    )


def test_coarse_pixels_equal_reference():
    optics = Optics(na=1.4, emission_nm=500, pixel_size_nm=110)  # cut-off .62: aliased
    patterns, shape = stripes(period_nm=300.0), (36, 41)
    frames = noise(patterns, shape)
    expected = reference_wiener(frames, patterns, optics, WienerSettings())
    result = WienerSolver(shape, patterns, optics).solve(frames)
    assert relative_error(result, expected) < 2e-6


# --- angles and orders that were not found ------------------------------------------


def test_angle_not_found_contributes_its_mean_frame_to_order_zero():
    patterns, shape = stripes(), (48, 53)
    lost = [
        *patterns[:2],
        Pattern(angle_index=2, orders=(PatternOrder(status="not found"),)),
    ]
    frames = noise(patterns, shape)
    result = WienerSolver(shape, lost, OPTICS).solve(frames)
    averaged = frames.copy()
    averaged[2] = averaged[2].mean(axis=0)
    np.testing.assert_allclose(
        result, WienerSolver(shape, lost, OPTICS).solve(averaged), rtol=1e-4, atol=1e-3
    )
    expected = reference_wiener(frames, lost, OPTICS, WienerSettings())
    assert relative_error(result, expected) < 2e-6


def test_second_order_not_found_is_separated_and_dropped():
    patterns, shape = stripes(3, 5, 2), (40, 44)
    weak = [
        pattern.model_copy(
            update={
                "orders": (
                    pattern.orders[0],
                    PatternOrder(order=2, status="not found"),
                )
            }
        )
        for pattern in patterns
    ]
    frames = noise(patterns, shape)
    result = WienerSolver(shape, weak, OPTICS).solve(frames)
    expected = reference_wiener(frames, weak, OPTICS, WienerSettings())
    assert relative_error(result, expected) < 2e-6
    # What is lit by the second order alone leaves no trace.
    extra = np.stack(
        [np.cos(2 * np.radians(pattern.phases_deg)) for pattern in patterns]
    )
    lit = frames + 10 * extra[..., None, None].astype(np.float32)
    np.testing.assert_allclose(
        WienerSolver(shape, weak, OPTICS).solve(lit), result, atol=2e-3
    )


def test_all_angles_lost_needs_no_phases():
    shape = (40, 32)
    lost = [
        Pattern(angle_index=a, orders=(PatternOrder(status="not found"),))
        for a in range(3)
    ]
    frames = np.random.default_rng(0).poisson(50, (3, 5, *shape))
    image = WienerSolver(shape, lost, OPTICS).solve(frames)
    assert image.shape == (80, 64)
    expected = reference_wiener(frames, lost, OPTICS, WienerSettings())
    assert relative_error(image, expected) < 2e-6


# --- linearity, derivatives, batches, reuse -----------------------------------------


def test_solver_is_linear_in_the_frames():
    patterns, shape = stripes(), (36, 44)
    solver = WienerSolver(shape, patterns, OPTICS, dtype="float64")
    one, two = noise(patterns, shape, 1), noise(patterns, shape, 2)
    np.testing.assert_allclose(
        solver.solve(2.0 * one - 3.0 * two),
        2 * solver.solve(one) - 3 * solver.solve(two),
        atol=1e-10,
    )


def test_gradient_with_respect_to_the_frames_is_exact():
    solver = WienerSolver((7, 6), stripes(2), OPTICS, padding_px=2, dtype="float64")
    frames = torch.rand(2, 3, 7, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(solver.solve, (frames,), fast_mode=True)


def test_tensors_stay_tensors_and_batches_equal_single_stacks():
    patterns, shape = stripes(), (33, 40)
    solver = WienerSolver(shape, patterns, OPTICS)
    batch = torch.as_tensor(np.stack([noise(patterns, shape, s) for s in range(4)]))
    images = solver.solve(batch.reshape(2, 2, *batch.shape[1:]))
    assert isinstance(images, torch.Tensor)
    assert images.shape == (2, 2, 66, 80)
    for index in range(4):
        single = solver.solve(batch[index].numpy())
        np.testing.assert_allclose(images[index // 2, index % 2], single, atol=1e-3)


def test_large_frames_solved_in_tiles_equal_reference():
    patterns, shape = stripes(1), (300, 290)
    frames = noise(patterns, shape)
    expected = reference_wiener(frames, patterns, OPTICS, WienerSettings())
    assert (
        relative_error(WienerSolver(shape, patterns, OPTICS).solve(frames), expected)
        < 2e-6
    )


def test_sixteen_bit_counts_are_accepted_and_unchanged():
    patterns, shape = stripes(), (30, 32)
    frames = noise(patterns, shape).astype(np.uint16)
    before = frames.copy()
    solver = WienerSolver(shape, patterns, OPTICS)
    np.testing.assert_array_equal(solver.solve(frames), solver.solve(before * 1.0))
    np.testing.assert_array_equal(frames, before)


def test_equalisation_undoes_bleaching():
    patterns, shape = stripes(), (40, 36)
    frames = noise(patterns, shape)
    bleaching = 0.95 ** np.arange(9).reshape(3, 3)
    solver = WienerSolver(shape, patterns, OPTICS)
    bleached = frames * bleaching[..., None, None]
    np.testing.assert_allclose(
        solver.solve(bleached, 1 / bleaching), solver.solve(frames), atol=1e-3
    )


def test_part_that_is_the_whole_is_it_but_for_the_mean():
    patterns, shape = stripes(), (40, 36)
    frames = torch.from_numpy(noise(patterns, shape))
    factors = 1 + 0.1 * np.arange(9).reshape(3, 3)
    solver = WienerSolver(shape, patterns, OPTICS, dtype="float64")
    part = solver.solve_part(frames, (0, 0), factors)
    expected = solver.solve(frames, factors)
    mean = solver.mean(frames, factors)
    torch.testing.assert_close(expected.mean(), mean)
    torch.testing.assert_close(part - part.mean() + mean, expected)


def test_part_far_from_its_edges_is_that_of_the_whole():
    patterns, shape = stripes(), (300, 320)
    frames = torch.from_numpy(noise(patterns, shape))
    whole = WienerSolver(shape, patterns, OPTICS).solve(frames)
    origin, size = (61, 74), (180, 170)
    rows, columns = (slice(o, o + n) for o, n in zip(origin, size, strict=True))
    solver = WienerSolver(size, patterns, OPTICS)
    part = solver.solve_part(frames[..., rows, columns], origin)
    inner = part[140:-140, 140:-140]
    there = whole[2 * 61 + 140 : 2 * 241 - 140, 2 * 74 + 140 : 2 * 244 - 140]
    difference = (inner - inner.mean()) - (there - there.mean())
    assert float(difference.abs().max()) < 5e-4 * float(whole.max() - whole.min())


def test_other_settings_reuse_the_separated_orders():
    patterns, shape = stripes(), (40, 36)
    frames = noise(patterns, shape)
    settings = WienerSettings(wiener_parameter=0.5)
    solver = WienerSolver(shape, patterns, OPTICS)
    spectra = solver.separate(torch.as_tensor(frames))
    changed = solver.with_settings(settings)
    expected = WienerSolver(shape, patterns, OPTICS, settings).solve(frames)
    np.testing.assert_array_equal(changed.combine(spectra).numpy(), expected)
    assert solver.settings == WienerSettings()
    assert changed.settings == settings


# --- wrong input --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "named"),
    [
        ([], "angles of the patterns"),
        (stripes()[1:], "angles of the patterns"),
        (stripes(2, 3) + stripes(3, 5)[2:], "numbers of phases"),
        (stripes(period_nm=60.0), "period of order 1 of angle 1"),
        (stripes(3, 3, 2), "number of phases of angle 1"),
        (
            [Pattern(angle_deg=10, period_nm=260, phases_deg=(0, 1, 2))],
            "phases of angle 1",
        ),
        ([Pattern(angle_deg=10, period_nm=260)], "number of phases of angle 1"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(patterns, named):
    with pytest.raises(InputError, match=named):
        WienerSolver((40, 40), patterns, OPTICS)


@pytest.mark.parametrize("shape", [(3, 3, 40, 41), (2, 3, 40, 40), (3, 5, 40, 40)])
def test_frames_that_do_not_fit_are_refused(shape):
    solver = WienerSolver((40, 40), stripes(), OPTICS)
    with pytest.raises(InputError, match=r"allowed: \(\.\.\., 3, 3, 40, 40\)"):
        solver.solve(np.zeros(shape))


@pytest.mark.parametrize(
    "values",
    [
        {"wiener_parameter": 0.0},
        {"wiener_parameter": float("nan")},
        {"apodisation": "hann"},
        {"attenuation_strength": 1.0},
        {"attenuation_width": 0.0},
        {"notch_strength": -0.1},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(InputError, match=next(iter(values)).split("_")[0].title()[1:]):
        WienerSettings(**values)
