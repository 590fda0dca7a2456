"""The denoising stage on simulated stacks with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dps.core import InputError, Pattern, PatternOrder, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.frames import BEYOND, FADING_LEVEL, kept_rest, noise_in_rest
from napari_dps.methods.sim.orders import StackOrders, Zoom
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.simulate import Simulation, blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import choose_steps
from napari_dps.pipeline import run as run_pipeline
from napari_dps.stages import denoise, reconstruct
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import ReconstructParameters


def simulated(**changes) -> Simulation:
    # A structure that the network was not trained on.
    values = {"height_px": 128, "width_px": 144, "seed": 4, "photons": 60, **changes}
    return simulate(SimulationSettings(structure="mitochondria", **values))


def raw_of(simulation: Simulation):
    offset = simulation.settings.offset_counts
    return simulation.raw.derive(simulation.raw.data.astype(np.float32) - offset)


def measured_noise(stack):
    optics = stack.require_optics("the test")
    return noise_to_signal(torch.from_numpy(stack.data.copy()), optics)


def run(stack, **parameters):
    context = Context("cpu")
    steps = denoise.STAGE.run(stack, DenoiseParameters(**parameters), context)
    return finish(steps), context.warnings


def clean_counts(simulation: Simulation) -> np.ndarray:
    return simulation.clean * simulation.settings.gain_counts_per_e


def error(frames, simulation: Simulation) -> float:
    return float(np.sqrt(np.mean((frames - clean_counts(simulation)) ** 2)))


def reconstructed(stack) -> np.ndarray:
    steps = reconstruct.STAGE.run(stack, ReconstructParameters(), Context("cpu"))
    return finish(steps).data


def quick_first(layouts: dict) -> list:
    """Parameters of a test by name, all but the first slow."""
    first, *others = (pytest.param(layouts[name], id=name) for name in layouts)
    return [
        first,
        *(pytest.param(*p.values, id=p.id, marks=pytest.mark.slow) for p in others),
    ]


LAYOUTS = {
    "3x3": {},
    "3x5": {"phases": 5, "photons": 100},
    "5x3": {"angles": 5},
    "hexagonal": {"pattern": "hexagonal", "angles": 1, "phases": 7},
    "1x3": {"angles": 1},
}


@pytest.mark.parametrize("layout", quick_first(LAYOUTS))
def test_frames_and_reconstruction_are_nearer_the_truth(layout):
    simulation = simulated(**layout)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    result, warnings = run(stack)
    assert warnings == []
    assert error(result.data, simulation) < 0.35 * error(stack.data, simulation)
    truth = blur_truth(simulation.truth, modulation_factor=1.8).data
    inner = (slice(16, -16), slice(16, -16))
    before, after = (
        np.corrcoef(reconstructed(s)[inner].ravel(), truth[inner].ravel())[0, 1]
        for s in (stack, result)
    )
    assert 1 - after < 0.85 * (1 - before)


@pytest.mark.parametrize("photons", [2000, 20_000])
def test_bright_frames_do_not_lose(photons: float) -> None:
    simulation = simulated(photons=photons, gain_counts_per_e=0.5)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    clean = stack.derive(clean_counts(simulation).astype(np.float32))
    wanted = reconstructed(clean)
    result, _ = run(stack)
    without, after = (
        float(np.sqrt(np.mean((reconstructed(s) - wanted) ** 2)))
        for s in (stack, result)
    )
    assert after <= 1.005 * without


def test_patterns_are_found_on_the_noisy_frames_and_travel_on():
    simulation = simulated(photons=300)
    stack = raw_of(simulation)
    result, warnings = run(stack)
    assert warnings == []
    assert [pattern.status for pattern in result.patterns] == ["found"] * 3
    for found, true in zip(result.patterns, simulation.patterns, strict=True):
        assert found.period_nm == pytest.approx(true.period_nm, rel=0.01)
    assert result.noise is not None
    alone = finish(
        reconstruct.STAGE.run(stack, ReconstructParameters(), Context("cpu"))
    )
    assert result.patterns == alone.patterns


def _order_amplitude(frames, pattern: Pattern, simulation: Simulation) -> float:
    """Return the modulation depth that frames of one angle show of a pattern."""
    pixel_nm = simulation.settings.pixel_size_nm
    k_y, k_x = (k * pixel_nm for k in pattern.orders[0].wavevector_per_nm)
    y, x = np.mgrid[: frames.shape[-2], : frames.shape[-1]]
    mean = clean_counts(simulation).mean(axis=(0, 1))
    view = np.exp(2j * np.pi * (k_y * y + k_x * x)) * (mean - np.quantile(mean, 0.02))
    phases = np.radians(pattern.phases_deg)[:, None, None]
    order = 2 * np.mean((frames - frames.mean(axis=0)) * np.exp(-1j * phases), axis=0)
    return float(np.abs(np.vdot(view, order)) / np.sum(np.abs(view) ** 2))


def _beside(pattern: Pattern) -> Pattern:
    """Return a pattern 17° and 10 % off."""
    order = pattern.orders[0]
    wrong = order.model_copy(
        update={
            "angle_deg": (order.angle_deg + 17) % 180,
            "period_nm": 1.1 * order.period_nm,
        }
    )
    return pattern.model_copy(update={"orders": (wrong,)})


@pytest.mark.parametrize("photons", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_wrong_pattern_is_not_imprinted(photons):
    simulation = simulated(photons=photons)
    wrong = tuple(_beside(pattern) for pattern in simulation.patterns)
    # Fitted, so that nothing but the stage itself can refuse them.
    result, _ = run(replace(raw_of(simulation), patterns=wrong))
    right = clean_counts(simulation)
    for angle, pattern in enumerate(wrong):
        shown = _order_amplitude(result.data[angle], pattern, simulation)
        there = _order_amplitude(right[angle], simulation.patterns[angle], simulation)
        # The true stripes have a modulation of 0.6 where the OTF leaves ``there``.
        assert 0.6 * shown / there < 0.1


@pytest.mark.parametrize("photons", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_stack_without_stripes_gets_none(photons):
    simulation = simulated(photons=photons)
    even = simulated(photons=photons, modulation=0)
    result, warnings = run(replace(raw_of(even), patterns=simulation.patterns))
    assert any("do not rise above the noise" in warning for warning in warnings)
    for angle, pattern in enumerate(simulation.patterns):
        shown = _order_amplitude(result.data[angle], pattern, simulation)
        assert shown < 0.003


def test_stripes_keep_contrast_and_phase():
    simulation = simulated(photons=200)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    result, _ = run(stack)
    clean = clean_counts(simulation)
    for angle, pattern in enumerate(simulation.patterns):
        kept, true = (
            _order_amplitude(frames[angle], pattern, simulation)
            for frames in (result.data, clean)
        )
        assert 0.85 < kept / true < 1.2


def test_intensities_of_the_frames_are_kept():
    simulation = simulated(bleaching=0.05, intensity_jitter=0.1, photons=200)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    result, _ = run(stack)
    before, after = (s.data.mean(axis=(2, 3)) for s in (stack, result))
    np.testing.assert_allclose(after, before, rtol=0.01)


@pytest.mark.slow
def test_scale_of_the_counts_does_not_matter():
    stack = replace(raw_of(simulated()), patterns=simulated().patterns)
    result, _ = run(stack)
    tenfold, _ = run(stack.derive(10 * stack.data))
    np.testing.assert_allclose(tenfold.data, 10 * result.data, rtol=1e-3, atol=0.5)


def test_without_patterns_the_mean_is_denoised_and_stripes_stay():
    simulation = simulated(photons=200)
    stack = raw_of(simulation)
    result, _ = run(stack, patterns="none")
    assert result.patterns == ()
    assert error(result.data, simulation) < 0.8 * error(stack.data, simulation)
    for angle, pattern in enumerate(simulation.patterns):
        kept, before = (
            _order_amplitude(frames[angle], pattern, simulation)
            for frames in (result.data, stack.data)
        )
        assert kept / before == pytest.approx(1, abs=0.01)
    # So much noise is left in the stripes that `reconstruct` must know of it.
    assert result.noise == measured_noise(stack)


@pytest.mark.slow
def test_reconstruction_of_frames_denoised_without_patterns_works():
    simulation = simulated(photons=300)
    stack = raw_of(simulation)
    result, _ = run(stack, patterns="none")
    truth = blur_truth(simulation.truth, modulation_factor=1.8).data
    inner = (slice(16, -16), slice(16, -16))
    before, after = (
        np.corrcoef(reconstructed(s)[inner].ravel(), truth[inner].ravel())[0, 1]
        for s in (stack, result)
    )
    assert 1 - after < 1.02 * (1 - before)


BRIGHT = {name: LAYOUTS[name] for name in ("3x3", "5x3", "hexagonal")}


@pytest.mark.parametrize("layout", quick_first(BRIGHT))
def test_bright_stack_loses_nothing_in_its_reconstruction(layout):
    simulation = simulated(**{**layout, "photons": 5000})
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    result, _ = run(stack)
    size = stack.size("Y"), stack.size("X")
    solver = WienerSolver(size, simulation.patterns, stack.require_optics("the test"))
    right = solver.solve(clean_counts(simulation).astype(np.float32))
    before, after = (
        np.sqrt(np.mean((solver.solve(s.data) - right) ** 2)) for s in (stack, result)
    )
    assert after < 1.02 * before


def test_frames_without_noise_stay_as_they_are():
    simulation = simulated()
    clean = clean_counts(simulation).astype(np.float32)
    stack = replace(raw_of(simulation), patterns=simulation.patterns).derive(clean)
    result, _ = run(stack)
    difference = np.abs(result.data - clean) / clean.max()
    assert difference[..., 8:-8, 8:-8].max() < 0.004
    # Resampling knows nothing of what lies beyond the edge.
    assert difference.max() < 0.02


@pytest.mark.parametrize(
    "strength",
    [
        pytest.param(0.0, marks=pytest.mark.slow),
        0.5,
        pytest.param(1.0, marks=pytest.mark.slow),
    ],
)
def test_noise_that_is_left_follows_from_the_noisy_frames(strength):
    stack = replace(raw_of(simulated()), patterns=simulated().patterns)
    result, _ = run(stack, strength=strength)
    share = 1 - strength * (1 - denoise.NOISE_LEFT)
    before = measured_noise(stack)
    assert before.at_cutoff > 0
    assert result.noise.at_cutoff == pytest.approx(share**2 * before.at_cutoff)
    np.testing.assert_array_equal(stack.data, raw_of(simulated()).data)


def test_every_order_and_estimate_is_reported():
    stack = replace(raw_of(simulated()), patterns=simulated().patterns)
    reports = list(denoise.STAGE.run(stack, DenoiseParameters(), Context("cpu")))
    messages = [report.message for report in reports]
    for message, count in (
        ("Orders moved back", 3),
        ("Linear estimates", 6),
        ("Orders seen through the patterns", 6),
        ("What the orders leave", 3),
    ):
        assert messages.count(message) == count
    done = [report.done / report.total for report in reports]
    assert done == sorted(done)


def test_strength_zero_changes_nothing():
    stack = replace(raw_of(simulated()), patterns=simulated().patterns)
    result, _ = run(stack, strength=0.0)
    np.testing.assert_array_equal(result.data, stack.data)


def test_patterns_of_a_file_are_used_and_a_missing_file_is_refused(tmp_path):
    simulation = simulated(photons=100)
    file = tmp_path / "calibration.toml"
    tables = [
        f"[[patterns]]\nangle_deg = {p.angle_deg}\nperiod_nm = {p.period_nm}\n"
        for p in simulation.patterns
    ]
    file.write_text("".join(tables))
    stack = raw_of(simulation)

    def patterns_with(name: str) -> tuple[Pattern, ...]:
        chosen = {"denoise": DenoiseParameters(patterns=name)}
        steps = choose_steps(stack, ["denoise"], chosen)
        return finish(run_pipeline(stack, steps, Context("cpu"))).patterns

    assert [p.status for p in patterns_with(str(file))] == ["given"] * 3
    with pytest.raises(InputError, match="cannot read"):
        patterns_with("no-such.toml")
    with pytest.raises(InputError, match="come without its patterns"):
        run(stack, patterns=str(file))


@pytest.mark.slow
def test_time_lapse_shares_the_patterns_of_its_average():
    stack = raw_of(simulated(photons=300, height_px=96, width_px=96))
    lapse = stack.derive(np.stack([stack.data, stack.data]), axes="TAPYX")
    steps = choose_steps(lapse, ["denoise"])
    output = finish(run_pipeline(lapse, steps, Context("cpu"))).images[0]
    assert output.shape == lapse.shape
    assert [pattern.status for pattern in output.patterns] == ["found"] * 3


def test_a_dark_frame_is_computed_and_one_at_every_angle_refused():
    stack = replace(raw_of(simulated()), patterns=simulated().patterns)
    data = stack.data.copy()
    data[1, 2] = 0
    computed, whole = (run(s)[0].data[1, 2] for s in (stack.derive(data), stack))
    assert np.corrcoef(computed.ravel(), whole.ravel())[0, 1] > 0.9
    data[:, 2] = -1
    with pytest.raises(InputError, match="phase 3 has no signal"):
        run(stack.derive(data))


@pytest.mark.slow
def test_separated_orders_mix_to_the_same_frames():
    patterns = simulated().patterns
    orders = StackOrders(patterns, 65.0, Zoom(0.9, 0.8), 3, torch.device("cpu"))
    frames = torch.rand(3, 3, 20, 24)
    # As many orders as frames: nothing is lost but that order 0 is averaged.
    mixing = orders.mixing
    zeros = mixing.zeros(frames)
    again = mixing.forward(mixing.separate(frames)) - zeros.mean(dim=0)
    again += zeros[:, None]
    torch.testing.assert_close(again, frames, atol=1e-4, rtol=0)


def test_rest_of_noise_is_dropped_and_a_line_is_kept():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(3, 64, 64, generator=generator)
    assert float(kept_rest(noise, 1.0).std()) < 0.15
    x = torch.arange(64.0)
    line = 2 * torch.cos(2 * torch.pi * 0.25 * x).expand(3, 64, 64)
    kept = kept_rest(noise + line, 1.0)
    assert float((kept * line).mean() / (line * line).mean()) > 0.9


@pytest.mark.slow
def test_rest_is_kept_whole_where_the_model_holds_the_noise():
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(52.0), indexing="ij")
    # Ends abruptly at all edges.
    smooth = torch.cos(0.31 * x + 0.17 * y)[None]
    kept = kept_rest(smooth, 1.0, beyond=0.0)
    torch.testing.assert_close(kept, smooth, atol=0.03, rtol=0)


def test_noise_in_the_rest_vanishes_with_the_noise():
    assert noise_in_rest(1.0) == pytest.approx(BEYOND, rel=1e-4)
    assert noise_in_rest(FADING_LEVEL) == pytest.approx(BEYOND / 2)
    assert noise_in_rest(0.0) == 0


def test_unknown_order_of_a_pattern_leaves_the_angle_to_its_mean():
    simulation = simulated(photons=100)
    missing = Pattern(angle_index=0, orders=(PatternOrder(status="not found"),))
    patterns = (missing, *simulation.patterns[1:])
    result, warnings = run(replace(raw_of(simulation), patterns=patterns))
    assert any("angle 1 of 3" in warning for warning in warnings)
    stack = raw_of(simulation)
    assert error(result.data, simulation) < 0.7 * error(stack.data, simulation)
