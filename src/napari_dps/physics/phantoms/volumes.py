"""Phantoms with a third dimension: filaments, shells, points, an even plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import InputError

VolumeId = Literal["filaments", "shells", "points", "plane"]
"""Names of the structures that can be drawn in a volume."""

Points = NDArray[np.float64]

_ATTEMPTS = 40


class Box:
    """A volume that collects point emitters at continuous positions.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X) of the grid.
    spacing_nm : (float, float, float)
        Distance of planes, edge of pixels; positions are measured from the outer corner
        of the first voxel.
    rng : numpy.random.Generator
        The only source of randomness.
    density : float
        How many objects there are, over what is usual for each structure.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing_nm: tuple[float, float, float],
        rng: np.random.Generator,
        density: float = 1.0,
    ) -> None:
        self.rng, self._density = rng, density
        self.size_nm = np.array(shape) * spacing_nm
        self._spacing = np.array(spacing_nm)
        self.voxels = np.zeros(shape)

    def scatter(self, per_um3: float) -> Points:
        """Return random positions (N, 3), uniform, N drawn around a mean density."""
        volume_um3 = np.prod(self.size_nm) * 1e-9
        count = self.rng.poisson(self._density * per_um3 * volume_um3)
        return self.rng.random((count, 3)) * self.size_nm

    def add(self, points_nm: Points, brightness: float = 1.0) -> None:
        """Add point emitters (N, 3), each in the voxel it lies in; others are lost."""
        index = np.floor(points_nm / self._spacing).astype(int)
        inside = np.all((index >= 0) & (index < self.voxels.shape), axis=1)
        np.add.at(self.voxels, tuple(index[inside].T), brightness)


def filaments(box: Box) -> None:
    """Draw smooth random curves that rise and fall through the volume."""
    step_nm, length_nm = 5.0, 12_000.0
    for start in box.scatter(0.12):
        count = int(length_nm / step_nm)
        turn = np.cumsum(box.rng.normal(0, 0.006, (2, count)), axis=1)
        heading = box.rng.uniform(0, 2 * np.pi) + turn[0]
        tilt = 0.25 * np.sin(box.rng.uniform(0, 2 * np.pi) + turn[1])
        steps = [
            np.sin(tilt),
            np.cos(tilt) * np.sin(heading),
            np.cos(tilt) * np.cos(heading),
        ]
        path = np.cumsum(np.stack(steps, axis=1), axis=0) * step_nm
        box.add(start + path - path[count // 2])


def shells(box: Box) -> None:
    """Draw hollow spheres 300 to 900 nm across."""
    for centre in box.scatter(0.25):
        radius_nm = box.rng.uniform(150, 450)
        directions = box.rng.normal(size=(int(0.05 * radius_nm**2), 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        box.add(centre + radius_nm * directions)


def points(box: Box) -> None:
    """Draw single emitters of equal brightness."""
    box.add(box.scatter(0.6))


def plane(box: Box) -> None:
    """Light the middle plane evenly."""
    box.voxels[len(box.voxels) // 2] = 1


VOLUMES: dict[VolumeId, Callable[[Box], None]] = {
    "filaments": filaments,
    "shells": shells,
    "points": points,
    "plane": plane,
}
"""The function that draws each structure."""


def volume(
    structure: VolumeId,
    shape: tuple[int, int, int],
    *,
    spacing_nm: tuple[float, float, float],
    seed: int = 0,
    density: float = 1.0,
) -> NDArray[np.float32]:
    """Draw a structure in a volume.

    Parameters
    ----------
    structure : str
        A key of `VOLUMES`.
    shape : (int, int, int)
        (Z, Y, X) of the grid.
    spacing_nm : (float, float, float)
        Distance of the planes, edges (y, x) of the fine pixels.
    seed : int
        Same seed, same scene.
    density : float
        How many objects there are, over what is usual for the structure.

    Returns
    -------
    array (Z, Y, X), float32
        Emitters in each voxel, scaled to a maximum of 1.

    Raises
    ------
    InputError
        If nothing of the structure lies in so small a volume.

    Examples
    --------
    >>> volume("plane", (5, 8, 8), spacing_nm=(125, 40, 40)).sum(axis=(1, 2)).tolist()
    [0.0, 0.0, 64.0, 0.0, 0.0]
    """
    rng = np.random.default_rng(seed)
    for _ in range(_ATTEMPTS):
        box = Box(shape, spacing_nm, rng, density)
        VOLUMES[structure](box)
        if box.voxels.any():
            return np.asarray(box.voxels / box.voxels.max(), dtype=np.float32)
    size = " × ".join(f"{n * d:g}" for n, d in zip(shape, spacing_nm, strict=True))
    raise InputError(
        f"a volume of {size} nm", allowed=f"larger, so that {structure} are in it"
    )
