"""Real SIM stacks, reconstructed with and without artefact removal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import real_data
from page import table

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.metrics.error_map import error_map
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.stages.reconstruct import STAGE, ReconstructParameters

WRONG_PHASE_DEG = 25.0
PIECE_PX = 220
"""Edge of what is drawn."""

SMALL_WIENER = "Wiener parameter 0.001"
WRONG_PHASES = f"phases off by {WRONG_PHASE_DEG:g}°"
SHOWN = (
    "HeLa mitochondria: default",
    f"HeLa mitochondria: {SMALL_WIENER}",
    f"HeLa mitochondria: {WRONG_PHASES}",
    f"microtubules, high exposure: {SMALL_WIENER}",
    f"ER: {SMALL_WIENER}",
    f"ER: {WRONG_PHASES}",
)
"""What is drawn."""


def load(folder: Path) -> dict[str, ImageStack]:
    """Return the raw stacks by the names that the page gives them."""
    return {
        "HeLa mitochondria": real_data.mitochondria(folder),
        "microtubules, high exposure": real_data.microtubules(folder, "he"),
        "microtubules, low exposure": real_data.microtubules(folder, "le"),
        "ER": real_data.reticulum(folder),
    }


def reconstruct(stack: ImageStack, **parameters: object) -> ImageStack:
    """Reconstruct with the stage."""
    chosen = ReconstructParameters(**parameters)
    return finish(STAGE.run(stack, chosen, Context("cpu")))


def with_wrong_phases(stack: ImageStack, right: ImageStack) -> ImageStack:
    """Reconstruct with phases that are off by some degrees."""
    rng = np.random.default_rng(3)
    wrong = tuple(
        pattern.model_copy(
            update={
                "phases_deg": tuple(
                    phase + WRONG_PHASE_DEG * error
                    for phase, error in zip(
                        pattern.phases_deg, rng.normal(size=9), strict=False
                    )
                )
            }
        )
        for pattern in right.patterns
    )
    return reconstruct(stack.derive(stack.data, patterns=wrong))


def correlation(image: ImageStack, reference: ImageStack) -> float:
    """Return Pearson's correlation inside, after registration."""
    moved, shared = shift_onto(
        image.data, reference.data, find_shift(image.data, reference.data)
    )
    inner = (slice(8, -8), slice(8, -8))
    return float(np.corrcoef(moved[inner].ravel(), shared[inner].ravel())[0, 1])


def real_tables(
    method: Callable[[ImageStack], ImageStack],
    folder: Path | None,
    figure: Path | None,
) -> str:
    """Return the section on real images, and draw them."""
    if folder is None:
        return "## Real images\n\nThe data were not there when this page was made."
    rows, pictures = [], {}
    best: ImageStack | None = None
    for name, stack in load(folder).items():
        widefield = stack.derive(stack.data.mean(axis=(0, 1)), axes="YX")
        right = reconstruct(stack)
        if name.endswith("high exposure"):
            best = right
        ways = {
            "default": right,
            SMALL_WIENER: reconstruct(
                stack, wiener_parameter=0.001, adapt_to_noise=False
            ),
            WRONG_PHASES: with_wrong_phases(stack, right),
        }
        reference = best if best is not None and "low" in name else right
        for way, image in ways.items():
            clean = method(image)
            both = (image, clean)
            rsp = [f"{error_map(one, widefield).rsp:.3f}" for one in both]
            like = [
                "–" if one is reference else f"{correlation(one, reference):.3f}"
                for one in both
            ]
            rows.append([name, way, *rsp, *like])
            pictures[f"{name}: {way}"] = both
    if figure is not None:
        draw({name: pictures[name] for name in SHOWN}, figure)
    head = ["image", "reconstruction", "RSP: input", "result", "correlation: input"]
    return f"""## Real images

RSP is the correlation with the widefield image after blurring (Culley et al. 2018).
The correlation is that with the default reconstruction of the same frames, of the
microtubules at low exposure with that of the high exposure of the same field.

{table([*head, "result"], rows, text_columns=2)}

![Pieces of them, before and after](artifacts.png)"""


def draw(pictures: dict[str, tuple[ImageStack, ImageStack]], path: Path) -> None:
    """Write input, result and difference of each, a piece at full zoom."""
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(12, 4.2 * len(pictures)), layout="constrained")
    grid = figure.subplots(len(pictures), 3, squeeze=False)
    for row, (title, (image, clean)) in zip(grid, pictures.items(), strict=True):
        view = tuple(
            slice(max(0, side // 2 - PIECE_PX // 2), side // 2 + PIECE_PX // 2)
            for side in image.shape
        )
        top = float(np.percentile(image.data[view], 99.7))
        panels = {
            title: image.data[view],
            "artifacts": clean.data[view],
            "taken away, 2 ×": 2 * (image.data - clean.data)[view] + top / 2,
        }
        for axes, (name, data) in zip(row, panels.items(), strict=True):
            axes.imshow(data, cmap="gray", vmin=0, vmax=top, interpolation="nearest")
            axes.set_title(name, fontsize=9)
            axes.axis("off")
    figure.savefig(path, dpi=60)
    Image.open(path).convert("L").save(path, optimize=True)
