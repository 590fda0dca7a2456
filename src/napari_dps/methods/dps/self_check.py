"""Self-check: the separation that a sharpened image really resolves."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Optics, Progress, relay
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.physics.psf import airy_intensity, fwhm_nm

Kind = Literal["lines", "points"]
KINDS: tuple[Kind, ...] = ("lines", "points")
Sharpen = Callable[[ImageStack], Generator[Progress, None, ImageStack]]
Plane = NDArray[np.float32]
Places = NDArray[np.float64]

DIP = 0.26
"""Depth of the valley between two peaks that counts as resolved (Rayleigh)."""

MOST_PX = 256
"""Side of the part of the image that pairs are planted into."""

_PAIRS = 16
_FEWEST_PAIRS = 4
_HALVINGS = 6
_LINE_WIDTHS = 3.0
_SUBSAMPLES = 4


@dataclass(frozen=True, slots=True)
class Resolved:
    """The separation at which planted pairs are told apart.

    Attributes
    ----------
    kind : {"lines", "points"}
        What was planted.
    input_nm, result_nm : float or None
        Least separation with a dip of 26 % in the mean profile of all pairs, in the
        input and in the result; None if it is beyond the range that was tried (0.3 to
        1.8 widths of the PSF).
    pairs : int
        How many were planted at once.
    """

    kind: Kind
    input_nm: float | None
    result_nm: float | None
    pairs: int


def resolved_pairs(
    image: ImageStack, sharpen: Sharpen, *, brightness: float = 1.0
) -> Generator[Progress, None, tuple[Resolved, Resolved]]:
    """Plant pairs of lines and points into copies of an image and sharpen those.

    The pairs are seen through the same PSF that sharpening assumes, with shot noise as
    strong as the image's, in the darkest places of its brightest part, so that the
    answer holds for this image, its noise and its parameters. It cannot tell whether
    the optics are right: a wrong PSF is planted wrongly too.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", with the optics that are assumed; counts above the camera's offset.
    sharpen : callable
        Generator that yields `Progress` and returns an image on a 2× finer grid, with
        the parameters of the result in question.
    brightness : float
        Of the pairs, over the brightest structure of the image; 0.01 to 100.

    Yields
    ------
    Progress

    Returns
    -------
    tuple of Resolved
        For lines and for points.

    Raises
    ------
    InputError
        If the image has no optics, is too small for four pairs or shows no structure.

    Notes
    -----
    The profile is that of the difference from the image (the result) without pairs, so
    structures nearby do not count. Noise of the camera is taken for shot noise
    throughout; in images whose noise is not white none is added.
    """
    if not 0.01 <= brightness <= 100:
        raise InputError(
            "brightness of the pairs", got=brightness, allowed="0.01 to 100"
        )
    part = _brightest_part(image)
    optics = effective_optics(part)
    planter = _Planter(np.asarray(part.data, dtype=np.float32), optics, brightness)
    total, done = 2 * _HALVINGS + 1, 1
    yield Progress(0, total, "the image without pairs")
    plain = yield from _at(sharpen(part), 0, total)
    answers = []
    for kind in KINDS:
        search = _Search(fwhm_nm(optics))
        for _ in range(_HALVINGS):
            separation = search.middle_nm
            yield Progress(done, total, f"{kind} {separation:.0f} nm apart")
            planted = part.derive(planter.plant(kind, separation))
            sharp = yield from _at(sharpen(planted), done, total)
            search.learn(planter.dip(sharp.data - plain.data, 2, kind, separation))
            done += 1
        before = _Search(fwhm_nm(optics))
        for _ in range(_HALVINGS):
            separation = before.middle_nm
            light = planter.plant(kind, separation) - planter.image
            before.learn(planter.dip(light, 1, kind, separation))
        answers.append(
            Resolved(kind, before.found_nm, search.found_nm, len(planter.places_px))
        )
    yield Progress(total, total, "checked")
    return answers[0], answers[1]


def resolved_json(answers: Iterable[Resolved]) -> dict[str, dict[str, Any]]:
    """Return answers as reports hold them, by what was planted."""
    names = ("input_nm", "result_nm", "pairs")
    return {answer.kind: {n: getattr(answer, n) for n in names} for answer in answers}


class _Search:
    """Halve the range in which the least resolved separation lies."""

    def __init__(self, fwhm: float) -> None:
        self._low_nm, self._high_nm = 0.3 * fwhm, 1.8 * fwhm
        self.found_nm: float | None = None

    @property
    def middle_nm(self) -> float:
        """The separation to try next."""
        return (self._low_nm + self._high_nm) / 2

    def learn(self, dip: float) -> None:
        """Take in the dip that was found at the middle."""
        if dip >= DIP:
            self.found_nm = self._high_nm = self.middle_nm
        else:
            self._low_nm = self.middle_nm


class _Planter:
    """Plants pairs into the darkest places of an image, and measures their dip."""

    def __init__(self, image: Plane, optics: Optics, brightness: float) -> None:
        self.image = image
        self._optics = optics
        self._rng = np.random.default_rng(0)
        white = is_raw(image)
        cutoff = optics.cutoff_per_pixel * optics.modulation_factor
        noise = measured_noise(image, cutoff, white=white)
        smooth = scipy.ndimage.gaussian_filter(image, 1.0)
        signal = float(np.percentile(smooth, 99.9) - np.median(smooth))
        if signal <= max(2 * noise if white else 0.0, 0.0):
            raise InputError(
                "the image shows no structure above its noise: nothing to check"
            )
        self._peak = brightness * signal
        mean = float(image.mean(dtype=np.float64))
        # Variance of shot noise per count of light.
        self._gain = noise**2 / mean if white and mean > 0 else 0.0
        self._reach_px = math.ceil(2.5 * fwhm_nm(optics) / optics.pixel_size_nm)
        self.places_px = self._darkest_places(smooth)
        turn = self._rng.uniform(0, math.pi, len(self.places_px))
        self._across = np.stack([np.sin(turn), np.cos(turn)], axis=-1)
        self._along = np.stack([-self._across[:, 1], self._across[:, 0]], axis=-1)

    def _darkest_places(self, smooth: Plane) -> Places:
        """Return sub-pixel places (N, 2) far from one another and from the edges."""
        reach = self._reach_px
        disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= reach
        around = scipy.ndimage.uniform_filter(smooth, 2 * reach + 1)
        edge = np.ones(around.shape, bool)
        edge[reach + 1 : -reach - 1, reach + 1 : -reach - 1] = False
        around[edge] = np.inf
        places: list[tuple[int, int]] = []
        while len(places) < _PAIRS and np.isfinite(around).any():
            row, column = np.unravel_index(int(around.argmin()), around.shape)
            places.append((int(row), int(column)))
            taken = 2 * len(disc)
            around[
                max(row - taken // 2, 0) : row + taken // 2,
                max(column - taken // 2, 0) : column + taken // 2,
            ] = np.inf
        if len(places) < _FEWEST_PAIRS:
            raise InputError(
                "the image is too small for the self-check",
                got=smooth.shape,
                allowed=f"about {6 * len(disc)}² pixels",
            )
        return np.array(places) + self._rng.uniform(-0.5, 0.5, (len(places), 2))

    def plant(self, kind: Kind, separation_nm: float) -> Plane:
        """Return the image with pairs, their shot noise drawn anew."""
        light = np.zeros_like(self.image)
        for place, across, along in zip(
            self.places_px, self._across, self._along, strict=True
        ):
            self._add_pair(
                light, place, across, along * (kind == "lines"), separation_nm
            )
        light *= self._peak / light.max()
        noise = self._rng.standard_normal(light.shape, dtype=np.float32)
        planted: Plane = self.image + light + np.sqrt(self._gain * light) * noise
        return planted.astype(np.float32, copy=False)

    def _add_pair(
        self,
        light: Plane,
        place: Places,
        across: Places,
        along: Places,
        separation_nm: float,
    ) -> None:
        """Add one pair, integrated over the pixels, near its place."""
        pixel_nm = self._optics.pixel_size_nm
        effective_na = self._optics.na * self._optics.modulation_factor
        scale = 2 * math.pi * effective_na * pixel_nm / self._optics.emission_nm
        reach = np.arange(-self._reach_px, self._reach_px + 1)
        first = np.rint(place).astype(int)
        half_line = 0.25 * _LINE_WIDTHS * fwhm_nm(self._optics) / pixel_nm
        sites = np.linspace(-half_line, half_line, 13)[:, np.newaxis] * along
        steps = (np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5
        fine = (reach[:, np.newaxis] + steps).ravel()
        patch = np.zeros((len(fine), len(fine)))
        for side in (-0.5, 0.5):
            for site in np.unique(sites, axis=0):
                y, x = place - first + side * separation_nm / pixel_nm * across + site
                distance = np.hypot(fine[:, np.newaxis] - y, fine - x)
                patch += airy_intensity(scale * distance)
        size = len(reach)
        shape = (size, _SUBSAMPLES, size, _SUBSAMPLES)
        rows, columns = (
            slice(n - self._reach_px, n + self._reach_px + 1) for n in first
        )
        light[rows, columns] += patch.reshape(shape).mean(axis=(1, 3))

    def dip(self, light: Plane, finer: int, kind: Kind, separation_nm: float) -> float:
        """Return 1 − middle/peaks of the mean profile across all pairs."""
        step = separation_nm / self._optics.pixel_size_nm
        offsets = np.linspace(-1.5, 1.5, 61) * step
        half_line = 0.15 * _LINE_WIDTHS * fwhm_nm(self._optics)
        half_line /= self._optics.pixel_size_nm
        reach = np.linspace(-half_line, half_line, 9) * (kind == "lines")
        places = (
            self.places_px[:, np.newaxis, np.newaxis]
            + offsets[:, np.newaxis, np.newaxis]
            * self._across[:, np.newaxis, np.newaxis]
            + reach[:, np.newaxis] * self._along[:, np.newaxis, np.newaxis]
        )
        on_grid = finer * (places + 0.5) - 0.5
        values = scipy.ndimage.map_coordinates(
            light, np.moveaxis(on_grid, -1, 0), order=3
        )
        profile = values.mean(axis=(0, 2))
        peaks = (profile[offsets < 0].max() + profile[offsets > 0].max()) / 2
        middle = profile[len(offsets) // 2]
        return float(1 - middle / peaks) if peaks > 0 else 0.0


def _brightest_part(image: ImageStack) -> ImageStack:
    """Cut the part of at most `MOST_PX` a side that holds most light."""
    sides = [min(side, MOST_PX) for side in image.shape]
    mean = scipy.ndimage.uniform_filter(np.asarray(image.data, np.float32), sides)
    inner = tuple(
        slice(size // 2, side - (size - 1) // 2)
        for size, side in zip(sides, image.shape, strict=True)
    )
    best = np.unravel_index(int(mean[inner].argmax()), mean[inner].shape)
    rows, columns = (
        slice(int(start), int(start) + size)
        for start, size in zip(best, sides, strict=True)
    )
    # The raw frames show none of the pairs.
    return image.derive(image.data[rows, columns], frames=None)


def _at(
    steps: Generator[Progress, None, ImageStack], done: int, total: int
) -> Generator[Progress, None, ImageStack]:
    """Run a stage as one step of the check; it can be stopped at each of its own."""
    return relay(steps, lambda r: Progress(done, total, r.message))
