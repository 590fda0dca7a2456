"""Rolling ball, ours against scikit-image: time, ratio and greatest error.

    python benchmarks/rolling_ball.py [--out docs/benchmarks/rolling_ball.md]

Both run in one process on one thread, in turns; the time is the least CPU time of
each. The scenes are simulated: filaments on uneven background with Poisson noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray
from page import machine, options, publish, table, take_turns
from scipy import ndimage
from skimage.restoration import rolling_ball as skimage_rolling_ball

from napari_dps.physics.rolling_ball import rolling_ball

Array = NDArray[np.floating]
Times = dict[str, float]
RADIUS_PX = 50
TOLERANCE = 0.005


def filaments(size: int, *, peak: float = 4000.0, noise: bool = True) -> Array:
    """Draw filaments on a vignette and patches of haze, in counts."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    lines = np.zeros((size, size))
    along = np.linspace(-80, 80, 400)
    for _ in range(round(120 * (size / 512) ** 2)):
        y0, x0 = rng.uniform(0, size, 2)
        angle = rng.uniform(0, np.pi)
        row = (y0 + along * np.sin(angle) + 0.002 * along**2).astype(int)
        column = (x0 + along * np.cos(angle)).astype(int)
        inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
        lines[row[inside], column[inside]] += 1
    lines = ndimage.gaussian_filter(lines, 1.5)
    vignette = np.exp(-((np.hypot(y - 0.45 * size, x - 0.45 * size) / size / 0.4) ** 2))
    haze = ndimage.gaussian_filter(rng.normal(size=(size, size)), 25)
    counts = 0.85 * lines / lines.max() + 0.1 * vignette + haze + 0.03
    counts = np.clip(peak * counts, 0, None)
    return (rng.poisson(counts) if noise else counts).astype(np.float32)


def scenes() -> dict[str, Array]:
    """Return the images at 512²: usual ones first, then those that cost most."""
    counts = filaments(512)
    y, x = np.mgrid[:512, :512]
    return {
        "counts, range about 4000": counts,
        "the same scaled to [0, 1]": counts / counts.max(),
        "the same scaled to a range of 100": counts / counts.max() * 100,
        "16-bit counts": counts.astype(np.uint16),
        "white noise, 100 ± 10": np.random.default_rng(1)
        .normal(100, 10, (512, 512))
        .astype(np.float32),
        "without noise": filaments(512, noise=False),
        "a plane of slope 7": (5.0 * (x + y)).astype(np.float32),
    }


def ours(image: Array, radius_px: float = RADIUS_PX) -> dict[str, partial[Array]]:
    """Return our two ways to call it: at the tolerance of the stage, and exactly."""
    return {
        "close": partial(rolling_ball, image, radius_px, tolerance=TOLERANCE),
        "exact": partial(rolling_ball, image, radius_px, tolerance=0),
    }


def least_ms(functions: Mapping[str, Callable[[], Array]], rounds: int) -> Times:
    """Return the least CPU time of each in ms."""
    turns = take_turns(functions, rounds)
    return {name: 1e3 * min(seconds) for name, seconds in turns.items()}


def compare(image: Array, rounds: int = 3) -> list[str]:
    """Time ours at the tolerance and exactly, and scikit-image, in turns."""
    slow = {"peer": lambda: skimage_rolling_ball(image, radius=RADIUS_PX, workers=1)}
    turns = [least_ms(slow, 1) | least_ms(ours(image), 5) for _ in range(rounds)]
    peer, close, exact = (
        min(turn[name] for turn in turns) for name in ("peer", "close", "exact")
    )
    span = float(np.ptp(image.astype(float)))
    reference = skimage_rolling_ball(image.astype(float), radius=RADIUS_PX)
    errors = [
        np.abs(rolling_ball(image, RADIUS_PX, tolerance=tolerance) - reference)
        for tolerance in (TOLERANCE, 0)
    ]
    return [
        f"{peer:.0f}",
        f"{close:.1f}",
        f"{peer / close:.0f}×",
        f"{100 * errors[0].max() / span:.2f} %",
        f"{100 * errors[0].mean() / span:.4f} %",
        f"{exact:.1f}",
        f"{peer / exact:.0f}×",
        f"{errors[1].max() / span:.0e}",
    ]


def alone(size: int, radius_px: float) -> list[str]:
    """Time ours alone on larger images and balls."""
    times = least_ms(ours(filaments(size), radius_px), 2)
    return [
        f"{size}²",
        f"{radius_px:g}",
        f"{times['close']:.0f}",
        f"{times['exact']:.0f}",
    ]


def report() -> str:
    """Run everything and write the page."""
    close = f"{100 * TOLERANCE:g} %"
    against = table(
        [
            f"512², radius {RADIUS_PX} px",
            "scikit-image, ms",
            f"ours {close}, ms",
            "faster",
            "greatest error",
            "mean error",
            "ours exact, ms",
            "faster",
            "greatest error / range",
        ],
        [[name, *compare(image)] for name, image in scenes().items()],
    )
    larger = table(
        ["counts", "radius, px", f"ours {close}, ms", "ours exact, ms"],
        [alone(*case) for case in ((512, 500), (1024, 50), (2048, 50), (2048, 500))],
    )
    return f"""# Rolling ball

`python benchmarks/rolling_ball.py --out docs/benchmarks/rolling_ball.md`

CPU time of one thread, the least of several runs in turns in one process
({machine("numpy", "scikit-image")}). Errors are fractions of the image's range, against
scikit-image in float64; where the exact result differs, it is by the rounding of
float32.

{against}

Larger images and balls, ours alone:

{larger}
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    chosen = options(__doc__).parse_args()
    publish(report(), chosen.out)


if __name__ == "__main__":
    main()
