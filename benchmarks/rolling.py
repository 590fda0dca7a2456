"""What a result after every angle is worth: loss where nothing moves, flicker, motion.

    python benchmarks/rolling.py [--seeds 1] [--out FILE.md]

A cell moves evenly along a diagonal while 3 × 3 frames are recorded angle by angle, 13
sets, without noise. Wiener images of known patterns, against that of frames that were
all recorded at the moment of the result: PSNR, and the amplitude of what differs with
period 3, over the brightness, of the brightest fifth of the pixels. Windows that begin
with another angle each time, the interpolation that is shipped, and a line in time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from page import machine, options, publish, table

from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.simulate import SimulationSettings, simulate_object
from napari_dps.pipeline.rolling import RollingFrames

SIDE, SETS, ANGLES, RIM = 128, 13, 3, 24
MOTIONS_PX = (0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 1.0, 2.0)
STRUCTURES = ("microtubules", "er")
MOMENTS = range(2 * ANGLES, (SETS - 3) * ANGLES)
"""Far enough from both ends of the recording."""


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    rows = []
    for structure in STRUCTURES:
        for motion_px in MOTIONS_PX:
            runs = [measured(structure, motion_px, s) for s in range(asked.seeds)]
            means = np.mean(runs, axis=0)
            rows.append(
                [structure, f"{motion_px:g}"]
                + [f"{psnr:.1f}" if psnr < 90 else "> 90" for psnr in means[:, 0]]
                + [f"{flicker:.2f}" for flicker in means[:, 1]]
            )
    heading = ["structure", "px a set", "windows (dB)", "interpolated (dB)",
               "on a line (dB)", "windows, flicker (%)", "interpolated, flicker (%)",
               "on a line, flicker (%)"]  # fmt: skip
    text = (
        "# A result after every angle\n\n"
        f"{asked.seeds} seed(s), {SIDE}² pixels, no noise.\n\n"
        f"{table(heading, rows)}\n\n{machine('numpy', 'torch')}"
    )
    publish(text, asked.out)


def measured(structure: Any, motion_px: float, seed: int) -> list[list[float]]:
    """Return PSNR and flicker of windows, interpolated frames, and those on a line."""
    settings = SimulationSettings(height_px=SIDE, width_px=SIDE, seed=100 + seed)
    side = SIDE * settings.oversampling
    pixel_nm = settings.pixel_size_nm / settings.oversampling
    emitters = phantom(structure, (side, side), pixel_size_nm=pixel_nm, seed=seed)
    patterns = tuple(draw_patterns(settings, np.random.default_rng(seed)))

    def record(moment: float) -> Any:
        step = motion_px * moment * settings.oversampling / np.sqrt(2)
        moved = displaced(emitters, step)
        return simulate_object(moved, settings, patterns=patterns).clean

    frames = np.stack(
        [[record(t + (a - 1) / ANGLES)[a] for a in range(ANGLES)] for t in range(SETS)]
    )
    solver = WienerSolver((SIDE, SIDE), patterns, settings.optics)

    def image(raw: Any) -> Any:
        tensor = torch.from_numpy(np.ascontiguousarray(raw, dtype=np.float32))
        solved = solver.solve(tensor, equalisation(tensor)).numpy()
        return solved[RIM:-RIM, RIM:-RIM].astype(np.float64)

    rolling = RollingFrames(frames, "TAPYX")
    truth = np.stack([image(record(n / ANGLES)) for n in MOMENTS])
    ways: list[Callable[[int], Any]] = [
        lambda n: window(frames, n),
        rolling.__getitem__,
        lambda n: on_a_line(frames, n),
    ]
    return [judged(np.stack([image(way(n)) for n in MOMENTS]), truth) for way in ways]


def displaced(emitters: Any, step: float) -> Any:
    """Return periodic emitters moved by so many fine pixels along y and x."""
    y = np.fft.fftfreq(emitters.shape[0])[:, None]
    x = np.fft.rfftfreq(emitters.shape[1])
    turned = np.fft.rfft2(emitters) * np.exp(-2j * np.pi * step * (y + x))
    return np.maximum(np.fft.irfft2(turned, emitters.shape), 0).astype(np.float32)


def window(frames: Any, number: int) -> Any:
    """Return the set of the angles recorded around a moment, each but once."""
    angles = np.arange(ANGLES)
    times = (number + ANGLES - 1 - angles) // ANGLES
    return np.stack([frames[t, a] for t, a in zip(times, angles, strict=True)])


def on_a_line(frames: Any, number: int) -> Any:
    """Return frames interpolated linearly: the mean of the windows around a moment."""
    around = range(number - (ANGLES - 1) // 2, number + (ANGLES - 1) // 2 + 1)
    return np.mean([window(frames, n) for n in around], axis=0)


def judged(found: Any, truth: Any) -> list[float]:
    """Return PSNR in dB and flicker in percent."""
    error = found - truth
    power = max(float((error**2).mean()), 1e-20)
    psnr = 10 * np.log10(np.percentile(truth, 99.9) ** 2 / power)
    whole = len(error) // ANGLES * ANGLES
    turning = np.exp(-2j * np.pi * np.arange(whole) / ANGLES)[:, None, None]
    amplitude = 2 * np.abs((error[:whole] * turning).mean(axis=0))
    mean = truth.mean(axis=0)
    bright = mean > np.percentile(mean, 80)
    flicker = np.sqrt((amplitude[bright] ** 2).mean()) / mean[bright].mean()
    return [float(psnr), 100 * float(flicker)]


if __name__ == "__main__":
    main()
