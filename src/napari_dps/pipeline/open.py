"""The one way from a file or an image, and settings, to a run that can start."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from napari_dps import io
from napari_dps.core import ImageStack, InputError
from napari_dps.core.context import Context
from napari_dps.io.raw import RawImage
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.settings import Settings
from napari_dps.pipeline.stack_optics import missing
from napari_dps.pipeline.steps import Step, choose_steps, left_out
from napari_dps.pipeline.wave_vectors import read_patterns, with_wave_vectors
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage


def open_input(
    source: str | os.PathLike[str] | RawImage | ImageStack,
    settings: Settings,
    *,
    stages: Sequence[Stage[Any]] = STAGES,
    must_run: Collection[str] = (),
    lazy: bool = False,
    check_order: bool = True,
    refuse_wrong_order: bool = False,
) -> Plan:
    """Open an input and plan its run, as command line, batches and docks all do.

    It is read, its frames are arranged and their order is looked at, optics and
    patterns are attached, and the stages are chosen.

    Parameters
    ----------
    source : path-like, RawImage or ImageStack
        A file; the pixels of a layer with the names of its axes; or a stack that is
        arranged already.
    settings : Settings
        Stages, parameters, optics, and how to read the input.
    stages : sequence of Stage, optional
        The stages to choose from.
    must_run : collection of str, optional
        Ids of stages that somebody has named options of: they would change nothing if
        the stage did not run, so that is an error.
    lazy : bool
        Leave the pixels in the file, as for `napari_dps.io.load`.
    check_order : bool
        Whether the frames are asked if their order fits them.
    refuse_wrong_order : bool
        Whether frames that contradict an order that nobody has named are an error, and
        no warning.

    Returns
    -------
    Plan
        With the warnings that opening has led to.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit the settings.

    Examples
    --------
    >>> import numpy as np
    >>> image = ImageStack(np.ones((2, 8, 8)), "TYX")
    >>> plan = open_input(image, Settings())
    >>> [step.stage.id for step in plan.steps]
    ['background']
    >>> plan.warnings[0].split(":")[0]
    "'dps' is left out"
    """
    settings, notes = read_patterns(settings), Context()
    told = None
    if isinstance(source, ImageStack):
        stack = _with_pixel_size(source, settings.pixel_size_nm)
    else:
        raw = _raw(source, settings.input.allow_missing, lazy=lazy)
        stack = io.arrange(
            raw,
            **settings.input.model_dump(include={"angles", "phases", "order"}),
            pixel_size_nm=settings.pixel_size_nm,
            lazy=lazy,
            as_dask=False,
            refuse_wrong_order=refuse_wrong_order and settings.input.order is None,
            check=check_order,
            warn=notes.warn,
        )
        told = io.optics_told(raw.metadata, stack.size("C"))
    stack = settings.with_optics(stack, told, notes.warn)
    if isinstance(settings.input.patterns, tuple):
        stack = with_wave_vectors(stack, settings.input.patterns)
    steps = choose_steps(stack, settings.stages, settings.parameters, stages=stages)
    _refuse_idle(steps, must_run)
    if settings.stages is None:
        _tell_left_out(stack, stages, told, notes)
    offset = settings.input.camera_offset
    return Plan.of(stack, steps, camera_offset=offset, warnings=notes.warnings)


def _raw(
    source: str | os.PathLike[str] | RawImage, allow_missing: bool, *, lazy: bool
) -> RawImage:
    """Return pixels as they are, of a file or of a layer."""
    if isinstance(source, RawImage):
        return source
    return io.read(source, lazy=lazy, allow_missing=allow_missing)


def _with_pixel_size(stack: ImageStack, pixel_size_nm: float | None) -> ImageStack:
    if pixel_size_nm is None:
        return stack
    return stack.derive(stack.data, pixel_size_nm=pixel_size_nm)


def _refuse_idle(steps: Sequence[Step], must_run: Collection[str]) -> None:
    """Refuse options of a stage that does not run."""
    ids = [step.stage.id for step in steps]
    idle = sorted(set(must_run) - set(ids))
    if idle:
        raise InputError(
            f"options of '{idle[0]}' are given, but it is not among the stages",
            allowed=", ".join(ids),
        )


def _tell_left_out(
    stack: ImageStack,
    stages: Sequence[Stage[Any]],
    told: Sequence[Mapping[str, float]] | None,
    notes: Context,
) -> None:
    """Warn of stages that would run by default if the optics were known."""
    lacking = ", ".join(missing(told or [{}], stack.pixel_size_nm))
    for stage in left_out(stack, stages):
        notes.warn(
            f"'{stage.id}' is left out: it needs NA, emission wavelength and pixel "
            f"size; missing: {lacking}"
        )
