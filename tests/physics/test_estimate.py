"""Pattern estimation against simulated stacks whose patterns are known."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from napari_dps.core import InputError, Optics, Pattern
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.estimate import EstimationSettings, PatternEstimator
from napari_dps.physics.sim.search import Key
from napari_dps.physics.sim.spectrum import inverse_fft2
from napari_dps.physics.sim.support import (
    doubt_contradictions,
    doubt_lonely,
    doubt_only_one,
)
from napari_dps.physics.simulate import Simulation, simulate
from napari_dps.physics.simulate_settings import SimulationSettings

QUIET = {"photons": 2000, "background_photons": 20, "haze_fraction": 0.1}


def simulated(**changes) -> Simulation:
    values = {"height_px": 256, "width_px": 256, "seed": 5, **QUIET, **changes}
    return simulate(SimulationSettings(**values))


def frames_of(simulation: Simulation) -> torch.Tensor:
    offset = simulation.settings.offset_counts
    return torch.from_numpy(simulation.raw.data.astype(np.float32) - offset)


def estimate(frames, optics, **settings) -> list[Pattern]:
    estimator = PatternEstimator(frames, optics, EstimationSettings(**settings))
    for angle in range(estimator.angles):
        estimator.search(angle)
    return estimator.patterns()


def phase_error_deg(found: Pattern, truth: Pattern, field_nm, order=0) -> float:
    """Mean error at the centre of the field, where the wave vector's counts least.

    The sign of a wave vector is free where it points along 0° = 180°.
    """
    waves = []
    for pattern in (found, truth):
        band = pattern.orders[order]
        k = np.array(band.wavevector_per_nm)
        at_origin = band.order * np.radians(pattern.phases_deg)
        at_origin = at_origin + math.radians(band.offset_deg)
        waves.append((k, at_origin + 2 * np.pi * (k @ np.array(field_nm)) / 2))
    (k, phases), (k_true, true) = waves
    difference = (phases if k @ k_true > 0 else -phases) - true
    return float(np.degrees(np.abs(np.angle(np.exp(1j * difference)))).mean())


SLOW_LAYOUTS = {
    "at-0-deg": {"structure": "er", "first_angle_deg": 0.0},
    "odd-non-square": {"structure": "actin", "height_px": 211, "width_px": 290},
    "5x3": {"structure": "microtubules", "angles": 5},
    "1x3": {"structure": "microtubules", "angles": 1},
    "3x5": {"structure": "er", "phases": 5},
}


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param({"structure": "microtubules"}, id="3x3"),
        pytest.param(
            {
                "structure": "microtubules",
                "pattern": "hexagonal",
                "angles": 1,
                "phases": 7,
            },
            id="hexagonal",
        ),
        *(
            pytest.param(layout, id=name, marks=pytest.mark.slow)
            for name, layout in SLOW_LAYOUTS.items()
        ),
    ],
)
def test_patterns_are_recovered_from_a_bright_stack(layout):
    simulation = simulated(phase_error_deg=4, bleaching=0.01, **layout)
    optics = simulation.settings.optics
    patterns = estimate(frames_of(simulation), optics)
    assert len(patterns) == len(simulation.patterns)
    height, width = simulation.raw.shape[-2:]
    field_nm = ((height - 1) * optics.pixel_size_nm, (width - 1) * optics.pixel_size_nm)
    for truth in simulation.patterns:
        found = min(patterns, key=lambda p: _turn_deg(p.angle_deg, truth.angle_deg))
        for n, order in enumerate(truth.orders):
            assert found.orders[n].status == "found"
            assert found.orders[n].period_nm == pytest.approx(order.period_nm, rel=2e-3)
            assert _turn_deg(found.orders[n].angle_deg, order.angle_deg) < 0.2
            assert found.orders[n].modulation == pytest.approx(
                order.modulation, rel=0.15
            )
            assert phase_error_deg(found, truth, field_nm, n) < 2.5 * (n + 1)


def _turn_deg(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


def test_stripes_finer_than_the_detection_cutoff_are_found():
    cutoff_nm = 525 / (2 * 1.4)
    simulation = simulated(period_nm=cutoff_nm / 1.08, photons=2000, modulation=0.8)
    patterns = estimate(frames_of(simulation), simulation.settings.optics)
    assert [p.status for p in patterns] == ["found"] * 3
    for pattern in patterns:
        assert pattern.period_nm == pytest.approx(cutoff_nm / 1.08, rel=3e-3)


@pytest.mark.slow
def test_nothing_is_called_without_stripes():
    called = []
    for seed in range(6):
        row_noise = {"row_noise_e": 1.0} if seed % 2 else {}
        simulation = simulated(
            structure=("microtubules", "er", "actin")[seed % 3],
            modulation=0,
            intensity_jitter=0.05,
            bleaching=0.02,
            seed=seed,
            **row_noise,
        )
        patterns = estimate(frames_of(simulation), simulation.settings.optics)
        called += [p for p in patterns if p.is_usable]
    assert called == []


@pytest.mark.slow
def test_statistic_is_exponential_without_stripes():
    simulation = simulated(modulation=0, photons=200)
    estimator = PatternEstimator(frames_of(simulation), simulation.settings.optics)
    estimator.search(0)
    statistic = estimator._correlations[0, 1].statistic
    values = statistic[statistic > 1e-12]
    assert np.mean(values) == pytest.approx(1, abs=0.1)
    for level in (1, 3, 5):
        assert np.mean(values > level) == pytest.approx(math.exp(-level), rel=0.35)


def test_frames_of_noise_alone_have_no_pattern():
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.poisson(10, (3, 3, 48, 64)).astype(np.float32))
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=80)
    assert not any(p.is_usable for p in estimate(frames, optics))


@pytest.mark.slow
def test_reversed_phase_steps_give_the_same_wave_vectors():
    simulation = simulated()
    frames, optics = frames_of(simulation), simulation.settings.optics
    forward = estimate(frames, optics)
    backward = estimate(frames.flip(1), optics)
    for a, b in zip(forward, backward, strict=True):
        assert a.period_nm == pytest.approx(b.period_nm, rel=1e-3)
        assert _turn_deg(a.angle_deg, b.angle_deg) < 0.05


@pytest.mark.slow
def test_faint_angles_are_called_tentative_with_the_support_of_the_others():
    tentative = false = 0
    for seed in range(4):
        simulation = simulated(
            photons=4, modulation=0.4, seed=seed, background_photons=0, haze_fraction=0
        )
        patterns = estimate(frames_of(simulation), simulation.settings.optics)
        for found, truth in zip(patterns, simulation.patterns, strict=True):
            if not found.is_usable:
                continue
            tentative += found.status == "tentative"
            false += abs(found.period_nm / truth.period_nm - 1) > 0.02
    assert tentative > 0
    assert false == 0


class TestGiven:
    def use(self, simulation: Simulation, given: list[Pattern]) -> list[Pattern]:
        estimator = PatternEstimator(frames_of(simulation), simulation.settings.optics)
        for angle in range(estimator.angles):
            estimator.use(angle, [p for p in given if p.angle_index == angle])
        return estimator.patterns()

    def test_phases_of_right_wave_vectors_are_fitted(self):
        simulation = simulated(photons=100)
        given = [p.only_wave_vectors() for p in simulation.patterns]
        patterns = self.use(simulation, given)
        field = 255 * simulation.settings.pixel_size_nm
        for found, truth in zip(patterns, simulation.patterns, strict=True):
            assert found.status == "given"
            assert found.period_nm == pytest.approx(truth.period_nm)
            assert phase_error_deg(found, truth, (field, field)) < 5

    @pytest.mark.slow
    def test_both_orders_are_taken(self):
        simulation = simulated(phases=5)
        patterns = self.use(
            simulation, [p.only_wave_vectors() for p in simulation.patterns]
        )
        for found in patterns:
            assert [o.status for o in found.orders] == ["given", "given"]

    @pytest.mark.slow
    def test_directions_of_a_hexagonal_pattern_find_their_phases(self):
        simulation = simulated(pattern="hexagonal", angles=1, phases=7)
        patterns = self.use(
            simulation, [p.only_wave_vectors() for p in simulation.patterns]
        )
        field = 255 * simulation.settings.pixel_size_nm
        for truth in simulation.patterns:
            found = min(patterns, key=lambda p: _turn_deg(p.angle_deg, truth.angle_deg))
            assert found.status == "given"
            assert found.angle_deg == pytest.approx(truth.angle_deg, abs=1e-6)
            assert phase_error_deg(found, truth, (field, field)) < 5

    def test_wrong_wave_vectors_are_refused_for_those_that_the_frames_show(self):
        simulation = simulated()
        given = [
            Pattern(
                angle_index=p.angle_index,
                angle_deg=(p.angle_deg + 17) % 180,
                period_nm=1.1 * p.period_nm,
            )
            for p in simulation.patterns
        ]
        patterns = self.use(simulation, given)
        for found, truth in zip(patterns, simulation.patterns, strict=True):
            assert found.status == "found"
            assert found.period_nm == pytest.approx(truth.period_nm, rel=2e-3)

    @pytest.mark.slow
    def test_wave_vectors_without_stripes_are_refused(self):
        simulation = simulated(modulation=0)
        given = [p.only_wave_vectors() for p in simulated().patterns]
        assert not any(p.is_usable for p in self.use(simulation, given))


def test_constant_frames_have_no_pattern():
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=80)
    patterns = estimate(torch.full((3, 3, 64, 64), 200.0), optics)
    assert [p.status for p in patterns] == ["not found"] * 3


def test_tiny_frames_are_refused():
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=80)
    with pytest.raises(InputError, match="got 8 x 90; allowed: 24 x 24 or larger"):
        PatternEstimator(torch.ones(3, 3, 8, 90), optics)


def test_fewer_than_three_phases_are_refused():
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=80)
    with pytest.raises(InputError, match="phases per angle: got 2; allowed: 3 or more"):
        PatternEstimator(torch.ones(3, 2, 32, 32), optics)


def test_frames_without_light_have_no_pattern():
    noise = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=80)
    patterns = estimate(3 * noise - 0.2, optics)
    assert [p.status for p in patterns] == ["not found"] * 3


@pytest.mark.slow
def test_large_fields_are_fitted_on_two_threads():
    # 2048² complex64 on two threads is where torch.fft.ifft2 scales twice.
    threads = torch.get_num_threads()
    spectrum = torch.fft.fft2(torch.ones(2048, 2048, dtype=torch.complex64))
    try:
        torch.set_num_threads(2)
        image = inverse_fft2(spectrum)
    finally:
        torch.set_num_threads(threads)
    assert float((image - 1).abs().max()) < 1e-4


@pytest.mark.slow
def test_frames_in_a_wrong_order_have_no_pattern():
    simulation = simulated(photons=500)
    frames = frames_of(simulation).transpose(0, 1).contiguous()
    patterns = estimate(frames, simulation.settings.optics)
    for found in patterns:
        assert not found.is_usable or found.modulation < 1.5


@pytest.mark.slow
def test_stripes_finer_than_the_pixels_hold_are_not_called():
    simulation = simulated(pixel_size_nm=300, structure="er")
    patterns = estimate(frames_of(simulation), simulation.settings.optics)
    assert all(p.period_nm is None or p.period_nm >= 600 for p in patterns)


@pytest.mark.slow
def test_noise_of_interpolated_frames_is_not_taken_for_phase_errors():
    # Interpolated 2×, frames hold noise within the cut-off and hardly any beyond.
    simulation = simulated(
        structure="er",
        phases=5,
        orders=1,
        height_px=96,
        width_px=96,
        photons=60,
        modulation=0.3,
        seed=2,
        haze_fraction=0.2,
        background_photons=5,
    )
    frames = zoom(
        frames_of(simulation), (1, 1, 2, 2), order=3, mode="grid-mirror", grid_mode=True
    )
    optics = simulation.settings.optics.at_pixel_size(32.5)
    for pattern in estimate(torch.from_numpy(frames), optics):
        phases = np.radians(pattern.phases_deg)
        errors = []
        for step in (72, -72):
            turned = np.exp(1j * (phases - np.radians(step * np.arange(5))))
            rest = np.angle(turned * np.conj(turned.mean()))
            errors.append(float(np.degrees(np.sqrt(np.mean(rest**2)))))
        assert min(errors) < 10


@pytest.mark.parametrize(
    ("confidences", "doubted"), [((90.0, 70.0), {0, 1}), ((4000.0, 70.0), {1})]
)
def test_two_angles_of_one_direction_are_doubted(confidences, doubted):
    wavevectors = [(0.0, 0.2), (0.01, 0.2), (0.17, 0.1)]
    bands = {
        (angle, 1): Band(1, vector, confidence, "found")
        for angle, (vector, confidence) in enumerate(
            zip(wavevectors, (*confidences, 80.0), strict=True)
        )
    }
    doubt_contradictions(bands, list(bands))
    assert {key[0] for key, b in bands.items() if b.status == "doubtful"} >= doubted
    assert (bands[0, 1].status == "found") == (0 not in doubted)


def bands_of(*found: tuple[float, float, float] | None) -> dict[Key, Band]:
    """Return the first order of angles, by wave vector (y, x) and confidence."""
    return {
        (angle, 1): Band(1, (0.0, 0.3), 2.0, "not found")
        if one is None
        else Band(1, one[:2], one[2], "found")
        for angle, one in enumerate(found)
    }


@pytest.mark.parametrize(
    ("confidence", "others", "is_doubted"),
    [(45.0, None, True), (12.0, None, False), (45.0, (0.2, 0.1, 9.0), False)],
)
def test_sure_stripes_of_one_angle_alone_are_doubted(confidence, others, is_doubted):
    bands = bands_of((0.0, 0.2, confidence), None, others)
    doubt_only_one(bands, list(bands))
    assert (bands[0, 1].doubt == "contradicts") == is_doubted


def test_angle_that_no_other_supports_is_doubted_where_the_object_repeats_itself():
    third = (0.2 * math.sin(math.pi / 3), 0.2 * math.cos(math.pi / 3), 50.0)
    bands = bands_of((0.0, 0.2, 60.0), third, (0.1, -0.02, 70.0))
    doubt_lonely(bands, list(bands), plain_only=False)
    assert [band.doubt for band in bands.values()] == ["", "", "repeats"]
