"""Pairs of reconstructions of one object: with artefacts, and as it should be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_dps.core import Optics, Pattern
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, to_canonical
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.separate import mixing_matrix
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.sim.wiener_weights import WienerSettings
from napari_dps.physics.simulate import draw_patterns, simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.stages.dps import RECONSTRUCTION_WIDTH
from napari_dps.train.objects import load_objects
from napari_dps.train.simulation import TRAINING_CLASSES

Image = NDArray[np.float32]

_ATTEMPTS = 10
_LEAST_BRIGHT = 0.3
"""Of a piece of a real image, over the maximum of the image: else another is cut."""

REAL = "real"
"""Structure of an object that was taken from a real image."""
_WORST_CONDITION = 12.0
"""Condition number of the mixing matrix of wrong phases; 1.4 for the right ones."""
_MARGIN_PX = 16
"""Camera pixels of the object beyond the frame."""
_SPARE_PX = 8
"""Pixels of the result that the field may be moved by."""
_NA, _EMISSION_NM = 1.4, 525.0
"""Only ratios to the cut-off matter, so one lens serves for all."""


class PairSettings(BaseModel):
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

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

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


@dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with a stack and its reconstruction.

    Attributes
    ----------
    photons : float
        At the 99.9th percentile; infinite: no noise.
    wiener_ratio : float
        Wiener parameter over a sensible one.
    adapts : bool
        Whether the Wiener parameter follows the measured noise.
    phase_deg : float
        Standard deviation of the error of the phases.
    wave_bins : float
        Error of the wave vectors: stripes too many over the field.
    modulation_ratio : float
        Assumed modulation depth over the true one.
    haze, attenuation : float
        Out-of-focus light and how far it is suppressed.
    motion : float
        Move from frame to frame over the period of the cut-off.
    bleaching, jitter : float
        Loss of light from frame to frame, and its random changes; not equalised.
    smoothing_px : float
        Gaussian blur of the frames, as after a denoiser that smooths.
    cutoff_ratio : float
        Assumed cut-off of the lens over the true one.
    is_swapped : bool
        Whether two frames of an angle changed places.
    """

    photons: float = math.inf
    wiener_ratio: float = 1.0
    adapts: bool = False
    phase_deg: float = 0.0
    wave_bins: float = 0.0
    modulation_ratio: float = 1.0
    haze: float = 0.0
    attenuation: float = 0.9
    motion: float = 0.0
    bleaching: float = 0.0
    jitter: float = 0.0
    smoothing_px: float = 0.0
    cutoff_ratio: float = 1.0
    is_swapped: bool = False


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return float(math.exp(rng.uniform(math.log(low), math.log(high))))


def _either(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a ratio between low and high, or one over it."""
    ratio = _log(rng, low, high)
    return ratio if rng.random() < 0.5 else 1 / ratio


Kind = Callable[[Faults, np.random.Generator], Faults]

KINDS: dict[str, Kind] = {
    "noise": lambda f, g: replace(f, photons=_log(g, 8, 200)),
    "wiener": lambda f, g: replace(
        f, photons=min(f.photons, _log(g, 50, 2000)), wiener_ratio=_log(g, 0.003, 0.15)
    ),
    "phase": lambda f, g: replace(f, phase_deg=g.uniform(5, 45)),
    "wave_vector": lambda f, g: replace(f, wave_bins=g.uniform(0.3, 2)),
    "modulation": lambda f, g: replace(f, modulation_ratio=_either(g, 1.6, 5)),
    "haze": lambda f, g: replace(
        f, haze=g.uniform(0.3, 0.8), attenuation=g.uniform(0, 0.6)
    ),
    "motion": lambda f, g: replace(f, motion=_log(g, 0.05, 0.35)),
    "intensity": lambda f, g: replace(
        f, bleaching=g.uniform(0, 0.08), jitter=g.uniform(0.05, 0.3)
    ),
    "smoothed": lambda f, g: replace(
        f, photons=min(f.photons, _log(g, 20, 500)), smoothing_px=g.uniform(0.6, 1.3)
    ),
}
"""Artefacts that are trained on: each adds a fault."""

HELD_OUT_KINDS: dict[str, Kind] = {
    "optics": lambda f, g: replace(f, cutoff_ratio=_either(g, 1.12, 1.3)),
    "swapped": lambda f, _: replace(f, is_swapped=True),
}
"""Artefacts that are never trained on."""

HELD_OUT_MIXTURES: tuple[tuple[str, str], ...] = (
    ("phase", "noise"),
    ("haze", "motion"),
    ("intensity", "wiener"),
)
"""Artefacts that are never trained on together."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """One field, in counts, at canonical sampling.

    Attributes
    ----------
    image, target : array (Y, X), float32
        Reconstruction with artefacts, and the right one.
    kinds : tuple of str
        The artefacts.
    structure : str
        The object.
    photons : float
        At the 99.9th percentile of a frame.
    """

    image: Image
    target: Image
    kinds: tuple[str, ...]
    structure: str
    photons: float


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


def draw_pairs(
    settings: PairSettings, index: int, objects: Path | None = None
) -> list[Pair]:
    """Draw the pairs of one object: same settings and index, same pairs.

    Parameters
    ----------
    settings : PairSettings
        Ranges.
    index : int
        Number of the object.
    objects : Path, optional
        Folder of real images, see `napari_dps.train.objects`.

    Returns
    -------
    list of Pair
        ``settings.variants`` of them.
    """
    rng = np.random.default_rng([settings.seed, index])
    scene = draw_scene(settings, rng, objects=objects)
    return [
        make_pair(scene, draw_kinds(settings, rng), settings, rng)
        for _ in range(settings.variants)
    ]


def draw_kinds(settings: PairSettings, rng: np.random.Generator) -> tuple[str, ...]:
    """Draw which artefacts a reconstruction has: none, or one to three kinds."""
    if rng.random() < settings.clean:
        return ()
    count = 1 + (rng.random() < settings.second) * (1 + (rng.random() < settings.third))
    while True:
        chosen = rng.choice(list(KINDS), size=count, replace=False).tolist()
        if not any(set(pair) <= set(chosen) for pair in HELD_OUT_MIXTURES):
            return tuple(sorted(chosen))


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
    side = fine * (stack.height_px + 2 * _MARGIN_PX)
    fine_nm = stack.pixel_size_nm / fine
    if structure is None and objects and rng.random() < settings.real:
        images = load_objects(objects, "train")
        name = REAL
        emitters = enlarge_object(images[rng.integers(len(images))], side, rng)
    else:
        name = structure or _draw_structure(rng)
        emitters = phantom(
            name,  # type: ignore[arg-type]
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
        WienerSettings(wiener_parameter=_log(rng, 0.02, 0.06)),
        name,
    )


def make_pair(
    scene: Scene,
    kinds: tuple[str, ...],
    settings: PairSettings,
    rng: np.random.Generator,
) -> Pair:
    """Reconstruct a scene with artefacts, and as it should be.

    Both have the same haze: what is even or soft is for the stage ``background``.

    Parameters
    ----------
    scene : Scene
        The object.
    kinds : tuple of str
        Keys of `KINDS` or `HELD_OUT_KINDS`; none: the right reconstruction twice.
    settings : PairSettings
        Ranges.
    rng : numpy.random.Generator
        Is used up.

    Returns
    -------
    Pair
    """
    haze = rng.uniform(0, 0.5) if rng.random() < settings.haze else 0.0
    faults = Faults(haze=haze)
    if kinds:
        photons = _log(rng, *settings.photons)
        faults = replace(faults, photons=photons, adapts=rng.random() < 0.4)
    every = {**KINDS, **HELD_OUT_KINDS}
    # A kind that limits the light comes after the one that sets it.
    for kind in sorted(kinds, key=list(every).index):
        faults = every[kind](faults, rng)
    right = _frames(scene, Faults(haze=faults.haze), rng)
    target = _solve(right, scene, scene.patterns, scene.wiener)
    if kinds:
        frames = _frames(scene, faults, rng)
        image = _reconstruct(frames, scene, faults, rng)
        target = target * np.float32(frames.mean() / right.mean())
    else:
        image = target
    corner = rng.integers(0, _SPARE_PX + 1, size=2)
    image, target = (
        _field(whole, scene, settings.field_px, corner) for whole in (image, target)
    )
    return Pair(image, target, kinds, scene.structure, faults.photons)


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
        planted[row, column] += light * _log(rng, 1, 20)
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


def _draw_structure(rng: np.random.Generator) -> str:
    names, weights = list(TRAINING_CLASSES), np.array([*TRAINING_CLASSES.values()])
    return str(rng.choice(names, p=weights / weights.sum()))


def _draw_microscope(
    settings: PairSettings, rng: np.random.Generator
) -> SimulationSettings:
    cutoff = rng.uniform(*settings.sampling)
    finest = rng.uniform(*settings.wavevector)
    zoom = cutoff / 2 * RECONSTRUCTION_WIDTH * (1 + finest) / CANONICAL_CUTOFF_PER_PIXEL
    side = math.ceil((settings.field_px + _SPARE_PX + 1) / zoom / 2)
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


def _frames(scene: Scene, faults: Faults, rng: np.random.Generator) -> Image:
    """Return the frames (A, P, Y, X) in photo-electrons above the offset."""
    noisy = math.isfinite(faults.photons)
    photons = faults.photons if noisy else 1000.0
    settings = scene.settings.model_copy(
        update={
            "photons": photons,
            "background_photons": 0.02 * photons,
            "haze_fraction": faults.haze,
            "motion_nm": faults.motion * scene.settings.optics.cutoff_period_nm,
            "bleaching": faults.bleaching,
            "intensity_jitter": faults.jitter,
            "seed": int(rng.integers(2**32)),
        }
    )
    result = simulate_object(
        scene.emitters,
        settings,
        patterns=scene.patterns,
        margin_px=(_MARGIN_PX, _MARGIN_PX),
    )
    if not noisy:
        return result.clean
    counts = result.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    return counts / np.float32(settings.gain_counts_per_e)


def _reconstruct(
    frames: Image, scene: Scene, faults: Faults, rng: np.random.Generator
) -> Image:
    """Reconstruct frames with faults."""
    if faults.smoothing_px:
        sigma = (0, 0, faults.smoothing_px, faults.smoothing_px)
        frames = scipy.ndimage.gaussian_filter(frames, sigma)
    if faults.is_swapped:
        frames = frames.copy()
        angle = int(rng.integers(len(frames)))
        frames[angle, :2] = frames[angle, 1::-1]
    wiener = replace(
        scene.wiener,
        wiener_parameter=scene.wiener.wiener_parameter * faults.wiener_ratio,
        attenuation_strength=faults.attenuation,
    )
    if faults.adapts and faults.wiener_ratio == 1:
        noise = noise_to_signal(torch.from_numpy(frames), scene.settings.optics)
        wiener = replace(
            wiener, noise_at_cutoff=noise.at_cutoff, noise_exponent=noise.exponent
        )
    patterns = tuple(_mistaken(p, scene, faults, rng) for p in scene.patterns)
    return _solve(frames, scene, patterns, wiener, faults)


def _mistaken(
    pattern: Pattern, scene: Scene, faults: Faults, rng: np.random.Generator
) -> Pattern:
    """Return a pattern as a bad estimate would have it."""
    first = pattern.orders[0]
    field_nm = scene.settings.height_px * scene.settings.pixel_size_nm
    heading = rng.uniform(0, 2 * math.pi)
    error = (
        faults.wave_bins / field_nm * np.array([math.sin(heading), math.cos(heading)])
    )
    wave = np.array(first.wavevector_per_nm) + error
    # Phases were fitted somewhere in the field, there they are right.
    pivot = rng.uniform(0.2, 0.8, size=2) * field_nm
    shift = -360 * float(pivot @ error)
    phases = np.array(pattern.phases_deg) + shift
    phases += _phase_errors(pattern, faults.phase_deg, rng)
    orders = tuple(
        order.model_copy(
            update={
                "period_nm": 1 / float(np.hypot(*wave)) / order.order,
                "angle_deg": math.degrees(math.atan2(wave[0], wave[1])),
                "modulation": min(order.modulation * faults.modulation_ratio, 2.0),
            }
        )
        for order in pattern.orders
    )
    return pattern.model_copy(
        update={"orders": orders, "phases_deg": tuple(phases.tolist())}
    )


def _phase_errors(
    pattern: Pattern, phase_deg: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw errors in degrees with which the orders can still be told apart."""
    true = np.radians(pattern.phases_deg)
    while True:
        errors = rng.normal(0, 1, len(true)) * phase_deg
        wrong = true + np.radians(errors)
        mixing = mixing_matrix([order.order * wrong for order in pattern.orders])
        if np.linalg.cond(mixing) < _WORST_CONDITION:
            return errors


def _solve(
    frames: Image,
    scene: Scene,
    patterns: tuple[Pattern, ...],
    wiener: WienerSettings,
    faults: Faults | None = None,
) -> Image:
    """Reconstruct on the 2× grid."""
    faults = faults or Faults()
    optics = scene.settings.optics
    optics = optics.model_copy(update={"na": optics.na * faults.cutoff_ratio})
    shape = (frames.shape[-2], frames.shape[-1])
    solver = WienerSolver(shape, patterns, optics, wiener)
    uneven = faults.jitter or faults.bleaching
    factors = None if uneven else equalisation(torch.from_numpy(frames))
    result: Image = solver.solve(frames, factors)
    return result


def _field(
    image: Image, scene: Scene, field_px: int, corner: NDArray[np.int64]
) -> Image:
    """Return a field at canonical sampling."""
    whole = to_canonical(image, scene.effective_optics)
    row, column = (min(int(c), len(whole) - field_px) for c in corner)
    return np.ascontiguousarray(whole[row : row + field_px, column : column + field_px])
