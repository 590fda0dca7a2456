"""How `benchmarks/dps.py` scores a method: scenes with exact truth, and the measures.

Everything at the canonical sampling: NA_eff 3, 488 nm, pixels of 32.5 nm, a PSF of
83.7 nm. A method is a function from an `ImageStack` (YX) to one on the 2× grid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from napari_dps.core import ImageStack, Optics
from napari_dps.metrics.frc import ring_correlation
from napari_dps.metrics.reference import fit_intensity, nrmse, psnr_db, ssim
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.simulate import blur_truth

Image = NDArray[np.float32]
Method = Callable[[ImageStack], ImageStack]
Candidates = Callable[[ImageStack], dict[str, Image]]
"""Results of one method on the 2× grid, by the setting that gave each."""

OPTICS = Optics(na=1.5, emission_nm=488, pixel_size_nm=32.5, modulation_factor=2)
FINE = 8
"""Fine pixels of the object along a pixel of the image."""
FINE_NM = OPTICS.pixel_size_nm / FINE
MARGIN_PX = 16
BACKGROUND = 0.02
"""Even background, as a share of the brightest structure."""
CLASSES = ("nuclear_pores", "mitochondria", "glyphs")
"""Held out of every training."""
CELL_PX = 48
DRAWS = (5, 4)
"""Pairs are drawn in a raster of 5 × 4 cells."""
DIP = 0.26
FRC_LEVELS = (0.5, 1 / 7)
"""Of the FRC with the noise-free truth. 1/2 is what 1/7 is between two noisy images
(Rosenthal, Henderson 2003, doi:10.1016/j.jmb.2003.07.013)."""


class Scene(NamedTuple):
    """Expected photons over the brightest (peak 1), and the emitters on the 2× grid."""

    clean: Image
    truth: ImageStack


def canonical_microscope(shape: tuple[int, int]) -> Microscope:
    """Return the imaging of objects of a fine shape at an effective NA of 3."""
    # `Microscope` knows the NA alone: half the wavelength is twice the NA.
    optics = Optics(na=1.5, emission_nm=244, pixel_size_nm=OPTICS.pixel_size_nm)
    return Microscope(optics, shape, FINE, (0, 0))


def scene(emitters: Image, margin_px: int = 0) -> Scene:
    """Image emitters on the fine grid without noise; the 99.9th percentile is 1."""
    microscope = canonical_microscope(emitters.shape)
    clean = microscope.image(microscope.order(emitters, (0.0, 0.0)))
    half = FINE // 2
    rows, columns = (side // half for side in emitters.shape)
    truth = emitters.reshape(rows, half, columns, half).sum(axis=(1, 3))
    inner = slice(margin_px, -margin_px or None)
    clean = clean[inner, inner]
    inner = slice(2 * margin_px, -2 * margin_px or None)
    scale = np.float32(1 / max(np.percentile(clean, 99.9), clean.max() / 4))
    stack = ImageStack(
        4 * scale * truth[inner, inner],
        "YX",
        pixel_size_nm=OPTICS.pixel_size_nm / 2,
        optics=OPTICS.at_pixel_size(OPTICS.pixel_size_nm / 2),
    )
    return Scene(np.maximum(clean * scale, 0) + np.float32(BACKGROUND), stack)


@cache
def structure(name: str, seed: int, size: int = 128) -> Scene:
    """Draw a structure in a field of size × size pixels."""
    side = (size + 2 * MARGIN_PX) * FINE
    emitters = phantom(name, (side, side), pixel_size_nm=FINE_NM, seed=seed)  # type: ignore[arg-type]
    return scene(emitters, MARGIN_PX)


def record(clean: Image, photons: float, seed: int) -> ImageStack:
    """Return photon counts; noise-free for infinite photons."""
    data = clean
    if np.isfinite(photons):
        rng = np.random.default_rng([seed, 7])
        data = rng.poisson(clean * photons).astype(np.float32)
    pixel_nm = OPTICS.pixel_size_nm
    return ImageStack(data, "YX", pixel_size_nm=pixel_nm, optics=OPTICS)


def half_width(truth: ImageStack) -> Image:
    """Return the truth under a PSF of half the width."""
    return blur_truth(truth, modulation_factor=4).data.astype(np.float32)


class Likeness(NamedTuple):
    """Means over all fields; of several candidates the best of each."""

    psnr_db: float
    ssim: float
    frc_gain: float
    frc_gain_1_7: float
    nrmse: float


def likeness(method: Method | Candidates, photons: float, seeds: int) -> Likeness:
    """Score a method, or each of its candidates, on every class and seed."""
    scores = []
    for name in CLASSES:
        for seed in range(seeds):
            drawn = structure(name, 1000 + seed)
            image = record(drawn.clean, photons, seed)
            target = half_width(drawn.truth)
            results = method(image)
            if isinstance(results, ImageStack):
                results = {"": results.data}
            before = [frc_cutoff(enlarged(image), target, c) for c in FRC_LEVELS]
            scores.append([score(r, target, before) for r in results.values()])
    means = np.mean(scores, axis=0)
    return Likeness(*map(float, [*means[:, :4].max(axis=0), means[:, 4].min()]))


def score(
    result: Image, target: Image, before: list[float]
) -> tuple[float, float, float, float, float]:
    """Return the scores of one result; ``before`` are the input's FRC cut-offs."""
    fitted = fit_intensity(result, target)
    span = float(np.ptp(target))
    gains = [
        frc_cutoff(fitted, target, level) / known
        for level, known in zip(FRC_LEVELS, before, strict=True)
    ]
    return (
        psnr_db(fitted, target, span),
        ssim(fitted, target, span),
        gains[0],
        gains[1],
        nrmse(fitted, target),
    )


def frc_cutoff(image: Image, target: Image, level: float) -> float:
    """Return the frequency at which the FRC with the truth falls below a level."""
    curve = ring_correlation(image, target)
    below = np.flatnonzero(curve.correlation < level)
    return float(curve.frequency_per_pixel[below[0] if len(below) else -1])


def enlarged(image: ImageStack) -> Image:
    """Interpolate the input itself on the 2× grid, pixel areas aligned."""
    return zoom(image.data, 2, order=3, mode="grid-mirror", grid_mode=True)


class Pairs(NamedTuple):
    """A field of pairs: its scene, and centres and unit vectors across, in pixels."""

    scene: Scene
    centres_px: NDArray[np.float64]
    across: NDArray[np.float64]


@cache
def pairs(kind: str, separation_nm: float) -> Pairs:
    """Draw 20 pairs of lines or points at random directions and sub-pixel places."""
    rng = np.random.default_rng(5)
    cell_nm = CELL_PX * OPTICS.pixel_size_nm
    shape = tuple(cells * CELL_PX * FINE for cells in DRAWS)
    canvas = Canvas((shape[0], shape[1]), FINE_NM, rng, separation_nm)
    raster = np.stack(np.meshgrid(*(np.arange(n) for n in DRAWS), indexing="ij"), -1)
    centres = (raster.reshape(-1, 2) + 0.5) * cell_nm
    centres += rng.uniform(-0.5, 0.5, centres.shape) * OPTICS.pixel_size_nm
    turn = rng.uniform(0, np.pi, len(centres))
    across = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
    along = np.stack([-across[:, 1], across[:, 0]], axis=-1)
    reach = np.linspace(-550, 550, 551) if kind == "line" else np.zeros(1)
    middle = centres[:, None] + reach[:, None] * along[:, None]
    for side in (-0.5, 0.5):
        canvas.add(middle + side * separation_nm * across[:, None])
    drawn = scene(canvas.image())
    # 99.9 % of a nearly empty field is dark: here the peak is 1.
    peak = np.float32(1 / (drawn.clean.max() - BACKGROUND))
    clean = (drawn.clean - np.float32(BACKGROUND)) * peak + np.float32(BACKGROUND)
    truth = drawn.truth.derive(drawn.truth.data * peak)
    return Pairs(Scene(clean, truth), centres / OPTICS.pixel_size_nm, across)


def dip(result: ImageStack, field: Pairs, kind: str, separation_nm: float) -> float:
    """Return the depth of the valley in the mean profile across all pairs.

    1 − middle/peaks, peaks the greater values on either side.
    """
    pixel_nm = OPTICS.pixel_size_nm / 2
    offsets = np.arange(-1.5 * separation_nm - 30, 1.5 * separation_nm + 31, 2.0)
    reach = np.arange(-400, 401, 10.0) if kind == "line" else np.zeros(1)
    along = np.stack([-field.across[:, 1], field.across[:, 0]], axis=-1)
    places = (
        2 * field.centres_px[:, None, None]
        + offsets[:, None, None] / pixel_nm * field.across[:, None, None]
        + reach[:, None] / pixel_nm * along[:, None, None]
    ) - 0.5
    values = map_coordinates(result.data, np.moveaxis(places, -1, 0), order=3)
    profile = values.mean(axis=(0, 2))
    profile -= np.median(result.data)
    left, right = profile[offsets < 0].max(), profile[offsets > 0].max()
    return float(1 - profile[np.argmin(np.abs(offsets))] / ((left + right) / 2))


def resolved_nm(method: Method, kind: str, photons: float) -> float:
    """Return the least separation at which the dip is 26 %, or NaN."""
    grid = np.arange(40.0, 129.0, 8.0)
    dips = []
    for separation in grid:
        field = pairs(kind, float(separation))
        result = method(record(field.scene.clean, photons, int(separation)))
        dips.append(dip(result, field, kind, float(separation)))
    below = [i for i, value in enumerate(dips) if value < DIP]
    if not below or below[-1] + 1 == len(grid):
        return float("nan")
    last = below[-1]
    share = (DIP - dips[last]) / (dips[last + 1] - dips[last])
    return float(grid[last] + share * (grid[last + 1] - grid[last]))


def flat_cv(method: Method) -> float:
    """Return std/mean of the result on an even background of 10 photons.

    The other half of the field holds glyphs of 200 photons.
    """
    clean = structure("glyphs", 1000).clean.copy()
    clean[:, 64:] = 0.05
    flat = method(record(clean, 200, 3)).data[16:-16, 152:-16]
    return float(flat.std() / flat.mean())


def intensity_ratio(method: Method) -> float:
    """Return what is left of 1/20 between two far halves of equal glyphs, times 20.

    At 2000 photons in the brighter half; 1 is linear.
    """
    clean = structure("glyphs", 1000).clean - np.float32(BACKGROUND)
    both = np.concatenate([clean, clean / 20], axis=1) + np.float32(BACKGROUND)
    result = method(record(both, 2000, 0)).data
    result = result - np.median(result)
    # The light in the same places, blurred a little: what leaks out belongs to it.
    mask = enlarged(record(clean, np.inf, 0)) > 0.05
    left, right = np.split(result, 2, axis=1)
    return float(20 * right[mask].sum() / left[mask].sum())


def noise_peak(method: Method, photons: float = 5.0, size: int = 128) -> float:
    """Return the largest value above the mean that comes out of noise alone.

    An even field of 5 photons, in shares of the 200 photons of an image with signal.
    """
    image = record(np.ones((size, size), np.float32), photons, 9)
    result = method(image).data
    return float((result.max() - result.mean()) / 200)


def flatness(method: Method) -> float:
    """Return the greatest relative deviation of the result of a constant image."""
    image = record(np.full((96, 80), 100, np.float32), np.inf, 0)
    return float(np.abs(method(image).data / 100 - 1).max())
