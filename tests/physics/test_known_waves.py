"""Known wave vectors: when they are confirmed, and how their phases are followed."""

import numpy as np
import pytest

from napari_dps.core import Optics
from napari_dps.physics.sim.drift import follow, totals
from napari_dps.physics.sim.focus import FocusWeights
from napari_dps.physics.sim.known_waves import Offer, confirmed
from napari_dps.physics.sim.separate import mixing_matrix
from napari_dps.physics.sim.wave_series import steadied

VECTOR = (0.1, 0.2)


def offers(*values, degrees=1, **more) -> list[Offer]:
    return [
        Offer(angle, 1, VECTOR, value, 2, degrees, **more)
        for angle, value in enumerate(values)
    ]


def noise(rng, *shape):
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


def test_three_angles_together_are_confirmed_where_none_is_alone():
    together = confirmed(offers(6.5, 5.5, 6.0))
    assert set(together) == {(0, 1), (1, 1), (2, 1)}
    assert not confirmed(offers(6.5))


def test_angle_that_shows_nothing_beside_bright_ones_is_refused():
    assert set(confirmed(offers(40.0, 50.0, 1.5))) == {(0, 1), (1, 1)}


def test_first_orders_that_are_sure_do_not_confirm_second_orders_that_are_not():
    second = [Offer(angle, 2, VECTOR, 1.2, 2) for angle in range(3)]
    found = confirmed([*offers(80.0, 90.0, 70.0), *second])
    assert set(found) == {(0, 1), (1, 1), (2, 1)}


def test_wave_vector_beside_much_stronger_stripes_is_refused():
    assert confirmed(offers(40.0, 50.0, 60.0, is_outdone=True)) == {}


@pytest.mark.parametrize("degrees", [1, 8])
def test_chance_confirms_less_than_one_calibration_in_a_thousand(degrees):
    rng = np.random.default_rng(0)
    # The better of the two signs of each of three angles.
    values = rng.gamma(degrees, size=(50_000, 3, 2)).max(axis=2)
    # No fewer than these can be confirmed, and the others take long.
    high = values[values.sum(axis=1) > 3 * degrees + 8]
    false = sum(bool(confirmed(offers(*v, degrees=degrees))) for v in high)
    assert false <= 50


@pytest.mark.parametrize("count", [5, 32])
def test_sums_over_a_series_are_gamma_variables_without_stripes(count):
    rng = np.random.default_rng(1)
    for total in totals(noise(rng, count, 20_000)):
        mean = total.values.mean() / total.degrees
        assert 0.75 < mean < 1.03  # that of a drift is on the safe side
        if total.degrees == 1:
            assert (total.values > 5).mean() < 1.3 * np.exp(-5)


def test_stripes_that_drift_fade_in_the_mean_but_not_in_blocks():
    turning = 2 * np.exp(0.4j * np.arange(32))[:, None]
    values = [float(total.values[0]) / total.degrees for total in totals(turning)]
    *blocks, all_at_once, drift = values
    assert all_at_once < 1
    assert max(blocks) > 10
    assert drift > 100


@pytest.mark.parametrize(
    "phases",
    [0.2 * np.arange(32), 3 * np.sin(np.arange(32) / 10)],
    ids=["constant", "changing"],
)
def test_drift_is_followed_where_a_stack_alone_cannot_tell(phases):
    rng = np.random.default_rng(2)
    drift = follow(1.7 * np.exp(1j * phases) + noise(rng, 32))
    assert drift is not None
    errors = drift.phases_rad - phases
    errors -= errors.mean()
    # A stack alone tells its phase to 1/(√2 · 1.7) = 24°.
    assert np.degrees(np.sqrt((errors**2).mean())) < 14
    assert 4 < np.degrees(drift.error_rad) < 16


def test_no_drift_is_seen_where_phases_stay():
    rng = np.random.default_rng(3)
    seen = [follow(1.4 + noise(rng, 16)) for _ in range(100)]
    assert sum(drift is not None for drift in seen) <= 1


@pytest.mark.parametrize("orders", [(1,), (1, 2)])
def test_steadied_frames_have_the_phases_of_the_first(orders):
    rng = np.random.default_rng(4)
    phases = 2 * len(orders) + 1
    nominal = [n * 2 * np.pi * np.arange(phases) / phases for n in orders]
    content = rng.normal(size=(phases, 3, 4))

    def frames(turn):
        mixing = mixing_matrix(
            [p + n * turn for p, n in zip(nominal, orders, strict=True)]
        )
        return np.tensordot(mixing, content, axes=1)[None].astype(np.float32)

    known = {0: {n: ((0.1 * n, 0.0), 9.0) for n in orders}}
    back = steadied(frames(0.7), known, {0: 0.7})
    np.testing.assert_allclose(back, frames(0.0), atol=1e-5)


def test_planes_count_where_they_are_in_focus():
    rng = np.random.default_rng(5)
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)
    fine = rng.normal(size=(64, 64))
    left = np.arange(64) < 32
    weights = FocusWeights([fine * left, fine * ~left], optics)
    first, second = weights.of_plane(0), weights.of_plane(1)
    np.testing.assert_allclose(first + second, 1, atol=1e-5)
    assert first[:, :20].min() > 0.8
    assert first[:, -20:].max() < 0.2
