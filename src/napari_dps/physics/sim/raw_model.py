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
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf import Transfer, widefield_otf

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
        import torch

        self.shape = shape
        self.device = device
        cutoff = min(optics.cutoff_per_pixel, 0.5)
        margin = math.ceil(_MARGIN_PERIODS / cutoff)
        rows, columns = (
            scipy.fft.next_fast_len(side + margin, real=True) for side in shape
        )
        self._coarse = rows, columns
        self.object_shape = 2 * rows, 2 * columns
        # Of the spectrum only what the lens passes is computed.
        self._reach = tuple(
            min(math.floor(cutoff * n), (n - 1) // 2) for n in (rows, columns)
        )
        transfer = torch.from_numpy(self._lens(optics.cutoff_per_pixel, otf))
        self._transfer = transfer.to(device)
        self.places = tuple(
            _positions(size, fine)
            for size, fine in zip(self.shape, self.object_shape, strict=True)
        )
        self.set_light(Light(intensities, tuple(stripes)))

    def _lens(self, cutoff: float, otf: Transfer | None) -> NDArray[np.complex64]:
        """Return what the lens and the camera's pixels pass of each frequency."""
        f_y, f_x = (
            np.r_[0 : reach + 1, -reach:0] / n
            for reach, n in zip(self._reach, self._coarse, strict=True)
        )
        # A pixel's centre lies half a fine pixel beyond that of its first fine pixel.
        shift = [np.exp(0.5j * np.pi * f) for f in (f_y, f_x)]
        factors = shift[0][:, np.newaxis] * shift[1]
        radius = np.hypot(f_y[:, np.newaxis], f_x) / cutoff
        if otf is None:
            camera = [np.cos(np.pi * f / 2) for f in (f_y, f_x)]
            factors *= camera[0][:, np.newaxis] * camera[1] * widefield_otf(radius, 1.0)
        else:
            factors *= otf(radius)
        return np.asarray(factors, dtype=np.complex64)

    def set_light(self, light: Light) -> None:
        """Take another illumination."""
        import torch

        self.light = light
        phases = light.intensities.shape[1]
        columns = [light.intensities.ravel()]
        self._waves = []
        for one in light.stripes:
            first = one.angle * phases
            turns = [
                np.exp(2j * np.pi * k * place).astype(np.complex64)
                for k, place in zip(one.wavevector, self.places, strict=True)
            ]
            y, x = (torch.from_numpy(turn).to(self.device) for turn in turns)
            self._waves.append((y, x))
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
        import torch

        views = [self._seen(thing, None).real]
        for wave in self._waves:
            view = self._seen(thing, wave)
            views += [view.real, view.imag]
        return torch.stack(views)

    def view(self, thing: torch.Tensor, number: int) -> torch.Tensor:
        """Return D_w (Y, X), complex, of the stripes of a number."""
        return self._seen(thing, self._waves[number])

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
        total = self._back(views[0].to(torch.complex64), None)
        for number, wave in enumerate(self._waves):
            real, imaginary = views[1 + 2 * number], views[2 + 2 * number]
            total += self._back(torch.complex(real, imaginary), wave)
        return total

    def _seen(
        self, thing: torch.Tensor, wave: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        """Return the view (Y, X), complex, of an object times a wave."""
        import torch

        rows, columns = self._coarse
        up, across = self._reach
        if wave is None:
            half = torch.fft.rfft(thing, dim=1)[:, : across + 1]
            right = half[:, 1:].flip(1).conj()
            # The spectrum of a row at −f is the conjugate of that at f.
            part = torch.cat([half, right], dim=1)
        else:
            part = _ends(torch.fft.fft(thing * wave[1], dim=1), across, 1)
            part = part * wave[0][:, None]
        part = _ends(torch.fft.fft(part, dim=0), up, 0) * self._transfer
        part = torch.fft.ifft(_spread(part, rows, up, 0), dim=0)[: self.shape[0]]
        image = torch.fft.ifft(_spread(part, columns, across, 1), dim=1)
        seen: torch.Tensor = image[:, : self.shape[1]] / 4
        return seen

    def _back(
        self, image: torch.Tensor, wave: tuple[torch.Tensor, torch.Tensor] | None
    ) -> torch.Tensor:
        """Return what a complex view says of the object, through its wave."""
        import torch

        rows, columns = self._coarse
        up, across = self._reach
        part = _ends(torch.fft.fft(image, n=columns, dim=1), across, 1)
        part = _ends(torch.fft.fft(part, n=rows, dim=0), up, 0)
        part = part * self._transfer.conj()
        part = torch.fft.ifft(_spread(part, 2 * rows, up, 0), dim=0)
        if wave is None:
            half = _spread(part, 2 * columns, across, 1)[:, : columns + 1]
            even: torch.Tensor = 4 * torch.fft.irfft(half, n=2 * columns, dim=1)
            return even
        part = part * wave[0].conj()[:, None]
        thing = torch.fft.ifft(_spread(part, 2 * columns, across, 1), dim=1)
        lit: torch.Tensor = thing.real * wave[1].real + thing.imag * wave[1].imag
        return 4 * lit

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (2 Y, 2 X) with a margin that mirrors its edges."""
        for axis, size in enumerate(self.object_shape):
            inside = thing.shape[axis]
            place = np.arange(size)
            after = place - inside < (size - inside) / 2
            mirrored = np.where(after, 2 * inside - 1 - place, size - 1 - place)
            source = np.where(place < inside, place, mirrored.clip(0, inside - 1))
            thing = thing.index_select(axis, _index(source, thing))
        return thing

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the frames: (2 Y, 2 X)."""
        rows, columns = (2 * side for side in self.shape)
        return thing[:rows, :columns]


def _index(source: NDArray[np.int64], like: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(source).to(like.device)


def _positions(size: int, fine: int) -> NDArray[np.float64]:
    """Return places of fine pixels, in pixels of the frames from the field's centre.

    The second half of the margin lies before the first pixel.
    """
    place = np.arange(fine)
    place = np.where(place - 2 * size < (fine - 2 * size) / 2, place, place - fine)
    return (place + 0.5) / 2 - size / 2


def _ends(spectrum: torch.Tensor, reach: int, axis: int) -> torch.Tensor:
    """Return the frequencies 0 to reach and −reach to −1 along an axis."""
    import torch

    size = spectrum.shape[axis]
    low = spectrum.narrow(axis, 0, reach + 1)
    return torch.cat([low, spectrum.narrow(axis, size - reach, reach)], dim=axis)


def _spread(part: torch.Tensor, size: int, reach: int, axis: int) -> torch.Tensor:
    """Return the spectrum of a size with `_ends` in it, 0 between."""
    import torch

    shape = list(part.shape)
    shape[axis] = size - part.shape[axis]
    low = part.narrow(axis, 0, reach + 1)
    high = part.narrow(axis, reach + 1, reach)
    return torch.cat([low, part.new_zeros(shape), high], dim=axis)
