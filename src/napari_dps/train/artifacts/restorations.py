"""Pairs for the noise remover: reconstructions as they are met, and clean ones.

Other pairs than `napari_dps.train.artifacts.pairs` in three ways: light and Wiener
parameter reach the lowest, filters are those of any reconstruction, and images are
brought to the sampling of the network by the edge of their spectrum, as the stage does,
not exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_dps.core.params import FrozenModel
from napari_dps.methods.artifacts.low_light import (
    LowLightInput,
    low_light_input,
)
from napari_dps.methods.dps.input import base_and_scale
from napari_dps.methods.reconstruction_noise import canonical_shape
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.wiener_weights import APODISATIONS
from napari_dps.train.artifacts.faults import (
    HELD_OUT_MIXTURES,
    KINDS,
    Faults,
    Kind,
    draw_ratio,
)
from napari_dps.train.artifacts.pairs import counts_of
from napari_dps.train.artifacts.scenes import PairSettings, Scene, draw_scene

Image = NDArray[np.float32]

_SCENE_SIDE = 1.5
"""Edge of a scene over that of a field, at the sampling of `PairSettings`: the field
is a part of what noise and spectrum are measured in, and is sampled more coarsely."""
_BRIGHT_PHOTONS = (300.0, 10000.0)
"""Of reconstructions whose fault is no lack of light."""
_SENSIBLE_RATIO = 0.3
"""Wiener parameter over a sensible one that is no fault."""


class RestorationSettings(FrozenModel):
    """What pairs are drawn from; of light and ratios even in the logarithm.

    Attributes
    ----------
    fields, variants : int
        Objects, and reconstructions of each.
    field_px : int
        Edge of the pairs at canonical sampling.
    seed : int
        Same seed, same pairs.
    target : {"clean", "noisy"}
        Clean: the reconstruction of the expected frames. Noisy: that of other frames
        of the same object and as little light, the other half of an exposure: no truth
        is used (noise to noise, Lehtinen et al. 2018, arXiv:1803.04189).
    real : float
        Share of objects that are real images, if there are any.
    clean : float
        Share of variants without noise and fault: image and target are one.
    faulty : float
        Share of variants with light enough, whose patterns, frames or filter are wrong.
    also_faulty : float
        Share of the others, which lack light, that have a fault as well.
    planted : float
        Share of scenes with isolated points added and gaps cut.
    photons : (float, float)
        At the 99.9th percentile of a frame.
    wiener_ratio : (float, float)
        Wiener parameter over a sensible one.
    plain : float
        Share of filters that trust all orders alike, with any apodisation, some of
        them without extended edges; the others are those of the stage `reconstruct`.
    edge : (float, float)
        Edge of the spectrum over the canonical one.
    five_phases, haze : float
        Share of scenes with two orders, and with out-of-focus light.
    most_haze : float
        Share of the light.
    """

    fields: int = Field(default=2200, ge=1, le=1_000_000)
    variants: int = Field(default=3, ge=1, le=1000)
    field_px: int = Field(default=96, ge=32, le=4096)
    seed: int = Field(default=1, ge=0)
    target: Literal["clean", "noisy"] = "clean"
    real: float = Field(default=0.25, ge=0, le=1)
    clean: float = Field(default=0.12, ge=0, le=1)
    faulty: float = Field(default=0.25, ge=0, le=1)
    also_faulty: float = Field(default=0.25, ge=0, le=1)
    planted: float = Field(default=0.3, ge=0, le=1)
    photons: tuple[float, float] = (3, 600)
    wiener_ratio: tuple[float, float] = (3e-4, 1)
    plain: float = Field(default=0.6, ge=0, le=1)
    edge: tuple[float, float] = (0.88, 1.12)
    five_phases: float = Field(default=0.25, ge=0, le=1)
    haze: float = Field(default=0.5, ge=0, le=1)
    most_haze: float = Field(default=0.75, ge=0, le=1)


@dataclass(frozen=True, slots=True, eq=False)
class Restoration:
    """One field in the scale of `methods.artifacts.low_light.low_light_input`.

    Attributes
    ----------
    bases, local, numbers : array
        What the network takes; see `LowLightInput`.
    target : array (Y, X), float32
        What it is to return.
    floor, scale : float
        What is 0 and what is 1 where the target is looked at as a picture.
    """

    bases: Image
    local: Image
    numbers: Image
    target: Image
    floor: float
    scale: float

    def part(self, corner: tuple[int, int], side_px: int) -> Restoration:
        """Return a square part, of the same scale."""
        rows, columns = (slice(start, start + side_px) for start in corner)
        return replace(
            self,
            bases=self.bases[:, rows, columns],
            local=self.local[rows, columns],
            target=self.target[rows, columns],
        )


def draw_restorations(
    settings: RestorationSettings, index: int, objects: Path | None = None
) -> list[Restoration]:
    """Draw the pairs of one object: same settings and index, same pairs.

    Parameters
    ----------
    settings : RestorationSettings
        Ranges.
    index : int
        Number of the object.
    objects : Path, optional
        Folder of real images, see `napari_dps.train.objects`.

    Returns
    -------
    list of Restoration
        ``settings.variants`` of them.
    """
    rng = np.random.default_rng([settings.seed, index, 18])
    scene = draw_scene(scene_settings(settings), rng, objects=objects)
    haze = _draw_haze(settings, rng)
    found: list[Restoration] = []
    while len(found) < settings.variants:
        faults = draw_faults(settings, rng, haze=haze)
        counts = counts_of(scene, faults, rng, noisy=settings.target == "noisy")
        pair = _cut(*counts, scene, settings, rng)
        if pair is not None:
            found.append(pair)
    return found


def scene_settings(settings: RestorationSettings) -> PairSettings:
    """Return the settings that scenes for these pairs are drawn from."""
    return PairSettings(
        field_px=round(_SCENE_SIDE * settings.field_px),
        real=settings.real,
        five_phases=settings.five_phases,
        planted=settings.planted,
    )


def draw_faults(
    settings: RestorationSettings, rng: np.random.Generator, *, haze: float
) -> Faults:
    """Draw what is wrong with a reconstruction: nothing, light, or something else."""
    part = rng.random()
    if part < settings.clean:
        right = Faults(haze=haze, wiener_ratio=draw_ratio(rng, _SENSIBLE_RATIO, 1))
        return _with_any_filter(right, rng)
    faults = Faults(haze=haze)
    if part < settings.clean + settings.faulty:
        photons = draw_ratio(rng, *_BRIGHT_PHOTONS)
        faults = replace(faults, photons=photons, adapts=rng.random() < 0.5)
        return _with_a_fault(faults, rng)
    faults = replace(faults, photons=draw_ratio(rng, *settings.photons))
    if rng.random() < settings.plain:
        ratio = draw_ratio(rng, *settings.wiener_ratio)
        faults = _with_any_filter(replace(faults, wiener_ratio=ratio), rng)
    else:
        is_adapted = rng.random() < 0.5
        ratio = 1.0 if is_adapted else draw_ratio(rng, *settings.wiener_ratio)
        faults = replace(faults, wiener_ratio=ratio, adapts=is_adapted)
    if rng.random() < settings.also_faulty:
        faults = _with_a_fault(faults, rng)
    return faults


def as_restoration(
    image: Image, target: Image, edge_per_px: float
) -> Restoration | None:
    """Bring a pair to the network's sampling and scale, as the stage does.

    Parameters
    ----------
    image, target : array (Y, X)
        Counts.
    edge_per_px : float
        Edge of the spectrum that is assumed.

    Returns
    -------
    Restoration or None
        None where nothing can be measured.
    """
    shape = canonical_shape((image.shape[0], image.shape[1]), edge_per_px)
    inputs = low_light_input(resample(image, shape))
    if inputs is None:
        return None
    wanted = (resample(target, shape) - np.float32(inputs.level)) / np.float32(
        inputs.unit
    )
    return _restoration(inputs, wanted)


def _restoration(inputs: LowLightInput, wanted: Image) -> Restoration:
    floor, scale = base_and_scale(wanted, 0.0, base_sigma_px=1.0)
    return Restoration(
        inputs.bases, inputs.local, inputs.numbers, wanted, floor, max(scale, 1e-3)
    )


def _cut(
    image: Image,
    target: Image,
    scene: Scene,
    settings: RestorationSettings,
    rng: np.random.Generator,
) -> Restoration | None:
    """Return a field of a pair, the edge of its spectrum about where it should be."""
    assumed = scene.edge_per_px / rng.uniform(*settings.edge)
    whole = as_restoration(image, target, assumed)
    if whole is None:
        return None
    side = settings.field_px
    spare = [length - side for length in whole.local.shape]
    if min(spare) < 0:
        return None
    row, column = (int(rng.integers(most + 1)) for most in spare)
    return whole.part((row, column), side)


def _draw_haze(settings: RestorationSettings, rng: np.random.Generator) -> float:
    haze = rng.uniform(0, settings.most_haze)
    return float(haze) if rng.random() < settings.haze else 0.0


def _with_any_filter(faults: Faults, rng: np.random.Generator) -> Faults:
    """Draw a filter as other programs have."""
    return replace(
        faults,
        apodisation=str(rng.choice(APODISATIONS)),
        attenuation=float(rng.choice([0.0, 0.9])),
        padding_px=int(rng.choice([0, 14])),
    )


def _with_a_fault(faults: Faults, rng: np.random.Generator) -> Faults:
    """Add one fault: of patterns, frames, filter; no mixture that is held out."""
    there = {
        "noise": faults.photons < _BRIGHT_PHOTONS[0],
        "haze": faults.haze > 0,
        "wiener": faults.wiener_ratio < _SENSIBLE_RATIO,
    }
    held_out = {
        partner
        for pair in HELD_OUT_MIXTURES
        for partner, other in (pair, pair[::-1])
        if there.get(other)
    }
    kind = str(rng.choice([name for name in _FAULTS if name not in held_out]))
    return _FAULTS[kind](faults, rng)


def _three_beams(faults: Faults, rng: np.random.Generator) -> Faults:
    return replace(faults, first_offset_deg=rng.normal() * 25)


def _halo(faults: Faults, rng: np.random.Generator) -> Faults:
    return replace(faults, halo=rng.uniform(0.1, 0.5))


_FAULTS: dict[str, Kind] = {
    **{name: kind for name, kind in KINDS.items() if name not in ("noise", "haze")},
    "three_beams": _three_beams,
    "halo": _halo,
}
"""Faults beside the lack of light; haze is for the stage ``background``."""
