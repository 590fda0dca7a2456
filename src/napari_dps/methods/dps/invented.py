"""What the result of the stage ``dps`` shows and the data do not: the map "invented?".

The result is recorded once more, as the microscope would record it. This recording and
the one that went in are deconvolved alike, by their likelihood alone, which has learned
nothing. Where the two objects differ by more than noise explains, the result shows what
the data do not support, or lacks what they show.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import Progress, one_of
from napari_dps.core.context import Context
from napari_dps.core.device import resolve_device
from napari_dps.core.progress import between
from napari_dps.methods.dps.joint import begin_steps, climb_steps, depth_of
from napari_dps.methods.dps.raw_scene import RawScene
from napari_dps.methods.dps.target import (
    NOISE_EXPONENT,
    RL_REFERENCE,
    FramesUnusable,
    ImageToSharpen,
    of_a_reconstruction,
)
from napari_dps.methods.dps.uncertainty import (
    FRAME_DRAWS,
    around,
    noise_of,
    turned_noise,
)
from napari_dps.metrics.spectrum import (
    cosine_radius,
    cosine_transform,
    inverse_cosine_transform,
)
from napari_dps.physics.otf import widefield_otf

if TYPE_CHECKING:
    import torch

    from napari_dps.methods.dps.recording import Recording
    from napari_dps.physics.deconvolution.model import ImagingModel

SIGMAS = 2.0
"""Standard deviations of noise that a difference must exceed."""
FIRST_ZERO = 1.22
"""First zero of the PSF, over the period of the cut-off: light from farther outside
than that hardly counts."""
_FRAMES_REFITS, _FITTED = 11, 15
"""Iterations until the stripes are fitted to the object, and where in the whole that
is, in per cent."""

T = TypeVar("T")


class Evidence(Protocol[T]):
    """Data, how a result would be recorded, and the object that explains data."""

    @property
    def data(self) -> T:
        """What was recorded: an image or frames."""
        ...

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off of the lens, in cycles per two pixels of a result."""
        ...

    def recorded(self, result: NDArray[np.float32]) -> T:
        """Return what is expected of a result, without noise."""
        ...

    def noisy(self, expected: T) -> Iterator[T]:
        """Draw noise and add it, again and again."""
        ...

    def explained(self, data: T) -> Generator[Progress, None, NDArray[np.float32]]:
        """Find the object that explains data; it is shown as the result is."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What a result would make of the data, and what the data themselves make.

    Attributes
    ----------
    difference : array (2Y, 2X), float32
        Object that explains the recording of the result, less that of the data; counts.
    sigma : array (2Y, 2X), float32
        Its standard deviation by the noise of the data.
    explained : array (2Y, 2X), float32
        The object that explains the data, counts.
    """

    difference: NDArray[np.float32]
    sigma: NDArray[np.float32]
    explained: NDArray[np.float32]

    @property
    def beyond_noise(self) -> NDArray[np.float32]:
        """The difference less what noise explains of it; 0 where that is all."""
        size = np.abs(self.difference) - np.float32(SIGMAS) * self.sigma
        beyond = np.sign(self.difference) * np.maximum(size, 0)
        return np.asarray(beyond, dtype=np.float32)


def invented_steps(
    target: ImageToSharpen, result: NDArray[np.float32], width: float
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Find what a result shows and the data do not.

    m = E(H r) − E(y), less `SIGMAS` standard deviations of E under noise and 0 within
    them: y the data, H r what is expected of the result r, E the object of the highest
    likelihood after some iterations from an even one. Both have the blur and the bias
    of E alike, so a result that is right, however sharp, leaves nothing but noise.

    Parameters
    ----------
    target : ImageToSharpen
        What was sharpened. Its raw frames are the data where they can be used.
    result : array (2Y, 2X), float32
        What a method gave, in counts.
    width : float
        Width of the PSF that it is seen through, of the image's; 0 for emitters.

    Yields
    ------
    Progress

    Returns
    -------
    array (2Y, 2X), float32
        Counts: above 0 what the result shows too much, below 0 what it lacks; 0 along
        the edges, where the light from outside is not known. What no data of this kind
        would show either is not in it.
    """
    compared = yield from compared_steps(target, result, width)
    return compared.beyond_noise


def compared_steps(
    target: ImageToSharpen, result: NDArray[np.float32], width: float
) -> Generator[Progress, None, Compared]:
    """Record a result once more, and find the objects that explain both recordings.

    Parameters and progress are those of `invented_steps`.
    """
    if target.raw_frames is not None:
        try:
            seeking = _frames_evidence(target, target.raw_frames)
            frames = yield from between(seeking, 0, _FITTED)
        except FramesUnusable:
            pass  # the method has warned of it, and used the image alone
        else:
            return (yield from between(_compared(frames, result), _FITTED, 100))
    return (yield from _compared(_image_evidence(target, width), result))


def _compared(
    evidence: Evidence[Any], result: NDArray[np.float32]
) -> Generator[Progress, None, Compared]:
    """Explain the recordings, and some with other noise."""
    expected = evidence.recorded(result)
    draws = list(evidence.noisy(expected))
    parts = 2 + len(draws)
    shown = yield from one_of(evidence.explained(expected), 0, parts)
    seen = yield from one_of(evidence.explained(evidence.data), 1, parts)
    variance = np.zeros_like(shown)
    for number, data in enumerate(draws):
        moved = yield from one_of(evidence.explained(data), 2 + number, parts)
        variance += (moved - shown) ** 2 / len(draws)
    cutoff = evidence.cutoff_per_pixel
    inside = _inside(shown.shape, 2 * FIRST_ZERO / cutoff)
    sigma = np.sqrt(around(variance, cutoff))
    return Compared((shown - seen) * inside, sigma, seen)


def _inside(shape: tuple[int, ...], rim_px: float) -> NDArray[np.float32]:
    """Return 0 in a rim and 1 inside, as far as there is an inside."""
    rows, columns = (
        np.minimum(np.arange(side), np.arange(side)[::-1]) >= rim_px for side in shape
    )
    return np.multiply.outer(rows, columns).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ImageEvidence:
    """An image, and the lens that it was recorded by.

    Attributes
    ----------
    data : array (Y, X), float32
        Counts.
    target : ImageToSharpen
        Its noise, and how many iterations suit it.
    blurred : ImagingModel
        From emitters to the image.
    seen : ImagingModel
        From a result to the image.
    lens_per_pixel : float
        Cut-off of the lens that results are seen through, in cycles per pixel of
        theirs; 0 for emitters.
    """

    data: NDArray[np.float32]
    target: ImageToSharpen
    blurred: ImagingModel
    seen: ImagingModel
    lens_per_pixel: float

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off of the lens, in cycles per pixel of the image."""
        optics = self.target.optics
        return optics.cutoff_per_pixel * optics.modulation_factor

    def recorded(self, result: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the image of a result."""
        import torch

        device = resolve_device(self.target.context.device)
        thing = self.seen.extended(torch.from_numpy(result).to(device))
        image: NDArray[np.float32] = self.seen.forward(thing).cpu().numpy()
        return image

    def noisy(self, expected: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Add noise that is turned in all ways that a square can be."""
        sigma = noise_of(replace(self.target, image=expected))
        for white in turned_noise(expected.shape[0], expected.shape[1]):
            yield expected + sigma * white

    def explained(
        self, data: NDArray[np.float32]
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Deconvolve by Richardson–Lucy, with as many iterations as `rl` makes."""
        import torch

        from napari_dps.physics.deconvolution.richardson_lucy import (
            richardson_lucy_steps,
        )

        image = torch.from_numpy(np.ascontiguousarray(data))
        image = image.to(resolve_device(self.target.context.device))
        depth = replace(self.target, strength=0.5).iterations(
            RL_REFERENCE, NOISE_EXPONENT
        )
        found = yield from richardson_lucy_steps(image, self.blurred, depth)
        return _through(found.cpu().numpy(), self.lens_per_pixel)


def _through(
    thing: NDArray[np.float32], cutoff_per_pixel: float
) -> NDArray[np.float32]:
    """Return emitters as an ideal lens shows them, with mirrored edges."""
    if not cutoff_per_pixel:
        return thing
    series = cosine_transform(thing)
    passed = widefield_otf(cosine_radius(series.shape), cutoff_per_pixel)
    return np.asarray(inverse_cosine_transform(series * passed), dtype=np.float32)


def _image_evidence(target: ImageToSharpen, width: float) -> ImageEvidence:
    from napari_dps.physics.deconvolution.model import ImagingModel

    if target.is_reconstructed:
        target = of_a_reconstruction(target)
    optics = target.optics
    cutoff = optics.cutoff_per_pixel * optics.modulation_factor
    shape = (target.image.shape[0], target.image.shape[1])
    device = resolve_device(target.context.device)
    models = [
        ImagingModel(shape, cutoff, device, seen_width=one) for one in (0.0, width)
    ]
    lens = cutoff / width / 2 if width else 0.0
    return ImageEvidence(target.image, target, models[0], models[1], lens)


@dataclass(frozen=True, slots=True, eq=False)
class FramesEvidence:
    """Raw frames, and the stripes that they were recorded under.

    Attributes
    ----------
    data : tensor (A·P, Y, X), float32
        Over the mean of the frames.
    scene : RawScene
        The frames, stripes fitted to the object.
    width : float
        Width of the PSF that results are seen through, of an ideal reconstruction's.
    """

    data: torch.Tensor
    scene: RawScene
    width: float

    @property
    def lens_per_pixel(self) -> float:
        """Cut-off of the lens that results are seen through, per pixel of a frame."""
        return self.scene.raw.shown_per_pixel(self.width)

    @property
    def cutoff_per_pixel(self) -> float:
        """Cut-off of the detection, in cycles per half a pixel of a frame."""
        return self.scene.raw.optics.cutoff_per_pixel / 2

    def recorded(self, result: NDArray[np.float32]) -> torch.Tensor:
        """Return the frames of a result, and of the light that it does not explain."""
        scene, thing = self.scene.begin(result, self.lens_per_pixel)
        return scene.with_even(scene.plane.forward(thing))

    def noisy(self, expected: torch.Tensor) -> Iterator[torch.Tensor]:
        """Add noise of the frames' light."""
        import torch

        sigma = self.scene.variance(expected).sqrt()
        for draw in range(FRAME_DRAWS):
            rng = np.random.default_rng(draw)
            white = rng.standard_normal(expected.shape, dtype=np.float32)
            yield expected + sigma * torch.from_numpy(white).to(expected)

    def explained(
        self, data: torch.Tensor
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Climb the likelihood of frames, with as many iterations as `joint` makes."""
        import torch

        scene = replace(self.scene, frames=data)
        thing = torch.ones(scene.plane.object_shape, device=data.device)
        depth = depth_of(scene.photons, 0.5)
        found = yield from climb_steps(scene, thing, (depth,), refits=())
        return scene.seen(found[-1], self.lens_per_pixel)


def _frames_evidence(
    target: ImageToSharpen, raw: Recording
) -> Generator[Progress, None, FramesEvidence]:
    """Fit the stripes of frames as the methods do.

    Raises
    ------
    FramesUnusable
        Where they cannot.
    """
    # The methods have warned already.
    context: Context = target.context.part()
    scene, thing = yield from begin_steps(raw, target.image, context)
    yield from climb_steps(scene, thing, (_FRAMES_REFITS,))
    return FramesEvidence(scene.frames, scene, target.frames_width)
