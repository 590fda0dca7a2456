"""The frame-order check: right and wrong orders, weak stripes, moving samples."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps.core import InputError
from napari_dps.io import check_order, load

SIZE = 128


def blur(image: np.ndarray) -> np.ndarray:
    """Detection of cut-off .4 cycles per pixel, as a triangle."""
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)
    otf = np.clip(1 - np.hypot(fy, fx) / 0.4, 0, None)
    return np.fft.irfft2(np.fft.rfft2(image) * otf, s=image.shape)


def frames(
    seed: int,
    *,
    angles: int = 3,
    phases: int = 3,
    photons: float = 200,
    modulation: float = 0.6,
    drift_px: float = 0.0,
    bleaching: float = 0.0,
) -> np.ndarray:
    """Raw frames (A, P, Y, X) of points; drift and bleaching over the whole stack."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    place = rng.uniform(8, SIZE - 8, (150, 2))
    stack = np.empty((angles, phases, SIZE, SIZE))
    for a in range(angles):
        angle = 0.2 + np.pi * a / angles
        k = 0.36 * np.array([np.sin(angle), np.cos(angle)])
        for p in range(phases):
            time = (a * phases + p) / (angles * phases)
            image = np.zeros((SIZE, SIZE))
            spots = (place + np.array([0, drift_px * time])).round(1)
            low = np.floor(spots).astype(int)
            part = spots - low
            for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                weight = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
                np.add.at(image, (low[:, 0] + dy, low[:, 1] + dx), weight)
            phase = 2 * np.pi * (k[0] * y + k[1] * x + p / phases)
            light = 1 + modulation * np.cos(phase)
            stack[a, p] = blur(image * light) * (1 - bleaching * time)
    stack = np.clip(stack / np.percentile(stack, 99.9), 0, None) * photons
    return rng.poisson(stack + 5) + rng.normal(100, 1.5, stack.shape)


def flat(stack: np.ndarray) -> np.ndarray:
    return stack.reshape(-1, *stack.shape[-2:])


@pytest.mark.parametrize(("angles", "phases"), [(3, 3), (3, 5), (5, 3)])
def test_angle_major_frames_are_told_from_phase_major_ones(
    angles: int, phases: int
) -> None:
    stack = frames(1, angles=angles, phases=phases, bleaching=0.3)
    check = check_order(flat(stack), angles=angles, phases=phases)
    assert (check.status, check.best) == ("confirmed", f"apyx {angles}×{phases}")
    check = check_order(flat(stack.swapaxes(0, 1)), angles=angles, phases=phases)
    assert (check.status, check.best) == ("wrong", f"payx {angles}×{phases}")
    assert "payx" in check.message
    assert max(check.scores.values()) == check.scores[check.best] == 0
    claimed = check_order(
        flat(stack.swapaxes(0, 1)), angles=angles, phases=phases, order="payx"
    )
    assert claimed.status == "confirmed"


def test_swapped_counts_are_found() -> None:
    check = check_order(flat(frames(2, phases=5)), angles=5, phases=3)
    assert (check.status, check.best) == ("wrong", "apyx 3×5")
    assert "order, angles and phases" in check.message


@pytest.mark.slow
@pytest.mark.parametrize("true", [f"{''.join(p)}yx" for p in permutations("zap")])
def test_place_of_z_is_found(true: str) -> None:
    planes = np.stack([frames(seed) for seed in (3, 4, 5)])
    scrambled = planes.transpose(*("zap".index(c) for c in true[:-2]), -2, -1)
    for claimed in ("zapyx", "apzyx"):
        check = check_order(flat(scrambled), angles=3, phases=3, order=claimed)
        assert check.best == f"{true} 3×3"
        assert check.status == ("confirmed" if true == claimed else "wrong")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photons": 5000},
        {"photons": 5000, "bleaching": 0.5},
        {"photons": 1000, "drift_px": 0.2},
        {"photons": 1000, "drift_px": 3.0},
    ],
)
def test_frames_without_stripes_never_accuse(
    seed: int, options: dict[str, float]
) -> None:
    stack = frames(seed, modulation=0, **options)
    assert check_order(flat(stack), angles=3, phases=3).status == "unclear"
    other = flat(stack.swapaxes(0, 1))
    assert check_order(other, angles=3, phases=3).status == "unclear"


def test_frames_of_few_photons_never_accuse() -> None:
    found = [
        check_order(flat(frames(seed, photons=3)), angles=3, phases=3).status
        for seed in range(8)
    ]
    assert "wrong" not in found
    assert "unclear" in found


@pytest.mark.parametrize(("angles", "phases"), [(1, 7), (3, 1)])
def test_one_angle_or_one_phase_cannot_be_checked(angles: int, phases: int) -> None:
    stack = np.zeros((angles * phases, 32, 32))
    check = check_order(stack, angles=angles, phases=phases)
    assert check.status == "unclear"
    assert "nothing to compare" in check.message


@pytest.mark.parametrize("shape", [(9, 37, 31), (9, 3, 3), (9, 1, 50)])
@pytest.mark.parametrize("value", [0, 7])
def test_constant_and_tiny_frames_are_unclear(
    shape: tuple[int, ...], value: int
) -> None:
    stack = np.full(shape, value, np.uint16)
    assert check_order(stack, angles=3, phases=3).status == "unclear"


def test_frames_of_other_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match="frames: got 4 dimensions"):
        check_order(np.zeros((3, 3, 8, 8)), angles=3, phases=3)


def test_load_warns_when_the_order_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stack = np.clip(frames(6), 0, None).astype(np.uint16)
    tifffile.imwrite(path, flat(stack.swapaxes(0, 1)))
    messages: list[str] = []
    load(path, angles=3, phases=3, warn=messages.append)
    assert len(messages) == 1
    assert "look like order payx 3×3, not apyx 3×3" in messages[0]
    messages.clear()
    load(path, angles=3, phases=3, order="payx", warn=messages.append)
    assert messages == []


REAL = [
    ("sim9_hela_mito/raw.tif", 3, 3, 1),
    ("sim9_er_timelapse/raw.tif", 3, 3, 3),
    ("sim15_microtubules_pair/he_frames.tif", 3, 5, 1),
    ("sim9_microtubules_known_patterns/raw.tif", 3, 3, 5),
    ("sim9_line_pairs_simulated/raw_images.tif", 3, 3, 1),
]


@pytest.mark.parametrize(("name", "angles", "phases", "count"), REAL)
def test_real_stacks_are_angle_major(
    data_dir: Path, name: str, angles: int, phases: int, count: int
) -> None:
    data = tifffile.imread(data_dir / name)
    data = data.reshape(count, angles, phases, *data.shape[-2:])
    for stack in data:
        check = check_order(flat(stack), angles=angles, phases=phases)
        assert (check.status, check.best) == ("confirmed", f"apyx {angles}×{phases}")
        check = check_order(flat(stack.swapaxes(0, 1)), angles=angles, phases=phases)
        assert (check.status, check.best) == ("wrong", f"payx {angles}×{phases}")


def test_real_stack_of_low_exposure_is_not_accused(data_dir: Path) -> None:
    data = tifffile.imread(data_dir / "sim15_microtubules_pair/le_frames.tif")
    assert check_order(data, angles=3, phases=5).status == "unclear"
