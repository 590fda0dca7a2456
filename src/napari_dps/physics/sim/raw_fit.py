"""Illumination fitted to the raw frames of an object that is known by and by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_dps.core.tiling import Part
from napari_dps.physics.sim.raw_light import Light

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


class Equations(NamedTuple):
    """Normal equations of one angle's parameters; those of parts of the frames add up.

    Attributes
    ----------
    matrix : array (N, N)
    target : array (N,)
    """

    matrix: NDArray[np.float64]
    target: NDArray[np.float64]


def light_equations(
    model: RawModel,
    thing: torch.Tensor,
    missing: torch.Tensor,
    expected: torch.Tensor,
    variance: torch.Tensor,
    part: Part = (slice(None), slice(None)),
) -> dict[int, Equations]:
    """Return what raw frames of an object say of their illumination, for each angle.

    The normal equations of weighted least squares in the brightness and the phases of
    the frames, the wave vectors and the modulation.

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
    part : tuple of slice
        Rows and columns of the frames that count.
    """
    spectra = _spectra(model, thing)
    count, found = model.light.intensities.shape[1], {}
    for angle, numbers in _orders(model.light).items():
        lines = _lines(model, spectra, numbers, part)
        size = count + len(numbers) * (count + 3)
        sums = Equations(np.zeros((size, size)), np.zeros(size))
        for phase in range(count):
            frame = angle * count + phase
            lines[0] = expected[frame][part].flatten()
            weighted = lines / variance[frame][part].flatten()
            products = (weighted @ lines.T).double().cpu().numpy()
            moved = (weighted @ missing[frame][part].flatten()).double().cpu().numpy()
            places, slopes = _slopes(model, angle, numbers, phase)
            sums.matrix[np.ix_(places, places)] += slopes @ products @ slopes.T
            sums.target[places] += slopes @ moved
        found[angle] = sums
    return found


def refitted_light(
    light: Light,
    equations: Sequence[Mapping[int, Equations]],
    first: Light,
    shape: tuple[int, int],
) -> Light:
    """Return the illumination that explains raw frames of an object better.

    One Gauss–Newton step, angle by angle, with what was known first as a prior.

    Parameters
    ----------
    light : Light
        The illumination so far.
    equations : sequence of mapping
        As of `light_equations`, of all parts of the frames.
    first : Light
        As it was found on the frames.
    shape : tuple of int
        (Y, X) of the frames.

    Returns
    -------
    Light
    """
    intensities = light.intensities.copy()
    stripes = list(light.stripes)
    count = intensities.shape[1]
    for angle, numbers in _orders(light).items():
        offsets, sigmas = _prior(light, first, shape, angle, numbers)
        matrix = sum((one[angle].matrix for one in equations), np.diag(sigmas**-2))
        target = sum((one[angle].target for one in equations), offsets * sigmas**-2)
        step = np.linalg.solve(matrix, target)
        intensities[angle] += step[:count]
        for place, number in enumerate(numbers):
            moved = step[count + place * (count + 3) :][: count + 3]
            one = stripes[number]
            most = MOST_MODULATION * first.stripes[number].modulation
            stripes[number] = replace(
                one,
                phases_rad=one.phases_rad + moved[:count],
                wavevector=one.wavevector + moved[count : count + 2],
                modulation=float(np.clip(one.modulation + moved[count + 2], 0.0, most)),
            )
    return Light(intensities, tuple(stripes))


def _orders(light: Light) -> dict[int, list[int]]:
    """Return the numbers of the stripes of each angle that has any."""
    found: dict[int, list[int]] = {}
    for number, one in enumerate(light.stripes):
        found.setdefault(one.angle, []).append(number)
    return found


def _spectra(model: RawModel, thing: torch.Tensor) -> list[torch.Tensor]:
    """Return the spectra of an object, and of it times its places (y, x)."""
    import torch

    y, x = (torch.from_numpy(p.astype(np.float32)).to(thing) for p in model.places)
    return [model.spectrum(part) for part in (thing, thing * y[:, None], thing * x)]


def _lines(
    model: RawModel, spectra: list[torch.Tensor], numbers: list[int], part: Part
) -> torch.Tensor:
    """Return what the slopes of an angle's frames are mixtures of, a line each.

    Returns
    -------
    tensor (1 + 6 N, pixels of the part), float32
        One that is to be filled; then for each of the stripes the real and imaginary
        part of its view of the object, and of that of the object times its places.
    """
    views = [model.view(one, n)[part] for n in numbers for one in spectra]
    lines = spectra[0].real.new_empty(1 + 2 * len(views), views[0].numel())
    for place, view in enumerate(views):
        flat = view.flatten()
        lines[1 + 2 * place], lines[2 + 2 * place] = flat.real, flat.imag
    return lines


def _slopes(
    model: RawModel, angle: int, numbers: list[int], phase: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which parameters move a frame, and how: mixtures of `_lines`."""
    intensities, stripes = model.light
    count, bright = intensities.shape[1], float(intensities[angle, phase])
    places = [phase]
    slopes = np.zeros((1 + 4 * len(numbers), 1 + 6 * len(numbers)))
    slopes[0, 0] = 1 / bright
    for place, number in enumerate(numbers):
        one = stripes[number]
        turn = complex(np.exp(1j * model.phases_rad(one)[phase])) * bright
        depth = one.modulation
        begin = count + place * (count + 3)
        places += [begin + phase, *range(begin + count, begin + count + 3)]
        # Phase, wave vector (y, x), modulation: real parts of so much of the views.
        factors = (1j * depth, 2j * math.pi * depth, 2j * math.pi * depth)
        shares = np.zeros((4, 3), np.complex128)
        shares[:3] = np.diag(factors)
        shares[3, 0] = depth / max(depth, _LEAST_MODULATION)
        shares *= turn
        block = slopes[1 + 4 * place :, 1 + 6 * place :][:4, :6]
        block[:, 0::2], block[:, 1::2] = shares.real, -shares.imag
    return np.array(places), slopes


def _prior(
    light: Light,
    first: Light,
    shape: tuple[int, int],
    angle: int,
    numbers: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far the first values lie from those so far, and how sure they are."""
    bright = first.intensities[angle]
    offsets = [bright - light.intensities[angle]]
    sigmas = [INTENSITY_PRIOR * bright]
    for number in numbers:
        one, was = light.stripes[number], first.stripes[number]
        offsets += [
            was.phases_rad - one.phases_rad,
            was.wavevector - one.wavevector,
            np.array([was.modulation - one.modulation]),
        ]
        sigmas += [
            np.full(len(bright), math.radians(PHASE_PRIOR_DEG)),
            BINS_PRIOR / np.array(shape, dtype=np.float64),
            np.array([MODULATION_PRIOR]),
        ]
    return np.concatenate(offsets), np.concatenate(sigmas)
