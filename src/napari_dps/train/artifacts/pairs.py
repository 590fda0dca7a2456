"""Pairs of reconstructions of one object: with artefacts, and as it should be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray

from napari_dps.core import Pattern
from napari_dps.physics.canonical import to_canonical
from napari_dps.physics.sim.equalise import equalisation
from napari_dps.physics.sim.noise import noise_to_signal
from napari_dps.physics.sim.separate import mixing_matrix
from napari_dps.physics.sim.wiener import WienerSolver
from napari_dps.physics.sim.wiener_weights import WienerSettings
from napari_dps.physics.simulate import simulate_object
from napari_dps.train.artifacts.faults import (
    HELD_OUT_KINDS,
    HELD_OUT_MIXTURES,
    KINDS,
    Faults,
    draw_ratio,
)
from napari_dps.train.artifacts.scenes import (
    MARGIN_PX,
    SPARE_PX,
    Image,
    PairSettings,
    Scene,
    draw_scene,
)

_WORST_CONDITION = 12.0
"""Condition number of the mixing matrix of wrong phases; 1.4 for the right ones."""
_HALO_SIGMA_PX = 6.0
"""Pixels of the 2× grid over which light is missing around structures."""


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
        photons = draw_ratio(rng, *settings.photons)
        faults = replace(faults, photons=photons, adapts=rng.random() < 0.4)
    every = {**KINDS, **HELD_OUT_KINDS}
    # A kind that limits the light comes after the one that sets it.
    for kind in sorted(kinds, key=list(every).index):
        faults = every[kind](faults, rng)
    right = frames_of(scene, Faults(haze=faults.haze), rng)
    target = solved(right, scene, scene.patterns, scene.wiener)
    if kinds:
        frames = frames_of(scene, faults, rng)
        image = reconstructed(frames, scene, faults, rng)
        target = target * np.float32(frames.mean() / right.mean())
    else:
        image = target
    corner = rng.integers(0, SPARE_PX + 1, size=2)
    image, target = (
        _field(whole, scene, settings.field_px, corner) for whole in (image, target)
    )
    return Pair(image, target, kinds, scene.structure, faults.photons)


def counts_of(
    scene: Scene, faults: Faults, rng: np.random.Generator, *, noisy: bool = False
) -> tuple[Image, Image]:
    """Return a reconstruction with its faults, and the right one, in counts.

    Both have the same light and haze, which is suppressed as far in both.

    Parameters
    ----------
    scene : Scene
        The object.
    faults : Faults
        What is wrong; without noise the right one is the reconstruction itself.
    rng : numpy.random.Generator
        Is used up.
    noisy : bool
        Whether the right one is made of frames with as little light, too, in place of
        the expected ones.

    Returns
    -------
    image, target : array (2 Y, 2 X), float32
        On the 2× grid of the frames.
    """
    frames = frames_of(scene, faults, rng)
    image = reconstructed(frames, scene, faults, rng)
    if math.isinf(faults.photons):
        return image, image
    light = faults.photons if noisy else math.inf
    right = frames_of(scene, Faults(photons=light, haze=faults.haze), rng)
    wiener = replace(scene.wiener, attenuation_strength=faults.attenuation)
    target = solved(right, scene, scene.patterns, wiener)
    return image, target * np.float32(frames.mean() / right.mean())


def frames_of(scene: Scene, faults: Faults, rng: np.random.Generator) -> Image:
    """Return the frames (A, P, Y, X) in photo-electrons above the offset.

    Parameters
    ----------
    scene : Scene
        The object under its microscope.
    faults : Faults
        Light, haze, motion, bleaching; of infinitely many photons the expected values
        of 1000.
    rng : numpy.random.Generator
        Is used up.

    Returns
    -------
    array (A, P, Y, X), float32
    """
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
        margin_px=(MARGIN_PX, MARGIN_PX),
    )
    if not noisy:
        return result.clean
    counts = result.raw.data.astype(np.float32) - np.float32(settings.offset_counts)
    return counts / np.float32(settings.gain_counts_per_e)


def reconstructed(
    frames: Image, scene: Scene, faults: Faults, rng: np.random.Generator
) -> Image:
    """Reconstruct frames with faults.

    Parameters
    ----------
    frames : array (A, P, Y, X)
        Photo-electrons.
    scene : Scene
        What they show; its Wiener settings are those of the right reconstruction.
    faults : Faults
        Those of patterns and filter.
    rng : numpy.random.Generator
        Is used up.

    Returns
    -------
    array (2 Y, 2 X), float32
    """
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
        apodisation=faults.apodisation,
    )
    if faults.adapts and faults.wiener_ratio == 1:
        noise = noise_to_signal(torch.from_numpy(frames), scene.settings.optics)
        wiener = replace(
            wiener, noise_at_cutoff=noise.at_cutoff, noise_exponent=noise.exponent
        )
    patterns = tuple(_mistaken(p, scene, faults, rng) for p in scene.patterns)
    return solved(frames, scene, patterns, wiener, faults)


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
                "offset_deg": order.offset_deg
                + faults.first_offset_deg * (order.order == 1 < len(pattern.orders)),
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


def solved(
    frames: Image,
    scene: Scene,
    patterns: tuple[Pattern, ...],
    wiener: WienerSettings,
    faults: Faults | None = None,
) -> Image:
    """Reconstruct on the 2× grid with these patterns and this filter.

    Returns
    -------
    array (2 Y, 2 X), float32
    """
    faults = faults or Faults()
    optics = scene.settings.optics
    optics = optics.model_copy(update={"na": optics.na * faults.cutoff_ratio})
    shape = (frames.shape[-2], frames.shape[-1])
    solver = WienerSolver(shape, patterns, optics, wiener, padding_px=faults.padding_px)
    uneven = faults.jitter or faults.bleaching
    factors = None if uneven else equalisation(torch.from_numpy(frames))
    result: Image = solver.solve(frames, factors)
    return _with_halo(result, faults.halo) if faults.halo else result


def _with_halo(image: Image, share: float) -> Image:
    """Take away part of the coarse light, as a filter does that distrusts it."""
    coarse = scipy.ndimage.gaussian_filter(image, _HALO_SIGMA_PX, mode="reflect")
    return np.asarray(image - np.float32(share) * (coarse - coarse.mean()))


def _field(
    image: Image, scene: Scene, field_px: int, corner: NDArray[np.int64]
) -> Image:
    """Return a field at canonical sampling."""
    whole = to_canonical(image, scene.effective_optics)
    row, column = (min(int(c), len(whole) - field_px) for c in corner)
    return np.ascontiguousarray(whole[row : row + field_px, column : column + field_px])
