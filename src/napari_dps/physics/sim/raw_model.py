"""How an object on the 2× grid becomes the raw frames of a SIM stack.

With the illumination 1 + Σ_w m_w cos(2π k_w·r + ψ_qw) frame q is
I_q {D_0 + Σ_w m_w [cos ψ_qw Re D_w − sin ψ_qw Im D_w]}, where D_0 = H s and
D_w = H(s e^{2πi k_w·r}) are views of the object s through the lens and the pixels of
the camera. So all frames are mixtures of few views, whose transforms are shared.
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
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf import Transfer, widefield_otf
from napari_dps.physics.sim.half_plane import pieces
from napari_dps.physics.sim.raw_light import Light, Stripes
from napari_dps.physics.sim.rim import mirrored_rim, without_rim

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
    first : (int, int)
        First frequency (y, x) of the object that is seen, in bins.
    passed : tensor (2 R_y + 1, 2 R_x + 1), complex64
        What the lens and the camera's pixels pass.
    ramps : (tensor (Y, 1), tensor (X,)), complex64
        What brings the first frequency, and the remainder, to their place.
    passed_back, ramps_back
        The same for the adjoint: conjugates, and what its scale is.
    """

    first: tuple[int, ...]
    passed: torch.Tensor
    ramps: tuple[torch.Tensor, torch.Tensor]
    passed_back: torch.Tensor
    ramps_back: tuple[torch.Tensor, torch.Tensor]


class RawModel(ForwardModel["torch.Tensor", "torch.Tensor"]):
    """Raw frames of an object, and what frames say of the object.

    The object is the light in each fine pixel, in the brightness of the frames: an even
    object of 1 under even light gives even frames of 1. It reaches beyond the frames by
    a margin on all sides, beyond which it repeats. The camera's pixels are the mean
    over 2 × 2 fine ones.

    Parameters
    ----------
    shape : tuple of int
        (Y, X) of the frames.
    stripes : sequence of Stripes
        The illumination; frames of other angles are evenly lit.
    intensities : array (A, P)
        Brightness of each frame over that of their mean.
    optics : Optics
        The detection, with the pixel size of the frames; what lies beyond the pixels'
        Nyquist frequency is left out.
    device : torch.device
        Where to compute.
    otf : callable, optional
        OTF that was measured, from frequency over cut-off, pixels of the camera
        included; by default that of an ideal aperture and of the pixels.

    Attributes
    ----------
    object_shape : tuple of int
        (Y, X) of the object, with its margin.
    margin : tuple of (int, int)
        Pixels of the frames that it reaches before and after them, for each axis.
    places : tuple of array
        Those of the object's rows and columns, in pixels of the frames from the point
        that the phases are those of: the centre of the field.
    mixing : tensor (A·P, 1 + 2 W), float32
        Share of D_0 and of the real and imaginary parts of all D_w in each frame.

    Examples
    --------
    >>> import torch
    >>> optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=65)
    >>> model = RawModel((20, 31), (), np.ones((1, 3)), optics, torch.device("cpu"))
    >>> frames = model.forward(torch.full(model.object_shape, 7.0))
    >>> frames.shape, bool(((frames - 7).abs() < 1e-4).all())
    (torch.Size([3, 20, 31]), True)
    """

    def __init__(
        self,
        shape: tuple[int, int],
        stripes: Sequence[Stripes],
        intensities: NDArray[np.float64],
        optics: Optics,
        device: torch.device,
        *,
        otf: Transfer | None = None,
    ) -> None:
        self.shape = shape
        self.device = device
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
        self._cutoff, self._otf = optics.cutoff_per_pixel, otf
        self.offset = np.zeros(2)
        self._set_even()
        self.set_light(Light(intensities, tuple(stripes)))

    def _set_even(self) -> None:
        """Keep what the view under even light needs: f_x ≥ 0, f_y of both signs."""
        import torch

        reach, across = self._reach
        self._low = [slice(0, reach + 1)]
        if reach:
            self._low.append(slice(-reach, None))
        none = np.zeros(2)
        passed = torch.from_numpy(self._lens(none, none)[:, across:])
        passed = passed.to(self.device)
        self._even = passed.new_zeros(self._coarse[0], across + 1)
        self._even[: reach + 1] = passed[reach:]
        if reach:
            self._even[-reach:] = passed[:reach]
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
        lens = self._lens(rest, whole)
        first = tuple(-reach - k for reach, k in zip(self._reach, whole, strict=True))
        # Sixteen by the scales of the transforms, half for a real object's half plane.
        arrays = (lens, ramps[0][:, None], ramps[1], 8 * lens.conj())
        back = (ramps[0].conj()[:, None], ramps[1].conj())
        passed, y, x, passed_back, y_back, x_back = (
            torch.from_numpy(one.astype(np.complex64)).to(self.device)
            for one in (*arrays, *back)
        )
        return _Wave(first, passed, (y, x), passed_back, (y_back, x_back))

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
        radius = np.hypot(f_y[:, np.newaxis], f_x) / self._cutoff
        if self._otf is None:
            camera = [np.cos(np.pi * f / 2) for f in (f_y, f_x)]
            factors *= camera[0][:, np.newaxis] * camera[1] * widefield_otf(radius, 1.0)
        else:
            factors *= self._otf(radius)
        return np.asarray(factors / 4, dtype=np.complex64)

    def set_light(self, light: Light) -> None:
        """Take another illumination."""
        self.light = light
        self._waves = [self._wave(one.wavevector) for one in light.stripes]
        stops = [
            piece.plane[1].stop
            for wave in self._waves
            for piece in pieces(wave.first, wave.passed.shape, self.object_shape)
        ]
        self._columns = max(self._even.shape[1], *stops, 0)
        self.mixing = self._mixing()

    def at(self, offset: Sequence[float]) -> RawModel:
        """Return the model of another field of this size under the same stripes.

        Parameters
        ----------
        offset : (float, float)
            Where its centre lies (y, x) from that of this one, in pixels of the frames.
            Phases stay those at the centre of this one.
        """
        other = copy.copy(self)
        other.offset = self.offset + offset
        other.mixing = other._mixing()
        return other

    def phases_rad(self, one: Stripes) -> NDArray[np.float64]:
        """Return the phases (P,) of stripes at the centre of this field."""
        turned: NDArray[np.float64] = one.wavevector @ self.offset
        return one.phases_rad + 2 * np.pi * turned

    @property
    def places(self) -> tuple[NDArray[np.float64], ...]:
        """See the attributes."""
        return tuple(
            (np.arange(fine) + 0.5) / 2 - before - size / 2 + offset
            for fine, (before, _), size, offset in zip(
                self.object_shape, self.margin, self.shape, self.offset, strict=True
            )
        )

    def _mixing(self) -> torch.Tensor:
        """Return the share of each view in each frame; see the attributes."""
        import torch

        intensities, stripes = self.light
        phases = intensities.shape[1]
        columns = [intensities.ravel()]
        for one in stripes:
            first = one.angle * phases
            phases_rad = self.phases_rad(one)
            for part in (np.cos(phases_rad), -np.sin(phases_rad)):
                column = np.zeros_like(columns[0])
                column[first : first + phases] = one.modulation * part
                columns.append(column * columns[0])
        mixing = np.stack(columns, axis=1).astype(np.float32)
        return torch.from_numpy(mixing).to(self.device)

    def views(self, thing: torch.Tensor) -> torch.Tensor:
        """Return D_0 and the real and imaginary parts of all D_w.

        Parameters
        ----------
        thing : tensor, float32, shape ``object_shape``
            The object.

        Returns
        -------
        tensor (1 + 2 W, Y, X), float32
        """
        spectrum = self.spectrum(thing)
        views = thing.new_empty(1 + 2 * len(self._waves), *self.shape)
        views[0] = self._seen_evenly(spectrum)
        for number in range(len(self._waves)):
            view = self.view(spectrum, number)
            views[1 + 2 * number], views[2 + 2 * number] = view.real, view.imag
        return views

    def seen_evenly(self, thing: torch.Tensor) -> torch.Tensor:
        """Return D_0 (Y, X) alone."""
        return self._seen_evenly(self.spectrum(thing))

    def spectrum(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the half plane of the spectrum of an object, as far as it is seen.

        f_x ≥ 0, 0 first.
        """
        import torch

        lines = torch.fft.rfft(thing, dim=1)[:, : self._columns]
        spectrum: torch.Tensor = torch.fft.fft(lines, dim=0)
        return spectrum

    def view(self, spectrum: torch.Tensor, number: int) -> torch.Tensor:
        """Return D_w (Y, X), complex, of the stripes of a number, by `spectrum`."""
        return self._seen(spectrum, self._waves[number])

    def mixed(self, views: torch.Tensor) -> torch.Tensor:
        """Return the frames (A·P, Y, X) that views make."""
        import torch

        frames: torch.Tensor = torch.tensordot(self.mixing, views, dims=1)
        return frames

    def forward(self, thing: torch.Tensor, /) -> torch.Tensor:
        """Return the frames (A·P, Y, X) of an object."""
        return self.mixed(self.views(thing))

    def adjoint(self, frames: torch.Tensor, /) -> torch.Tensor:
        """Return the transpose of `forward` times 4: an object of ``object_shape``."""
        import torch

        views = torch.tensordot(self.mixing.T, frames, dims=1)
        rows, columns = self.object_shape
        plane = torch.zeros(
            (rows, self._columns), dtype=torch.complex64, device=frames.device
        )
        self._add_evenly(plane, views[0])
        for number, wave in enumerate(self._waves):
            real, imaginary = views[1 + 2 * number], views[2 + 2 * number]
            self._add(plane, torch.complex(real, imaginary), wave)
        lines = torch.fft.ifft(plane, dim=0)
        thing: torch.Tensor = torch.fft.irfft(lines, n=columns, dim=1)
        return thing

    def _seen(self, spectrum: torch.Tensor, wave: _Wave) -> torch.Tensor:
        """Return the view (Y, X), complex, of an object through a wave."""
        import torch

        block = torch.empty_like(wave.passed)
        for piece in pieces(wave.first, block.shape, self.object_shape):
            block[piece.block] = piece.turned(spectrum[piece.plane])
        block *= wave.passed
        (rows, columns), (height, width) = self._coarse, self.shape
        lines = torch.fft.ifft(block, n=rows, dim=0)[:height]
        lines *= wave.ramps[0]
        seen: torch.Tensor = torch.fft.ifft(lines, n=columns, dim=1)[:, :width]
        seen *= wave.ramps[1]
        return seen

    def _add(self, plane: torch.Tensor, image: torch.Tensor, wave: _Wave) -> None:
        """Add what a complex view says of the object's spectrum; it is overwritten."""
        import torch

        image *= wave.ramps_back[1]
        height, width = wave.passed.shape
        lines = torch.fft.fft(image, n=self._coarse[1], dim=1)[:, :width]
        lines *= wave.ramps_back[0]
        block = torch.fft.fft(lines, n=self._coarse[0], dim=0)[:height]
        block *= wave.passed_back
        for piece in pieces(wave.first, block.shape, self.object_shape, twice=True):
            plane[piece.plane] += piece.turned(block[piece.block])

    def _seen_evenly(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Return the view D_0 (Y, X), real."""
        import torch

        (rows, columns), (height, width) = self._coarse, self.shape
        half = spectrum.new_zeros(rows, self._even.shape[1])
        for low in self._low:
            half[low] = spectrum[low, : half.shape[1]] * self._even[low]
        lines = torch.fft.ifft(half, dim=0)[:height]
        seen: torch.Tensor = torch.fft.irfft(lines, n=columns, dim=1)[:, :width]
        return seen

    def _add_evenly(self, plane: torch.Tensor, image: torch.Tensor) -> None:
        """Add what D_0 says of the object's spectrum."""
        import torch

        width = self._even.shape[1]
        lines = torch.fft.rfft(image, n=self._coarse[1], dim=1)[:, :width]
        half = torch.fft.fft(lines, n=self._coarse[0], dim=0)
        for low in self._low:
            plane[low, :width] += half[low] * self._even_back[low]

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (2 Y, 2 X) with a margin that mirrors its edges."""
        return mirrored_rim(thing, self.margin)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the frames: (2 Y, 2 X)."""
        return without_rim(thing, self.shape, self.margin)
