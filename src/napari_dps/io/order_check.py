"""Does the order of the frames fit the frames? A test that needs no pattern.

The phases of one angle add up to the same widefield image, whatever the angle; frames
of several angles do not. So with the right order the sums of the groups differ by noise
alone, with a wrong one by stripes. The test is an analysis of variance between and
within groups, ring by ring of the spectrum, so that neither noise level nor OTF nor
pattern need be known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.io.lazy import Planes
from napari_dps.io.order import FrameOrder, sim_order

RINGS = 24
BAND = (0.02, 0.5)
"""Cycles per pixel; below lie the frame's mean and its window."""

MINIMUM_GAP = 18.0
"""Log-likelihood (nats) by which the best order must lead: 249 simulated stacks of
noise, bleaching and haze without stripes reached 13."""

MINIMUM_EVIDENCE = 0.12
"""Least 1 - (variance between groups over the total), where the stripes are."""

MAXIMUM_MOTION = 1.0
"""Most excess of variance between groups of another order over that evidence. Stripes
give (AP - 1)/(A(P - 1)) - 1, at most .4; a sample that drifts, whose early frames
differ from its late ones, gives about 4."""

SMALLEST_PX = 24

SAMPLE = 9
"""Frames that tell where the sample is bright, and how large its bright parts are."""

_LARGEST = {1: 512, 3: 256}
"""Edge of the window that is looked at, by number of images."""


@dataclass(frozen=True, slots=True)
class OrderCheck:
    """Outcome of `check_order`.

    Attributes
    ----------
    status : {"confirmed", "wrong", "unclear"}
        "unclear" when stripes are too weak, or the sample moves too much, to tell.
    best : str
        The order that fits best, with angles × phases.
    scores : dict of str to float
        Log-likelihood in nats of each order, relative to the best.
    message : str
        For the user.
    """

    status: Literal["confirmed", "wrong", "unclear"]
    best: str
    scores: dict[str, float]
    message: str


def check_order(
    frames: NDArray[Any], *, angles: int, phases: int, order: str = "apyx"
) -> OrderCheck:
    """Test the order of raw SIM frames against the other orders.

    Parameters
    ----------
    frames : array
        (frame, Y, X) counts in the order of the file; a camera offset does no harm.
    angles, phases : int
        As claimed; for unequal counts the swapped ones are tried too.
    order : str
        As claimed, of a, p and leading t, c, z.

    Returns
    -------
    OrderCheck

    Raises
    ------
    InputError
        If the frames do not fit the claim.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> noise = rng.poisson(50, (9, 64, 64))
    >>> check_order(noise, angles=3, phases=3).status
    'unclear'
    """
    if frames.ndim != 3:
        raise InputError("frames", got=f"{frames.ndim} dimensions", allowed="3")
    claimed, _ = sim_order([("q", len(frames))], angles, phases, order)
    return check_frame_order(frames, claimed)


def check_frame_order(frames: NDArray[Any] | Planes, claimed: FrameOrder) -> OrderCheck:
    """Test the order of (…, Y, X), of which some dozens of frames are read."""
    name = _name(claimed)
    if text := _cannot_tell(frames, claimed):
        return OrderCheck("unclear", name, {}, text)
    best, scores, is_sure = _best_order(frames, claimed)
    if not is_sure:
        text = "cannot tell the frame order: stripes too weak or the sample moves"
        return OrderCheck("unclear", best, scores, text)
    if best == name:
        return OrderCheck("confirmed", best, scores, f"frame order {best} confirmed")
    text = f"the frames look like order {best}, not {name}: check the order"
    if best.split()[1] != name.split()[1]:
        text += ", angles and phases"
    return OrderCheck("wrong", best, scores, text)


def plainest_stripes(
    frames: NDArray[Any] | Planes,
    claims: Iterable[FrameOrder],
    repeated: Iterable[FrameOrder] = (),
) -> tuple[FrameOrder, str] | None:
    """Return those of some counts whose stripes the frames show best; a quick look.

    Leading axes stay where the claims have them, and no more than three images of each
    are read.

    Parameters
    ----------
    frames : array or Planes
        (…, Y, X) in the order of the file.
    claims : iterable of FrameOrder
        Counts to try, each with a guess of the order.
    repeated : iterable of FrameOrder
        Counts of one angle, with sets of frames in place of angles; looked at if
        nothing else is seen.

    Returns
    -------
    (FrameOrder, str) or None
        The claim, and the order that fits: letters, then angles × phases.
    """
    if min(frames.shape[-2:]) < SMALLEST_PX:
        return None
    found: list[tuple[float, FrameOrder, str]] = []
    spectra = None
    for claim in claims:
        spectra = spectra or _Spectra(frames, 3)
        fits = {_name(rival): _fit(spectra, rival) for rival in _rivals(claim, "")}
        best, scores, is_sure = _rank(fits)
        if is_sure:
            found.append((-sorted(scores.values())[-2], claim, best))
    for claim in () if found else repeated:
        spectra = spectra or _Spectra(frames, 3)
        fit = _fit(spectra, claim)
        # A sample that drifts sets one set apart from the next, never frames in a set.
        if (gap := float(fit.gain.sum() - fit.ungrouped.sum())) > MINIMUM_GAP:
            found.append((gap, claim, _name(claim)))
    return max(found, key=lambda one: one[0])[1:] if found else None


def _cannot_tell(frames: NDArray[Any] | Planes, claimed: FrameOrder) -> str:
    """Say why frames cannot be compared, else ""."""
    if claimed.size("a") < 2 or claimed.size("p") < 2:
        return "one angle or one phase: nothing to compare"
    if min(frames.shape[-2:]) < SMALLEST_PX:
        return f"frames below {SMALLEST_PX} pixels are too small to compare"
    return ""


def _best_order(
    frames: NDArray[Any] | Planes, claimed: FrameOrder
) -> tuple[str, dict[str, float], bool]:
    """Compare the claimed order with its rivals; return what `_rank` returns."""
    spectra = _Spectra(frames, 1 if len(claimed.letters) == 2 else 3)
    fits = {_name(rival): _fit(spectra, rival) for rival in _rivals(claimed, "")}
    best = _rank(fits)
    # A sample at rest repeats its frames in time, and then orders that differ in the
    # place of t fit alike: only a sure find there outdoes the claimed place.
    lead = next((c for c in "zt" if claimed.size(c) > 1), "")
    name, _, is_sure = best
    if not lead or (is_sure and name == _name(claimed)):
        return best
    fits |= {_name(rival): _fit(spectra, rival) for rival in _rivals(claimed, lead)}
    with_lead = _rank(fits)
    return with_lead if with_lead[2] or not is_sure else best


def _name(order: FrameOrder) -> str:
    """Return the letters, then angles × phases."""
    return f"{order.order} {order.size('a')}×{order.size('p')}"


def _rank(fits: dict[str, _Fit]) -> tuple[str, dict[str, float], bool]:
    """Best order, log-likelihoods relative to it, and whether it is sure."""
    likelihood = {name: float(fit.gain.sum()) for name, fit in fits.items()}
    ranked = sorted(likelihood, key=lambda name: -likelihood[name])
    best = ranked[0]
    scores = {name: likelihood[name] - likelihood[best] for name in ranked}
    is_sure = -scores[ranked[1]] > MINIMUM_GAP and _is_stripes(fits, best)
    return best, scores, is_sure


def _rivals(order: FrameOrder, lead: str) -> Iterator[FrameOrder]:
    """Orders of angle, phase and ``lead``; other axes stay where they are."""
    moving = [c for c in order.letters if c in f"ap{lead}"]
    sizes = dict(zip(order.letters, order.sizes, strict=True))
    swapped = {**sizes, "a": sizes["p"], "p": sizes["a"]}
    for counts in (sizes,) if sizes["a"] == sizes["p"] else (sizes, swapped):
        for chosen in permutations(moving):
            following = iter(chosen)
            letters = "".join(
                next(following) if c in moving else c for c in order.letters
            )
            yield FrameOrder(letters, tuple(counts[c] for c in letters))


class _Spectra:
    """Spectra of frames, made when asked for, of the brightest part of the field."""

    def __init__(self, frames: NDArray[Any] | Planes, images: int) -> None:
        self.frames = frames
        self.lead = frames.shape[:-2]
        self.window = self._brightest(_LARGEST[images])
        height, width = self.frame(0).shape
        fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
        radius = np.hypot(fy, fx)
        # The column of zero x frequency holds each value twice and the row noise.
        self.keep = (radius > BAND[0]) & (radius < BAND[1]) & (fx > 0)
        share = (radius[self.keep] - BAND[0]) / (BAND[1] - BAND[0])
        self.ring = np.minimum((share * RINGS).astype(np.intp), RINGS - 1)
        self.cells = np.maximum(np.bincount(self.ring, minlength=RINGS), 1)
        self.hann = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
        self.independent = self.cells * self._participation()
        self.cache: dict[int, NDArray[np.complex128]] = {}

    def __call__(self, index: int) -> NDArray[np.complex128]:
        """Spectrum of one frame in the band, as a vector."""
        if index not in self.cache:
            frame = self.frame(index)
            spectrum = np.fft.rfft2((frame - frame.mean()) * self.hann)
            kept: NDArray[np.complex128] = spectrum[self.keep]
            self.cache[index] = kept
        return self.cache[index]

    def frame(self, index: int) -> NDArray[np.float64]:
        """One frame in the window."""
        place: tuple[Any, ...] = (*np.unravel_index(index, self.lead), *self.window)
        frame = np.asarray(self.frames[place], dtype=np.float64)
        if not np.isfinite(frame).all():
            raise InputError(f"frame {index + 1} holds pixels that are NaN or inf")
        return frame

    def _sample(self) -> list[int]:
        """Choose frames from the whole stack."""
        count = math.prod(self.lead)
        return [int(i) for i in np.linspace(0, count - 1, SAMPLE).astype(np.intp)]

    def _brightest(self, edge: int) -> tuple[slice, slice]:
        self.window = slice(None), slice(None)
        mean = np.mean([self.frame(i) for i in self._sample()], axis=0)
        slices = []
        for axis in (1, 0):
            profile = mean.mean(axis=axis)
            size = min(edge, len(profile))
            sums = np.convolve(profile, np.ones(size), mode="valid")
            start = int(np.argmax(sums))
            slices.append(slice(start, start + size))
        return slices[0], slices[1]

    def _participation(self) -> float:
        """Share of the cells that are independent, (mean v)²/mean v².

        v is the variance over the frames under the window: where a few bright spots
        hold the noise, the spectrum has few independent values however many cells.
        """
        variance = (
            np.var([self.frame(i) for i in self._sample()], axis=0) * self.hann**2
        )
        height, width = (n // 4 * 4 for n in variance.shape)
        blocks = variance[:height, :width].reshape(height // 4, 4, width // 4, 4)
        v = blocks.mean((1, 3))
        return float(v.mean() ** 2 / max((v**2).mean(), np.finfo(float).tiny))

    def ring_mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over each ring."""
        sums = np.bincount(self.ring, values, RINGS)
        mean: NDArray[np.float64] = sums / self.cells
        return mean


@dataclass(frozen=True, slots=True)
class _Fit:
    """Per ring: log-likelihood with groups and without, between over total variance."""

    gain: NDArray[np.float64]
    ungrouped: NDArray[np.float64]
    share: NDArray[np.float64]


def _fit(spectra: _Spectra, order: FrameOrder) -> _Fit:
    """Analyse the variance of some images of the stack under one order."""
    count = int(np.prod(order.sizes))
    arranged = order.arrange(np.arange(count).reshape(count, 1, 1))
    index = np.asarray(arranged).reshape(-1, *arranged.shape[-4:-2])
    lead = len(index)
    images = sorted({lead // 4, lead // 2, (3 * lead) // 4})
    angles, phases = index.shape[1:]
    free, free_between = angles * phases - 1, angles - 1
    total = np.zeros(RINGS)
    between = np.zeros(RINGS)
    for image in images:
        residual = _residuals(spectra, index[image])
        total += spectra.ring_mean((np.abs(residual) ** 2).sum((0, 1)))
        means = residual.mean(axis=1)
        between += phases * spectra.ring_mean((np.abs(means) ** 2).sum(0))
    within = (total - between) / (free - free_between) / len(images)
    between = between / free_between / len(images)
    total = total / free / len(images)
    floor = 1e-12 * total.max() + np.finfo(float).tiny
    total, between, within = (np.maximum(v, floor) for v in (total, between, within))
    # Groups that differ more than their members: no stripes of this order, no gain.
    is_grouped = between < within
    grouped = free_between * np.log(between) + (free - free_between) * np.log(within)
    values = spectra.independent * len(images)
    ungrouped = -free * np.log(total) * values
    gain = np.where(is_grouped, -grouped * values, ungrouped)
    return _Fit(gain=gain, ungrouped=ungrouped, share=between / total)


def _residuals(spectra: _Spectra, index: NDArray[np.intp]) -> NDArray[np.complex128]:
    """Frames (A, P, cell) less their part of the mean, ring by ring.

    A gain for each frame and ring takes out bleaching, haze that bleaches otherwise,
    and a drifting focus.
    """
    stack = np.stack([spectra(int(i)) for i in index.ravel()])
    mean = stack.mean(axis=0)
    power = np.maximum(spectra.ring_mean(np.abs(mean) ** 2), np.finfo(float).tiny)
    gains = np.stack([spectra.ring_mean((f * mean.conj()).real) for f in stack])
    gains = gains / power
    overall = np.maximum((gains * power).sum(1) / power.sum(), 0.1)
    residual = (stack - gains[:, spectra.ring] * mean) / overall[:, None]
    centred: NDArray[np.complex128] = residual - residual.mean(axis=0)
    return centred.reshape(*index.shape, -1)


def _is_stripes(fits: dict[str, _Fit], best: str) -> bool:
    """Whether the best order wins by stripes: strongly, and not by slow motion."""
    fit = fits[best]
    letters, counts = best.split()
    twin = f"{letters.translate(str.maketrans('ap', 'pa'))} {counts}"
    weight = np.maximum(fit.gain - fits[twin].gain, 0)
    if not weight.any():
        return False
    evidence = 1 - float(np.average(fit.share, weights=weight))
    # Orders that put the leading axis elsewhere mix objects, which tells nothing.
    place = letters.replace("a", "p")
    largest = max(
        float(np.average(other.share, weights=weight))
        for name, other in fits.items()
        if name.split()[0].replace("a", "p") == place
    )
    return evidence > MINIMUM_EVIDENCE and largest - 1 < MAXIMUM_MOTION * evidence
