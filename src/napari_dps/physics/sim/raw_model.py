"""How an object on the 2× grid becomes the raw frames of a SIM stack.

With the illumination 1 + Σ_w m_w cos(2π k_w·r + ψ_qw) frame q is
I_q {D_0 + Σ_w m_w [cos ψ_qw Re D_w − sin ψ_qw Im D_w]}, where D_0 = H s and
D_w = H(s e^{2πi k_w·r}) are views of the object s through the lens and the pixels of
the camera. So all frames are mixtures of few views, whose transforms are shared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_dps.core import Optics, Pattern
from napari_dps.physics.deconvolution.model import mirrored_margin
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf import Transfer, widefield_otf
from napari_dps.physics.sim.half_plane import pieces

if TYPE_CHECKING:
    import torch

_MARGIN_PERIODS = 3.0
"""Width of the margin in periods of the cut-off: three widths of the PSF."""


@dataclass(frozen=True, slots=True, eq=False)
class Stripes:
    """One order of the stripes of one angle, as the model needs it.

    Attributes
    ----------
    angle : int
        Index of the angle whose frames they light.
    wavevector : array (2,)
        k (y, x) in cycles per pixel of the frames.
    phases_rad : array (P,)
        ψ of each frame at the centre of the field.
    modulation : float
        m.
    """

    angle: int
    wavevector: NDArray[np.float64]
    phases_rad: NDArray[np.float64]
    modulation: float


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
    ramps : (tensor (Y,), tensor (X,)), complex64
        What brings the first frequency, and the remainder, to their place.
    """

    first: tuple[int, ...]
    passed: torch.Tensor
    ramps: tuple[torch.Tensor, torch.Tensor]


class Light(NamedTuple):
    """The illumination of all frames.

    Attributes
    ----------
    intensities : array (A, P)
        Brightness of each frame over that of their mean.
    stripes : tuple of Stripes
        All orders.
    """

    intensities: NDArray[np.float64]
    stripes: tuple[Stripes, ...]


def stripes_of(
    patterns: Sequence[Pattern], shape: tuple[int, int], pixel_size_nm: float
) -> tuple[Stripes, ...]:
    """Return all usable orders of patterns that have phases.

    Parameters
    ----------
    patterns : sequence of Pattern
        Phases at the centre of the first pixel.
    shape : tuple of int
        (Y, X) of the frames.
    pixel_size_nm : float
        Of the frames.
    """
    centre = (np.array(shape) - 1) / 2
    found = []
    for pattern in patterns:
        for order in pattern.orders:
            if not (order.is_usable and pattern.phases_deg):
                continue
            wavevector = np.array(order.wavevector_per_nm) * pixel_size_nm
            phases = order.order * np.radians(pattern.phases_deg)
            phases += math.radians(order.offset_deg)
            phases += 2 * math.pi * float(wavevector @ centre)
            found.append(
                Stripes(pattern.angle_index, wavevector, phases, order.modulation)
            )
    return tuple(found)


class RawModel(ForwardModel["torch.Tensor", "torch.Tensor"]):
    """Raw frames of an object, and what frames say of the object.

    The object is the light in each fine pixel, in the brightness of the frames: an even
    object of 1 under even light gives even frames of 1. It reaches beyond the frames by
    a margin, whose rows and columns come after those of the frames and wrap round, as
    those of `napari_dps.physics.deconvolution.model.ImagingModel`. The camera's pixels
    are the mean over 2 × 2 fine ones.

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
        # Of a spectrum only what the lens passes is computed, wherever between two
        # bins its middle lies.
        self._reach = tuple(
            min(math.floor(cutoff * n + 0.5), (n - 1) // 2) for n in (rows, columns)
        )
        self._cutoff, self._otf = optics.cutoff_per_pixel, otf
        self.places = tuple(
            _positions(size, fine)
            for size, fine in zip(self.shape, self.object_shape, strict=True)
        )
        self._even = self._wave(np.zeros(2))
        self.set_light(Light(intensities, tuple(stripes)))

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
        y, x = (torch.from_numpy(r.astype(np.complex64)) for r in ramps)
        passed = torch.from_numpy(self._lens(rest))
        first = tuple(-reach - k for reach, k in zip(self._reach, whole, strict=True))
        return _Wave(
            first, passed.to(self.device), (y.to(self.device), x.to(self.device))
        )

    def _lens(self, rest: NDArray[np.float64]) -> NDArray[np.complex64]:
        """Return what the lens and the camera's pixels pass of each frequency.

        Frequencies f + δ, f from −reach to reach, δ in cycles per pixel.
        """
        f_y, f_x = (
            np.arange(-reach, reach + 1) / n
            for reach, n in zip(self._reach, self._coarse, strict=True)
        )
        # A pixel's centre lies half a fine pixel beyond that of its first fine pixel.
        shift = [np.exp(0.5j * np.pi * f) for f in (f_y, f_x)]
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
        import torch

        self.light = light
        phases = light.intensities.shape[1]
        columns = [light.intensities.ravel()]
        self._waves = [self._wave(one.wavevector) for one in light.stripes]
        for one in light.stripes:
            first = one.angle * phases
            for part in (np.cos(one.phases_rad), -np.sin(one.phases_rad)):
                column = np.zeros_like(columns[0])
                column[first : first + phases] = one.modulation * part
                columns.append(column * columns[0])
        mixing = np.stack(columns, axis=1).astype(np.float32)
        self.mixing = torch.from_numpy(mixing).to(self.device)

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
        views[0] = self._seen(spectrum, self._even).real
        for number in range(len(self._waves)):
            view = self.view(spectrum, number)
            views[1 + 2 * number], views[2 + 2 * number] = view.real, view.imag
        return views

    def spectrum(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the half plane of the spectrum of an object: f_x ≥ 0, 0 first."""
        import torch

        spectrum: torch.Tensor = torch.fft.rfft2(thing)
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
            (rows, columns // 2 + 1), dtype=torch.complex64, device=frames.device
        )
        self._add(plane, views[0].to(torch.complex64), self._even)
        for number, wave in enumerate(self._waves):
            real, imaginary = views[1 + 2 * number], views[2 + 2 * number]
            self._add(plane, torch.complex(real, imaginary), wave)
        thing: torch.Tensor = torch.fft.irfft2(plane, s=self.object_shape)
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
        lines *= wave.ramps[0][:, None]
        seen: torch.Tensor = torch.fft.ifft(lines, n=columns, dim=1)[:, :width]
        return seen * wave.ramps[1]

    def _add(self, plane: torch.Tensor, image: torch.Tensor, wave: _Wave) -> None:
        """Add what a complex view says of the object's spectrum, through its wave."""
        import torch

        lines = torch.fft.fft(image * wave.ramps[1].conj(), n=self._coarse[1], dim=1)
        height, width = wave.passed.shape
        lines = lines[:, :width] * wave.ramps[0].conj()[:, None]
        block = torch.fft.fft(lines, n=self._coarse[0], dim=0)[:height]
        # Sixteen by the scales of the transforms, half for a real object's half plane.
        block = block * (8 * wave.passed.conj())
        for piece in pieces(wave.first, block.shape, self.object_shape, twice=True):
            plane[piece.plane] += piece.turned(block[piece.block])

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (2 Y, 2 X) with a margin that mirrors its edges."""
        return mirrored_margin(thing, self.object_shape)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the frames: (2 Y, 2 X)."""
        rows, columns = (2 * side for side in self.shape)
        return thing[:rows, :columns]


def _positions(size: int, fine: int) -> NDArray[np.float64]:
    """Return places of fine pixels, in pixels of the frames from the field's centre.

    The second half of the margin lies before the first pixel.
    """
    place = np.arange(fine)
    place = np.where(place - 2 * size < (fine - 2 * size) / 2, place, place - fine)
    return (place + 0.5) / 2 - size / 2
