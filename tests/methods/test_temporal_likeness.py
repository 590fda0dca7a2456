"""Where two time points count as alike: as near to a change as can be told."""

from __future__ import annotations

import torch

from napari_dps.methods.sim.worth import noise_left_share, share_left
from napari_dps.methods.temporal.gate import counted, likeness_of

SIDE, MIDDLE = 64, 32
SIGMAS, LIMITS = (1.0, 3.0), ((1.5, 2.5), (1.1, 1.4))


def _weights(power: torch.Tensor) -> torch.Tensor:
    expected = [torch.ones_like(power)] * 2
    return counted(likeness_of(power, expected, SIGMAS, LIMITS))


def test_bright_change_spreads_no_wider_than_the_narrow_window():
    power = torch.full((SIDE, SIDE), 0.9)
    power[MIDDLE, MIDDLE] = 1e4
    weights = _weights(power)
    assert weights[MIDDLE, MIDDLE] == 0
    assert weights[MIDDLE, MIDDLE + 6] == 1


def test_change_too_faint_for_the_narrow_window_is_seen_in_the_wide_one():
    power = torch.full((SIDE, SIDE), 0.9)
    power[MIDDLE - 8 : MIDDLE + 9, MIDDLE - 8 : MIDDLE + 9] = 1.45
    weights = _weights(power)
    assert weights[MIDDLE, MIDDLE] == 0
    assert weights[5, 5] == 1


def test_noise_left_counts_by_the_light_of_the_places():
    worth, light = torch.ones(4, 4), torch.ones(4, 4)
    worth[:, 2:] = 4
    assert abs(noise_left_share(worth, light) - share_left(worth)) < 1e-6
    light[:, :2] = 9
    assert abs(noise_left_share(worth, light) - (9 + 0.25) / 10) < 1e-6
    assert noise_left_share(worth, 0 * light) == share_left(worth)
