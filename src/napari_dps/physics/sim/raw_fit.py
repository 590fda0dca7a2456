"""Illumination fitted to the raw frames of an object that is known by and by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.sim.raw_model import Light

if TYPE_CHECKING:
    import torch

    from napari_dps.physics.sim.raw_model import RawModel

PHASE_PRIOR_DEG = 10.0
"""How far a phase that was found on the frames may be wrong."""
BINS_PRIOR = 0.1
"""How far a wave vector may be, in periods over the field."""
INTENSITY_PRIOR = 0.03
"""How far the brightness of a frame may be off its mean counts, in which stripes do not
average out where there is little structure."""
MODULATION_PRIOR = 0.05
"""How far a modulation depth may be."""
MOST_MODULATION = 1.2
"""Modulation over that found first that is believed: an object that is still blurred
asks for more."""
_LEAST_MODULATION = 1e-3


def refitted_light(
    model: RawModel,
    thing: torch.Tensor,
    missing: torch.Tensor,
    expected: torch.Tensor,
    variance: torch.Tensor,
    first: Light,
) -> Light:
    """Return the illumination that explains raw frames of an object better.

    One Gauss–Newton step of weighted least squares in the brightness and the phases of
    the frames, the wave vectors and the modulation, angle by angle, with what was known
    first as a prior.

    Parameters
    ----------
    model : RawModel
        With the illumination so far.
    thing : tensor, float32
        The object, as far as it is known.
    missing : tensor (A·P, Y, X), float32
        What was recorded less what is expected.
    expected : tensor (A·P, Y, X), float32
        What the model expects with the illumination so far, even light included.
    variance : tensor (A·P, Y, X), float32
        Of the noise of the frames.
    first : Light
        As it was found on the frames.

    Returns
    -------
    Light
    """
    intensities = model.light.intensities.copy()
    stripes = list(model.light.stripes)
    spectra = _spectra(model, thing)
    for angle in range(len(intensities)):
        numbers = [n for n, one in enumerate(stripes) if one.angle == angle]
        if not numbers:
            continue
        slopes = _slopes(model, spectra, expected, angle, numbers)
        prior = _prior(model, first, angle, numbers)
        count = intensities.shape[1]
        part = slice(angle * count, (angle + 1) * count)
        step = _step(slopes, missing[part], variance[part], prior)
        intensities[angle] += step[:count]
        for place, number in enumerate(numbers):
            moved = step[count + place * (count + 3) :][: count + 3]
            one = stripes[number]
            stripes[number] = replace(
                one,
                phases_rad=one.phases_rad + moved[:count],
                wavevector=one.wavevector + moved[count : count + 2],
                modulation=float(
                    np.clip(
                        one.modulation + moved[count + 2],
                        0.0,
                        MOST_MODULATION * first.stripes[number].modulation,
                    )
                ),
            )
    return Light(intensities, tuple(stripes))


def _spectra(model: RawModel, thing: torch.Tensor) -> list[torch.Tensor]:
    """Return the spectra of an object, and of it times its places (y, x)."""
    import torch

    y, x = (torch.from_numpy(p.astype(np.float32)).to(thing) for p in model.places)
    return [model.spectrum(part) for part in (thing, thing * y[:, None], thing * x)]


def _slopes(
    model: RawModel,
    spectra: list[torch.Tensor],
    expected: torch.Tensor,
    angle: int,
    numbers: list[int],
) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
    """Yield for each frame of an angle which parameters move it, and how."""
    import torch

    intensities, stripes = model.light
    count = intensities.shape[1]
    views = {}
    for number in numbers:
        plain, *moments = (model.view(spectrum, number) for spectrum in spectra)
        moments = [2j * math.pi * moment for moment in moments]
        depth = max(stripes[number].modulation, _LEAST_MODULATION)
        views[number] = [1j * plain, *moments, plain / depth]
    for phase in range(count):
        bright = float(intensities[angle, phase])
        places, maps = [phase], [expected[angle * count + phase] / bright]
        for place, number in enumerate(numbers):
            one = stripes[number]
            turn = complex(np.exp(1j * one.phases_rad[phase])) * one.modulation * bright
            begin = count + place * (count + 3)
            places += [begin + phase, *range(begin + count, begin + count + 3)]
            maps += [(turn * view).real for view in views[number]]
        yield np.array(places), torch.stack(maps)


def _step(
    slopes: Iterable[tuple[NDArray[np.int64], torch.Tensor]],
    missing: torch.Tensor,
    variance: torch.Tensor,
    prior: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Solve the normal equations of one angle, of whose frames (P, Y, X) these are."""
    import torch

    offsets, sigmas = prior
    matrix: NDArray[np.floating] = np.diag(sigmas**-2)
    target: NDArray[np.float64] = offsets * sigmas**-2
    for frame, (places, maps) in enumerate(slopes):
        weighted = maps / variance[frame]
        products = torch.einsum("ayx,byx->ab", weighted, maps).double().cpu().numpy()
        moved = torch.einsum("ayx,yx->a", weighted, missing[frame]).double()
        matrix[np.ix_(places, places)] += products
        target[places] += moved.cpu().numpy()
    solved: NDArray[np.float64] = np.linalg.solve(matrix, target)
    return solved


def _prior(
    model: RawModel, first: Light, angle: int, numbers: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far the first values lie from those so far, and how sure they are."""
    bright = first.intensities[angle]
    offsets = [bright - model.light.intensities[angle]]
    sigmas = [INTENSITY_PRIOR * bright]
    for number in numbers:
        one, was = model.light.stripes[number], first.stripes[number]
        offsets += [
            was.phases_rad - one.phases_rad,
            was.wavevector - one.wavevector,
            np.array([was.modulation - one.modulation]),
        ]
        sigmas += [
            np.full(len(bright), math.radians(PHASE_PRIOR_DEG)),
            BINS_PRIOR / np.array(model.shape, dtype=np.float64),
            np.array([MODULATION_PRIOR]),
        ]
    return np.concatenate(offsets), np.concatenate(sigmas)
