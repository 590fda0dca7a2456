"""What three minutes of training on a stack of one's own gain, judged by the dock.

``python benchmarks/training.py --out docs/benchmarks/training.md``

Each stack is a layer, and is trained on by the function that the dock Training calls,
from the weights that are shipped, without any truth. Simulated stacks are then run
with both weights, and scored against the truth that the training has not seen.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import numpy as np
import real_data
import tifffile
import torch
from napari.layers import Image
from page import machine, options, publish, table

from napari_dps._qt.bridge.result_layers import stack_layer
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.training import Training
from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.metrics.measure import measure
from napari_dps.physics.simulate import (
    Simulation,
    SimulationSettings,
    blur_truth,
    simulate,
)
from napari_dps.pipeline import InputSettings, Settings, open_input, run_plan
from napari_dps.train import fine_tune
from napari_dps.train.fine_tune import FineTuned

STAGES = {"dps": ("reconstruct", "dps"), "denoise": ("denoise", "reconstruct")}
"""Whose network is trained, and what is run to score it."""
NO_OFFSET = InputSettings(camera_offset=0.0)
GAIN = {"dps": 3.8, "denoise": 1.9}
"""Modulation factor of the truth that the result of each is scored against, as in
``napari-dps demo``."""
SHOWN = (("psnr_db", 2), ("nrmse", 4))
SIMULATED = {"simulated mitochondria, 40 photons": ("mitochondria", 40)}


def main() -> None:
    """Train, judge, score, write."""
    parser = options(__doc__)
    parser.add_argument("--seconds", type=float, default=180, help="of each training")
    parser.add_argument("--only", default="", help="part of a stack's name")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    # Seconds of the processor: what else the machine does is not counted.
    fine_tune.time = SimpleNamespace(monotonic=time.process_time)
    judged, scored = [], []
    for name, stack, simulation in stacks():
        if asked.only not in name:
            continue
        for stage in STAGES:
            with TemporaryDirectory() as folder:
                found = trained(stack, stage, Path(folder), asked)
                judged.append([name, stage, *verdict(found)])
                print(*judged[-1], flush=True)
                if simulation is not None:
                    scored.append([name, stage, *scores(simulation, stage, found)])
                    print(*scored[-1], flush=True)
    publish(page(judged, scored, asked.seconds), asked.out)


def stacks() -> Iterator[tuple[str, ImageStack, Simulation | None]]:
    """Yield the name of each stack, its counts above the offset, and its truth."""
    folder = real_data.data_folder()
    if folder is not None:
        yield "HeLa mitochondria, 3 × 3 frames", real_data.mitochondria(folder), None
        frames = tifffile.imread(folder / "sim9_er_timelapse" / "raw.tif")
        points = [
            real_data.raw_stack(
                part, real_data.ER_OPTICS, offset=real_data.OFFSET_COUNTS
            )
            for part in frames.reshape(-1, 9, *frames.shape[-2:])
        ]
        data = np.stack([point.data for point in points])
        lapse = points[0].derive(data=data, axes="TAPYX")
        yield "reticulum, 3 time points of 3 × 3 frames", lapse, None
    for name, (structure, photons) in SIMULATED.items():
        settings = SimulationSettings(
            structure=structure, photons=photons, height_px=256, width_px=256, seed=91
        )
        simulation = simulate(settings)
        raw = simulation.raw
        counts = raw.data.astype(np.float32) - np.float32(settings.offset_counts)
        yield name, raw.derive(data=counts), simulation


def trained(stack: ImageStack, stage: str, folder: Path, asked: Namespace) -> FineTuned:
    """Train on a layer, as the dock does."""
    data, kwargs, _ = stack_layer(stack, "own stack")
    training = Training(
        stage,
        [LayerSnapshot.of(Image(data, **kwargs))],
        "",
        lambda _: Settings(
            ("reconstruct" if stage == "dps" else stage,), input=NO_OFFSET
        ),
        folder / "own.safetensors",
        None,
        asked.seconds / 60,
        "cpu",
    )
    return finish(training.steps())


def verdict(found: FineTuned) -> list[str]:
    """Return the cells that tell what the judgement was."""
    one = found.judgement
    change, error = (
        100 * part / one.before for part in (one.after - one.before, one.error)
    )
    return [
        f"{found.steps}",
        f"{found.seconds:.0f}",
        f"{one.blocks}",
        f"{one.before:.4g}",
        f"{one.after:.4g}",
        f"{change:+.2f} ± {error:.2f}",
        "new" if found.weights else "old",
    ]


def scores(simulation: Simulation, stage: str, found: FineTuned) -> list[str]:
    """Return PSNR (dB) and NRMSE against the truth, of both weights."""
    truth = blur_truth(simulation.truth, modulation_factor=GAIN[stage])
    before = measure(result_of(simulation, stage, None), truth)
    if found.weights is None:
        return [f"{before[key]:.{digits}f}" for key, digits in SHOWN] + ["", ""]
    after = measure(result_of(simulation, stage, found.weights), truth)
    return [
        f"{one[key]:.{digits}f}" for one in (before, after) for key, digits in SHOWN
    ]


def result_of(simulation: Simulation, stage: str, weights: Path | None) -> ImageStack:
    """Run the stages with these weights, or with the usual ones."""
    chosen = {} if weights is None else {stage: {"weights": str(weights)}}
    tables = {
        "pipeline": {"stages": list(STAGES[stage])},
        "input": {"camera_offset": simulation.settings.offset_counts},
        **chosen,
    }
    plan = open_input(simulation.raw, Settings.from_tables(tables))
    return finish(run_plan(plan, Context(device="cpu"))).images[-1]


def page(judged: list[list[str]], scored: list[list[str]], seconds: float) -> str:
    """Return the page."""
    kept = table(
        ["stack", "network", "steps", "s", "blocks", "before", "after", "%", "weights"],
        judged,
        text_columns=2,
    )
    true = table(
        ["stack", "network", "PSNR", "NRMSE", "PSNR, trained", "NRMSE, trained"],
        scored,
        text_columns=2,
    )
    return f"""# Training on a stack of one's own

`python benchmarks/training.py --out docs/benchmarks/training.md`
({machine("torch", "lightning-fabric")}, one thread).

{seconds:.0f} s of the processor for each training, from the weights that are shipped,
by the function that the dock calls. Finding the stripes comes before.

## By what was left out

Misfit (−2 log likelihood per pixel, but for a constant) of the blocks that neither
trained nor chose, before and after, and its change with its standard error.

{kept}

## By the truth

Of simulated stacks, with what is kept: the result of `reconstruct` and `dps`, or of
`denoise` and `reconstruct`, against a truth as fine, as `napari-dps demo` does.
PSNR in dB.

{true}
"""


if __name__ == "__main__":
    main()
