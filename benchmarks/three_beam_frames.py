"""DPS of three-beam z-stacks with their raw frames, against what works without them.

python benchmarks/three_beam_frames.py [--seeds 1] [--out docs/benchmarks/…md]
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from dps_real import Sample, picture
from page import machine, options, publish, table
from three_beam import SCENES, counts, made, reconstruct

from napari_dps.core import finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.ideal_lens import shown_series
from napari_dps.physics.resampling import from_series
from napari_dps.stages.dps import STAGE, DpsParameters

PHOTONS = (10, 50, 200, 1000)
FIRST_SEED = 20
"""Constants were chosen on seed 11."""
WIDTH = 0.7
"""Of the PSF that truth and results are compared through, along x and y, of an ideal
reconstruction's: what the grid of half the camera's pixels holds."""
SMALL = {"planes": 16}
INSIDE = (slice(2, -2), slice(16, -16), slice(16, -16))
WAYS = {
    "`rl` in 3-D": {"method": "rl"},
    "network, planes": {"raw_frames": False},
    "network in 3-D": {"raw_frames": False, "dimension": "3d"},
    "`joint`": {"method": "joint"},
    "**network, raw frames**": {},
}


def sharpened(stack, **parameters):
    """Run the stage; plane by plane where it does so by default."""
    chosen = DpsParameters(**parameters)
    if STAGE.takes_volumes(stack, chosen):
        return finish(STAGE.run(stack, chosen, Context())).data
    planes = [stack.derive(p, axes="YX", frames=None) for p in stack.data]
    return np.stack([finish(STAGE.run(p, chosen, Context())).data for p in planes])


def on_truths_grid(image):
    """Return the means of 2 × 2 pixels of a result."""
    planes, height, width = image.shape
    return image.reshape(planes, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


def target(simulation):
    """Return the truth through a PSF of a share of the width, along x and y."""
    settings = simulation.settings
    cutoff = 1 / settings.optics.cutoff_period_nm + 2 / settings.first_order_period_nm
    cutoff *= settings.pixel_size_nm / 2 / WIDTH
    return np.stack(
        [
            from_series(shown_series(plane, cutoff, 1.0), plane.shape)
            for plane in simulation.truth.data.astype(np.float32)
        ]
    )


def decibels(image, truth):
    """Return −10 lg(1 − r²): error over power, gain and offset fitted."""
    r = np.corrcoef(image[INSIDE].ravel(), truth[INSIDE].ravel())[0, 1]
    return float(-10 * np.log10(1 - r**2))


def wrong(stack, degrees):
    """Return a reconstruction whose phases are wrong by turns."""
    rng = np.random.default_rng(0)
    patterns = tuple(
        pattern.model_copy(
            update={
                "phases_deg": tuple(
                    float(phase + degrees * sign)
                    for phase, sign in zip(
                        pattern.phases_deg, rng.choice((-1, 1), 5), strict=True
                    )
                )
            }
        )
        for pattern in stack.patterns
    )
    return replace(stack, patterns=patterns)


def likeness_rows(seeds):
    """Return a row a scene and level of light."""
    rows = []
    for scene in SCENES:
        for photons in PHOTONS:
            values, seconds = [], []
            for seed in range(FIRST_SEED, FIRST_SEED + seeds):
                simulation = made(scene, photons, seed, **SMALL)
                stack, truth = reconstruct(counts(simulation)), target(simulation)
                found = [stack.data]
                for parameters in WAYS.values():
                    started = time.process_time()
                    found.append(on_truths_grid(sharpened(stack, **parameters)))
                    took = time.process_time() - started
                seconds.append(took)  # of the last way
                found.append(on_truths_grid(sharpened(wrong(stack, 5))))
                values.append([decibels(image, truth) for image in found])
            means = [f"{value:.1f}" for value in np.mean(values, axis=0)]
            took = f"{np.mean(seconds):.0f}"
            rows.append([scene, str(photons), *means, took])
            print(rows[-1], flush=True)
    return rows


def samples():
    """Return sections of stacks by each way."""
    shown = []
    for scene, photons in (("dense", 50), ("haze", 200)):
        simulation = made(scene, photons, FIRST_SEED, **SMALL)
        stack = reconstruct(counts(simulation))
        images = {
            f"{scene}, {photons} photons, reconstruct": stack.data.repeat(2, 1).repeat(
                2, 2
            ),
            "network, planes": sharpened(stack, raw_frames=False),
            "with the raw frames": sharpened(stack),
            "truth": target(simulation).repeat(2, 1).repeat(2, 2),
        }
        for name, section in (
            ("x, y", lambda image: image[len(image) // 2, 100:270, 100:270]),
            ("x, z", lambda image: image[:, 190, 100:270].repeat(6, 0)),
        ):
            panels = tuple((title, section(image)) for title, image in images.items())
            whole = tuple(slice(0, side) for side in panels[0][1].shape)
            shown.append(Sample(f"{scene}, {name}", panels, whole))
    return shown


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.out is not None:
        picture(samples(), asked.out.with_suffix(".png"))
    header = ["scene", "photons", "as it is", *WAYS, "phases 5° wrong", "CPU s"]
    text = PAGE.format(
        machine=machine("torch", "numpy", "scipy"),
        seeds=asked.seeds,
        table=table(header, likeness_rows(asked.seeds)),
    )
    publish(text, asked.out)


PAGE = """# DPS of three-beam stacks with their raw frames

`python benchmarks/three_beam_frames.py --seeds {seeds}
--out docs/benchmarks/three_beam_frames.md` ({machine})

The scenes of [three-beam stacks](three_beam.md), 16 planes × 96², {seeds} stack(s) a
row that no constant was chosen on; patterns estimated. Likeness with the truth through
a PSF of 0.7 times the width of an ideal reconstruction along x and y, and none along z,
in dB: −10 lg(1 − r²). *As it is*: the reconstruction in 3-D. *Phases 5° wrong*: each,
up or down, after the reconstruction. CPU s: of the network with the raw frames, one
thread.

{table}

Sections through the middle at full zoom, planes drawn six pixels high:

![Reconstruction, network, with the raw frames, truth](three_beam_frames.png)
"""

if __name__ == "__main__":
    main()
