"""What `benchmarks/dps.py` compares: the stage, and its peers at their best.

A peer that has a free parameter is given the truth: every candidate is scored, and of
each score the best is taken.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import numpy as np
import scipy.fft
import skimage.restoration
import torch
from dps_protocol import OPTICS, Candidates, Image, Method, enlarged

from napari_dps.core import ImageStack, InputError, Optics, finish
from napari_dps.core.context import Context
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS
from napari_dps.nets.checkpoint import shipped_weights
from napari_dps.physics.deconvolution.model import ImagingModel
from napari_dps.physics.deconvolution.richardson_lucy import (
    richardson_lucy_depths_steps,
)
from napari_dps.physics.otf import otf_2d
from napari_dps.stages.dps import STAGE, DpsParameters, inspect

RL_DEPTHS = (5, 10, 20, 30, 40, 50, 70, 100, 140, 200)
SPARSE_STRENGTHS = (0.2, 0.35, 0.5, 0.65, 0.8)
WIENER_BALANCES = tuple(float(b) for b in np.geomspace(1e-4, 1, 9))
PAD_PX = 16
PSF_SIDE_PX = 65


def stage(**parameters: object) -> Method:
    """Return the stage with some parameters, its look at the PSF included."""
    chosen = DpsParameters(**parameters)  # type: ignore[arg-type]
    context = Context("cpu")

    def method(image: ImageStack) -> ImageStack:
        prepared = finish(inspect(image, chosen, context))
        return finish(STAGE.run(prepared, chosen, context))

    return method


def interpolation(image: ImageStack) -> ImageStack:
    """Return the input itself on the 2× grid."""
    return image.derive(enlarged(image), pixel_size_nm=OPTICS.pixel_size_nm / 2)


@cache
def _model(shape: tuple[int, int], cutoff_per_pixel: float) -> ImagingModel:
    return ImagingModel(shape, cutoff_per_pixel, torch.device("cpu"))


def richardson_lucy_candidates(
    image: ImageStack, depths: tuple[int, ...] = RL_DEPTHS
) -> dict[str, Image]:
    """Return classic Richardson–Lucy, not accelerated, after 5 to 200 iterations."""
    optics = image.require_optics("benchmark")
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    data = torch.from_numpy(np.array(image.data, dtype=np.float32))
    model = _model((image.shape[0], image.shape[1]), cutoff)
    steps = richardson_lucy_depths_steps(data, model, depths, accelerate=False)
    results = zip(depths, finish(steps), strict=True)
    return {f"{depth} iterations": thing.numpy() for depth, thing in results}


def plain_richardson_lucy(iterations: int) -> Method:
    """Return classic Richardson–Lucy of some iterations."""

    def method(image: ImageStack) -> ImageStack:
        (result,) = richardson_lucy_candidates(image, (iterations,)).values()
        return image.derive(result, pixel_size_nm=OPTICS.pixel_size_nm / 2)

    return method


def sparse_candidates(image: ImageStack) -> dict[str, Image]:
    """Return sparse–Hessian deconvolution at every strength."""
    return {
        f"strength {strength:g}": stage(method="sparse", strength=strength)(image).data
        for strength in SPARSE_STRENGTHS
    }


@cache
def fine_psf(optics: Optics) -> Image:
    """Return the PSF and the camera's pixel on the 2× grid, of sum 1."""
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor / 2
    shape = (PSF_SIDE_PX, PSF_SIDE_PX)
    pixel = np.cos(np.pi * np.fft.fftfreq(PSF_SIDE_PX))
    otf = otf_2d(shape, cutoff) * np.outer(pixel, pixel)
    psf = scipy.fft.fftshift(scipy.fft.ifft2(otf).real)
    return np.asarray(psf / psf.sum(), dtype=np.float32)


def wiener_candidates(image: ImageStack) -> dict[str, Image]:
    """Return scikit-image's Wiener filter of the interpolated image."""
    psf = fine_psf(image.require_optics("benchmark"))
    fine = np.pad(enlarged(image), PAD_PX, mode="reflect")
    inner = slice(PAD_PX, -PAD_PX)
    filtered = {
        f"balance {balance:.3g}": skimage.restoration.wiener(
            fine, psf, balance, clip=False
        )[inner, inner]
        for balance in WIENER_BALANCES
    }
    return {name: np.asarray(x, dtype=np.float32) for name, x in filtered.items()}


def usual_richardson_lucy(image: ImageStack) -> ImageStack:
    """Return scikit-image's Richardson–Lucy, 50 iterations on the interpolated grid."""
    fine = np.maximum(enlarged(image), 0)
    psf = fine_psf(image.require_optics("benchmark"))
    scale = float(fine.max())
    result = skimage.restoration.richardson_lucy(fine / scale, psf, 50, clip=False)
    return image.derive(scale * result, pixel_size_nm=OPTICS.pixel_size_nm / 2)


def networks() -> dict[str, Method]:
    """Return the network at three strengths, and by its other weights if shipped."""
    methods = {
        "**`network`** (default, `oriented`)": stage(),
        "`network`, strength 0.25": stage(strength=0.25),
        "`network`, strength 0.75": stage(strength=0.75),
    }
    for name in SHIPPED_WEIGHTS[1:]:
        with suppress(InputError):  # not shipped
            shipped_weights(f"dps-{name}")
            methods[f"`network`, weights `{name}`"] = stage(weights=name)
    return methods


LIKENESS: dict[str, Method | Candidates] = {
    "input, interpolated": interpolation,
    "Wiener, best parameter": wiener_candidates,
    "RL, best of 5 to 200 iterations": richardson_lucy_candidates,
    "`sparse`, best strength": sparse_candidates,
    "`rl`": stage(method="rl"),
    "`sparse`": stage(method="sparse"),
    **networks(),
}
"""Rows of the tables of likeness."""

METHODS: dict[str, Method] = {
    "input, interpolated": interpolation,
    "RL, 50 iterations": plain_richardson_lucy(50),
    "RL, 200 iterations": plain_richardson_lucy(200),
    "`rl`": stage(method="rl"),
    "`sparse`": stage(method="sparse"),
    "`sparse`, strength 0.75": stage(method="sparse", strength=0.75),
    **networks(),
}
"""Rows of the tables of resolution and trust."""
