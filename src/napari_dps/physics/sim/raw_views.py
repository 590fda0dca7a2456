"""How waves of light look at an object: its spectrum, cut into what each view shows.

The view of an object s under a wave k is D(r) = H(s e^{2πi k·r}), with the lens and the
camera's pixels H. Its spectrum is a block of the object's, which all views share.

Spectra lie in memory column by column, as transforms along columns leave them and take
them: where two that do not are multiplied or added, it takes three times as long.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.physics.otf import Transfer, widefield_otf
from napari_dps.physics.sim.half_plane import pieces

if TYPE_CHECKING:
    import torch

_MARGIN_PERIODS = 3.0
"""Width of both margins together in periods of the cut-off: three widths of the PSF."""


class _Wave(NamedTuple):
    """A wave that an object is seen through, split into whole bins and a remainder.

    D(r) = e^{2πi δ·r} H_δ[s e^{2πi K·r}], H_δ(f) = H(f + δ): whole bins K shift the
    object's spectrum, which all waves share, and the remainder δ that of the lens.

    Attributes
    ----------
    rest : array (2,)
        δ (y, x) in cycles per pixel of a frame.
    first : (int, int)
        First frequency (y, x) of the object that is seen, in bins.
    passed : tensor (2 R_y + 1, 2 R_x + 1), complex64
        What the lens and the camera's pixels pass.
    ramps : (tensor (Y, 1), tensor (X,)), complex64
        What brings the first frequency, and the remainder, to their place.
    passed_back, ramps_back
        The same for the adjoint: conjugates, and what its scale is.
    """

    rest: NDArray[np.float64]
    first: tuple[int, ...]
    passed: torch.Tensor
    ramps: tuple[torch.Tensor, torch.Tensor]
    passed_back: torch.Tensor
    ramps_back: tuple[torch.Tensor, torch.Tensor]


class Views:
    """Views of an object on the 2× grid, through a lens and the pixels of a camera.

    The object reaches beyond the frames by a margin on all sides, beyond which it
    repeats. The camera's pixels are the mean over 2 × 2 fine ones.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    optics : Optics
        The detection, with the pixel size of the frames; what lies beyond the pixels'
        Nyquist frequency is left out.
    device : torch.device
        Where to compute.
    otf : callable, optional
        From frequency over cut-off to what the lens passes; by default that of an ideal
        aperture.
    has_pixels : bool
        Whether that includes the pixels of the camera.

    Attributes
    ----------
    shape : tuple of int
    object_shape : tuple of int
        (Y, X) of the object, with its margin.
    margin : tuple of (int, int)
        Pixels of the frames that it reaches before and after them, for each axis.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        optics: Optics,
        device: torch.device,
        *,
        otf: Transfer | None = None,
        has_pixels: bool = False,
    ) -> None:
        self.shape, self.device = shape, device
        cutoff = min(optics.cutoff_per_pixel, 0.5)
        margin = math.ceil(_MARGIN_PERIODS / cutoff)
        rows, columns = (
            scipy.fft.next_fast_len(side + margin, real=True) for side in shape
        )
        self._coarse = rows, columns
        self.object_shape = 2 * rows, 2 * columns
        self.margin = tuple(
            ((n - side) // 2, n - side - (n - side) // 2)
            for n, side in zip(self._coarse, shape, strict=True)
        )
        # Of a spectrum only what the lens passes is computed, wherever between two
        # bins its middle lies.
        self._reach = tuple(
            min(math.floor(cutoff * n + 0.5), (n - 1) // 2) for n in (rows, columns)
        )
        self._cutoff, self._has_pixels = optics.cutoff_per_pixel, has_pixels
        self._otf = otf or _ideal
        self._set_even()
        self._set_waves(())

    def through(self, wavevectors: Sequence[NDArray[np.float64]]) -> Views:
        """Return views through waves, (y, x) each in cycles per pixel of a frame."""
        other = copy.copy(self)
        other._set_waves(wavevectors)
        return other

    def _set_waves(self, wavevectors: Sequence[NDArray[np.float64]]) -> None:
        self._waves = [self._wave(one) for one in wavevectors]
        stops = [
            piece.plane[1].stop
            for wave in self._waves
            for piece in pieces(wave.first, wave.passed.shape, self.object_shape)
        ]
        self._columns = max(self._even.shape[1], *stops, 0)

    def _set_even(self) -> None:
        """Keep what the view under even light needs: f_x ≥ 0, f_y of both signs."""
        import torch

        reach, across = self._reach
        self._low = [slice(0, reach + 1)]
        if reach:
            self._low.append(slice(-reach, None))
        none = np.zeros(2)
        # As in a spectrum: frequencies from 0 on first, then those below.
        lens = np.roll(self._lens(none, none)[:, across:], -reach, axis=0)
        self._even = torch.from_numpy(np.asfortranarray(lens)).to(self.device)
        self._even_back = 16 * self._even.conj().resolve_conj()

    def _wave(self, wavevector: NDArray[np.float64]) -> _Wave:
        """Return what the view through a wave needs."""
        import torch

        bins = wavevector * self._coarse
        whole = np.round(bins).astype(int)
        rest = (bins - whole) / self._coarse
        ramps = [
            np.exp(2j * np.pi * (r - reach / n) * np.arange(size))
            * np.exp(np.pi * 1j * (r + k / n / 2 - (r + k / n) * size))
            for r, k, reach, n, size in zip(
                rest, whole, self._reach, self._coarse, self.shape, strict=True
            )
        ]
        lens = np.asfortranarray(self._lens(rest, whole))
        first = tuple(-reach - k for reach, k in zip(self._reach, whole, strict=True))
        # Sixteen by the scales of the transforms, half for a real object's half plane.
        arrays = (lens, ramps[0][:, None], ramps[1], 8 * lens.conj())
        back = (ramps[0].conj()[:, None], ramps[1].conj())
        passed, y, x, passed_back, y_back, x_back = (
            torch.from_numpy(one.astype(np.complex64)).to(self.device)
            for one in (*arrays, *back)
        )
        return _Wave(rest, first, passed, (y, x), passed_back, (y_back, x_back))

    def _lens(
        self, rest: NDArray[np.float64], whole: NDArray[np.number]
    ) -> NDArray[np.complex64]:
        """Return what the lens and the camera's pixels pass of each frequency.

        Frequencies f + δ, f from −reach to reach, δ in cycles per pixel; those of the
        object are K bins less.
        """
        f_y, f_x = (
            np.arange(-reach, reach + 1) / n
            for reach, n in zip(self._reach, self._coarse, strict=True)
        )
        # A pixel's centre lies half a fine pixel beyond that of its first fine pixel,
        # and the first pixel a margin beyond the object's.
        shift = [
            np.exp(0.5j * np.pi * f + 2j * np.pi * before * (f - k / n))
            for f, (before, _), k, n in zip(
                (f_y, f_x), self.margin, whole, self._coarse, strict=True
            )
        ]
        factors = shift[0][:, np.newaxis] * shift[1]
        f_y, f_x = f_y + rest[0], f_x + rest[1]
        if not self._has_pixels:
            camera = [np.cos(np.pi * f / 2) for f in (f_y, f_x)]
            factors *= camera[0][:, np.newaxis] * camera[1]
        factors *= self._otf(np.hypot(f_y[:, np.newaxis], f_x) / self._cutoff)
        return np.asarray(factors / 4, dtype=np.complex64)

    def spectrum(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the half plane of the spectrum of an object, as far as it is seen.

        f_x ≥ 0, 0 first.
        """
        import torch

        lines = torch.fft.rfft(thing, dim=1)[:, : self._columns]
        spectrum: torch.Tensor = torch.fft.fft(lines, dim=0)
        return spectrum

    def radii(self, number: int | None = None) -> NDArray[np.float64]:
        """Return the frequency over the cut-off at which the lens sees a block."""
        rest = np.zeros(2) if number is None else self._waves[number].rest
        f_y, f_x = (
            np.arange(-reach, reach + 1) / n + d
            for reach, n, d in zip(self._reach, self._coarse, rest, strict=True)
        )
        radii: NDArray[np.float64] = np.hypot(f_y[:, np.newaxis], f_x) / self._cutoff
        if number is None:
            reach, across = self._reach
            radii = np.roll(radii[:, across:], -reach, axis=0)
        return radii

    def empty_spectrum(self) -> torch.Tensor:
        """Return a half plane, as of `spectrum`, that nothing was added to."""
        return self._even.new_zeros(self._columns, self.object_shape[0]).mT

    def thing(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the object that what was added to a half plane makes."""
        import torch

        lines = torch.fft.ifft(spectrum, dim=0)
        thing: torch.Tensor = torch.fft.irfft(lines, n=self.object_shape[1], dim=1)
        return thing

    def of(self, spectrum: torch.Tensor, number: int | None = None) -> torch.Tensor:
        """Return a view (Y, X) of an object, by its `spectrum`.

        Parameters
        ----------
        spectrum : tensor
            Half plane.
        number : int, optional
            Of the wave, of which the view is complex; by default that under even light,
            which is real.
        """
        return self.shown(self.passed(spectrum, number), number)

    def passed(
        self,
        spectrum: torch.Tensor,
        number: int | None = None,
        opposite: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the block of an object's spectrum that passes.

        Parameters
        ----------
        spectrum, number
            As of `of`.
        opposite : tensor, optional
            Half plane at the opposite kz of a volume; by default itself.

        Returns
        -------
        tensor, complex64
            (2 R_y + 1, 2 R_x + 1), ascending; under even light (2 R_y + 1, R_x + 1),
            f_x ≥ 0, rows from 0 on first.
        """
        import torch

        if number is None:
            block = torch.empty_like(self._even)
            for low, part in zip(self._low, self._halves(block), strict=True):
                part.copy_(spectrum[low, : block.shape[1]])
            return block.mul_(self._even)
        wave = self._waves[number]
        block = torch.empty_like(wave.passed)
        for piece in pieces(wave.first, block.shape, self.object_shape):
            plane = opposite if piece.is_mirrored and opposite is not None else spectrum
            block[piece.block] = piece.turned(plane[piece.plane])
        block *= wave.passed
        return block

    def shown(self, block: torch.Tensor, number: int | None = None) -> torch.Tensor:
        """Return the view (Y, X) that a block makes; see `passed` and `of`."""
        import torch

        (rows, columns), (height, width) = self._coarse, self.shape
        if number is None:
            half = block.new_zeros(block.shape[1], rows).mT
            for low, part in zip(self._low, self._halves(block), strict=True):
                half[low] = part
            lines = torch.fft.ifft(half, dim=0)[:height]
            real: torch.Tensor = torch.fft.irfft(lines, n=columns, dim=1)[:, :width]
            return real
        wave = self._waves[number]
        lines = torch.fft.ifft(block, n=rows, dim=0)[:height]
        lines *= wave.ramps[0]
        seen: torch.Tensor = torch.fft.ifft(lines, n=columns, dim=1)[:, :width]
        seen *= wave.ramps[1]
        return seen

    def block(self, view: torch.Tensor, number: int | None = None) -> torch.Tensor:
        """Return the block of a view (Y, X): `shown` back; a complex view is lost."""
        import torch

        if number is None:
            width = self._even.shape[1]
            lines = torch.fft.rfft(view, n=self._coarse[1], dim=1)[:, :width]
            half = torch.fft.fft(lines, n=self._coarse[0], dim=0)
            block = torch.empty_like(self._even)
            for low, part in zip(self._low, self._halves(block), strict=True):
                part.copy_(half[low])
            return block
        wave = self._waves[number]
        view *= wave.ramps_back[1]
        height, width = wave.passed.shape
        lines = torch.fft.fft(view, n=self._coarse[1], dim=1)[:, :width]
        lines *= wave.ramps_back[0]
        found: torch.Tensor = torch.fft.fft(lines, n=self._coarse[0], dim=0)
        return found[:height]

    def add(
        self,
        spectrum: torch.Tensor,
        block: torch.Tensor,
        number: int | None = None,
        opposite: torch.Tensor | None = None,
    ) -> None:
        """Add to a half plane what a block says of it: `passed` back; it is lost."""
        if number is None:
            block *= self._even_back
            for low, part in zip(self._low, self._halves(block), strict=True):
                spectrum[low, : block.shape[1]] += part
            return
        wave = self._waves[number]
        block *= wave.passed_back
        for piece in pieces(wave.first, block.shape, self.object_shape, twice=True):
            plane = opposite if piece.is_mirrored and opposite is not None else spectrum
            plane[piece.plane] += piece.turned(block[piece.block])

    def _halves(self, block: torch.Tensor) -> list[torch.Tensor]:
        """Return the rows of an even block from 0 on, and those below, if any."""
        middle = self._reach[0] + 1
        return [block[:middle], block[middle:]][: len(self._low)]


def _ideal(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what an ideal aperture passes at frequencies over the cut-off."""
    return widefield_otf(radius, 1.0)
