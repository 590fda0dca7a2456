"""Phases and modulation of all angles together.

Frames are separated with equal phase steps first. Where the phases that come out are
uneven, the mean of an angle's frames is not the object without stripes: separation and
phases are then found in turns, order 0 from all angles with the phases found, the
phases from every frame less that order 0 (as in Wicker et al. 2013,
doi:10.1364/OE.21.002032, the phases that make the separated orders fit one object).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dps.core.patterns import Doubt
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.matched_filter import Template
from napari_dps.physics.sim.phases import BandFit, BandRegression, believed_steps
from napari_dps.physics.sim.pixel_weights import capping, local_power, on_cells
from napari_dps.physics.sim.search import Key
from napari_dps.physics.sim.separate import mixing_matrix, separation_matrix
from napari_dps.physics.sim.spectrum import FloatArray
from napari_dps.physics.sim.support import agree

if TYPE_CHECKING:
    import torch

LARGEST_MODULATION = 1.5
"""Three beams of equal strength make a first order of 4/3 (Gustafsson et al. 2008,
doi:10.1529/biophysj.107.120345); more is a wrong fit."""
LEAST_MODULATION = 0.002
"""No reconstruction gains from less; rounding and intensity errors leave as much."""
WEAK_STRIPES = ((0.1, 20.0), (0.2, 12.0))
"""Modulation and confidence: stripes weaker than the one are believed if they reach the
other. What stripes beyond the reach of the search leave in it looks like weak ones, and
lies near the cut-off, above `WEAK_FROM` of it."""
WEAK_FROM = 0.75
FAINT_STRIPES = (0.06, 20.0)
"""The same of stripes of any wave vector: where optics were typed wrongly, one angle
or all together gave 0.004 to 0.032, with a confidence of up to 17."""
LARGEST_CONDITION = 20.0
"""Condition number of the mixing matrix up to which frames tell the orders apart: three
phases 25° apart. Beyond, separation multiplies the noise by more than ten."""
LEAST_FRAME = 0.35
"""Least modulation of a frame, over the median of its angle: frames of one angle gave
0.9 to 1, one of another angle 0.14 (simulated, 30 and 150 photons)."""
UNEVEN_RAD = math.radians(4)
"""Root mean square deviation from equal steps from which the mean of the frames is not
taken for the object."""
MOST_TURNS, SETTLED_RAD = 8, math.radians(0.2)
"""Turns of separation and phases, and the change of the phases that ends them."""


@dataclass(frozen=True)
class FrameData:
    """The frames, and what was learned of them before the phases are fitted.

    Attributes
    ----------
    frames : tensor (A, P, Y · X), float32
        Raw, camera offset subtracted.
    equalisation : array (A, P)
        Factors that make them equally bright.
    window : tensor (Y, X)
        That fades the edges.
    mean : tensor (Y, X)
        Of all frames, equalised.
    noise : float
        Noise power of the spectrum of a windowed frame, where angles tell it.
    """

    frames: torch.Tensor
    equalisation: FloatArray
    window: torch.Tensor
    mean: torch.Tensor
    noise: float

    def combine(self, angle: int, rows: FloatArray) -> torch.Tensor:
        """Return weighted sums (N, Y, X) of the equalised frames of an angle."""
        import torch

        weights = torch.from_numpy(rows * self.equalisation[angle]).to(self.frames)
        sums: torch.Tensor = weights @ self.frames[angle]
        return sums.reshape(-1, *self.window.shape)


class Reference:
    """What is taken off the frames of an angle, and the object that it shows.

    Parameters
    ----------
    mean : tensor (Y, X)
        Of frames: the object as the microscope shows it.
    noise : float or None
        Noise power of ``mean`` over that of a frame, if it is free of stripes in the
        direction of the angle; then it is taken off each frame, otherwise their mean
        is.
    """

    def __init__(self, mean: torch.Tensor, noise: float | None = None) -> None:
        self.mean, self.noise = mean, noise
        self._objects: dict[bool, tuple[torch.Tensor, torch.Tensor]] = {}

    def object_of(
        self, template: Template, window: torch.Tensor, *, is_plain: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the windowed object and the weights of its pixels, computed once.

        ``is_plain`` takes ``mean`` itself for the object.
        """
        import torch

        if is_plain not in self._objects:
            image = self.mean * window
            if not is_plain:
                image = template.object_of(self.mean, window)
            power = local_power(image, template.search.cutoff)
            weights = torch.from_numpy(on_cells(capping(power), image.shape))
            weights = weights.to(image.device)
            self._objects[is_plain] = image, weights
        return self._objects[is_plain]


class PhaseFitter:
    """Fits phases and modulation of the bands that were found.

    Parameters
    ----------
    data : FrameData
        The frames.
    template : Template
        From their mean.
    correlations : mapping of Key to Correlation
        Of all angles and harmonics.
    """

    def __init__(
        self,
        data: FrameData,
        template: Template,
        correlations: Mapping[Key, Correlation],
    ) -> None:
        self._data, self._template = data, template
        self._correlations = correlations
        self._phases = int(data.frames.shape[1])

    def fit(
        self, bands: Mapping[int, Sequence[Band]], *, equal_steps: bool = False
    ) -> dict[int, list[Band]]:
        """Return the bands of each angle with phases and modulation.

        Parameters
        ----------
        bands : mapping of int to sequence of Band
            Of each angle, usable or not.
        equal_steps : bool
            Whether the phases step equally: only that of the first frame is fitted.
        """
        usable = {
            angle: [band for band in some if band.is_usable]
            for angle, some in bands.items()
        }
        usable = {angle: some for angle, some in usable.items() if some}
        fits = self._fits(usable, dict.fromkeys(usable, Reference(self._data.mean)))
        if equal_steps:
            fits = {
                angle: [
                    fit.with_equal_steps(self._nominal(band))
                    for band, fit in zip(usable[angle], some, strict=True)
                ]
                for angle, some in fits.items()
            }
        elif any(self._unevenness(usable[a], f) > UNEVEN_RAD for a, f in fits.items()):
            fits = self._settle(usable, fits)
        judged = {
            angle: _judged(some, usable.get(angle, []), fits.get(angle, []))
            for angle, some in bands.items()
        }
        return _without_weak(judged, WEAK_FROM * self._template.search.cutoff)

    def _settle(
        self,
        bands: Mapping[int, Sequence[Band]],
        fits: dict[int, list[BandFit]],
    ) -> dict[int, list[BandFit]]:
        """Find order 0 and the phases in turns, until the phases stay."""
        angles = int(self._data.frames.shape[0])
        same = np.full((1, self._phases), 1 / self._phases)
        zeros = {a: self._data.combine(a, same)[0] for a in range(angles)}
        if angles > 1:
            # The mean of the other angles has stripes too, but none in this direction.
            total = sum(zeros.values())
            noise = 1 / ((angles - 1) * self._phases)
            references = {
                a: Reference((total - zeros[a]) / (angles - 1), noise) for a in bands
            }
        else:
            references = dict.fromkeys(bands, Reference(self._data.mean, 1.0))
        for _ in range(MOST_TURNS):
            before = fits
            fits = self._fits(bands, references)
            references = dict.fromkeys(bands, self._order_zero(fits, zeros))
            if _change(before, fits) < SETTLED_RAD:
                break
        return fits

    def _fits(
        self,
        bands: Mapping[int, Sequence[Band]],
        references: Mapping[int, Reference],
    ) -> dict[int, list[BandFit]]:
        """Fit the phases of all angles; believe what the noise does not explain."""
        fits = {a: self._fit(a, some, references[a]) for a, some in bands.items()}
        alike: dict[int, list[tuple[int, int]]] = {}
        for angle, some in bands.items():
            for place, band in enumerate(some):
                alike.setdefault(band.harmonic, []).append((angle, place))
        for places in alike.values():
            angle, place = places[0]
            nominal = self._nominal(bands[angle][place])
            believed = believed_steps([fits[a][n] for a, n in places], nominal)
            for (a, n), fit in zip(places, believed, strict=True):
                fits[a][n] = fit
        return fits

    def _order_zero(
        self,
        fits: Mapping[int, Sequence[BandFit]],
        means: Mapping[int, torch.Tensor],
    ) -> Reference:
        """Return order 0 of all angles, weighed by its noise."""
        total, weights = 0.0 * means[0], 0.0
        for angle, mean in means.items():
            phases = [fit.phases_rad for fit in fits.get(angle, [])]
            if not phases:
                weight, zero = float(self._phases), mean
            elif np.linalg.cond(mixing_matrix(phases)) > LARGEST_CONDITION:
                continue
            else:
                row = separation_matrix(phases)[:1]
                weight = 1 / float((row**2).sum())
                zero = self._data.combine(angle, row)[0]
            total, weights = total + weight * zero, weights + weight
        if not weights:
            return Reference(self._data.mean, 1.0)
        return Reference(total / weights, 1 / weights)

    def _fit(
        self, angle: int, bands: Sequence[Band], reference: Reference
    ) -> list[BandFit]:
        """Fit the phases of one angle, whose usable bands are named."""
        correlations = [self._correlations[angle, band.harmonic] for band in bands]
        image, weights = reference.object_of(
            self._template,
            self._data.window,
            is_plain=any(band.is_plain for band in bands),
        )
        regression = BandRegression(
            self._template,
            self._data.window,
            [band.wavevector for band in bands],
            [correlation.whitening for correlation in correlations],
            object_image=image,
            weights=weights,
        )
        frames = self._data.frames[angle]
        projections = regression.project(frames) * self._data.equalisation[angle]
        if reference.noise is None:
            projections -= projections.mean(axis=1, keepdims=True)
        else:
            projections -= regression.project(reference.mean.flatten()[None])
        return regression.fit(
            projections,
            nominal_rad=[self._nominal(band) for band in bands],
            noise=max(correlations[0].noise * self._phases / 4, self._data.noise),
            reference_noise=reference.noise,
        )

    def _nominal(self, band: Band) -> FloatArray:
        """Equal phase steps of a band, in radians."""
        steps: FloatArray = 2 * np.pi * np.arange(self._phases) / self._phases
        return band.harmonic * steps

    def _unevenness(self, bands: Sequence[Band], fits: Sequence[BandFit]) -> float:
        """Return the largest deviation of a band from equal steps, rms in radians."""
        values = []
        for band, fit in zip(bands, fits, strict=True):
            _, deviation = fit.steps(self._nominal(band))
            values.append(float(np.sqrt(np.mean(deviation**2))))
        return max(values)


def _judged(
    bands: Sequence[Band], usable: Sequence[Band], fits: Sequence[BandFit]
) -> list[Band]:
    """Return the bands of an angle with their fits, if stripes can be like that."""
    if not usable:
        return list(bands)
    modulation = max(fit.modulation for fit in fits)
    if not LEAST_MODULATION <= modulation <= LARGEST_MODULATION:
        # No microscope makes such stripes: frames in a wrong order do.
        return [replace(band, status="not found") for band in bands]
    phases = [fit.phases_rad for fit in fits]
    if np.linalg.cond(mixing_matrix(phases)) > LARGEST_CONDITION:
        return _doubted(bands, "phases")
    if any(_lacks_frames(fit) for fit in fits):
        return _doubted(bands, "frames")
    fitted = dict(zip((band.harmonic for band in usable), fits, strict=True))
    return [replace(band, fit=fitted.get(band.harmonic)) for band in bands]


def _lacks_frames(fit: BandFit) -> bool:
    """Whether a frame has hardly any of the stripes that the others have."""
    least, usual = fit.strengths.min(), np.median(fit.strengths)
    is_sure = fit.error_rad is not None and not fit.is_assumed
    return bool(is_sure and least < LEAST_FRAME * usual)


def _without_weak(
    bands: Mapping[int, Sequence[Band]], fine: float
) -> dict[int, list[Band]]:
    """Doubt the angles whose stripes are weaker than such can be.

    Stripes have to be strong or sure, or agree with those of an angle that is; those of
    a longer wave vector than ``fine``, in cycles per pixel, stronger or surer.
    """
    weak = {angle for angle, some in bands.items() if _is_weak(some, fine)}
    sure = [
        band
        for angle, some in bands.items()
        for band in some
        if band.is_usable and angle not in weak
    ]
    result = {}
    for angle, some in bands.items():
        alike = any(
            agree(band, other, len(bands))
            for band in some
            for other in sure
            if band.is_usable and band.harmonic == other.harmonic
        )
        is_doubted = angle in weak and not alike
        result[angle] = _doubted(some, "weak") if is_doubted else list(some)
    return result


def _is_weak(bands: Sequence[Band], fine: float) -> bool:
    """Whether the stripes of an angle are weaker than such can be."""
    usable = [band for band in bands if band.fit is not None]
    if not usable or any(band.status == "given" for band in usable):
        return False
    modulation = max(band.fit.modulation for band in usable if band.fit is not None)
    surest = max(band.confidence for band in usable)
    limits = [FAINT_STRIPES]
    if max(band.length for band in usable) > fine:
        limits += WEAK_STRIPES
    return any(modulation < weak and surest < least for weak, least in limits)


def _doubted(bands: Sequence[Band], doubt: Doubt) -> list[Band]:
    """Return bands of which none is to be used, and why."""
    return [
        replace(band, status="doubtful", doubt=doubt, fit=None)
        if band.is_usable
        else band
        for band in bands
    ]


def _change(
    before: Mapping[int, Sequence[BandFit]], after: Mapping[int, Sequence[BandFit]]
) -> float:
    """Return the largest change of a phase, in radians."""
    return max(
        float(np.abs(np.angle(np.exp(1j * (new.phases_rad - old.phases_rad)))).max())
        for angle, fits in after.items()
        for new, old in zip(fits, before[angle], strict=True)
    )
