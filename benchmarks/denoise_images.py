"""SIM images of whole ways from raw frames, for the benchmark of denoising."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from denoise_protocol import METHODS, Scene, scene
from matplotlib.figure import Figure
from numpy.typing import NDArray
from peer import on_our_grid, peer_with

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.metrics.decorrelation import decorrelation
from napari_dps.metrics.reference import fit_intensity, fit_radial_gain, nrmse
from napari_dps.metrics.snr import snr_reference_db
from napari_dps.physics.simulate import blur_truth
from napari_dps.stages import artifacts, denoise, reconstruct
from napari_dps.stages.artifacts import ArtifactsParameters
from napari_dps.stages.denoise import DenoiseParameters
from napari_dps.stages.reconstruct import ReconstructParameters

REFERENCE_FACTOR = 1.9
"""Modulation factor of the PSF through which the truth is seen."""

Image = NDArray[np.float32]


def peer_image(name: str) -> Callable[[ImageStack], Image]:
    """Reconstruct frames denoised by a method by napari-sim-processor."""

    def run(stack: ImageStack) -> Image:
        frames = METHODS[name](stack)
        peer = peer_with(stack.patterns, frames, stack.require_optics("the peer"))
        image = np.squeeze(peer.reconstruct_rfftw(frames.reshape(-1, *stack.shape[2:])))
        return on_our_grid(image)

    return run


def our_image(
    name: str, *, method: str = "wiener", remover: bool = False
) -> Callable[[ImageStack], Image]:
    """Denoise by a method, reconstruct by the stage, and remove artefacts if wanted."""

    def run(stack: ImageStack) -> Image:
        context = Context("cpu")
        if name == "**denoise**":
            stack = finish(denoise.STAGE.run(stack, DenoiseParameters(), context))
        else:
            stack = replace(stack, data=METHODS[name](stack))
        chosen = ReconstructParameters(method=method)
        image = finish(reconstruct.STAGE.run(stack, chosen, context))
        if remover:
            image = finish(artifacts.STAGE.run(image, ArtifactsParameters(), context))
        return image.data

    return run


WAYS: dict[str, Callable[[ImageStack], Image]] = {
    "napari-sim-processor": peer_image("none"),
    "Gaussian, napari-sim-processor": peer_image("Gaussian, σ 1 px"),
    "NLM, napari-sim-processor": peer_image("NLM (scikit-image)"),
    "denoise, napari-sim-processor": peer_image("**denoise**"),
    "reconstruct": our_image("none"),
    "Gaussian, reconstruct": our_image("Gaussian, σ 1 px"),
    "NLM, reconstruct": our_image("NLM (scikit-image)"),
    "**denoise, reconstruct**": our_image("**denoise**"),
    "**denoise, reconstruct, artifacts**": our_image("**denoise**", remover=True),
    "**reconstruct, network**": our_image("none", method="network"),
    "**denoise, reconstruct, network**": our_image("**denoise**", method="network"),
    "**denoise, reconstruct, network, artifacts**": our_image(
        "**denoise**", method="network", remover=True
    ),
}


def image_scores(image: Image, one: Scene) -> tuple[float, float, float, float]:
    """Return NRMSE, the same after a radial gain fit, SNR (dB), resolution (nm)."""
    truth = blur_truth(one.truth, modulation_factor=REFERENCE_FACTOR).data
    inner = (slice(16, -16), slice(16, -16))
    wanted = truth[inner]
    fitted = fit_intensity(image[inner], wanted)
    found = decorrelation(image).resolution_nm(one.raw.pixel_size_nm / 2)
    resolution = float("nan") if found is None else found
    filtered = fit_radial_gain(image[inner], wanted)
    return (
        nrmse(fitted, wanted),
        nrmse(filtered, wanted),
        snr_reference_db(fitted, wanted),
        resolution,
    )


def image_rows(
    classes: tuple[str, ...], levels: tuple[int, ...], seeds: int
) -> list[list[str]]:
    """Return the way and the means of `image_scores` at all levels."""
    rows = []
    for name, way in WAYS.items():
        scores = []
        for photons in levels:
            scenes = [scene(c, photons, s) for c in classes for s in range(seeds)]
            rated = np.array([image_scores(way(one.raw), one) for one in scenes])
            scores.append([*rated[:, :3].mean(axis=0), np.nanmedian(rated[:, 3])])
        forms = (".3f", ".3f", ".1f", ".0f")
        cells = [
            " ".join(format(value, form) for value in column)
            for form, column in zip(forms, np.transpose(scores), strict=True)
        ]
        rows.append([name, *cells])
    return rows


def picture(path: Path, classes: tuple[str, ...], levels: tuple[int, ...]) -> None:
    """Draw the images of some ways beside the truth, one row a class and level."""
    shown = {
        "napari-sim-processor": "napari-sim-processor",
        "Wiener": "reconstruct",
        "denoise, Wiener": "**denoise, reconstruct**",
        "network": "**reconstruct, network**",
    }
    rows = [(name, photons) for name in classes for photons in levels]
    columns = ["widefield", *shown, "truth"]
    figure = Figure(
        figsize=(2.2 * len(columns), 2.35 * len(rows)), layout="constrained"
    )
    grid = figure.subplots(len(rows), len(columns), squeeze=False)
    for line, (structure, photons) in zip(grid, rows, strict=True):
        one = scene(structure, photons, 0)
        images = [one.raw.data.mean(axis=(0, 1))]
        images += [WAYS[way](one.raw) for way in shown.values()]
        images.append(blur_truth(one.truth, modulation_factor=REFERENCE_FACTOR).data)
        for axes, name, image in zip(line, columns, images, strict=True):
            low, high = np.percentile(image, (1, 99.7))
            axes.imshow(image, cmap="gray", vmin=low, vmax=high)
            axes.set_title(name if axes in grid[0] else "", fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        label = f"{structure.replace('_', ' ')}, {photons} photons"
        line[0].set_ylabel(label, fontsize=9)
    figure.savefig(path, dpi=90)
