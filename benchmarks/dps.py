"""Super-resolution by every method of the stage `dps`, and by its plain peers.

``python benchmarks/dps.py --out docs/benchmarks/dps.md``
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from dps_protocol import (
    BACKGROUND,
    CLASSES,
    OPTICS,
    Method,
    enlarged,
    flat_cv,
    flatness,
    intensity_ratio,
    likeness,
    noise_peak,
    record,
    resolved_nm,
    structure,
)

from napari_dps.core import ImageStack, finish
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import richardson_lucy_steps
from napari_dps.stages.base import Context
from napari_dps.stages.dps import STAGE, DpsParameters

LEVELS = (40, 200, 2000)


def stage(**parameters: object) -> Method:
    """Return the stage with some parameters."""
    chosen = DpsParameters(**parameters)  # type: ignore[arg-type]
    context = Context("cpu")
    return lambda image: finish(STAGE.run(image, chosen, context))


def plain_richardson_lucy(iterations: int) -> Method:
    """Return classic Richardson–Lucy with the same model, not accelerated."""
    models: dict[tuple[int, ...], ImagingModel] = {}

    def method(image: ImageStack) -> ImageStack:
        shape = (image.shape[0], image.shape[1])
        if shape not in models:
            cutoff = OPTICS.cutoff_per_pixel * OPTICS.modulation_factor
            models[shape] = ImagingModel(shape, cutoff, torch.device("cpu"))
        data = torch.from_numpy(np.array(image.data, dtype=np.float32))
        steps = richardson_lucy_steps(data, models[shape], iterations, accelerate=False)
        half_nm = OPTICS.pixel_size_nm / 2
        return image.derive(finish(steps).numpy(), pixel_size_nm=half_nm)

    return method


def interpolation(image: ImageStack) -> ImageStack:
    """Return the input itself on the 2× grid."""
    return image.derive(enlarged(image), pixel_size_nm=OPTICS.pixel_size_nm / 2)


METHODS: dict[str, Method] = {
    "input": interpolation,
    "RL, 50 plain iterations": plain_richardson_lucy(50),
    "RL, 200 plain iterations": plain_richardson_lucy(200),
    "`rl`, strength 0.25": stage(method="rl", strength=0.25),
    "`rl` (0.5)": stage(method="rl"),
    "`rl`, strength 0.75": stage(method="rl", strength=0.75),
    "`sparse`, strength 0.25": stage(method="sparse", strength=0.25),
    "`sparse` (0.5)": stage(method="sparse"),
    "`sparse`, strength 0.75": stage(method="sparse", strength=0.75),
}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Write a Markdown table."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def quality(name: str, method: Method, seeds: int) -> list[list[str]]:
    """Return the rows of one method in both tables of quality."""
    scores = [likeness(method, photons, seeds) for photons in LEVELS]
    like = [f"{psnr:.2f} / {ssim:.3f} / {gain:.2f}" for psnr, ssim, gain in scores]
    resolved = [
        f"{resolved_nm(method, kind, photons):.0f}"
        for photons in LEVELS[1:]
        for kind in ("line", "point")
    ]
    trust = [
        f"{flat_cv(method):.2f}",
        f"{intensity_ratio(method):.2f}",
        f"{100 * noise_peak(method):.1f} %",
        f"{flatness(method):.0e}",
    ]
    row = [[name, *like], [name, *resolved, *trust]]
    print(*row, sep="\n", flush=True)
    return row


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    start = time.process_time()
    function()
    return time.process_time() - start


def speed(size: int = 512, rounds: int = 3) -> list[list[str]]:
    """Time every method in turns; CPU seconds of one thread, the least."""
    tile = structure("glyphs", 1000, 256).clean
    image = record(np.tile(tile, (size // 256, size // 256)), 200, 0)
    best = dict.fromkeys(METHODS, np.inf)
    for _ in range(rounds):
        for name, method in METHODS.items():
            if "200" not in name:
                seconds = cpu_seconds(lambda method=method: method(image))
                best[name] = min(best[name], seconds)
    reference = best["RL, 50 plain iterations"]
    return [
        [name, f"{seconds:.2f}", f"{reference / seconds:.1f}×"]
        for name, seconds in best.items()
        if np.isfinite(seconds) and name != "input"
    ]


def peak_memory_mib(name: str, size: int) -> int:
    """Return the most memory of a process that runs one stage on size² pixels."""
    code = (
        "import resource, numpy, torch; torch.set_num_threads(1)\n"
        "from napari_dps.core import *\n"
        "from napari_dps.stages.dps import *\n"
        f"data = numpy.random.default_rng(0).poisson(20, ({size}, {size}))\n"
        "optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=65)\n"
        "image = ImageStack(data.astype('float32'), 'YX', 65, optics=optics)\n"
        f"finish(STAGE.run(image, DpsParameters(method={name!r}, strength=0)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def report(seeds: int) -> str:
    """Run everything and write the page."""
    rows = [quality(name, method, seeds) for name, method in METHODS.items()]
    levels = [f"{photons} photons" for photons in LEVELS]
    separations = [
        f"{kind}, {photons} photons, nm"
        for photons in LEVELS[1:]
        for kind in ("lines", "points")
    ]
    memory = [
        [f"`{name}`", str(peak_memory_mib(name, 2048))] for name in ("rl", "sparse")
    ]
    likenesses = table(["method", *levels], [row[0] for row in rows])
    trust = ["noise", "1:20", "noise alone", "constant"]
    resolutions = table(["method", *separations, *trust], [row[1] for row in rows])
    return f"""# Super-resolution

`python benchmarks/dps.py --out docs/benchmarks/dps.md`

Simulated images with exact truth at an effective NA of 3, 488 nm and pixels of 32.5 nm
(PSF 83.7 nm wide), with photon noise on an even background of {100 * BACKGROUND:g} %
of the peak. Photons are those of the brightest structure (99.9th percentile). Every
method knows the PSF.

PSNR in dB / SSIM / gain of the Fourier ring correlation with the truth (frequency where
it falls below 1/2, over the input's), on the 2× grid against the truth under a PSF of
half the width, after a fit of scale and offset. Means over
{", ".join(CLASSES).replace("_", " ")} and {seeds} fields of 128² each.

{likenesses}

Separation of two lines or points at a dip of 26 % in the mean profile of 20 pairs at
random places and directions; noise (std/mean) of the result on an even background of 10
photons in an image of 200; what is left of a brightness ratio of 1:20, times 20;
largest value that comes out of an even field of 5 photons, in shares of 200; greatest
deviation of the result of a constant image.

{resolutions}

Time for 512² to 1024² pixels: CPU seconds of one thread, the least of three runs in
turns.

{table(["method", "seconds", "against RL 50"], speed())}

Most memory of a process on 2048² pixels, in MiB (Python and torch alone take about
300):

{table(["method", "MiB"], memory)}

{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}.
"""


def main() -> None:
    """Print the report, and write it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--seeds", type=int, default=3, help="fields of each structure")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = report(options.seeds)
    print(text)
    if options.out is not None:
        partial = options.out.with_suffix(".part")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, options.out)


if __name__ == "__main__":
    main()
