"""The imaging model of deconvolution in three dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from napari_dps.core import Optics
from napari_dps.physics.deconvolution.model import FINER, mirrored_margin
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf3d import cap_height_per_nm
from napari_dps.physics.psf3d import Transfer3d

if TYPE_CHECKING:
    import torch

MARGIN_PERIODS = 3.0
"""Width of the margin in x and y, in periods of the cut-off."""
AXIAL_PERIODS = 4.0
"""Depth of the margin along z, in periods of the highest kz of a widefield OTF."""


class VolumeModel(ForwardModel["torch.Tensor", "torch.Tensor"]):
    """How an object becomes a z-stack: y = mean over 2 × 2 of (x ⊗ PSF).

    The object has planes as the stack has, and half its pixel size; an even object of 1
    gives an even stack of 1. It reaches beyond the stack by a margin on all sides,
    which is part of the unknown: light comes in from there (see `ImagingModel`).

    Parameters
    ----------
    shape : (int, int, int)
        (Z, Y, X) of the stack.
    optics : Optics
        At the pixel size of the stack.
    z_step_nm : float
        Distance of the planes.
    transfer : callable
        From the number of planes of a period to the OTF.
    device : torch.device
        Where to compute.
    binning : int
        As of `ImagingModel`: 1 for a stack that was interpolated to the finer grid.

    Attributes
    ----------
    shape, object_shape : (int, int, int)
        Of the stack, and of the object with its margin.
    depth : float
        As of `napari_dps.physics.psf3d.RadialTransfer`.
    sensitivity : tensor, float32, shape ``object_shape``
        The share of each voxel's light that falls into the stack.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        optics: Optics,
        z_step_nm: float,
        transfer: Transfer3d,
        device: torch.device,
        *,
        binning: int = FINER,
    ) -> None:
        import torch

        self.shape, self.binning = shape, binning
        period = scipy.fft.next_fast_len(
            shape[0] + math.ceil(AXIAL_PERIODS / cap_height_per_nm(optics) / z_step_nm)
        )
        found = transfer(period)
        self.depth = found.depth
        cutoff = found.cutoff_per_nm * optics.pixel_size_nm / binning
        margin = math.ceil(MARGIN_PERIODS / cutoff / binning)
        height, width = (
            binning * scipy.fft.next_fast_len(side + margin, real=True)
            for side in shape[1:]
        )
        self.object_shape = (period, height, width)
        self._columns = min(math.floor(cutoff * width), width // 2) + 1
        f_y, f_x = np.fft.fftfreq(height), np.fft.rfftfreq(width)[: self._columns]
        place = np.hypot(f_y[:, np.newaxis], f_x) / cutoff * (len(found.values) - 1)
        grid = np.arange(len(found.values))
        otf = np.stack(
            [np.interp(place, grid, column, right=0.0) for column in found.values.T]
        )
        if binning == 1:
            otf *= np.cos(np.pi * f_y)[:, np.newaxis] * np.cos(np.pi * f_x)
        self._otf = torch.from_numpy(otf.astype(np.float32)).to(device)
        self.sensitivity = self.adjoint(torch.ones(shape, device=device))

    def forward(self, thing: torch.Tensor, /) -> torch.Tensor:
        """Return the stack (Z, Y, X) of an object."""
        import torch

        fine = self._blurred(thing)[tuple(slice(n) for n in self._inner)]
        image: torch.Tensor = torch.nn.functional.avg_pool2d(fine[None], self.binning)[
            0
        ]
        return image

    def adjoint(self, image: torch.Tensor, /) -> torch.Tensor:
        """Return the transpose of `forward` times binning²: an even 1 becomes ≤ 1."""
        import torch

        fine = image.repeat_interleave(self.binning, 1)
        fine = fine.repeat_interleave(self.binning, 2)
        pads = [
            n
            for whole, part in zip(self.object_shape, fine.shape, strict=True)
            for n in (whole - part, 0)
        ]
        return self._blurred(torch.nn.functional.pad(fine, pads[::-1]))

    def _blurred(self, thing: torch.Tensor) -> torch.Tensor:
        """Convolve with the PSF; its OTF is real and even."""
        import torch

        half = torch.fft.rfft(thing, dim=2)[..., : self._columns]
        half = torch.fft.fft(torch.fft.fft(half, dim=1), dim=0)
        half *= self._otf
        half = torch.fft.ifft(torch.fft.ifft(half, dim=0), dim=1)
        blurred: torch.Tensor = torch.fft.irfft(half, n=self.object_shape[2], dim=2)
        return blurred

    @property
    def _inner(self) -> tuple[int, int, int]:
        planes, height, width = self.shape
        return planes, self.binning * height, self.binning * width

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object whose margin mirrors its ends: the inverse of `inside`."""
        return mirrored_margin(thing, self.object_shape)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the stack: (Z, 2 Y, 2 X)."""
        return thing[tuple(slice(n) for n in self._inner)]
