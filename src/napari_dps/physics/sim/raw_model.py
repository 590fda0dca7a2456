"""How an object on the 2× grid becomes the raw frames of a SIM stack.

With the illumination 1 + Σ_w m_w cos(2π k_w·r + ψ_qw) frame q is
I_q {D_0 + Σ_w m_w [cos ψ_qw Re D_w − sin ψ_qw Im D_w]}, where D_0 = H s and
D_w = H(s e^{2πi k_w·r}) are views of the object s through the lens and the pixels of
the camera. So all frames are mixtures of few views, whose transforms are shared.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Optics
from napari_dps.physics.operators import ForwardModel
from napari_dps.physics.otf import Transfer
from napari_dps.physics.sim.raw_light import Light, Stripes, mixing
from napari_dps.physics.sim.raw_views import Views
from napari_dps.physics.sim.rim import mirrored_rim, without_rim

if TYPE_CHECKING:
    import torch


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
        self.shape, self.device = shape, device
        self._views = Views(shape, optics, device, otf=otf, has_pixels=otf is not None)
        self.object_shape, self.margin = self._views.object_shape, self._views.margin
        self.offset = np.zeros(2)
        self.set_light(Light(intensities, tuple(stripes)))

    def set_light(self, light: Light) -> None:
        """Take another illumination."""
        self.light = light
        self._views = self._views.through([one.wavevector for one in light.stripes])
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
        return one.phases_at(self.offset)

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

        return torch.from_numpy(mixing(self.light, self.offset)).to(self.device)

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
        spectrum, count = self.spectrum(thing), len(self.light.stripes)
        views = thing.new_empty(1 + 2 * count, *self.shape)
        views[0] = self._views.of(spectrum)
        for number in range(count):
            view = self.view(spectrum, number)
            views[1 + 2 * number], views[2 + 2 * number] = view.real, view.imag
        return views

    def seen_evenly(self, thing: torch.Tensor) -> torch.Tensor:
        """Return D_0 (Y, X) alone."""
        return self._views.of(self.spectrum(thing))

    def spectrum(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the half plane of the spectrum of an object, as far as it is seen."""
        return self._views.spectrum(thing)

    def view(self, spectrum: torch.Tensor, number: int) -> torch.Tensor:
        """Return D_w (Y, X), complex, of the stripes of a number, by `spectrum`."""
        return self._views.of(spectrum, number)

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
        return self.joined(self.unmixed(frames))

    def unmixed(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the transpose of `mixed`: views (1 + 2 W, Y, X)."""
        import torch

        views: torch.Tensor = torch.tensordot(self.mixing.T, frames, dims=1)
        return views

    def joined(self, views: torch.Tensor) -> torch.Tensor:
        """Return the transpose of `views` times 4: an object of ``object_shape``."""
        import torch

        spectrum = self._views.empty_spectrum()
        self._views.add(spectrum, self._views.block(views[0]))
        for number in range(len(self.light.stripes)):
            real, imaginary = views[1 + 2 * number], views[2 + 2 * number]
            block = self._views.block(torch.complex(real, imaginary), number)
            self._views.add(spectrum, block, number)
        return self._views.thing(spectrum)

    def extended(self, thing: torch.Tensor) -> torch.Tensor:
        """Return an object (2 Y, 2 X) with a margin that mirrors its edges."""
        return mirrored_rim(thing, self.margin)

    def inside(self, thing: torch.Tensor) -> torch.Tensor:
        """Return the part of an object that lies in the frames: (2 Y, 2 X)."""
        return without_rim(thing, self.shape, self.margin)
