"""The imaging model of deconvolution: blur on a fine grid, binned into the pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import InputError
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf import Transfer, widefield_otf

if TYPE_CHECKING:
    import torch


FINER = 2
"""Fine pixels along a pixel of the image."""

_MARGIN_PERIODS = 3.0
"""Width of the margin in periods of the cut-off: three widths of the PSF."""


class ImagingModel(ForwardModel["torch.Tensor", "torch.Tensor"]):
    """How an object on the 2× grid becomes an image: y = mean over 2×2 of (x ⊗ PSF).

    The object is the light in each fine pixel, in the brightness of the image: an even
    object of 1 gives an even image of 1. The PSF is that of an ideal circular aperture
    through its analytic OTF, so nothing is cut off. The mean over 2×2 fine pixels is
    exactly the integration over the pixels of the camera.

    The object reaches beyond the image by a margin. Light from there comes in and is
    part of the unknown, so that no assumption about the outside can ring (Bertero,
    Boccacci 2005). Rows and columns of the margin come after those of the image and
    wrap round.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the image; odd, even, non-square.
    cutoff_per_pixel : float
        Cut-off 2 mf NA/λ in cycles per pixel of the image; above 0. Beyond 0.5 the
        image is under-sampled, which the model includes.
    device : torch.device
        Where to compute.
    binning : int
        Fine pixels along a pixel of the image: 2 for an image as the camera took it, 1
        for one that was interpolated to the 2× grid (``shape`` and cut-off are then
        those of the fine grid, and the camera's pixels become part of the blur).
    seen_width : float
        Width of a PSF that the object is seen through already, of the width of the
        image's PSF, below 1: the model blurs by what is missing. 0 for emitters.
    transfer : callable, optional
        OTF that was measured, from frequency over cut-off, pixels of the camera
        included; by default that of an ideal aperture.

    Attributes
    ----------
    shape : tuple of int
        (Y, X) of the image.
    object_shape : tuple of int
        (Y, X) of the object, with its margin.
    sensitivity : tensor, float32, shape ``object_shape``
        The share of each fine pixel's light that falls into the image, 0 to 1.

    References
    ----------
    .. [1] Bertero, Boccacci, Astronomy & Astrophysics 437, 369 (2005),
       doi:10.1051/0004-6361:20052717.

    Examples
    --------
    >>> import torch
    >>> model = ImagingModel((20, 31), 0.4, torch.device("cpu"))
    >>> image = model.forward(torch.full(model.object_shape, 7.0))
    >>> image.shape, bool(((image - 7).abs() < 1e-5).all())
    (torch.Size([20, 31]), True)
    """

    def __init__(
        self,
        shape: tuple[int, int],
        cutoff_per_pixel: float,
        device: torch.device,
        *,
        binning: int = FINER,
        seen_width: float = 0.0,
        transfer: Transfer | None = None,
    ) -> None:
        import torch

        if not 0 < cutoff_per_pixel < math.inf:
            raise InputError(
                "cut-off in cycles per pixel", got=cutoff_per_pixel, allowed="above 0"
            )
        self.shape = shape
        self.binning = binning
        margin = math.ceil(_MARGIN_PERIODS / cutoff_per_pixel)
        height, width = (
            binning * scipy.fft.next_fast_len(side + margin, real=True)
            for side in shape
        )
        self.object_shape = (height, width)
        cutoff = cutoff_per_pixel / binning
        # Of a spectrum only what the lens passes is computed.
        self._reach = tuple(
            min(math.floor(cutoff * side), side // 2) for side in self.object_shape
        )
        # An image that is sampled well enough is made on its own pixels at once;
        # another is thinned out, with all that is folded back.
        fits = all(
            2 * binning * reach < side
            for reach, side in zip(self._reach, self.object_shape, strict=True)
        )
        self._thinned = 1 if fits else binning
        finer = binning // self._thinned
        self._grid = height // finer, width // finer
        passed = self._lens(cutoff, seen_width, transfer)
        self._passed = torch.from_numpy(passed).to(device)
        self._back = self._passed.conj() * binning**2
        self._passed = self._passed / finer**2
        self.sensitivity = self.adjoint(torch.ones(shape, device=device))

    def _lens(
        self, cutoff: float, seen_width: float, transfer: Transfer | None
    ) -> NDArray[np.complex64]:
        """Return what the lens and the camera's pixels pass of each frequency."""
        up, across = self._reach
        height, width = self.object_shape
        f_y = np.fft.fftfreq(height)[_low(height, up)]
        f_x = np.arange(across + 1) / width
        radius = np.hypot(f_y[:, np.newaxis], f_x)
        otf = widefield_otf(radius, cutoff)
        # The mean of fine pixels half a pixel up and down (left and right).
        camera = np.cos(np.pi * f_y)[:, np.newaxis] * np.cos(np.pi * f_x)
        if transfer is not None:
            # What was measured has gone through the pixels of the camera already.
            otf = transfer(radius / cutoff) / np.maximum(camera, 0.1)
        if seen_width:
            # The image's OTF ends before the other's does: nothing divides by 0.
            seen = widefield_otf(radius, cutoff / seen_width)
            otf /= np.where(otf > 0, seen, 1)
        passed: NDArray[np.complex64] = (otf * camera).astype(np.complex64)
        if self.binning > 1:
            # A pixel's centre lies half a fine pixel beyond that of its first one.
            shift = [np.exp(1j * np.pi * f) for f in (f_y, f_x)]
            passed *= shift[0][:, np.newaxis] * shift[1]
        return passed

    def forward(self, thing: torch.Tensor, /) -> torch.Tensor:
        """Return the image of an object.

        Parameters
        ----------
        thing : tensor, float32, shape ``object_shape``
            The object.

        Returns
        -------
        tensor (Y, X), float32
        """
        import torch

        (up, across), step = self._reach, self._thinned
        rows, columns = (step * side for side in self.shape)
        half = torch.fft.rfft(thing, dim=1)[:, : across + 1]
        low = _cut(torch.fft.fft(half, dim=0), up).mul_(self._passed)
        half = torch.fft.ifft(_filled(low, self._grid[0], up), dim=0)[:rows:step]
        image: torch.Tensor = torch.fft.irfft(half, n=self._grid[1], dim=1)
        return image[:, :columns:step]

    def adjoint(self, image: torch.Tensor, /) -> torch.Tensor:
        """Return the transpose of `forward` times binning²: an even 1 becomes ≤ 1.

        Parameters
        ----------
        image : tensor (Y, X), float32
            In pixels of the image.

        Returns
        -------
        tensor, float32, shape ``object_shape``
        """
        import torch

        up, across = self._reach
        height, width = self.object_shape
        if self._thinned > 1:
            rows, columns = (self._thinned * side for side in self.shape)
            image, thin = image.new_zeros(rows, columns), image
            image[:: self._thinned, :: self._thinned] = thin
        half = torch.fft.rfft(image, n=self._grid[1], dim=1)[:, : across + 1]
        low = _cut(torch.fft.fft(half, n=self._grid[0], dim=0), up).mul_(self._back)
        half = torch.fft.ifft(_filled(low, height, up), dim=0)
        thing: torch.Tensor = torch.fft.irfft(half, n=width, dim=1)
        return thing

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object whose margin mirrors its edges: the inverse of `inside`."""
        return mirrored_margin(thing, self.object_shape)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the image: (2 Y, 2 X)."""
        rows, columns = (self.binning * side for side in self.shape)
        return thing[:rows, :columns]


def mirrored_margin(thing: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return an object with a margin after its last pixels, half of which wraps round.

    It mirrors the object at its edges.

    Parameters
    ----------
    thing : tensor, float32
        Of any axes.
    shape : sequence of int
        With the margin.
    """
    import torch

    for axis, size in enumerate(shape):
        inside = thing.shape[axis]
        place = np.arange(size)
        after = place - inside < (size - inside) / 2
        mirrored = np.where(after, 2 * inside - 1 - place, size - 1 - place)
        source = np.where(place < inside, place, mirrored.clip(0, inside - 1))
        index = torch.from_numpy(source).to(thing.device)
        thing = thing.index_select(axis, index)
    return thing


def _low(size: int, reach: int) -> NDArray[np.int64]:
    """Return the rows of a spectrum of frequencies 0 to reach, then −reach to −1."""
    below = min(reach, size - reach - 1)
    return np.asarray(np.r_[0 : reach + 1, size - below : size], dtype=np.int64)


def _cut(spectrum: torch.Tensor, reach: int) -> torch.Tensor:
    """Return the rows of a spectrum that `_low` lists."""
    import torch

    below = min(reach, len(spectrum) - reach - 1)
    parts = [spectrum[: reach + 1], spectrum[len(spectrum) - below :]]
    return torch.cat(parts)


def _filled(low: torch.Tensor, size: int, reach: int) -> torch.Tensor:
    """Return the spectrum of so many rows that has these, and no more."""
    whole = low.new_zeros(size, low.shape[1])
    whole[: reach + 1] = low[: reach + 1]
    whole[size - (len(low) - reach - 1) :] = low[reach + 1 :]
    return whole
