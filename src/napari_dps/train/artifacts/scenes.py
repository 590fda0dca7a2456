"""Objects under a microscope, for pairs of reconstructions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from pydantic import Field

from napari_dps.core import Optics, Pattern
from napari_dps.core.params import FrozenModel
from napari_dps.methods.dps.optics import RECONSTRUCTION_WIDTH
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.sim.wiener_weights import WienerSettings
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.train.artifacts.faults import draw_ratio
from napari_dps.train.objects import draw_class, load_objects

Image = NDArray[np.float32]

REAL = "real"
"""Structure of an object that was taken from a real image."""
MARGIN_PX = 16
"""Camera pixels of the object beyond the frame."""
SPARE_PX = 8
"""Pixels of the result that the field may be moved by."""
_ATTEMPTS = 10
_LEAST_BRIGHT = 0.3
"""Of a piece of a real image, over the maximum of the image: else another is cut."""
_NA, _EMISSION_NM = 1.4, 525.0
"""Only ratios to the cut-off matter, so one lens serves for all."""


class PairSettings(FrozenModel):
    """What pairs are drawn from; ranges are uniform, of light and ratios logarithmic.

    Attributes
    ----------
    fields, variants : int
        Objects, and reconstructions of each.
    field_px : int
        Edge of the pairs at canonical sampling.
    seed : int
        Same seed, same pairs.
    real : float
        Share of objects that are real images, if there are any.
    clean : float
        Share of variants without any artefact.
    second, third : float
        Chance of a second and a third kind of artefact.
    sampling : (float, float)
        Cut-off of the lens in cycles per camera pixel.
    wavevector : (float, float)
        Finest stripes over the cut-off.
    modulation : (float, float)
        True modulation depth.
    photons : (float, float)
        Where noise is not the artefact.
    five_phases : float
        Share of stacks with five phases and two orders.
    haze : float
        Share of objects with out-of-focus light.
    planted : float
        Share of objects with isolated points added and gaps cut.
    """

    fields: int = Field(default=1200, ge=1)
    variants: int = Field(default=3, ge=1)
    field_px: int = Field(default=112, ge=32)
    seed: int = 1
    real: float = Field(default=0.25, ge=0, le=1)
    clean: float = Field(default=0.2, ge=0, le=1)
    second: float = Field(default=0.45, ge=0, le=1)
    third: float = Field(default=0.3, ge=0, le=1)
    sampling: tuple[float, float] = (0.32, 0.48)
    wavevector: tuple[float, float] = (0.65, 1.1)
    modulation: tuple[float, float] = (0.25, 0.95)
    photons: tuple[float, float] = (300, 10000)
    five_phases: float = Field(default=0.15, ge=0, le=1)
    haze: float = Field(default=0.5, ge=0, le=1)
    planted: float = Field(default=0.3, ge=0, le=1)


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """An object under a microscope.

    Attributes
    ----------
    emitters : array (Y, X)
        On the fine grid, with its margin.
    settings : SimulationSettings
        Lens, camera and patterns; light is set by the faults.
    patterns : tuple of Pattern
        The true ones.
    wiener : WienerSettings
        Of the right reconstruction.
    structure : str
        What it is.
    """

    emitters: Image
    settings: SimulationSettings
    patterns: tuple[Pattern, ...]
    wiener: WienerSettings
    structure: str

    @property
    def effective_optics(self) -> Optics:
        """Optics of the reconstruction on the 2× grid, as the stage assumes them."""
        optics = self.settings.optics
        order = self.patterns[0].orders[-1]
        finest = optics.cutoff_period_nm / (order.period_nm or math.inf)
        return optics.at_pixel_size(optics.pixel_size_nm / 2).model_copy(
            update={"modulation_factor": RECONSTRUCTION_WIDTH * (1 + finest)}
        )

    @property
    def edge_per_px(self) -> float:
        """Finest frequency of the reconstruction, cycles per pixel of the 2× grid."""
        optics = self.settings.optics
        period_nm = self.patterns[0].orders[-1].period_nm or math.inf
        finest_per_nm = 1 / optics.cutoff_period_nm + 1 / period_nm
        return optics.pixel_size_nm / 2 * finest_per_nm


def draw_scene(
    settings: PairSettings,
    rng: np.random.Generator,
    *,
    structure: StructureId | None = None,
    objects: Path | None = None,
) -> Scene:
    """Draw an object and a microscope.

    Parameters
    ----------
    settings : PairSettings
        Ranges.
    rng : numpy.random.Generator
        Is used up.
    structure : str, optional
        The phantom; else drawn from the training classes and the real images.
    objects : Path, optional
        Folder of real images.

    Returns
    -------
    Scene
    """
    stack = _draw_microscope(settings, rng)
    fine = stack.oversampling
    side = fine * (stack.height_px + 2 * MARGIN_PX)
    fine_nm = stack.pixel_size_nm / fine
    if structure is None and objects and rng.random() < settings.real:
        images = load_objects(objects, "train")
        name = REAL
        emitters = enlarge_object(images[rng.integers(len(images))], side, rng)
    else:
        name = structure or draw_class(rng)
        emitters = phantom(
            name,
            (side, side),
            pixel_size_nm=fine_nm / rng.uniform(0.8, 1.6),
            seed=rng,
            separation_nm=rng.uniform(60, 200),
        )
    if rng.random() < settings.planted:
        emitters = plant(emitters, rng, stack.optics.cutoff_period_nm / 2 / fine_nm)
    return Scene(
        emitters,
        stack,
        draw_patterns(stack, rng),
        WienerSettings(wiener_parameter=draw_ratio(rng, 0.02, 0.06)),
        name,
    )


def plant(emitters: Image, rng: np.random.Generator, resolved_px: float) -> Image:
    """Add isolated points and cut gaps, so that neither are taken for artefacts.

    Parameters
    ----------
    emitters : array (Y, X)
        The object, maximum 1.
    rng : numpy.random.Generator
        Is used up.
    resolved_px : float
        What the reconstruction resolves, in pixels of the object.

    Returns
    -------
    array (Y, X), float32
    """
    side = len(emitters)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    planted = emitters.copy()
    for _ in range(int(rng.integers(3, 12))):
        at = rng.uniform(0, side, size=2)
        radius = resolved_px * rng.uniform(0.4, 1.5)
        planted *= 1 - np.exp(
            -((((y - at[0]) ** 2 + (x - at[1]) ** 2) / radius**2) ** 2)
        )
    light = float(emitters.sum()) / side**2 * resolved_px**2
    for _ in range(int(rng.integers(3, 15))):
        row, column = rng.integers(0, side, size=2)
        planted[row, column] += light * draw_ratio(rng, 1, 20)
    return np.asarray(planted / planted.max(), dtype=np.float32)


def enlarge_object(image: Image, side: int, rng: np.random.Generator) -> Image:
    """Cut a piece of a real image, turn it and enlarge it to a side in fine pixels."""
    piece = min(round(side / rng.uniform(0.8, 1.6)), *image.shape)
    for _ in range(_ATTEMPTS):
        row, column = (int(rng.integers(0, n - piece + 1)) for n in image.shape)
        cut = image[row : row + piece, column : column + piece]
        if np.percentile(cut, 98) > _LEAST_BRIGHT:
            break
    cut = np.rot90(cut, int(rng.integers(4)))
    large = scipy.ndimage.zoom(
        cut, side / piece, order=1, grid_mode=True, mode="mirror"
    )
    above = np.maximum(large[:side, :side] - np.percentile(large, 5), 0)
    return np.asarray(above / max(float(above.max()), 1e-9) + 1e-6, dtype=np.float32)


def _draw_microscope(
    settings: PairSettings, rng: np.random.Generator
) -> SimulationSettings:
    cutoff = rng.uniform(*settings.sampling)
    finest = rng.uniform(*settings.wavevector)
    zoom = cutoff / 2 * RECONSTRUCTION_WIDTH * (1 + finest) / CANONICAL_CUTOFF_PER_PIXEL
    side = math.ceil((settings.field_px + SPARE_PX + 1) / zoom / 2)
    five = rng.random() < settings.five_phases
    lens_nm = _EMISSION_NM / 2 / _NA
    depth = rng.uniform(*settings.modulation)
    return SimulationSettings(
        height_px=side,
        width_px=side,
        na=_NA,
        emission_nm=_EMISSION_NM,
        pixel_size_nm=cutoff * lens_nm,
        phases=5 if five else 3,
        orders=2 if five else 1,
        period_nm=lens_nm / finest * (2 if five else 1),
        first_angle_deg=rng.uniform(0, 180),
        modulation=0.6 if five else depth,
        second_modulation=min(max(depth / 2, 0.1), 0.4),
        haze_blur_nm=rng.uniform(300, 900),
        read_noise_e=rng.uniform(0.5, 2.5),
        oversampling=4 if cutoff > 0.4 else 2,
    )
