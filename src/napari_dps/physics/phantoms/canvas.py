"""Drawing emitters at continuous positions on a pixel grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CHUNK = 1_000_000
"""Emitters splatted at once; bounds the memory of the temporaries."""


class Canvas:
    """A field of view that collects point emitters.

    Positions are (y, x) in nm from the outer corner of pixel (0, 0), so a scene drawn
    with the same random numbers on grids of other pixel size is the same scene.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the grid.
    pixel_size_nm : float
        Edge of a pixel.
    rng : numpy.random.Generator
        The only source of randomness of a scene.
    separation_nm : float
        Distance within the pairs of resolution targets.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        pixel_size_nm: float,
        rng: np.random.Generator,
        separation_nm: float,
    ) -> None:
        self.shape = shape
        self.pixel_size_nm = pixel_size_nm
        self.rng = rng
        self.separation_nm = separation_nm
        self.size_nm = np.array(shape) * pixel_size_nm
        self._sums = np.zeros((shape[0] + 2) * (shape[1] + 2))

    def scatter(self, per_um2: float, *, margin_nm: float = 0.0) -> NDArray[np.float64]:
        """Return random positions, uniform over the field and a margin around it.

        Parameters
        ----------
        per_um2 : float
            Expected number in a µm² (the number is Poisson distributed).
        margin_nm : float
            Width of the margin, for objects that reach into the field.

        Returns
        -------
        array (N, 2), float64
            Positions (y, x) in nm.
        """
        size = self.size_nm + 2 * margin_nm
        count = self.rng.poisson(per_um2 * np.prod(size) * 1e-6)
        return self.rng.random((count, 2)) * size - margin_nm

    def add(self, points_nm: NDArray[np.floating], brightness: ArrayLike = 1.0) -> None:
        """Add point emitters; those outside the field are left out.

        Each is shared among its four nearest pixels by bilinear weights, which keeps
        its brightness and its centre of mass exactly.

        Parameters
        ----------
        points_nm : array (…, 2)
            Positions (y, x).
        brightness : float or array (…)
            Brightness of each emitter, ≥ 0.
        """
        points = points_nm.reshape(-1, 2)
        weights = np.broadcast_to(brightness, points_nm.shape[:-1]).reshape(-1)
        for start in range(0, len(points), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._splat(points[part], weights[part])

    def image(self) -> NDArray[np.float32]:
        """Return the brightness in each pixel, (Y, X) float32, not normalised."""
        height, width = self.shape
        return self._sums.reshape(height + 2, width + 2)[1:-1, 1:-1].astype(np.float32)

    def _splat(
        self, points_nm: NDArray[np.floating], weights: NDArray[np.floating]
    ) -> None:
        """Add one chunk of emitters to the sums (which have a border of one pixel)."""
        height, width = self.shape
        y = points_nm[:, 0] / self.pixel_size_nm + 0.5
        x = points_nm[:, 1] / self.pixel_size_nm + 0.5
        inside = (y >= 0) & (y < height + 1) & (x >= 0) & (x < width + 1)
        y, x, weights = y[inside], x[inside], weights[inside]
        row, column = y.astype(np.intp), x.astype(np.intp)
        y -= row
        x -= column
        index = row * (width + 2) + column
        for step, share in (
            (0, (1 - y) * (1 - x)),
            (1, (1 - y) * x),
            (width + 2, y * (1 - x)),
            (width + 3, y * x),
        ):
            np.add.at(self._sums, index + step, weights * share)
