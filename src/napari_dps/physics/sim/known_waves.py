"""Which wave vectors that are known the frames confirm, all angles judged together.

Nothing is searched, so that far less evidence tells than in a search: T of a known wave
vector is a Gamma variable of mean 1 where there are no stripes, summed over stacks of a
series that of as many, and so it is over angles, which one calibration has measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincc, gammaln

KNOWN_CONFIDENCE = 8.0
"""Known wave vectors with less evidence than this in the frames are not used: by chance
one alone or all together have it in 7 of 10 000 stacks without such stripes."""
KNOWN_SHARE = 0.3
"""Nor one whose T is a smaller share of the highest of a search that is called: the
stripes are elsewhere. Half a bin off leaves 0.4."""
SHARE_OF_OTHERS = 0.25
"""Where all angles together tell, one has at least this share of what T of the others
has above chance: angles of one microscope are lit alike."""
SMALLEST = 1e-280
"""Below this a tail of the Gamma distribution is taken from its asymptote."""

Vector = tuple[float, float]
"""Wave vector (y, x) in cycles per pixel."""


@dataclass(frozen=True)
class Offer:
    """A known wave vector in the harmonic that shows it best.

    Attributes
    ----------
    angle, harmonic : int
        Where it is.
    wavevector : (float, float)
        With the sign with which the phases step.
    value : float
        T, summed over ``degrees`` stacks.
    choices : int
        So many ways to assign vectors, harmonics and signs were tried at this angle.
    degrees : int
        Of the Gamma variable that ``value`` is without stripes.
    is_outdone : bool
        Whether the frames show other stripes much better.
    """

    angle: int
    harmonic: int
    wavevector: Vector
    value: float
    choices: int
    degrees: int = 1
    is_outdone: bool = False

    @property
    def excess(self) -> float:
        """T above what chance gives."""
        return self.value - self.degrees


def surprise(value: float, degrees: float) -> float:
    """Return −ln of the probability that a Gamma variable is above a value.

    Examples
    --------
    >>> round(surprise(3.0, 1), 6), round(surprise(1000.0, 2))
    (3.0, 993)
    """
    tail = float(gammaincc(degrees, max(value, 0.0)))
    if tail > SMALLEST:
        return -math.log(tail)
    return value - (degrees - 1) * math.log(value) + float(gammaln(degrees))


def confirmed(offers: Sequence[Offer], models: int = 1) -> dict[tuple[int, int], float]:
    """Return the confidence of the wave vectors that the frames confirm.

    Parameters
    ----------
    offers : sequence of Offer
        Of all angles.
    models : int
        So many ways to sum over a series were tried, the best of which is offered.

    Returns
    -------
    dict of (int, int) to float
        By angle and harmonic: ln 1/p, of this one alone or of this harmonic of all
        angles together. A first order that is sure says nothing of a second.
    """
    harmonics = {offer.harmonic for offer in offers}
    tried = math.log(models * max(len(harmonics), 1))
    result = {}
    for harmonic in harmonics:
        usable = [o for o in offers if o.harmonic == harmonic and not o.is_outdone]
        choices = {offer.angle: offer.choices for offer in usable}
        plausible = [offer for offer in usable if _is_like_others(offer, usable)]
        together = -tried
        if len(plausible) > 1:
            chosen = math.log(math.comb(len(usable), len(plausible)))
            together = together_confidence(plausible, choices.values()) - chosen - tried
        alone = tried + math.log(max(sum(choices.values()), 1))
        for offer in usable:
            confidence = surprise(offer.value, offer.degrees) - alone
            if offer in plausible:
                confidence = max(confidence, together)
            if confidence >= KNOWN_CONFIDENCE:
                result[offer.angle, harmonic] = confidence
    return result


def together_confidence(offers: Sequence[Offer], choices: Iterable[int]) -> float:
    """Return the confidence of offers together, confirmed or not.

    Parameters
    ----------
    offers : sequence of Offer
        Of several angles.
    choices : iterable of int
        Ways that were tried, of each angle.
    """
    total = sum(offer.value for offer in offers)
    confidence = surprise(total, sum(offer.degrees for offer in offers))
    return confidence - sum(math.log(count) for count in choices)


def _is_like_others(offer: Offer, offers: Sequence[Offer]) -> bool:
    """Whether an angle shows as much as the others let expect."""
    others = [other.excess for other in offers if other.angle != offer.angle]
    return not others or offer.excess >= SHARE_OF_OTHERS * float(np.mean(others))
