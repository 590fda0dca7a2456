"""The contract of a stage: a parameter model and a generator, written once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np

from napari_dps import __version__
from napari_dps.core import (
    HistoryEntry,
    ImageStack,
    InputError,
    NapariDpsError,
    Progress,
    is_raw,
)
from napari_dps.core.context import Context, Neighbours
from napari_dps.core.device import give_back
from napari_dps.core.errors import is_out_of_memory
from napari_dps.core.params import StageParameters

LARGEST_VALUE, LEAST_LARGEST = 1e9, 1e-6
"""Limits of the largest value of an image, positive or negative, that stages compute
with: sums of squares over the spectrum of a large plane fit into float32."""
LEAST_LAPSE = 3
"""Time points from which on a stack counts as a time-lapse."""

P = TypeVar("P", bound=StageParameters)
Run = Callable[[ImageStack, P, Context], Generator[Progress, None, ImageStack]]
Prepare = Callable[
    [ImageStack, ImageStack, P, Context], Generator[Progress, None, ImageStack]
]
TakesVolumes = Callable[[ImageStack, P], bool]
FinerZ = Callable[[ImageStack, P], int]
Window = Callable[[P], tuple[int, int]]
Report = Callable[[ImageStack], dict[str, Any]]
Note = Callable[[P], str]
SelfCheck = Callable[
    [ImageStack, P, Context], Generator[Progress, None, dict[str, Any]]
]


@dataclass(frozen=True)
class Stage(Generic[P]):
    """One step of the pipeline.

    Attributes
    ----------
    id, title : str
        The id used in CLI, files and widgets; the title a person reads.
    short : str
        A word for tabs and names of layers; the title where it is empty.
    purpose : str
        What it does, in one sentence for a person who has never used it.
    takes, gives : str
        Axes of the smallest unit that it works on and returns.
    parameters : type of StageParameters
        The parameter model.
    function : callable
        Generator ``function(image, parameters, context)`` that yields `Progress` at
        least once a second and returns an `ImageStack`.
    prepare : callable, optional
        Generator ``prepare(average, sample, parameters, context)`` that looks at the
        average of several units of a stack, and at one of them, before any is run; it
        returns the average with what they all share attached, for example patterns.
    takes_volumes : callable, optional
        ``takes_volumes(stack, parameters)`` says whether the stage is to get all planes
        of a stack at once, with the axes "Z" + ``takes``; it then returns
        "Z" + ``gives``. So it is with ``prepare``, whose average is a volume too.
    also_takes : str
        Axes of another unit that it takes as well and returns alike, as plain images
        beside raw frames; empty: none.
    window : callable, optional
        ``window(parameters)`` says how many time points before and after each it needs.
        It finds them in ``context.neighbours``, as it takes them; what it gives is of
        the one time point.
    inspect : callable, optional
        Generator like ``function`` that looks at the first image that the stage gets
        and returns it with the optics that all of them are to have, and whether they
        show that they are SIM reconstructions.
    measures_psf : callable, optional
        ``measures_psf(image, parameters)`` says whether it takes the PSF that an image
        shows, and tells itself where that contradicts the optics; without the hook it
        knows none.
    report : callable, optional
        ``report(result)`` returns what a report says of the stage's result beside the
        image, JSON-able and by name: what the stage has found, for example patterns.
    note : callable, optional
        ``note(parameters)`` says in a sentence what it does that a person who has not
        asked for it must know, and which parameter leaves it out; empty: nothing.
    self_check : callable, optional
        Generator like ``function`` that tries on an image what the stage can do with
        it, and returns what it found, JSON-able.
    resolves_more : bool
        Whether its result may be finer than ideal SIM: it is scored against the finer
        of two known truths.
    uses_raw_frames : bool
        Whether it looks again at the raw frames behind an image, where they are at
        hand.
    needs_optics : bool
        Whether an image without optics is refused.
    by_default : bool
        Whether it is run when the user names no stages.
    by_default_of_lapses : bool
        Whether it is, on time-lapses of `LEAST_LAPSE` time points and more.
    finer_z : callable, optional
        ``finer_z(stack, parameters)`` tells how many planes a volume has in its result
        for each of its own, where that is not 1; plane 0 stays plane 0.
    only_after : str
        Id of a stage without which it is not run by default; empty: none.
    imports : tuple of str
        Modules that it needs; imported before its time is taken.
    maps : tuple of str
        Names of the maps that its results may carry.
    """

    id: str
    title: str
    takes: str
    gives: str
    parameters: type[P]
    function: Run[P]
    prepare: Prepare[P] | None = None
    takes_volumes: TakesVolumes[P] | None = None
    finer_z: FinerZ[P] | None = None
    also_takes: str = ""
    window: Window[P] | None = None
    inspect: Run[P] | None = None
    measures_psf: Callable[[ImageStack, P], bool] | None = None
    report: Report | None = None
    note: Note[P] | None = None
    self_check: SelfCheck[P] | None = None
    resolves_more: bool = False
    uses_raw_frames: bool = False
    needs_optics: bool = False
    by_default: bool = True
    by_default_of_lapses: bool = False
    only_after: str = ""
    imports: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    short: str = ""
    purpose: str = ""

    @property
    def name(self) -> str:
        """The short title, for tabs and names of layers."""
        return self.short or self.title

    @property
    def takes_raw(self) -> bool:
        """Whether it works on raw SIM frames."""
        return is_raw(self.takes)

    @property
    def units(self) -> tuple[str, ...]:
        """Axes of all units that it takes."""
        return (self.takes, self.also_takes) if self.also_takes else (self.takes,)

    def unit_of(self, axes: str) -> str:
        """Return the axes of the unit that it takes of an image with these.

        Examples
        --------
        >>> from napari_dps.stages.temporal import STAGE
        >>> STAGE.unit_of("TAPYX"), STAGE.unit_of("TYX")
        ('APYX', 'YX')
        """
        plain = bool(self.also_takes) and is_raw(axes) == is_raw(self.also_takes)
        return self.also_takes if plain else self.takes

    def gives_of(self, unit: str) -> str:
        """Return the axes that it gives of a unit that it takes."""
        return unit if unit == self.also_takes else self.gives

    def runs_by_default(self, time_points: int) -> bool:
        """Whether it runs on so many time points when the user names no stages."""
        of_lapses = self.by_default_of_lapses and time_points >= LEAST_LAPSE
        return self.by_default or of_lapses

    def run(
        self, image: ImageStack, parameters: P, context: Context | None = None
    ) -> Generator[Progress, None, ImageStack]:
        """Run the stage on one smallest unit.

        Parameters
        ----------
        image : ImageStack
            With axes ``takes``, or "Z" and these where it takes volumes; finite values.
        parameters : StageParameters
            An instance of ``self.parameters``.
        context : Context, optional
            Device, warnings, cache.

        Yields
        ------
        Progress

        Returns
        -------
        ImageStack
            float32, axes ``gives``, with a new entry in its history.

        Raises
        ------
        InputError
            If the axes do not fit, values are not finite, or memory runs out where no
            smaller tiles help.
        NapariDpsError
            If the stage makes values that are not finite of finite ones.
        """
        context = Context() if context is None else context
        self._check_axes(image)
        _check_values(image)
        image, unit = self._in_range(image, context)
        started = time.perf_counter()
        before = len(context.warnings)
        context.weights_sha256 = None
        try:
            result = yield from self.function(image, parameters, context)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            height, width = image.shape[-2:]
            raise InputError(
                f"not enough memory for '{self.id}' of a plane of {height} × {width} "
                "px: crop the image, close other programs or choose another device"
            ) from error
        self._check_result(result)
        give_back(result.shape)
        result = _in_unit(result, unit)
        entry = HistoryEntry(
            stage=self.id,
            parameters=parameters.model_dump(mode="json"),
            version=__version__,
            seconds=time.perf_counter() - started,
            warnings=tuple(context.warnings[before:]),
            weights_sha256=context.weights_sha256,
            precision=context.precision,
        )
        # What a stage has made is no camera's.
        return replace(result, camera=None, history=(*image.history, entry))

    def _in_range(
        self, image: ImageStack, context: Context
    ) -> tuple[ImageStack, float]:
        """Return an image in range, and its unit; neighbours in another are left."""
        image, unit = in_range(image)
        around = context.neighbours
        if unit != 1 and (around.before or around.after):
            context.neighbours = Neighbours()
            context.warn(f"values out of range: '{self.id}' compares no time points")
        return image, unit

    def _check_result(self, result: ImageStack) -> None:
        """Refuse values that are not finite, of an image whose values are."""
        for name, values in (("image", result.data), *result.maps.items()):
            if not np.isfinite(values).all():
                raise NapariDpsError(
                    f"the {name} that '{self.id}' made holds values that are not "
                    "finite (NaN or inf), though its input holds none"
                )

    def _check_axes(self, image: ImageStack) -> None:
        """Refuse other units than those that the stage works on."""
        allowed = [self.unit_of(image.axes)]
        if self.takes_volumes is not None:
            allowed.append("Z" + self.takes)
        if image.axes not in allowed:
            raise InputError(
                f"axes of the input of '{self.id}'",
                got=image.axes,
                allowed=" or ".join(allowed),
            )


def in_range(image: ImageStack) -> tuple[ImageStack, float]:
    """Return an image whose largest value is up to `LARGEST_VALUE`, and its unit.

    Every stage gives k times the result for k times the image, so that a power of two
    that is taken out of the values can be put back into the result.

    Parameters
    ----------
    image : ImageStack
        Finite values.

    Returns
    -------
    image : ImageStack
        The image itself where its values are in range.
    unit : float
        The power of two that its values were divided by.

    Examples
    --------
    >>> image, unit = in_range(ImageStack(np.array([[1e20, 0.0]]), "YX"))
    >>> float(image.data[0, 0]) * unit == 1e20, float(image.data[0, 0]) <= LARGEST_VALUE
    (True, True)
    """
    largest = max(float(image.data.max()), -float(image.data.min()))
    if largest == 0 or LEAST_LARGEST <= largest <= LARGEST_VALUE:
        return image, 1.0
    unit = 2.0 ** math.ceil(math.log2(largest / (LARGEST_VALUE if largest > 1 else 1)))
    camera = image.camera
    if camera is not None:
        camera = replace(camera, gain=camera.gain / unit)
    frames = image.frames and image.frames.in_unit(unit)
    return image.derive(image.data / unit, camera=camera, frames=frames), unit


def _in_unit(result: ImageStack, unit: float) -> ImageStack:
    """Return a result in the unit of the image that a stage got.

    Raises
    ------
    InputError
        If its values do not fit into float32 then.
    """
    if unit == 1:
        return result
    most = float(np.finfo(np.float32).max) / max(unit, 1.0)
    if float(np.abs(result.data).max()) > most:
        raise InputError(
            "largest value of the image",
            got="a result beyond float32",
            allowed="values that are divided by 1000, say",
        )
    factor = np.float32(unit)
    maps = {name: values * factor for name, values in result.maps.items()}
    frames = result.frames and result.frames.in_unit(1 / unit)
    return replace(result, data=result.data * factor, maps=maps, frames=frames)


def _check_values(image: ImageStack) -> None:
    """Refuse values that no stage can compute with."""
    if not np.isfinite(image.data).all():
        raise InputError("the image holds values that are not finite (NaN or inf)")
