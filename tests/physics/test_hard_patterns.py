"""Stripes that are hard to find, easily taken for others, or not there."""

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from napari_dps.core import Optics, Pattern, PatternOrder
from napari_dps.methods.sim.patterns import pattern_warnings
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.sim.estimate import EstimationSettings, PatternEstimator
from napari_dps.physics.sim.stripes import RESIDUAL, stripe_indices
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.simulate import Simulation, simulate, simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings

SIDE, MARGIN = 128, 16
OPTICS = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
CUTOFF_NM = OPTICS.cutoff_period_nm


def settings(**changes) -> SimulationSettings:
    values = {
        "height_px": SIDE,
        "width_px": SIDE,
        "photons": 300,
        "haze_fraction": 0.1,
        "structure": "er",
        "seed": 3,
        **changes,
    }
    return SimulationSettings(**values)


def frames_of(simulation: Simulation) -> np.ndarray:
    return simulation.raw.data.astype(np.float32) - simulation.settings.offset_counts


def estimate(frames, optics=OPTICS, **options) -> list[Pattern]:
    tensor = torch.from_numpy(np.ascontiguousarray(frames, dtype=np.float32))
    estimator = PatternEstimator(tensor, optics, EstimationSettings(**options))
    for angle in range(estimator.angles):
        estimator.search(angle)
    return estimator.patterns()


def of_object(emitters, patterns=None, **changes) -> Simulation:
    return simulate_object(
        emitters, settings(**changes), patterns=patterns, margin_px=(MARGIN, MARGIN)
    )


def fine_grid() -> tuple[np.ndarray, np.ndarray]:
    side = (SIDE + 2 * MARGIN) * 4
    y, x = np.mgrid[:side, :side].astype(np.float32)
    return y, x


def structure(seed: int = 3) -> np.ndarray:
    side = (SIDE + 2 * MARGIN) * 4
    return phantom("er", (side, side), pixel_size_nm=65 / 4, seed=seed)


def step_error_deg(found: Pattern, truth: Pattern) -> float:
    """Root mean square error of the phases, less what all have in common."""
    errors = []
    for sign in (1, -1):
        turned = np.exp(
            1j * np.radians(sign * np.array(found.phases_deg) - truth.phases_deg)
        )
        rest = np.degrees(np.angle(turned * np.conj(turned.mean())))
        errors.append(float(np.sqrt(np.mean(rest**2))))
    return min(errors)


def stepping(steps_deg, *, photons=300.0, period_nm=220.0) -> Simulation:
    """Three angles whose phases are as listed."""
    patterns = [
        Pattern(
            angle_index=angle,
            phases_deg=tuple(values),
            orders=(
                PatternOrder(
                    period_nm=period_nm, angle_deg=10 + 60 * angle, modulation=0.6
                ),
            ),
        )
        for angle, values in enumerate(steps_deg)
    ]
    return of_object(structure(), patterns, photons=photons)


@pytest.mark.parametrize("ratio", [4, 30])
def test_a_bright_speck_does_not_hide_the_stripes(ratio):
    plain = simulate(settings(structure="microtubules", photons=200))
    y, x = fine_grid()
    spot = (np.hypot(y - 250, x - 400) < 4).astype(np.float32)
    added = of_object(
        spot, plain.patterns, background_photons=0.0, haze_fraction=0.0
    ).clean
    bright = np.percentile(plain.clean.mean(axis=(0, 1)), 99)
    photons = plain.clean + added * (ratio * bright / added.mean(axis=(0, 1)).max())
    frames = np.random.default_rng(1).poisson(photons)
    for found, truth in zip(estimate(frames), plain.patterns, strict=True):
        assert found.status == "found"
        assert found.period_nm == pytest.approx(truth.period_nm, rel=5e-3)
        assert found.modulation == pytest.approx(truth.modulation, rel=0.4)
        assert step_error_deg(found, truth) < 8


@pytest.mark.parametrize("frequency", [0.1, 0.17, 1.22, 1.34])
def test_stripes_outside_the_range_are_not_taken_for_others(frequency):
    simulation = simulate(settings(period_nm=CUTOFF_NM / frequency, modulation=0.7))
    patterns = estimate(frames_of(simulation))
    assert not any(p.is_usable for p in patterns)
    assert any(p.orders[0].doubt == "outside" for p in patterns)


def test_stripes_outside_the_range_are_found_when_it_is_widened():
    simulation = simulate(settings(period_nm=CUTOFF_NM / 0.15, modulation=0.7))
    for pattern in estimate(frames_of(simulation), shortest=0.08):
        assert pattern.status == "found"
        assert pattern.period_nm == pytest.approx(CUTOFF_NM / 0.15, rel=0.01)


def test_wrong_wavelength_is_no_reason_for_wrong_stripes():
    simulation = simulate(settings(period_nm=CUTOFF_NM / 0.9, modulation=0.7))
    typed = OPTICS.model_copy(update={"emission_nm": 800.0})
    assert not any(p.is_usable for p in estimate(frames_of(simulation), typed))


def test_harmonics_of_coarse_stripes_are_not_taken_for_the_stripes():
    patterns = [
        Pattern(
            angle_index=angle,
            phases_deg=(0, 120, 240),
            orders=tuple(
                PatternOrder(
                    order=n,
                    period_nm=CUTOFF_NM / 0.15 / n,
                    angle_deg=10 + 60 * angle,
                    modulation=m,
                )
                for n, m in ((1, 0.6), (2, 0.25))
            ),
        )
        for angle in range(3)
    ]
    simulation = of_object(structure(), patterns)
    assert not any(p.is_usable for p in estimate(frames_of(simulation)))


@pytest.mark.parametrize("kind", ["film", "grating", "dots"])
def test_periodic_objects_mislead_no_angle(kind):
    y, x = fine_grid()
    u, v = (0.9 * x + 0.44 * y) / 27, (0.9 * y - 0.44 * x) / 27
    emitters = {
        "film": np.ones_like(x),
        "grating": (u % 1 < 0.5).astype(np.float32),
        "dots": (np.hypot(u % 1 - 0.5, v % 1 - 0.5) < 0.2).astype(np.float32),
    }[kind]
    simulation = of_object(emitters, period_nm=CUTOFF_NM / 0.8)
    found = estimate(frames_of(simulation))
    for pattern, truth in zip(found, simulation.patterns, strict=True):
        if kind == "film":
            assert pattern.status == "found"
        if pattern.is_usable:
            assert pattern.period_nm == pytest.approx(truth.period_nm, rel=0.01)
            turned = abs((pattern.angle_deg - truth.angle_deg + 90) % 180 - 90)
            assert turned < 0.6


@pytest.mark.parametrize(
    ("structure", "photons"), [("line_pairs", 200), ("microtubules", 5000)]
)
def test_fine_stripes_on_straight_lines_are_no_others(structure, photons):
    # The OTF passes .04 of stripes at .9 of the cut-off.
    dim = {"gain_counts_per_e": 0.5, "haze_fraction": 0.0}
    lines = settings(structure=structure, photons=photons, seed=4001, na=1.3, **dim)
    simulation = simulate(lines)
    found = estimate(frames_of(simulation), lines.optics)
    for pattern, truth in zip(found, simulation.patterns, strict=True):
        assert pattern.is_usable
        assert pattern.period_nm == pytest.approx(truth.period_nm, rel=0.01)
        assert abs(pattern.angle_deg - truth.angle_deg) < 0.6


def test_film_has_phases_and_modulation():
    simulation = of_object(
        np.ones_like(fine_grid()[0]),
        period_nm=CUTOFF_NM / 0.7,
        haze_fraction=0.0,
        background_photons=0.0,
    )
    found = estimate(frames_of(simulation))
    for pattern, truth in zip(found, simulation.patterns, strict=True):
        # Pixels of 65 nm and the OTF's model take 15 % at this period.
        assert pattern.modulation == pytest.approx(0.85 * truth.modulation, rel=0.1)
        assert step_error_deg(pattern, truth) < 3


def test_an_angle_that_no_other_agrees_with_is_doubted():
    patterns = [
        Pattern(
            angle_index=n,
            phases_deg=(0, 120, 240),
            orders=(PatternOrder(period_nm=p, angle_deg=a, modulation=0.6),),
        )
        for n, (p, a) in enumerate(((220, 10), (220, 70), (330, 95)))
    ]
    found = estimate(frames_of(of_object(structure(), patterns)))
    assert [p.status for p in found] == ["found", "found", "doubtful"]
    assert found[2].orders[0].doubt == "contradicts"
    assert found[2].period_nm == pytest.approx(330, rel=0.01)


@pytest.mark.parametrize("step", [60, 90, 100])
def test_equal_steps_of_another_size_are_fitted(step):
    simulation = stepping([np.arange(3) * step + 40.0 * n for n in range(3)])
    found = estimate(frames_of(simulation))
    for pattern, truth in zip(found, simulation.patterns, strict=True):
        assert step_error_deg(pattern, truth) < 4
        assert pattern.modulation == pytest.approx(0.6, rel=0.15)


def test_jittering_steps_are_fitted():
    rng = np.random.default_rng(4)
    simulation = stepping(np.arange(3) * 120 + rng.normal(0, 20, (3, 3)))
    found = estimate(frames_of(simulation))
    errors = [
        step_error_deg(pattern, truth)
        for pattern, truth in zip(found, simulation.patterns, strict=True)
    ]
    assert np.sqrt(np.mean(np.square(errors))) < 3


@pytest.mark.parametrize("stuck", [(0, 5, 10), (0, 120, 120), (7, 7, 7)])
def test_an_angle_whose_phases_hardly_move_is_not_used(stuck):
    simulation = stepping([(0, 120, 240), stuck, (30, 150, 270)])
    found = estimate(frames_of(simulation))
    assert [p.is_usable for p in found] == [True, False, True]
    assert found[1].keeps_stripes
    assert found[1].angle_deg == pytest.approx(70, abs=0.5)
    for pattern, truth in zip(found, simulation.patterns, strict=True):
        if pattern.is_usable:
            assert step_error_deg(pattern, truth) < 4


@pytest.mark.parametrize("photons", [30, 300])
def test_an_angle_with_a_frame_of_another_is_not_used(photons):
    frames = frames_of(stepping([(0, 120, 240)] * 3, photons=photons))
    frames[1, 1] = frames[0, 1]
    found = estimate(frames)
    assert [p.is_usable for p in found] == [True, False, True]
    assert found[1].keeps_stripes


def test_stripes_that_stay_at_all_angles_are_doubted():
    found = estimate(frames_of(stepping([(5, 5, 5), (7, 7, 7), (30, 30, 30)])))
    assert all(p.keeps_stripes and not p.is_usable for p in found)
    assert [round(p.angle_deg) for p in found] == [10, 70, 130]


def test_steps_that_all_angles_share_are_measured_together_in_little_light():
    steps = np.arange(3) * 60.0
    simulation = stepping([steps, steps + 40, steps + 200], photons=30)
    for found, truth in zip(
        estimate(frames_of(simulation)), simulation.patterns, strict=True
    ):
        assert found.phase_steps == "measured"
        assert step_error_deg(found, truth) < 8


TURNS = [
    (transposed, rows, columns)
    for transposed in (False, True)
    for rows in (1, -1)
    for columns in (1, -1)
][1:]


def turned(image: np.ndarray, transposed: bool, rows: int, columns: int) -> np.ndarray:
    image = np.swapaxes(image, -1, -2) if transposed else image
    return np.ascontiguousarray(image[..., ::rows, ::columns])


@pytest.mark.parametrize(
    ("height", "width", "photons"), [(96, 118, 300), (97, 97, 30), (131, 150, 60)]
)
def test_patterns_of_turned_and_flipped_frames_are_turned_and_flipped(
    height, width, photons
):
    frames = frames_of(
        simulate(settings(height_px=height, width_px=width, photons=photons))
    )
    patterns = estimate(frames)
    assert all(p.is_usable for p in patterns)
    vectors = [np.array(p.orders[0].wavevector_per_nm) for p in patterns]
    for transposed, rows, columns in TURNS:
        found = estimate(turned(frames, transposed, rows, columns))
        for one, truth, vector in zip(found, patterns, vectors, strict=True):
            expected = vector[::-1] if transposed else vector
            expected = expected * (rows, columns)
            off = np.subtract(
                one.orders[0].wavevector_per_nm,
                np.sign(expected @ one.orders[0].wavevector_per_nm) * expected,
            )
            assert np.abs(off).max() * 65 * height < 1e-4  # bins of 1/field
            assert one.modulation == pytest.approx(truth.modulation, rel=1e-4)
            assert one.phase_error_deg == pytest.approx(truth.phase_error_deg, rel=1e-3)


def test_phases_without_light_are_equal_steps_and_said():
    simulation = simulate(
        settings(structure="microtubules", photons=14, modulation=0.3, seed=1)
    )
    uncertain = [
        p
        for p in estimate(frames_of(simulation))
        if p.is_usable and p.phase_error_deg > 8
    ]
    assert uncertain
    for pattern in uncertain:
        assert pattern.phase_steps == "equal"
        steps = np.diff(pattern.phases_deg) % 360
        assert np.allclose(np.minimum(steps, 360 - steps), 120, atol=1e-6)


def test_square_lattice_is_told_from_two_orders():
    rng = np.random.default_rng(0)
    phases = 72.0 * np.arange(5)
    patterns = [
        Pattern(
            angle_index=0,
            phases_deg=tuple(harmonic * phases + rng.uniform(0, 360)),
            orders=(PatternOrder(period_nm=300, angle_deg=angle, modulation=0.35),),
        )
        for harmonic, angle in ((1, 20.0), (2, 110.0))
    ]
    found = estimate(frames_of(of_object(structure(), patterns)))
    assert len(found) == 2
    assert sorted(round(p.angle_deg) for p in found) == [20, 110]


@pytest.mark.parametrize("kind", ["constant", "ramp", "noise-free", "saturated"])
def test_nothing_is_found_where_frames_hold_no_stripes(kind):
    y, x = np.mgrid[:96, :96]
    image = {
        "constant": np.full((96, 96), 65435.0),
        "ramp": 100 + 0.7 * x + 0.3 * y,
        "noise-free": 1000 * structure()[:96, :96] + 10,
        "saturated": np.full((96, 96), 100.0),
    }[kind]
    factors = np.array([1, 1.03, 0.95, 1, 0.98, 1, 1.02, 1, 1]).reshape(3, 3, 1, 1)
    frames = image * factors
    if kind == "saturated":
        noise = np.random.default_rng(0).poisson(90, (3, 3, 96, 96))
        frames = np.minimum(noise, 85.0)
    assert [p.status for p in estimate(frames)] == ["not found"] * 3


@pytest.mark.parametrize("error_deg", [0, 25])
def test_stripe_index_tells_stripes_that_wrong_phases_leave(error_deg):
    simulation = simulate(settings(phases=5, seed=5))
    rng = np.random.default_rng(0)
    patterns = [
        p.model_copy(
            update={"phases_deg": tuple(p.phases_deg + rng.normal(0, error_deg, 5))}
        )
        for p in simulation.patterns
    ]
    frames = frames_of(simulation)
    image = WienerSolver(frames.shape[-2:], patterns, OPTICS).solve(frames)
    indices = stripe_indices(image, patterns, 32.5)
    assert set(indices) == {(a, n) for a in range(3) for n in (1, 2)}
    assert (max(indices.values()) > RESIDUAL) == (error_deg > 0)


def test_phases_of_three_beams_over_a_projection_are_equal_steps():
    simulation = simulate(settings(phases=5, phase_error_deg=8))
    patterns = estimate(frames_of(simulation), is_projection=True)
    for pattern in patterns:
        assert pattern.phase_steps == "equal"
        steps = np.diff(pattern.phases_deg) % 360
        assert np.allclose(np.minimum(steps, 360 - steps), 72, atol=1e-6)


@pytest.mark.parametrize(
    ("doubt", "advice"),
    [
        ("outside", "check NA, emission wavelength and pixel size"),
        ("repeats", "give the patterns of another sample"),
        ("contradicts", "agree with no other angle"),
        ("phases", "check the phase shifter"),
    ],
)
def test_a_doubtful_pattern_says_what_to_check(doubt, advice):
    order = PatternOrder(
        status="doubtful", doubt=doubt, period_nm=250, angle_deg=30, confidence=50
    )
    pattern = Pattern(orders=(order,))
    assert not pattern.is_usable
    warnings = list(pattern_warnings([pattern], angles=1))
    assert any("angle 1 of 1 (250 nm, 30°)" in text for text in warnings)
    assert any(advice in text for text in warnings)


def test_a_second_order_that_is_not_of_the_first_is_doubted():
    orders = [
        PatternOrder(order=1, period_nm=450, angle_deg=20, modulation=0.5),
        PatternOrder(order=2, period_nm=260, angle_deg=42, modulation=0.15),
    ]
    patterns = [
        Pattern(
            angle_index=angle,
            phases_deg=tuple(72.0 * np.arange(5)),
            orders=tuple(
                o.model_copy(update={"angle_deg": (o.angle_deg + 60 * angle) % 180})
                for o in orders
            ),
        )
        for angle in range(3)
    ]
    simulation = of_object(structure(), patterns, phases=5)
    found = estimate(frames_of(simulation))
    for pattern in found:
        first, second = pattern.orders
        assert (first.status, second.doubt) == ("found", "contradicts")
        assert first.period_nm == pytest.approx(450, rel=0.01)
    warnings = list(pattern_warnings(found, angles=3))
    assert sum("agree with no other angle or order" in w for w in warnings) == 3


@pytest.mark.parametrize(("error", "is_told"), [(4.0, False), (6.0, True)])
def test_phases_that_are_hardly_known_are_told(error, is_told):
    order = PatternOrder(status="found", period_nm=250, angle_deg=30, confidence=50)
    pattern = Pattern(phases_deg=(0, 118, 243), orders=(order,), phase_error_deg=error)
    warnings = list(pattern_warnings([pattern], angles=1))
    assert warnings == is_told * [
        "the phases of angle 1 of 1 are known to 6° only: stripes may be left in the "
        "result"
    ]


def test_modulation_of_dim_frames_on_finer_pixels_is_that_of_bright_ones():
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=60)
    found = []
    for photons in (12, 800):
        dim = simulate(
            settings(
                structure="microtubules",
                photons=photons,
                phases=5,
                pixel_size_nm=60,
                period_nm=493,
                modulation=0.5,
                seed=1,
            )
        )
        finer = zoom(frames_of(dim), (1, 1, 2, 2), order=3, mode="grid-mirror")
        found.append(
            [p.orders[0].modulation for p in estimate(finer, optics.at_pixel_size(30))]
        )
    assert found[0] == pytest.approx(found[1], rel=0.1)
    assert found[1] == pytest.approx([0.5] * 3, rel=0.05)


@pytest.mark.parametrize("factor", [0.4, 0.5])
@pytest.mark.parametrize("seed", [1, 2])
def test_pixels_typed_too_small_show_no_wrong_stripes(factor, seed):
    simulation = simulate(settings(period_nm=240, seed=seed))
    for found in estimate(frames_of(simulation), OPTICS.at_pixel_size(65 * factor)):
        for order in found.orders:
            assert not order.is_usable or order.period_nm == pytest.approx(
                240 * factor, rel=0.01
            )


def test_a_bright_speck_is_no_lack_of_stripes_in_a_lattice():
    lattice = {"angles": 1, "phases": 7, "pattern": "hexagonal"}
    plain = simulate(settings(structure="microtubules", photons=200, **lattice))
    y, x = fine_grid()
    spot = (np.hypot(y - 250, x - 400) < 4).astype(np.float32)
    dark = {"background_photons": 0.0, "haze_fraction": 0.0}
    added = of_object(spot, plain.patterns, **lattice, **dark).clean
    bright = np.percentile(plain.clean.mean(axis=(0, 1)), 99)
    photons = plain.clean + added * (25 * bright / added.mean(axis=(0, 1)).max())
    for seed in (1, 2):
        frames = np.random.default_rng(seed).poisson(photons)
        assert {p.status for p in estimate(frames)} == {"found"}


@pytest.mark.parametrize("frequency", [0.18, 0.19])
def test_flanks_of_stripes_beyond_the_rim_are_not_taken_for_stripes(frequency):
    coarse = simulate(
        settings(structure="microtubules", period_nm=CUTOFF_NM / frequency)
    )
    found = estimate(frames_of(coarse))
    assert not any(pattern.is_usable for pattern in found)
    assert any(pattern.orders[0].doubt == "outside" for pattern in found)


@pytest.mark.parametrize("seed", [3, 4])
def test_orders_of_an_angle_whose_frames_are_shuffled_belong_together(seed):
    simulation = simulate(settings(phases=5, period_nm=440, seed=seed))
    frames = frames_of(simulation)
    frames[1] = frames[1, [0, 2, 4, 1, 3]]
    for pattern in estimate(frames):
        usable = [order.period_nm for order in pattern.orders if order.is_usable]
        assert len(usable) < 2 or usable[0] == pytest.approx(2 * usable[1], rel=0.03)
