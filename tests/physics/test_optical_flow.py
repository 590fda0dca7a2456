"""The optical flow of what was displaced by a known field."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_dps.physics import optical_flow as module
from napari_dps.physics.optical_flow import narrowed_flow, optical_flow

SIDE, RIM = 128, 16


def _texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((SIDE, SIDE))
    image = ndimage.gaussian_filter(noise, 1.5, mode="wrap")
    return 100 * image / image.std()


def _pair(kind: str) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Return reference(r) = moving(r + v), and v (2, Y, X)."""
    places = np.mgrid[:SIDE, :SIDE].astype(float)
    field = np.empty_like(places)
    field[0], field[1] = 0.4, -1.3
    if kind == "wave":
        field[0] = 0.8 * np.sin(2 * np.pi * places[1] / 64)
        field[1] = 0.8 * np.cos(2 * np.pi * places[0] / 64)
    moving = _texture(3)
    reference = ndimage.map_coordinates(moving, places + field, mode="grid-wrap")
    pair = (torch.from_numpy(i.astype(np.float32)) for i in (reference, moving))
    return (*pair, field)


def _error(found: torch.Tensor, field: np.ndarray) -> float:
    inner = (slice(None), slice(RIM, -RIM), slice(RIM, -RIM))
    difference = (found.numpy() - field)[inner]
    return float(np.sqrt((difference**2).sum(axis=0).mean()))


@pytest.mark.parametrize(("kind", "most"), [("shift", 0.05), ("wave", 0.15)])
def test_displacement_is_found(kind, most):
    reference, moving, field = _pair(kind)
    assert _error(optical_flow(reference, moving), field) < most


def test_more_iterations_do_not_diverge(monkeypatch):
    reference, moving, field = _pair("shift")
    monkeypatch.setattr(module, "WARPS", 12)
    monkeypatch.setattr(module, "FINE_WARPS", 12)
    assert _error(optical_flow(reference, moving), field) < 0.05


def test_noise_alone_is_not_followed_where_it_is_held_back():
    noise = [torch.from_numpy(_texture(seed).astype(np.float32)) for seed in (1, 2)]
    free, held = (optical_flow(*noise, stiffness) for stiffness in (0.0, 1e6))
    assert held.abs().mean() < 0.05
    assert free.abs().mean() > 10 * held.abs().mean()


def test_what_is_known_of_the_way_is_where_the_search_begins():
    _, moving, field = _pair("wave")
    field = field + np.array([9.0, -7.0])[:, None, None]
    places = np.mgrid[:SIDE, :SIDE] + field
    there = ndimage.map_coordinates(moving.numpy(), places, mode="grid-wrap")
    start = torch.from_numpy((field + 0.4).astype(np.float32))
    found = optical_flow(torch.from_numpy(there), moving, start=start)
    assert _error(found, field) < 0.15


def test_what_moves_by_itself_is_followed_in_narrow_windows():
    places = np.mgrid[:SIDE, :SIDE].astype(float)
    spots = np.zeros((2, SIDE, SIDE))
    ways = {}
    for number, y in enumerate(range(20, SIDE - 16, 8)):
        for x in range(20, SIDE - 16, 8):
            way = ways[y, x] = (0.0, 1.2 * (-1) ** (number + x // 8))
            for image, (dy, dx) in zip(spots, ((0, 0), way), strict=True):
                distance = np.hypot(places[0] - y - dy, places[1] - x - dx)
                image += np.exp(-0.5 * (distance / 1.5) ** 2)
    now, then = (torch.from_numpy(one.astype(np.float32)) for one in spots)
    wide = optical_flow(now, then, 1e-4)
    narrow = narrowed_flow(now, then, wide, 1e-4)
    errors = [
        np.mean([abs(flow[1, y, x].item() - dx) for (y, x), (_, dx) in ways.items()])
        for flow in (wide, narrow)
    ]
    assert errors[1] < 0.6 * errors[0]
