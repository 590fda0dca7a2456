"""Illumination fitted to the raw frames of an object that is known by and by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        slopes = _slopes(model, spectra, expected, angle, numbers)
        of_angle = slice(angle * count, (angle + 1) * count)
        size = count + len(numbers) * (count + 3)
        sums = Equations(np.zeros((size, size)), np.zeros(size))
        _add(sums, slopes, missing[of_angle], variance[of_angle], part)
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
            turn = (
                complex(np.exp(1j * model.phases_rad(one)[phase]))
                * one.modulation
                * bright
            )
            begin = count + place * (count + 3)
            places += [begin + phase, *range(begin + count, begin + count + 3)]
            maps += [(turn * view).real for view in views[number]]
        yield np.array(places), torch.stack(maps)


def _add(
    sums: Equations,
    slopes: Iterable[tuple[NDArray[np.int64], torch.Tensor]],
    missing: torch.Tensor,
    variance: torch.Tensor,
    part: Part,
) -> None:
    """Add the normal equations of one angle, of whose frames (P, Y, X) these are."""
    for frame, (places, maps) in enumerate(slopes):
        lines = maps[:, *part].flatten(1)
        weighted = lines / variance[frame][part].flatten()
        products = (weighted @ lines.T).double().cpu().numpy()
        moved = (weighted @ missing[frame][part].flatten()).double().cpu().numpy()
        sums.matrix[np.ix_(places, places)] += products
        sums.target[places] += moved


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
