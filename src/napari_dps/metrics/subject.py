"""What is measured: an image, perhaps a reference, and what several metrics share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError
from napari_dps.metrics import reference as likeness
from napari_dps.metrics.decorrelation import (
    Decorrelation,
    axial_decorrelation,
    decorrelation,
)
from napari_dps.metrics.error_map import ErrorMap, error_map
from napari_dps.metrics.frc import (
    RingCorrelation,
    ring_correlation,
    single_image_ring_correlation,
)
from napari_dps.metrics.grids import common_grid
from napari_dps.metrics.pattern import (
    ModulationContrast,
    RawChecks,
    modulation_contrast,
    raw_checks,
)
from napari_dps.metrics.registration import find_shift, shift_onto
from napari_dps.metrics.snr import noise_is_white, noise_std, snr_db
from napari_dps.metrics.spectrum import as_plane, is_flat

Need = Literal["raw frames", "reference", "optics", "pixel size", "volume"]
Plane = NDArray[Any]
T = TypeVar("T")

COLOURED = "noise shared between pixels (resampled, filtered or reconstructed image)"


class _Once(Generic[T]):
    """A property that is computed once; an `InputError` is kept and raised again."""

    def __init__(self, compute: Callable[[Subject], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __get__(self, subject: Subject, _: type) -> T:
        if self not in subject.outcomes:
            try:
                subject.outcomes[self] = self._compute(subject)
            except InputError as error:
                subject.outcomes[self] = error
        outcome = subject.outcomes[self]
        if isinstance(outcome, InputError):
            raise outcome
        value: T = outcome
        return value


class Subject:
    """An image to be measured, and a reference; what metrics share is computed once.

    Properties raise `InputError` where the image has no such thing.

    Parameters
    ----------
    image : ImageStack
        Axes "YX", or "APYX" for raw SIM frames. Axes of length 1 are dropped.
    reference : ImageStack, optional
        Axes "YX"; its grid may be another one.
    fit_intensity : bool
        Bring the image to the reference's units first.
    register : bool
        Undo the displacement between the two first.
    volume : ImageStack, optional
        Axes "ZYX": the z-stack that the image is a plane of, or a part of it.

    Attributes
    ----------
    image : ImageStack
        Axes "YX"; of raw frames the mean.
    frames : array (A, P, Y, X) or None
        The raw frames.
    reference : ImageStack or None
        Axes "YX".
    pixels : array (Y, X)
        Those of the image.
    volume : ImageStack or None
        Axes "ZYX".

    Raises
    ------
    InputError
        If the axes are others, values are not finite, or the two do not overlap.
    """

    def __init__(
        self,
        image: ImageStack,
        reference: ImageStack | None = None,
        *,
        fit_intensity: bool = True,
        register: bool = False,
        volume: ImageStack | None = None,
    ) -> None:
        self.outcomes: dict[object, Any] = {}
        image = _squeezed(image)
        if image.axes not in ("YX", "APYX"):
            raise InputError("axes to measure", got=image.axes, allowed="YX or APYX")
        self.frames: NDArray[Any] | None = None
        if image.axes == "APYX":
            self.frames = image.data
            mean = image.data.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
            image = image.derive(mean, axes="YX")
        self.image = image
        self.pixels = as_plane(image.data)
        self.reference = self._pair = None
        if reference is not None:
            self.reference = _squeezed(reference)
            self._pair = common_grid(image, self.reference)
        self.volume = volume
        self._fits_intensity, self._registers = fit_intensity, register

    def has(self, need: Need) -> bool:
        """Return whether something that a metric needs is known."""
        if need == "raw frames":
            return self.frames is not None
        if need == "reference":
            return self.reference is not None
        if need == "optics":
            return self.image.optics is not None
        if need == "volume":
            return self.volume is not None and self.volume.z_step_nm is not None
        stacks = (self.image, *(self._pair or ()))
        return any(stack.pixel_size_nm is not None for stack in stacks)

    @cached_property
    def has_white_noise(self) -> bool:
        """Whether the noise looks like that of a raw camera frame."""
        if is_flat(self.pixels) or self.image.is_processed or _is_cut(self.pixels):
            return False
        return noise_is_white(self.pixels)

    @_Once
    def stripes(self) -> tuple[ModulationContrast, RawChecks]:
        """Return the contrast of the stripes and intensities of the raw frames."""
        if self.frames is None:
            raise InputError("no raw frames")
        return modulation_contrast(self.frames), raw_checks(self.frames)

    @_Once
    def noise(self) -> float:
        """Return the standard deviation of the noise; beyond the OTF with optics."""
        if is_flat(self.pixels):
            raise InputError("the image is constant")
        optics = self.image.optics if self.has_white_noise else None
        return noise_std(self.pixels, optics.cutoff_per_pixel if optics else None)

    @_Once
    def snr_db(self) -> float:
        """Return the SNR of the image alone."""
        found = snr_db(self.pixels, self.noise)
        if found is None:
            raise InputError("no signal above the noise")
        return found

    @_Once
    def decorrelation(self) -> Decorrelation:
        """Analyse the decorrelation of an image with any signal."""
        self._require_signal()
        return decorrelation(self.pixels)

    @_Once
    def axial(self) -> Decorrelation:
        """Analyse the decorrelation along z of a z-stack with any signal."""
        if self.volume is None:
            raise InputError("no z-stack")
        self._require_signal()
        finest = self.decorrelation.cutoff_per_pixel or 0.5
        return axial_decorrelation(self.volume.data, finest)

    @_Once
    def rings(self) -> RingCorrelation:
        """Correlate the rings of an image alone, with any signal and white noise."""
        self._require_signal()
        if not self.has_white_noise:
            raise InputError(COLOURED)
        return single_image_ring_correlation(self.pixels)

    def _require_signal(self) -> None:
        _ = self.snr_db

    @property
    def pair(self) -> tuple[ImageStack, ImageStack]:
        """Image and reference on the reference's grid, where they overlap."""
        if self._pair is None:
            raise InputError("no reference")
        return self._pair

    @property
    def reference_pixel_nm(self) -> float | None:
        """Pixel size of the grid on which image and reference are compared."""
        return self.pair[1].pixel_size_nm

    @_Once
    def shift_px(self) -> tuple[float, float]:
        """Return the displacement (y, x) of the image from the reference."""
        if self._registers:
            _ = self._registered  # a shift that cannot be undone is none
        return self._found_shift

    @_Once
    def compared(self) -> tuple[Plane, Plane]:
        """Return the pixels of image and reference, registered if that is asked for."""
        if self._registers:
            try:
                return self._registered
            except InputError:
                pass  # the note of the shift says so
        return self._planes

    @_Once
    def fitted(self) -> Plane:
        """Return the image in the reference's units, unless that is not wanted."""
        image, reference = self.compared
        if not self._fits_intensity:
            return image
        return likeness.fit_intensity(image, reference)

    @_Once
    def rings_of_pair(self) -> RingCorrelation:
        """Correlate the rings of image and reference."""
        return ring_correlation(*self.compared)

    @_Once
    def error_map(self) -> ErrorMap:
        """Compare with the reference, which is taken for the widefield image."""
        image, reference = self.image, self.reference
        if reference is None:
            raise InputError("no reference")
        finer = (reference.pixel_size_nm or 0) < 0.99 * (image.pixel_size_nm or 0)
        if finer or reference.shape[0] > image.shape[0]:
            raise InputError("the reference is on a finer grid than the image")
        return error_map(image, reference)

    @_Once
    def _planes(self) -> tuple[Plane, Plane]:
        image, reference = self.pair
        return as_plane(image.data), as_plane(reference.data)

    @_Once
    def _found_shift(self) -> tuple[float, float]:
        return find_shift(*self._planes)

    @_Once
    def _registered(self) -> tuple[Plane, Plane]:
        return shift_onto(*self._planes, self._found_shift)


def _is_cut(pixels: Plane) -> bool:
    """Whether the dark was set to one value, as no camera does.

    Counts of few photons, which are whole numbers, have such a value by themselves.
    """
    share = float(np.mean(pixels == np.median(pixels)))
    return share > 0.5 and not np.array_equal(pixels, np.rint(pixels))


def _squeezed(stack: ImageStack) -> ImageStack:
    """Return the stack without axes of length 1, Y and X and raw frames apart."""
    kept = "".join(
        axis
        for axis, n in zip(stack.axes, stack.shape, strict=True)
        if n > 1 or axis in "YX" or (axis in "AP" and stack.is_raw)
    )
    if kept == stack.axes:
        return stack
    shape = tuple(stack.size(axis) for axis in kept)
    return stack.derive(stack.data.reshape(shape), axes=kept)
