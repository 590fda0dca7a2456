"""How an object on the 2× grid becomes the raw frames of a SIM z-stack.

As in `napari_dps.physics.sim.raw_model`, where the view of an object s through a wave w
in the plane z is the sum over the planes z' of H_w(z − z')[s_z' e^{2πi k_w·r}]. The
object's spectrum is transformed along z as well, where the transfer function of each
order (`napari_dps.physics.otf3d`) is a factor: stripes that focus with the objective
beat along z in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.core.at_once import at_once
from napari_dps.core.otf import MeasuredOtf
from napari_dps.physics.measured_otf import order_tables
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.sim.raw_light import Light, Stripes, mixing
from napari_dps.physics.sim.raw_views import Views
from napari_dps.physics.sim.rim import mirrored_rim, without_rim

if TYPE_CHECKING:
    import torch

AXIAL_PERIODS = 2.0
"""Depth of both margins along z together, in periods of the highest kz of a widefield
OTF."""
ROWS_AT_ONCE = 16
"""Rows of a spectrum that are transformed along z together."""
_NOTHING = 1e-6
"""Of a transfer function's highest value: kz where it is less are left out."""


class RawVolume(ForwardModel["torch.Tensor", "torch.Tensor"]):
    """Raw frames of a z-stack of an object, and what frames say of the object.

    An even object of 1 under even light gives even frames of 1. The object reaches
    beyond the frames by margins, beyond which it repeats; along z they follow the last
    plane of the stack and meet the first.

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X) of the frames.
    stripes : sequence of Stripes
        The illumination, phases at the centre of the field.
    axial : sequence of (int, float)
        Number of the order of each of the stripes, and its kz0 in cycles per nm.
    intensities : array (Z, A, P)
        Brightness of each frame over that of their mean.
    optics : Optics
        The detection, with the pixel size of the frames.
    z_step_nm : float
        Distance of the planes.
    device : torch.device
        Where to compute.
    otf : MeasuredOtf, optional
        In place of those of an ideal objective; pixels of the camera included.
    offset : (float, float)
        Where the centre of the frames lies (y, x) from the point that the phases are
        those of, in pixels of the frames.

    Attributes
    ----------
    shape, object_shape : (int, int, int)
        (Z, Y, X) of the frames, and of the object with its margins.
    depth : float
        What an even object has, in every plane, of an emitter's light in focus: by it
        brightness is divided to get counts of emitters in focus.
    sensitivity : tensor, float32, shape ``object_shape``
        How much of each voxel's light all frames get together.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        stripes: Sequence[Stripes],
        axial: Sequence[tuple[int, float]],
        intensities: NDArray[np.float64],
        optics: Optics,
        z_step_nm: float,
        device: torch.device,
        *,
        otf: MeasuredOtf | None = None,
        offset: Sequence[float] = (0.0, 0.0),
    ) -> None:
        import torch

        self.shape = shape
        flat = Views(shape[1:], optics, device, otf=_all, has_pixels=otf is not None)
        self._views = flat.through([one.wavevector for one in stripes])
        period = scipy.fft.next_fast_len(
            shape[0] + math.ceil(AXIAL_PERIODS / cap_height_per_nm(optics) / z_step_nm)
        )
        self.object_shape = (period, *flat.object_shape)
        axial = [(0, 0.0), *axial]
        unit, tables = order_tables(otf, optics, period, z_step_nm, axial)
        self.depth = float(unit * tables[0][0, 0])
        self._passed = {
            number: _on_block(
                unit / self.depth * table, self._views.radii(number), device
            )
            for number, table in zip([None, *range(len(stripes))], tables, strict=True)
        }
        even = Light(np.ones(intensities.shape[1:]), tuple(stripes))
        shares = mixing(even, np.array(offset))
        bright = intensities.reshape(shape[0], -1, 1).astype(np.float32)
        self._mixing = torch.from_numpy(bright * shares).to(device)
        ones = torch.ones((), device=device).expand(shape[0], len(shares), *shape[1:])
        self.sensitivity = self.adjoint(ones)

    def views(self, thing: torch.Tensor, *, evenly: bool = False) -> torch.Tensor:
        """Return D_0 and the real and imaginary parts of all D_w.

        Parameters
        ----------
        thing : tensor, float32, shape ``object_shape``
            The object.
        evenly : bool
            D_0 alone.

        Returns
        -------
        tensor (1 + 2 W, Z, Y, X), float32
        """
        import torch

        spectra = torch.stack(
            list(at_once(partial(self._views.spectrum, plane) for plane in thing))
        )
        _in_place(torch.fft.fft, spectra)
        numbers = [None] if evenly else list(self._passed)
        views = thing.new_empty(2 * len(numbers) - 1, *self.shape)
        for number in numbers:
            self._put_view(views, spectra, number)
        return views

    def _put_view(
        self, views: torch.Tensor, spectra: torch.Tensor, number: int | None
    ) -> None:
        """Put the view of a number, in all planes, to its place among the views."""
        import torch

        passed = self._passed[number]
        blocks = spectra.new_zeros(len(spectra), *passed.shape[1:])

        def cut(kz: int) -> None:
            block = self._views.passed(spectra[kz], number, spectra[-kz])
            torch.mul(block, passed[abs(kz)], out=blocks[kz])

        def show(z: int) -> None:
            view = self._views.shown(blocks[z], number)
            if number is None:
                views[0, z] = view
            else:
                views[2 * number + 1, z] = view.real
                views[2 * number + 2, z] = view.imag

        _do(cut, self._heights(passed))
        _in_place(torch.fft.ifft, blocks)
        _do(show, range(self.shape[0]))

    def forward(self, thing: torch.Tensor, /) -> torch.Tensor:
        """Return the frames (Z, A·P, Y, X) of an object."""
        views = self.views(thing)
        frames = thing.new_empty(self.shape[0], self._mixing.shape[1], *self.shape[1:])
        for z in range(self.shape[0]):
            frames[z] = self.mixed(views, z)
        return frames

    def mixed(
        self, views: torch.Tensor, z: int, *, evenly: bool = False
    ) -> torch.Tensor:
        """Return the frames (A·P, Y, X) that views make in a plane.

        Parameters
        ----------
        views : tensor
            As of `views`.
        z : int
            Number of the plane.
        evenly : bool
            Whether even light is to stand in the stripes' place.
        """
        used = 1 if evenly else len(views)
        return _tensordot(self._mixing[z, :, :used], views[:used, z])

    def adjoint(self, frames: torch.Tensor, /) -> torch.Tensor:
        """Return the transpose of `forward` times 4: an object of ``object_shape``."""
        import torch

        views = frames.new_empty(self._mixing.shape[2], *self.shape)
        for z, shares in enumerate(self._mixing):
            views[:, z] = _tensordot(shares.T, frames[z])
        period = self.object_shape[0]
        spectra = torch.stack([self._views.empty_spectrum()] * period)
        for number in self._passed:
            self._add_view(spectra, views, number)
        _in_place(torch.fft.ifft, spectra)
        planes = at_once(partial(self._views.thing, spectrum) for spectrum in spectra)
        return torch.stack(list(planes))

    def _add_view(
        self, spectra: torch.Tensor, views: torch.Tensor, number: int | None
    ) -> None:
        """Add what the view of a number says of the object's spectrum."""
        import torch

        passed = self._passed[number]
        blocks = spectra.new_zeros(len(spectra), *passed.shape[1:])

        def take(z: int) -> None:
            if number is None:
                view = views[0, z]
            else:
                view = torch.complex(views[2 * number + 1, z], views[2 * number + 2, z])
            blocks[z] = self._views.block(view, number)

        _do(take, range(self.shape[0]))
        _in_place(torch.fft.fft, blocks)
        for kz in self._heights(passed):
            # Transfer functions are real and even: each is its own transpose.
            block = blocks[kz] * passed[abs(kz)]
            self._views.add(spectra[kz], block, number, spectra[-kz])

    def _heights(self, passed: torch.Tensor) -> range:
        """Return the kz, in bins, that pass in a view."""
        most = min(len(passed) - 1, (self.object_shape[0] - 1) // 2)
        return range(-most, most + 1)

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (Z, 2 Y, 2 X) whose margins mirror its ends."""
        import torch

        planes = len(thing)
        more = self.object_shape[0] - planes
        places = np.pad(np.arange(planes), (more // 2, more - more // 2), "symmetric")
        places = np.roll(places, -(more // 2))
        thing = thing.index_select(0, torch.from_numpy(places).to(thing.device))
        flat = mirrored_rim(thing.movedim(0, 2), self._views.margin)
        return flat.movedim(2, 0).contiguous()

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the stack: (Z, 2 Y, 2 X)."""
        part = thing[: self.shape[0]].movedim(0, 2)
        return without_rim(part, self.shape[1:], self._views.margin).movedim(2, 0)


def _all(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what passes along x and y; what the lens does, tables along z tell."""
    return np.asarray(radius <= 1, dtype=np.float64)


def _on_block(
    table: NDArray[np.float64], radii: NDArray[np.float64], device: torch.device
) -> torch.Tensor:
    """Return a table (R, kz) at the radii of a block, (kz, …): as far as it passes."""
    import torch

    half = table[:, : table.shape[1] // 2 + 1]
    highest = np.abs(half).max(axis=0)
    count = 1 + int(np.flatnonzero(highest > _NOTHING * highest.max())[-1])
    place, grid = radii * (len(table) - 1), np.arange(len(table))
    rows = [np.interp(place, grid, column, right=0.0) for column in half[:, :count].T]
    return torch.from_numpy(np.stack(rows).astype(np.float32)).to(device)


def _tensordot(shares: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Return mixtures of images by their shares."""
    import torch

    mixed: torch.Tensor = torch.tensordot(shares, images, dims=1)
    return mixed


def _in_place(transform: Callable[..., torch.Tensor], planes: torch.Tensor) -> None:
    """Transform planes along z where they are, in parts so that copies are small."""

    def work(start: int) -> None:
        part = planes[:, start : start + ROWS_AT_ONCE]
        part.copy_(transform(part, dim=0))

    _do(work, range(0, planes.shape[1], ROWS_AT_ONCE))


def _do(work: Callable[[int], None], numbers: Iterable[int]) -> None:
    """Do some work for each number that returns nothing; see `at_once`."""
    for _ in at_once(partial(work, number) for number in numbers):
        pass
