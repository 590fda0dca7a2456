"""The reconstruction stage on simulated stacks with known truth."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import zoom

from napari_dps.core import InputError, Pattern, finish
from napari_dps.core.context import Context
from napari_dps.methods.sim.network import TRAINED_LAYOUTS
from napari_dps.physics.sim.stripes import RESIDUAL, stripe_indices
from napari_dps.physics.simulate import Simulation, blur_truth, simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.pipeline import Plan, Step
from napari_dps.pipeline.stream import stream
from napari_dps.stages import denoise
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters


def simulated(**changes) -> Simulation:
    values = {"height_px": 192, "width_px": 160, "seed": 4, "photons": 600, **changes}
    return simulate(SimulationSettings(**values))


def raw_of(simulation: Simulation):
    offset = simulation.settings.offset_counts
    return simulation.raw.derive(simulation.raw.data.astype(np.float32) - offset)


def run(stack, **parameters):
    context = Context("cpu")
    return finish(STAGE.run(stack, ReconstructParameters(**parameters), context)), (
        context.warnings
    )


def widefield(stack):
    mean = stack.data.mean(axis=(0, 1))
    return zoom(mean, 2, order=3, mode="grid-mirror", grid_mode=True)


def correlation(image, truth) -> float:
    inner = (slice(16, -16), slice(16, -16))
    return float(np.corrcoef(image[inner].ravel(), truth[inner].ravel())[0, 1])


@pytest.mark.parametrize(
    "layout",
    [{"height_px": 97, "width_px": 120}, {"pattern": "hexagonal", "phases": 7}],
    ids=["3x3", "hexagonal"],
)
def test_turned_and_flipped_frames_give_the_turned_and_flipped_image(layout):
    angles = 1 if "pattern" in layout else 3
    values = {"height_px": 96, "width_px": 96, "angles": angles, "photons": 200}
    stack = raw_of(simulated(**{**values, **layout}))
    image = run(stack)[0].data
    for transposed in (False, True):
        for rows, columns in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            flip = (..., slice(None, None, rows), slice(None, None, columns))
            data = np.swapaxes(stack.data, -1, -2) if transposed else stack.data
            found = run(stack.derive(np.ascontiguousarray(data[flip])))[0].data
            found = found[flip].T if transposed else found[flip]
            assert np.abs(found - image).max() < 1e-4 * np.ptp(image)


def test_frames_of_an_angle_whose_stripes_stay_are_left_out():
    stack = raw_of(simulated(height_px=128, width_px=128, modulation=0.8))
    stuck = stack.data.copy()
    stuck[1, 1:] = stuck[1, 0]
    result, warnings = run(stack.derive(stuck))
    assert [p.is_usable for p in result.patterns] == [True, False, True]
    assert any("are left out" in warning for warning in warnings)
    # The stripes of that angle are not in the image.
    good = run(stack)[0]
    (left,) = (
        max(stripe_indices(result.data, [pattern], result.pixel_size_nm).values())
        for pattern in good.patterns[1:2]
    )
    assert left < RESIDUAL


def test_what_is_left_of_the_stripes_is_told_of_every_order():
    result, _ = run(raw_of(simulated(height_px=96, width_px=96)))
    stripes = STAGE.report(result)["stripes"]
    assert [(s["angle"], s["order"]) for s in stripes] == [(1, 1), (2, 1), (3, 1)]
    assert all(0 < s["index"] < 20 for s in stripes)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        pytest.param({"structure": "er", "phases": 5}, marks=pytest.mark.slow),
        pytest.param({"angles": 5}, marks=pytest.mark.slow),
        {"pattern": "hexagonal", "angles": 1, "phases": 7},
    ],
    ids=["3x3", "3x5", "5x3", "hexagonal"],
)
def test_result_is_nearer_the_truth_than_the_widefield(layout):
    simulation = simulated(**layout)
    stack = raw_of(simulation)
    result, warnings = run(stack)
    assert warnings == []
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    gained = correlation(result.data, truth)
    before = correlation(widefield(stack), truth)
    assert 1 - gained < 0.4 * (1 - before)


def test_geometry_and_counts_of_the_2x_grid():
    stack = raw_of(simulated())
    result, _ = run(stack)
    assert result.shape == (384, 320)
    assert result.pixel_size_nm == result.optics.pixel_size_nm == 32.5
    assert result.origin_nm == (-16.25, -16.25)
    assert result.data.mean() == pytest.approx(stack.data.mean(), rel=1e-5)


@pytest.mark.slow
def test_bleaching_leaves_no_stripes():
    simulation = simulated(bleaching=0.04, intensity_jitter=0.03)
    result, _ = run(raw_of(simulation))
    steady, _ = run(raw_of(simulated()))
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    assert correlation(result.data, truth) > correlation(steady.data, truth) - 0.01


def test_without_stripes_the_result_is_the_widefield_and_says_so():
    stack = raw_of(simulated(modulation=0))
    result, warnings = run(stack)
    assert len(warnings) == 1
    assert "no illumination pattern was found" in warnings[0]
    np.testing.assert_allclose(result.data, widefield(stack), rtol=1e-4)
    assert [p.status for p in result.patterns] == ["not found"] * 3


def test_patterns_carried_as_not_found_are_warned_of():
    stack = raw_of(simulated(height_px=64, width_px=64))
    lost = tuple(
        Pattern(angle_index=a, orders=({"status": "not found"},)) for a in range(3)
    )
    result, warnings = run(stack.derive(stack.data, patterns=lost))
    assert result.patterns == lost
    assert len(warnings) == 1
    assert "no illumination pattern was found" in warnings[0]


@pytest.mark.parametrize("angle", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_angle_without_stripes_is_named_and_the_result_beats_the_widefield(angle):
    simulation, flat = simulated(photons=200), simulated(photons=200, modulation=0)
    stack = raw_of(simulation)
    frames = stack.data.copy()
    frames[angle] = raw_of(flat).data[angle]
    result, warnings = run(stack.derive(frames))
    assert len(warnings) == 1
    assert warnings[0].startswith(f"pattern of angle {angle + 1} of 3 was not found")
    truth = blur_truth(simulation.truth, modulation_factor=1.9).data
    assert correlation(result.data, truth) > correlation(widefield(stack), truth)


@pytest.mark.parametrize(
    "photons",
    [
        5,
        pytest.param(15, marks=pytest.mark.slow),
        pytest.param(50, marks=pytest.mark.slow),
    ],
)
def test_faint_stacks_are_never_worse_than_the_widefield(photons):
    simulation = simulated(photons=photons, modulation=0.3)
    stack = raw_of(simulation)
    result, _ = run(stack)
    truth = blur_truth(simulation.truth, modulation_factor=1.5).data
    assert correlation(result.data, truth) >= correlation(widefield(stack), truth)


def test_given_wave_vectors_are_used_and_fitted():
    simulation = simulated()
    given = tuple(p.only_wave_vectors() for p in simulation.patterns)
    stack = raw_of(simulation)
    result, warnings = run(stack.derive(stack.data, patterns=given))
    assert warnings == []
    for used, pattern in zip(result.patterns, given, strict=True):
        assert used.status == "given"
        assert used.period_nm == pytest.approx(pattern.period_nm)
        assert used.angle_deg == pytest.approx(pattern.angle_deg)
        assert len(used.phases_deg) == 3


def test_given_wave_vectors_that_the_frames_do_not_show_are_not_used():
    stack = raw_of(simulated())
    given = (Pattern(angle_index=0, angle_deg=40, period_nm=300),)
    result, warnings = run(stack.derive(stack.data, patterns=given))
    assert warnings == [
        "the frames do not show the stripes given for angle 1 of 3, order 1: not used"
    ]
    assert result.patterns[0].angle_deg == pytest.approx(12, abs=0.2)


def test_given_pattern_of_an_angle_that_is_not_there_is_refused():
    stack = raw_of(simulated())
    given = (Pattern(angle_index=3, angle_deg=40, period_nm=300),)
    with pytest.raises(InputError, match="angle_index of a given pattern: got 3"):
        run(stack.derive(stack.data, patterns=given))


class TestTimeLapse:
    def stack(self, frames: int):
        simulation = simulated(height_px=96, width_px=96, photons=300)
        raw = raw_of(simulation)
        movie = np.stack([raw.data * (1 - 0.05 * t) for t in range(frames)])
        return raw.derive(movie, axes="TAPYX")

    def result(self, stack, context, **parameters):
        step = Step(STAGE, ReconstructParameters(**parameters))
        units = {}

        def keep(_, index, image):
            units[index] = image

        finish(stream(Plan.of(stack, [step]), context, keep))
        return [units[t,] for t in range(stack.size("T"))]

    def test_patterns_and_noise_are_found_once_for_all_frames(self):
        context = Context("cpu")
        units = self.result(self.stack(3), context)
        assert [p.status for p in units[0].patterns] == ["found"] * 3
        assert units[0].patterns == units[1].patterns == units[2].patterns
        assert len(context.cache) == 3  # hot pixels, the size of tiles, and one solver

    def test_patterns_are_found_anew_as_often_as_asked_for(self):
        context = Context("cpu")
        units = self.result(self.stack(4), context, patterns_every=2)
        assert all([p.status for p in u.patterns] == ["found"] * 3 for u in units)
        assert units[0].patterns == units[1].patterns
        assert units[2].patterns == units[3].patterns
        assert units[1].patterns != units[2].patterns
        assert len(context.cache) == 3  # not a solver for every frame


def test_smaller_wiener_parameter_is_sharper():
    stack = raw_of(simulated(photons=5000))
    sharp, smooth = (
        run(stack, wiener_parameter=w, adapt_to_noise=False)[0] for w in (0.01, 0.5)
    )
    assert sharp.data.std() > smooth.data.std()


@pytest.mark.slow
def test_noise_is_smoothed_when_adapting():
    stack = raw_of(simulated(photons=30))
    adapted, fixed = (run(stack, adapt_to_noise=a)[0] for a in (True, False))
    steps = [np.diff(r.data, axis=0).std() / r.data.std() for r in (adapted, fixed)]
    assert steps[0] < steps[1]


@pytest.mark.slow
@pytest.mark.parametrize("structure", ["mitochondria", "nuclear_pores", "glyphs"])
def test_network_is_nearer_the_truth_than_wiener_on_noisy_frames(structure):
    simulation = simulated(photons=60, structure=structure)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    steps = denoise.STAGE.run(stack, DenoiseParameters(), Context("cpu"))
    truth = blur_truth(simulation.truth, modulation_factor=1.8).data
    wiener, found, after = (
        run(some, method=method)[0].data
        for some, method in (
            (stack, "wiener"),
            (stack, "network"),
            (finish(steps), "network"),
        )
    )
    assert found.shape == wiener.shape
    for image in (found, after):
        assert 1 - correlation(image, truth) < 0.8 * (1 - correlation(wiener, truth))


@pytest.mark.parametrize("haze", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_network_keeps_brightness_in_focus_and_leaves_out_the_haze(haze):
    simulation = simulated(photons=1000, structure="microtubules", haze_fraction=haze)
    stack = replace(raw_of(simulation), patterns=simulation.patterns)
    found = run(stack, method="network")[0].data
    # The truth holds photons in pixels of a quarter of the area.
    counts = 4 * simulation.settings.gain_counts_per_e
    in_focus = counts * blur_truth(simulation.truth, modulation_factor=1.9).data
    light = stack.data.mean()
    left = (found.mean() - in_focus.mean()) / (light - in_focus.mean())
    # Half of what the simulation has as haze is hardly less sharp than the object.
    assert -0.1 < left < 0.65
    bright = in_focus > np.quantile(in_focus, 0.95)
    assert found[bright].mean() == pytest.approx(in_focus[bright].mean(), rel=0.1)


def test_layouts_of_the_network_are_those_it_was_trained_on():
    patterns = pytest.importorskip("napari_dps.train.denoise.patterns")
    lit = {(k.angles, k.phases) for k in patterns.ACQUISITIONS if k.waves}
    assert set(TRAINED_LAYOUTS) == lit


def test_network_refuses_layouts_that_it_was_not_trained_on():
    simulation = simulated(angles=4)
    with pytest.raises(InputError, match=r"4 × 3.*3 × 3"):
        run(raw_of(simulation), method="network")
    hexagonal = simulated(pattern="hexagonal", angles=1, phases=7)
    with pytest.raises(InputError, match=r"linear.*hexagonal"):
        run(raw_of(hexagonal), method="network", layout="linear")
