"""Whole planes against tiles: difference, memory and time of every stage with tiles.

python benchmarks/tiles.py --out docs/benchmarks/tiles.md
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import psutil
import torch
from page import machine, options, publish, table

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.core.tiling import LEAST_TILE_PX
from napari_dps.methods.sim import wiener_tiles
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages import artifacts, denoise, dps, reconstruct

Array = np.ndarray
WHOLE = 2**20
TILES = (None, 512, 256, 128, LEAST_TILE_PX)
SHOWN = 128
OVERLAPS = (32, 48, 64, 96, 128)
FILTERS = {
    "default": {},
    "Wiener parameter 0.003, no apodisation": {
        "wiener_parameter": 0.003,
        "apodisation": "none",
    },
    "notch 0.9": {"notch_strength": 0.9},
    "attenuation 0.999, a width of 0.1": {
        "attenuation_strength": 0.999,
        "attenuation_width": 0.1,
    },
}
EDGE = 48
"""Pixels of the result that are left out for the difference inside."""


class PeakMemory:
    """How far the memory of the process rises, looked at every few milliseconds."""

    def __enter__(self) -> PeakMemory:
        gc.collect()
        if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
            libc.malloc_trim(0)
        self.process = psutil.Process()
        self.first = self.most = self.process.memory_info().rss
        self.running = True
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()
        return self

    def watch(self) -> None:
        """Keep the highest value seen."""
        while self.running:
            self.most = max(self.most, self.process.memory_info().rss)
            time.sleep(0.003)

    def __exit__(self, *exception: object) -> None:
        self.running = False
        self.watcher.join()

    @property
    def megabytes(self) -> float:
        """The rise."""
        return (self.most - self.first) / 1e6


@dataclass(frozen=True)
class Result:
    """What a run of a stage gave."""

    image: Array
    megabytes: float
    seconds: float


Run = Callable[[Context], ImageStack]


def run(stage: Run, tile_px: int | None) -> Result:
    """Run a stage in tiles of a size."""
    context = Context("cpu", tile_px=tile_px)
    with PeakMemory() as memory:
        started = time.thread_time()
        result = stage(context)
        seconds = time.thread_time() - started
    return Result(result.data, memory.megabytes, seconds)


def stages(size: int) -> dict[str, Run]:
    """Return the stages on planes of a size, each with its input."""
    raw = raw_stack(size)
    small = raw_stack(size // 2)
    default = reconstruct.ReconstructParameters()
    image = finish(reconstruct.STAGE.run(small, default, Context("cpu")))

    def of(stage: Any, source: ImageStack, **parameters: Any) -> Run:
        chosen = stage.STAGE.parameters(**parameters)
        return lambda context: finish(stage.STAGE.run(source, chosen, context))

    return {
        "denoise": of(denoise, raw),
        "reconstruct, network": of(reconstruct, raw, method="network"),
        "reconstruct, wiener": of(reconstruct, raw),
        "artifacts": of(artifacts, image),
        "dps": of(dps, image),
    }


def raw_stack(size: int) -> ImageStack:
    """Simulate frames, with the exact patterns."""
    made = simulate(SimulationSettings(height_px=size, width_px=size, photons=300))
    counts = made.raw.data.astype(np.float32) - made.settings.offset_counts
    return made.raw.derive(counts, patterns=made.patterns)


def compare(name: str, stage: Run) -> tuple[list[list[str]], list[Array]]:
    """Return the lines of a table, and images: whole, tiled, difference over range."""
    whole = run(stage, WHOLE)
    span = float(np.ptp(whole.image))
    rows = [[name, "whole plane", "", "", *cost(whole)]]
    shown: list[Array] = []
    for tile_px in TILES:
        tiled = run(stage, tile_px)
        difference = (tiled.image - whole.image) / span
        inner = difference[..., EDGE:-EDGE, EDGE:-EDGE]
        rows.append(
            [
                name,
                "auto" if tile_px is None else f"{tile_px} px",
                f"{np.abs(difference).max():.1e}",
                f"{np.abs(inner).max():.1e}",
                *cost(tiled),
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
        if tile_px == SHOWN:
            images = (whole.image, tiled.image, difference)
            shown = [image.reshape(-1, *image.shape[-2:])[0] for image in images]
    return rows, shown


def overlaps(size: int) -> list[list[str]]:
    """Return how far the Wiener filter in tiles is from the whole plane, by overlap."""
    raw, usual = raw_stack(size), wiener_tiles.TILES
    rows = []
    for name, parameters in FILTERS.items():
        chosen = reconstruct.ReconstructParameters(**parameters)

        def image(tile_px: int, chosen: Any = chosen) -> Array:
            context = Context("cpu", tile_px=tile_px)
            return finish(reconstruct.STAGE.run(raw, chosen, context)).data

        whole = image(WHOLE)
        row = [name]
        for overlap_px in OVERLAPS:
            wiener_tiles.TILES = replace(usual, overlap_px=overlap_px)
            difference = np.abs(image(SHOWN) - whole)[EDGE:-EDGE, EDGE:-EDGE]
            row.append(f"{difference.max() / np.ptp(whole):.1e}")
        wiener_tiles.TILES = usual
        rows.append(row)
    return rows


def cost(result: Result) -> list[str]:
    """Write memory and time."""
    return [f"{result.megabytes:.0f}", f"{result.seconds:.1f}"]


def picture(shown: dict[str, list[Array]], path: Path) -> None:
    """Draw whole, tiled and difference of each stage."""
    figure, grid = plt.subplots(
        len(shown), 4, figsize=(13, 3.2 * len(shown)), layout="constrained"
    )
    for axes, (name, (whole, tiled, difference)) in zip(
        grid, shown.items(), strict=True
    ):
        low, high = np.percentile(whole, [1, 99.8])
        for ax, image in zip(axes, (whole, tiled), strict=False):
            ax.imshow(image, vmin=low, vmax=high, cmap="gray")
        largest = float(np.abs(difference).max()) or 1e-9
        for ax, scale in zip(axes[2:], (1e-3, largest), strict=True):
            ax.imshow(difference, vmin=-scale, vmax=scale, cmap="gray")
        titles = (
            f"{name}: whole",
            f"tiles of {SHOWN} px",
            "difference, ±1e-3 of the range",
            f"difference, ±{largest:.0e} of the range",
        )
        for ax, title in zip(axes, titles, strict=True):
            ax.set_title(title, fontsize=9)
            ax.set_axis_off()
    figure.savefig(path, dpi=70)


def report(size: int, pictured: Path | None) -> str:
    """Run everything and write the page."""
    rows: list[list[str]] = []
    shown: dict[str, list[Array]] = {}
    for name, stage in stages(size).items():
        some, shown[name] = compare(name, stage)
        rows += some
    header = [
        "stage",
        "tiles",
        "greatest difference / range",
        f"{EDGE} px inside the edges",
        "memory, MB",
        "CPU time, s",
    ]
    costs = table(header, rows, text_columns=2)
    first = ["Wiener filter", *(f"overlap {overlap_px} px" for overlap_px in OVERLAPS)]
    reaches = table(first, overlaps(size // 2))
    if pictured is not None:
        picture(shown, pictured)
    return f"""# Tiles against whole planes

`python benchmarks/tiles.py --out docs/benchmarks/tiles.md`

Simulated frames of {size}² (3 × 3) for `denoise` and `reconstruct`, a reconstruction
of {size}² for `artifacts` and `dps`. Tiles are counted in pixels of the grid that the
stage works on, overlap not included. Memory is how far that of the process rises above
what it was with the input loaded, the whole stage included; CPU time is that of one
thread ({machine("torch")}).

{costs}

The networks see no farther than tiles overlap, so what is left is the rounding of
float32. The Wiener filter reaches on and on, ever more faintly, and tiles fade into one
another; within some 15 px of the edges of the image it matters where its mirrored rim
fades, which depends on the size of what is transformed. How far tiles of {SHOWN} px are
from the whole plane at {size // 2}², {EDGE} px inside the edges, over the range, with
other overlaps than the {wiener_tiles.TILES.overlap_px} px that are used:

{reaches}

![Whole plane, tiles and their difference for every stage](tiles.png)
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=1024, help="edge of the planes, px")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    out: Path | None = chosen.out
    pictured = None if out is None else out.with_suffix(".png")
    publish(report(chosen.size, pictured), out)


if __name__ == "__main__":
    main()
