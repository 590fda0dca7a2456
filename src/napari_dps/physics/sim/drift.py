"""Stripes of known wave vectors over a series of stacks: how sure, and how they drift.

Each stack gives the complex amplitude z of the matched filter at the wave vector. Its
phase is that of the stripes, whatever the object; without stripes it is a complex
Gaussian of variance 1. Where the phase stays, |Σ z|²/N is as sure as N stacks can
tell; where it drifts, blocks of stacks in which it hardly does are summed by power, or
a constant drift is taken out. None of it is fitted to the data but a few choices, which
the confidence pays for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_dps.physics.sim.spectrum import FloatArray

Amplitudes = NDArray[np.complexfloating]

RATES_PER_STACK = 2
"""Rates of a constant drift that are tried, for each stack of the series."""
INDEPENDENT = 2.0
"""So many of them are independent, for each stack (by simulation: 1.9)."""
MARGIN = 3.0
"""Predictions of a drift must be better than those of constant phases by this many
standard deviations of the noise of the difference."""


@dataclass(frozen=True)
class Total:
    """T of a wave vector summed over a series in one way.

    Attributes
    ----------
    values : array (M,)
        At M wave vectors.
    degrees : int
        Of the Gamma variable that they are without stripes.
    """

    values: FloatArray
    degrees: int


def totals(amplitudes: Amplitudes) -> list[Total]:
    """Sum T over a series in all ways: blocks of 1, 2, 4 … all; a constant drift.

    Parameters
    ----------
    amplitudes : array (N, M), complex
        Of N stacks at M wave vectors.

    Examples
    --------
    >>> turning = np.exp(0.5j * np.arange(64))[:, None]
    >>> [round(float(t.values[0]) / t.degrees, 1) for t in totals(turning)][:4]
    [1.0, 1.9, 2.9, 1.7]
    """
    count = len(amplitudes)
    lengths = [2**n for n in range(count.bit_length()) if 2**n < count] + [count]
    return [_in_blocks(amplitudes, length) for length in lengths] + (
        [_drifting(amplitudes)] if count > 2 else []
    )


def _in_blocks(amplitudes: Amplitudes, length: int) -> Total:
    """Sum amplitudes in blocks of a length, and the power of blocks."""
    starts = np.arange(0, len(amplitudes), length)
    sizes = np.diff(np.append(starts, len(amplitudes)))
    sums = np.add.reduceat(amplitudes, starts, axis=0)
    power = (np.abs(sums) ** 2 / sizes[:, np.newaxis]).sum(axis=0)
    return Total(power.astype(np.float64), len(starts))


def _drifting(amplitudes: Amplitudes) -> Total:
    """Return the surprise of the best of all constant drifts, a Gamma(1) variable."""
    count = len(amplitudes)
    spectrum = np.fft.fft(amplitudes, RATES_PER_STACK * count, axis=0)
    # In single precision 1 − exp(−p) of no power at all is 0, which has no logarithm.
    power = (np.abs(spectrum) ** 2).max(axis=0).astype(np.float64) / count
    tried = INDEPENDENT * count
    chance = -np.expm1(tried * np.log1p(-np.exp(-np.clip(power, 1e-9, 30))))
    values = np.where(power > 25, power - np.log(tried), -np.log(chance))
    return Total(np.maximum(values, 0.0).astype(np.float64), 1)


def levelled(total: Total, around: Total) -> float:
    """Return a total over what is usual at wave vectors around, at least its mean.

    What moves may leave more at all of them than noise does.
    """
    level = float(around.values.mean()) / around.degrees
    return float(total.values[0]) / max(level, 1.0)


@dataclass(frozen=True)
class Drift:
    """How the phase of stripes drifts over a series.

    Attributes
    ----------
    phases_rad : array (N,)
        Phase of each stack less that of the middle one, continuous.
    error_rad : float
        Its expected error.
    """

    phases_rad: FloatArray
    error_rad: float


def follow(amplitudes: Amplitudes) -> Drift | None:
    """Follow the phase of known stripes over a series; None where it stays.

    Each stack is predicted from its neighbours, at a constant rate of drift and with a
    window of them: rate and window are those that predict best. A drift has to predict
    better than constant phases do by what chance cannot explain.

    Parameters
    ----------
    amplitudes : array (N,), complex
        From `Correlation.amplitudes`, in the order of time, at equal intervals.

    Examples
    --------
    >>> turning = 3 * np.exp(0.2j * np.arange(32))
    >>> drift = follow(turning)
    >>> np.allclose(np.diff(drift.phases_rad), 0.2, atol=0.01)
    True
    >>> follow(np.full(32, 3.0 + 0j)) is None
    True
    """
    count = len(amplitudes)
    if count < 3:
        return None
    steps = RATES_PER_STACK * count
    rates = 2 * np.pi * np.fft.fftfreq(steps)
    widths = [2**n for n in range(count.bit_length()) if 2**n < count] + [count]
    turned = amplitudes * np.exp(-1j * np.outer(rates, np.arange(count)))
    scores = np.array([_score(turned, width) for width in widths])
    width, rate = np.unravel_index(int(scores.argmax()), scores.shape)
    spin = np.exp(1j * rates[rate] * np.arange(count))
    differ = _predicted(turned[rate], widths[width]) * spin - _predicted(
        amplitudes, count
    )
    best = float(scores[width, rate])
    noise = np.sqrt(float((np.abs(differ) ** 2).sum()) / 2)
    if best - float(scores[-1, 0]) <= MARGIN * noise:
        return None
    sums, weights = _around(turned[rate], widths[width], alone=False)
    phases = np.unwrap(np.angle(sums)) + rates[rate] * np.arange(count)
    strength = max(best / count, 1e-6)
    error = 1 / (np.sqrt(2 * float(np.median(weights))) * strength)
    return Drift(phases - phases[count // 2], min(error, np.pi))


def _score(turned: Amplitudes, width: int) -> FloatArray:
    """Return how well neighbours predict the phases, for each rate (R,)."""
    score: FloatArray = (turned.conj() * _predicted(turned, width)).real.sum(axis=-1)
    return score


def _predicted(turned: Amplitudes, width: int) -> Amplitudes:
    """Return the phase of each stack as its neighbours alone tell it, modulus 1."""
    sums, _ = _around(turned, width, alone=True)
    predicted: Amplitudes = sums / np.maximum(np.abs(sums), 1e-12)
    return predicted


def _around(
    turned: Amplitudes, width: int, *, alone: bool
) -> tuple[Amplitudes, FloatArray]:
    """Return sums over windows (…, N) of a width, and their effective numbers.

    ``alone`` leaves out each stack itself.
    """
    count = turned.shape[-1]
    distance = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
    window = np.ones((count, count))
    if width < count:
        window = np.exp(-((distance / width) ** 2) / 2)
    if alone:
        np.fill_diagonal(window, 0)
    numbers = window.sum(axis=0) ** 2 / np.maximum((window**2).sum(axis=0), 1e-12)
    sums: Amplitudes = turned @ window
    return sums, numbers
