"""Whether weights that were trained on are better than those before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CERTAIN = 0.975
"""Probability that a judgement of better is not by chance."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether new weights explain what is left out better than those before.

    Attributes
    ----------
    before, after : float
        Mean −2 log likelihood per pixel, but for a constant, of what is left out.
    error : float
        Standard error of their difference, from block to block.
    blocks : int
        How many were left out.
    is_better : bool
        Whether the gain is more than chance makes in one of forty trainings.
    """

    before: float
    after: float
    error: float
    blocks: int
    is_better: bool


def judge(before: NDArray[np.float64], after: NDArray[np.float64]) -> Judgement:
    """Compare the misfits of the same blocks, by Student's t test of their pairs.

    Examples
    --------
    >>> judge(np.array([1.0, 1.2, 0.9]), np.array([0.9, 1.08, 0.81])).is_better
    True
    >>> judge(np.array([1.0, 1.2, 0.9]), np.array([0.9, 1.3, 0.8])).is_better
    False
    """
    from scipy.stats import t

    gain = before - after
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else np.inf
    needed = float(t.ppf(_CERTAIN, max(len(gain) - 1, 1))) * error
    return Judgement(
        float(before.mean()),
        float(after.mean()),
        error,
        len(gain),
        bool(gain.mean() > needed),
    )
