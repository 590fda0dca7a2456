"""Curves: worm-like chains, smooth noise, emitter sites along curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Float = NDArray[np.float64]


def smooth_noise(
    rng: np.random.Generator, count: int, steps: int, *, correlation_steps: float
) -> Float:
    """Return smooth stationary Gaussian noise of unit variance.

    White noise through two equal first-order filters; its correlation after s steps is
    (1 + s/ℓ) e^(−s/ℓ) with ℓ = ``correlation_steps``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    count, steps : int
        Number of series and length of each.
    correlation_steps : float
        ℓ, above 0.

    Returns
    -------
    array (count, steps), float64
    """
    memory = np.exp(-1 / correlation_steps)
    settle = int(6 * correlation_steps)
    white = rng.standard_normal((count, steps + settle))
    white *= np.sqrt((1 - memory**2) ** 3 / (1 + memory**2))
    noise: Float = lfilter([1.0], [1.0, -2 * memory, memory**2], white, axis=1)
    return noise[:, settle:]


def worm_like_chains(
    rng: np.random.Generator,
    start_nm: Float,
    heading_rad: Float,
    *,
    length_nm: float,
    persistence_nm: float,
    smooth_over_nm: float,
    step_nm: float = 50.0,
) -> Float:
    """Return random semi-flexible filaments of one length.

    The curvature is smooth noise, whose variance makes the heading diffuse as that of a
    worm-like chain in two dimensions, ⟨Δθ²⟩ = s/L_p (Kratky and Porod 1949,
    doi:10.1002/recl.19490681203), over lengths s well above ``smooth_over_nm``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    start_nm : array (N, 2)
        First points (y, x).
    heading_rad : array (N,)
        First directions, x towards y.
    length_nm, persistence_nm : float
        Contour length and persistence length L_p.
    smooth_over_nm : float
        Correlation length ℓ of the curvature.
    step_nm : float
        Distance between vertices.

    Returns
    -------
    array (N, V, 2), float64
        Vertices (y, x) in nm.
    """
    steps = max(2, round(length_nm / step_nm))
    curvature = smooth_noise(
        rng, len(start_nm), steps, correlation_steps=smooth_over_nm / step_nm
    )
    curvature /= np.sqrt(4 * smooth_over_nm * persistence_nm)
    heading = heading_rad[:, np.newaxis] + np.cumsum(curvature * step_nm, axis=1)
    moves = step_nm * np.stack([np.sin(heading), np.cos(heading)], axis=-1)
    vertices: Float = np.concatenate([start_nm[:, np.newaxis], moves], axis=1)
    return np.cumsum(vertices, axis=1)


def normals_of(curves: Float) -> Float:
    """Return the unit normals (N, V, 2) at the vertices of curves (N, V, 2)."""
    tangents = np.gradient(curves, axis=1)
    length = np.linalg.norm(tangents, axis=-1, keepdims=True)
    normals: Float = np.stack([tangents[..., 1], -tangents[..., 0]], axis=-1)
    normals /= length
    return normals


@dataclass(frozen=True, slots=True)
class Sites:
    """Places along a set of curves.

    Attributes
    ----------
    curve : array (N,)
        Index of the curve.
    vertex : array (N,), float64
        Position along the curve, in vertices.
    points_nm, normals : array (N, 2)
        Position (y, x), and unit normal of the curve there.
    """

    curve: NDArray[np.intp]
    vertex: Float
    points_nm: Float
    normals: Float

    @classmethod
    def on(cls, curves: Float, curve: NDArray[np.intp], vertex: Float) -> Sites:
        """Return places at positions along curves; positions outside continue them."""
        first = np.clip(vertex.astype(np.intp), 0, curves.shape[1] - 2)
        flat = curves.reshape(-1, 2)
        index = curve * curves.shape[1] + first
        start = flat[index]
        along = flat[index + 1] - start
        points = start + (vertex - first)[:, np.newaxis] * along
        length = np.hypot(along[:, 0], along[:, 1]) + 1e-12
        normals = np.stack([along[:, 1] / length, -along[:, 0] / length], axis=-1)
        return cls(curve, vertex, points, normals)

    def at(self, profile: Float) -> Float:
        """Interpolate a profile (curves, vertices) at the places."""
        first = np.clip(self.vertex.astype(np.intp), 0, profile.shape[1] - 2)
        index = self.curve * profile.shape[1] + first
        left = np.take(profile, index)
        values: Float = left + (self.vertex - first) * (
            np.take(profile, index + 1) - left
        )
        return values

    def moved_aside(self, offset_nm: Float) -> Float:
        """Return the places moved along the normals by ``offset_nm`` (N,): (N, 2)."""
        return self.points_nm + offset_nm[:, np.newaxis] * self.normals


def sites_along(
    rng: np.random.Generator,
    curves: Float,
    *,
    spacing_nm: float,
    start: Float | float = 0.0,
    stop: Float | float = 1.0,
) -> Sites:
    """Place sites along curves, one at random in each interval.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    curves : array (N, V, 2)
        Vertices (y, x) in nm, evenly spaced along each curve.
    spacing_nm : float
        Length of the intervals.
    start, stop : array (N,) or float
        Part of each curve that is labelled, 0 to 1.

    Returns
    -------
    Sites
    """
    length_nm = np.linalg.norm(np.diff(curves, axis=1), axis=-1).sum(axis=1)
    share = np.broadcast_to(np.subtract(stop, start), length_nm.shape)
    first = np.broadcast_to(start, length_nm.shape)
    count = np.ceil(length_nm * share / spacing_nm).astype(np.intp)
    curve, rank = ragged(count)
    part = first[curve] + (rank + rng.random(len(rank))) / count[curve] * share[curve]
    return Sites.on(curves, curve, part * (curves.shape[1] - 1))


def ragged(count: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the owner and the rank of each item of lists with ``count`` items.

    Examples
    --------
    >>> [array.tolist() for array in ragged(np.array([2, 0, 3]))]
    [[0, 0, 2, 2, 2], [0, 1, 0, 1, 2]]
    """
    owner = np.repeat(np.arange(len(count)), count)
    rank = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, rank


def on_tube(rng: np.random.Generator, count: int) -> Float:
    """Return sideways offsets of sites on a tube of radius 1 seen from above."""
    offsets: Float = np.sin(rng.uniform(-np.pi, np.pi, count))
    return offsets
