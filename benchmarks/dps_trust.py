"""Whether a result can be believed: wrong optics, empty regions, a bleaching series."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from dps_methods import METHODS, stage
from dps_protocol import (
    BACKGROUND,
    CLASSES,
    OPTICS,
    Image,
    Method,
    Pairs,
    enlarged,
    half_width,
    pairs,
    record,
    structure,
)
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.metrics.reference import fit_intensity, psnr_db
from napari_dps.stages.dps import DpsParameters, inspect

WIDTHS = {"20 % narrower": 0.8, "20 % wider": 1.2}
"""True PSF over the stated one."""
MISMATCH_PHOTONS = (200, 2000)
MISMATCH_SIDE_PX = 256
DOUBLED = 0.1
"""Dip in the profile across a single line that counts as two lines."""
LINE_NM, GHOST_NM = 50.0, 150.0
"""From its middle a line is looked at, and its ghosts."""
SIGMAS = 5.0
RECORDINGS = 8
SHARES = tuple(0.85**n for n in range(6))


def stated_as(image: ImageStack, width: float) -> ImageStack:
    """Return an image whose optics are wrong: its PSF is that much of the stated."""
    factor = OPTICS.modulation_factor * width
    wrong = OPTICS.model_copy(update={"modulation_factor": factor})
    return image.derive(image.data, optics=wrong)


class Mismatch(NamedTuple):
    """What wrong optics cost: dB against the exact PSF, and single lines doubled."""

    loss_db: float
    loss_of_accepted_db: float
    accepted: int
    images: int
    dip: float
    doubled: int
    ghost: float


def mismatch(name: str, psf: str, width: float, seeds: int) -> Mismatch:
    """Run a method of the stage on images whose PSF is not as stated."""
    exact, wrong = stage(method=name), stage(method=name, psf=psf)
    losses, accepted = [], []
    for kind in CLASSES:
        for seed in range(seeds):
            drawn = structure(kind, 1000 + seed, MISMATCH_SIDE_PX)
            target = half_width(drawn.truth)
            for photons in MISMATCH_PHOTONS:
                image = record(drawn.clean, photons, seed)
                lied = stated_as(image, width)
                scores = [
                    psnr_db(fit_intensity(result.data, target), target)
                    for result in (exact(image), wrong(lied))
                ]
                losses.append(scores[0] - scores[1])
                accepted.append(psf == "measured" and is_measured(lied))
    known = [loss for loss, yes in zip(losses, accepted, strict=True) if yes]
    return Mismatch(
        float(np.mean(losses)),
        float(np.mean(known)) if known else float("nan"),
        sum(accepted),
        len(losses),
        *single_lines(wrong, width),
    )


def is_measured(image: ImageStack) -> bool:
    """Whether the image can tell its PSF."""
    parameters = DpsParameters(psf="measured")
    prepared = finish(inspect(image, parameters, Context("cpu")))
    optics = image.require_optics("benchmark")
    return prepared.optics != optics


def single_lines(method: Method, width: float) -> tuple[float, int, float]:
    """Say how 20 isolated lines come out.

    The dip in the middle of their mean profile, how many dip by more than `DOUBLED`,
    and the brightest ghost beside the mean profile; shares of its peak.
    """
    field = pairs("line", 0.0)
    image = stated_as(record(field.scene.clean, 2000, 1), width)
    result = method(image).data
    near = line_profiles(result, field, np.arange(-LINE_NM, LINE_NM + 1, 4))
    beside = line_profiles(result, field, np.arange(LINE_NM, GHOST_NM + 1, 4))
    beside += line_profiles(result, field, -np.arange(LINE_NM, GHOST_NM + 1, 4))
    mean = near.mean(axis=0)
    rise = beside.mean(axis=0) / 2
    # The flank of the line itself falls; a ghost is what rises again from its foot.
    ghost = (rise - np.minimum.accumulate(rise)).max() / mean.max()
    doubled = sum(valley(profile) > DOUBLED for profile in near)
    return valley(mean), doubled, float(ghost)


def line_profiles(
    result: Image, field: Pairs, offsets_nm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean profile across each line, above the background."""
    pixel_nm = OPTICS.pixel_size_nm / 2
    reach = np.arange(-400, 401, 10.0)
    along = np.stack([-field.across[:, 1], field.across[:, 0]], axis=-1)
    places = (
        2 * field.centres_px[:, None, None]
        + offsets_nm[:, None, None] / pixel_nm * field.across[:, None, None]
        + reach[:, None] / pixel_nm * along[:, None, None]
    ) - 0.5
    values = map_coordinates(result, np.moveaxis(places, -1, 0), order=3)
    profiles: NDArray[np.float64] = values.mean(axis=2) - np.median(result)
    return profiles


def valley(profile: NDArray[np.float64]) -> float:
    """Return the deepest dip between two peaks, of the highest; 0 with one peak."""
    left = np.maximum.accumulate(profile)
    right = np.maximum.accumulate(profile[::-1])[::-1]
    return float((np.minimum(left, right) - profile).max() / profile.max())


class FalseDetections(NamedTuple):
    """Peaks in an empty region, per 1000 pixels of the result."""

    of_image: float
    of_result: float


def false_detections(method: Method) -> FalseDetections:
    """Count peaks in regions without any structure, beside one with glyphs.

    Above the mean by five standard deviations of the image's noise there (10 photons),
    and by five of the result's own noise (from its median absolute deviation).
    """
    clean = structure("glyphs", 1000).clean.copy()
    clean[:, 64:] = 0.05
    empty = np.stack(
        [
            method(record(clean, 200, 20 + n)).data[16:-16, 152:-16]
            for n in range(RECORDINGS)
        ]
    )
    peaks = empty == maximum_filter(empty, size=(1, 3, 3))
    height = empty[peaks] - np.median(empty)
    own = 1.4826 * np.median(np.abs(empty - np.median(empty)))
    counts = [
        1000 * float((height > SIGMAS * sigma).sum()) / empty.size
        for sigma in (np.sqrt(10), own)
    ]
    return FalseDetections(*counts)


def flux_error(method: Method) -> float:
    """Return the greatest frame-to-frame error of the light of a bleaching structure.

    Six frames, each 15 % weaker than the one before, from 1000 photons on.
    """
    clean = structure("glyphs", 1000).clean
    mask = enlarged(record(clean, np.inf, 0)) > BACKGROUND + 0.05
    light = []
    for number, share in enumerate(SHARES):
        result = method(record(clean, 1000 * share, 40 + number)).data
        light.append((result[mask] - np.median(result)).sum() / share)
    steps = np.array(light[1:]) / np.array(light[:-1])
    return float(np.abs(steps - 1).max())


def trust_cells(name: str) -> list[str]:
    """Return the cells of one method: false detections and flux."""
    method = METHODS[name]
    found = false_detections(method)
    return [
        f"{found.of_image:.2f}",
        f"{found.of_result:.2f}",
        f"{100 * flux_error(method):.1f} %",
    ]


def mismatch_rows(seeds: int) -> list[list[str]]:
    """Return the rows of the table of wrong optics, the right ones first."""
    rows = []
    for name in ("network", "rl"):
        dip, doubled, ghost = single_lines(stage(method=name), 1.0)
        lines = [f"{100 * dip:.0f} %", f"{doubled} of 20", f"{100 * ghost:.0f} %"]
        rows.append([f"`{name}`, PSF as stated", "0", "–", "–", *lines])
    for name in ("network", "rl"):
        for label, width in WIDTHS.items():
            for psf in ("stated", "measured"):
                found = mismatch(name, psf, width, seeds)
                measured = psf == "measured"
                rows.append(
                    [
                        f"`{name}`, true PSF {label}, {psf}",
                        f"{found.loss_db:.2f}",
                        f"{found.accepted} of {found.images}" if measured else "–",
                        f"{found.loss_of_accepted_db:.2f}" if measured else "–",
                        f"{100 * found.dip:.0f} %",
                        f"{found.doubled} of 20",
                        f"{100 * found.ghost:.0f} %",
                    ]
                )
                print(rows[-1], flush=True)
    return rows
