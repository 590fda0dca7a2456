"""What the angles and orders of one microscope say of one another.

Faint stripes are called when other angles support them: equal |k| and directions
180°/A apart, which all common SIM microscopes have (Gustafsson 2000,
doi:10.1046/j.1365-2818.2000.00710.x). Stripes that no other angle agrees with are
doubtful.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from napari_dps.core.patterns import Doubt, Status
from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.correlation import Correlation
from napari_dps.physics.sim.joint import joint_search, near, turn
from napari_dps.physics.sim.search import SINGLE_CONFIDENCE, Key

JOINT_CONFIDENCE = 8.0
"""All angles together above this are tentative."""
NEAR_CONFIDENCE = 6.0
"""A peak where another angle's stripes let it be expected is tentative above this."""
LOOSE_LENGTH, LOOSE_RAD = 0.1, math.radians(6)
"""Angles that differ by more than this in |k|, or in the spacing of their directions,
contradict each other…"""
EQUAL_LENGTH = 0.015
"""… unless |k| is the same for all within this share: some microscope may have uneven
directions."""
LEAST_TURN_RAD = math.radians(10)
"""Directions of two angles differ by more than this."""
OUTSIDE = 0.3
"""Nor is one believed that is less sure than this share of the confidence with which
another angle has stripes outside the range of the search."""
MULTIPLE = 0.03
"""Within this share a wave vector is two or three times one outside the range."""
SURE_ALONE = 20.0
"""Above this confidence of one angle, others of a microscope show stripes too."""
ORDER_BINS, ORDER_SHARE = 3.0, 0.02
"""Distance in bins, and of its length, of a second order from twice the first."""
DOMINANT = 20.0
"""So many times as sure as all others, an angle stands against them."""

Correlations = Mapping[Key, Correlation]
Bands = dict[Key, Band]


def support_orders(bands: Bands, correlations: Correlations) -> None:
    """Look for an order where the other order of the same angle expects it."""
    for (angle, harmonic), band in list(bands.items()):
        other = bands.get((angle, 3 - harmonic))
        if other is None or band.is_usable or other.status != "found":
            continue
        factor = harmonic / other.harmonic
        expected = (factor * other.wavevector[0], factor * other.wavevector[1])
        _look_near(bands, correlations, (angle, harmonic), [expected], 2.0, "found")


def doubt_orders(bands: Bands, size: tuple[int, int]) -> None:
    """Doubt the less sure of two orders of one angle that no stripes can have.

    The second order is that of the same stripes: twice as fine, in the same direction.

    Parameters
    ----------
    bands : dict
        Changed in place.
    size : (int, int)
        Pixels (Y, X) of the frames.
    """
    for angle in {angle for angle, _ in bands}:
        keys = [(angle, 1), (angle, 2)]
        if not all(key in bands and bands[key].is_usable for key in keys):
            continue
        if any(bands[key].status == "given" for key in keys):
            continue
        coarse, fine = sorted((bands[key] for key in keys), key=lambda b: b.length)
        distance = min(
            math.hypot(
                *(
                    (f - sign * 2 * c) * n
                    for f, c, n in zip(
                        fine.wavevector, coarse.wavevector, size, strict=True
                    )
                )
            )
            for sign in (1, -1)
        )
        if distance > ORDER_BINS + ORDER_SHARE * fine.length * max(size):
            weaker = min(keys, key=lambda key: bands[key].confidence)
            bands[weaker] = replace(
                bands[weaker], status="doubtful", doubt="contradicts"
            )


def doubt_contradictions(bands: Bands, keys: Sequence[Key]) -> None:
    """Doubt the angles that none of the others agrees with.

    Parameters
    ----------
    bands : dict
        Changed in place.
    keys : sequence of Key
        The first order of each direction.
    """
    outside = [bands[k].confidence for k in keys if bands[k].doubt == "outside"]
    for key in keys:
        band = bands[key]
        if band.status == "found" and band.confidence < OUTSIDE * max(
            outside, default=0.0
        ):
            bands[key] = replace(band, status="doubtful", doubt="contradicts")
    _doubt_multiples(bands, keys)
    _doubt_equals(bands, keys)
    found = [key for key in keys if bands[key].status == "found"]
    agreeing: dict[Key, int] = dict.fromkeys(found, 0)
    for one, other in itertools.combinations(found, 2):
        if agree(bands[one], bands[other], len(keys)):
            agreeing[one] += 1
            agreeing[other] += 1
    lengths = [bands[key].length for key in found]
    if len(found) < 2 or (
        len(found) == len(keys) > 2 and max(lengths) < (1 + EQUAL_LENGTH) * min(lengths)
    ):
        return
    for key in found:
        others = [bands[k].confidence for k in found if k != key]
        dominates = bands[key].confidence > DOMINANT * max(others)
        if not agreeing[key] and not dominates:
            bands[key] = replace(bands[key], status="doubtful", doubt="contradicts")


def _doubt_multiples(bands: Bands, keys: Sequence[Key]) -> None:
    """Doubt stripes twice or thrice as fine as those of another, outside the range.

    They are harmonics of stripes that the search does not reach.
    """
    coarse = [bands[key].length for key in keys if bands[key].doubt == "outside"]
    for key in keys:
        band = bands[key]
        times = [band.length / max(length, 1e-12) for length in coarse]
        is_multiple = any(abs(t / n - 1) < MULTIPLE for t in times for n in (2, 3))
        if band.status == "found" and is_multiple:
            bands[key] = replace(band, status="doubtful", doubt="outside")


def doubt_lonely(bands: Bands, keys: Sequence[Key], *, plain_only: bool) -> None:
    """Doubt the angles that no other supports.

    An object that repeats itself misleads. So does the highest of all peaks of a band's
    spectrum, unless it is that of an even film, whose stripes every angle shows.

    Parameters
    ----------
    bands : dict
        Changed in place.
    keys : sequence of Key
        The first order of each direction, two or more.
    plain_only : bool
        Whether just peaks of a band's spectrum are looked at: no object repeats itself.
    """
    usable = {key: bands[key] for key in keys if bands[key].is_usable}
    doubt: Doubt
    for key, band in usable.items():
        agreeing = [agree(band, o, len(keys)) for k, o in usable.items() if k != key]
        if band.is_plain:
            is_film = all(agreeing) and len(usable) == len(keys)
            misleads, doubt = not is_film, "contradicts"
        else:
            misleads, doubt = not (plain_only or any(agreeing)), "repeats"
        if misleads and band.status != "given":
            bands[key] = replace(band, status="doubtful", doubt=doubt)


def doubt_only_one(bands: Bands, keys: Sequence[Key]) -> None:
    """Doubt sure stripes of a single angle where all others show none, not even faint.

    Angles of one microscope are lit alike: in 300 simulated stacks of 5 to 5000 photons
    none had its only stripes with a confidence above 10.

    Parameters
    ----------
    bands : dict
        Changed in place.
    keys : sequence of Key
        The first order of each direction.
    """
    sure = [
        key
        for key in keys
        if bands[key].status == "found" and bands[key].confidence > SURE_ALONE
    ]
    others = [bands[key].status for key in keys if key not in sure]
    if len(sure) == 1 and len(others) > 1 and set(others) == {"not found"}:
        (key,) = sure
        bands[key] = replace(bands[key], status="doubtful", doubt="contradicts")


def _doubt_equals(bands: Bands, keys: Sequence[Key]) -> None:
    """Doubt stripes of one direction at two angles: frames in another order show them.

    What is much surer than its equal keeps its place.
    """
    found = [key for key in keys if bands[key].status == "found"]
    doubted = set()
    for one, other in itertools.combinations(found, 2):
        if _turned(bands[one].wavevector, bands[other].wavevector) < LEAST_TURN_RAD:
            weaker, surer = sorted((one, other), key=lambda k: bands[k].confidence)
            doubted.add(weaker)
            if bands[surer].confidence < DOMINANT * bands[weaker].confidence:
                doubted.add(surer)
    for key in doubted:
        bands[key] = replace(bands[key], status="doubtful", doubt="contradicts")


def _turned(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the angle between two directions of stripes, 0 to π/2."""
    turned = abs(math.atan2(*one) - math.atan2(*other)) % math.pi
    return min(turned, math.pi - turned)


def agree(one: Band, other: Band, directions: int) -> bool:
    """Whether two bands may be those of two angles of one microscope."""
    difference = abs(math.log(one.length / other.length))
    spacing = math.pi / directions
    turned = _turned(one.wavevector, other.wavevector)
    if turned < LEAST_TURN_RAD:
        return False
    off = abs(turned - spacing * round(turned / spacing))
    return difference < LOOSE_LENGTH and off < LOOSE_RAD


def support_angles(
    bands: Bands, correlations: Correlations, keys: Sequence[Key]
) -> None:
    """Call faint stripes when the angles support one another.

    Parameters
    ----------
    bands : dict
        Changed in place.
    correlations : mapping
        Of all angles and harmonics.
    keys : sequence of Key
        The first order of each direction.
    """
    missing = [key for key in keys if not bands[key].is_usable]
    found = [bands[key] for key in keys if bands[key].status == "found"]
    any_given = any(band.status == "given" for band in bands.values())
    if not missing or len(keys) < 2 or any_given:
        return
    doubtful = any(bands[key].status == "doubtful" for key in keys)
    if len(found) < 2 and not doubtful and _joint(bands, correlations, keys, found):
        return
    if found:
        expected = [
            turn(*band.wavevector, math.pi * step / len(keys))
            for band in found
            for step in range(1, len(keys))
        ]
        # Not where another angle has its stripes already.
        expected = [
            vector
            for vector in expected
            if all(_turned(vector, b.wavevector) >= LEAST_TURN_RAD for b in found)
        ]
        for key in missing:
            _look_near(bands, correlations, key, expected, None, "tentative")


def _look_near(
    bands: Bands,
    correlations: Correlations,
    key: Key,
    expected: Sequence[tuple[float, float]],
    bins: float | None,
    status: Status,
) -> None:
    correlation = correlations[key]
    where = near(correlation, expected, bins)
    if not (correlation.statistic[where] > 0).any():
        return
    wavevector, _, confidence = correlation.best(where)
    enough = SINGLE_CONFIDENCE if status == "found" else NEAR_CONFIDENCE
    if confidence >= enough and not correlation.is_flank(wavevector):
        bands[key] = Band(key[1], wavevector, confidence, status)


def _joint(
    bands: Bands,
    correlations: Correlations,
    keys: Sequence[Key],
    found: Sequence[Band],
) -> bool:
    """Call all angles together if that is surer than what one angle says alone.

    What was found alone stays so where it agrees.
    """
    wavevectors, confidence = joint_search([correlations[k] for k in keys])
    if confidence < max([JOINT_CONFIDENCE, *(b.confidence for b in found)]):
        return False
    starts = dict(zip(keys, wavevectors, strict=True))
    if any(correlations[key].is_flank(start) for key, start in starts.items()):
        return False
    for key, start in starts.items():
        wavevector = correlations[key].polish(start)
        agrees = (
            bands[key].status == "found"
            and near(correlations[key], [wavevector], 1.0)[
                correlations[key].grid.cell(bands[key].wavevector)
            ]
        )
        if not agrees:
            bands[key] = Band(key[1], wavevector, confidence, "tentative")
    return True
