"""The one way from a file or an image, and settings, to a run that can start."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_dps import __version__, io
from napari_dps.core import OTF_STEP, HistoryEntry, ImageStack, InputError
from napari_dps.core.context import Context
from napari_dps.io.raw import RawImage
from napari_dps.pipeline.camera import Camera
from napari_dps.pipeline.inspection import inspected
from napari_dps.pipeline.plan import Plan
from napari_dps.pipeline.rolling import is_rolling
from napari_dps.pipeline.settings import Settings
from napari_dps.pipeline.stack_optics import missing
from napari_dps.pipeline.steps import Step, choose_steps, left_out
from napari_dps.pipeline.wave_vectors import read_patterns, with_wave_vectors
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage

Source = (
    str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | RawImage | ImageStack
)
"""What can be opened."""


def open_input(
    source: Source,
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
    source : path-like, sequence of path-like, RawImage or ImageStack
        A file; files that are joined to one stack, in their order; the pixels of a
        layer with the names of its axes; or a stack that is arranged already.
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
        Whether the frames are looked at: order, stripes of raw frames that nobody has
        named, camera offset, saturation.
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
    stack, told = _opened(
        source, settings, notes, lazy, check_order, refuse_wrong_order
    )
    steps = choose_steps(
        stack, settings.stages, settings.step_parameters, stages=stages
    )
    if settings.stages is None and is_rolling(steps):
        # Neighbours in time share frames then: nothing is to be averaged over them.
        steps = tuple(step for step in steps if not step.averages_time)
    _refuse_idle(steps, must_run)
    if settings.stages is None:
        _tell_left_out(stack, stages, told, notes)
    camera = Camera.of(settings.input)
    plan = Plan.of(stack, steps, camera=camera, warnings=notes.warnings)
    plan = replace(plan, output=settings.output)
    plan = _with_otfs(plan, settings.input.otf)
    return replace(plan, warnings=inspected(plan)) if check_order else plan


def open_stack(
    source: Source, settings: Settings
) -> tuple[ImageStack, tuple[str, ...]]:
    """Open an input without choosing stages: the stack that `open_input` plans for.

    Parameters
    ----------
    source, settings
        As for `open_input`.

    Returns
    -------
    stack : ImageStack
        Arranged, with optics and patterns where they are known.
    warnings : tuple of str
        What opening has led to.

    Raises
    ------
    InputError
        If it cannot be read, or does not fit the settings.
    """
    settings, notes = read_patterns(settings), Context()
    stack, _ = _opened(source, settings, notes, False, True, False)
    return stack, tuple(notes.warnings)


def _opened(
    source: Source,
    settings: Settings,
    notes: Context,
    lazy: bool,
    check_order: bool,
    refuse_wrong_order: bool,
) -> tuple[ImageStack, Sequence[Mapping[str, float]] | None]:
    """Return the stack of an input, and the optics that its file tells."""
    told = None
    if isinstance(source, ImageStack):
        stack = _with_pixel_size(source, settings.pixel_size_nm)
    else:
        raw = (
            source
            if isinstance(source, RawImage)
            else _read(source, settings, lazy=lazy)
        )
        raw = io.pick(raw, channel=settings.input.channel, frames=settings.input.frames)
        refuse = refuse_wrong_order and settings.input.order is None
        stack = _arranged(raw, settings, lazy, check_order, refuse, notes)
        told = io.optics_told(raw.metadata, stack.size("C"))
    if settings.input.z_step_nm is not None:
        stack = replace(stack, z_step_nm=settings.input.z_step_nm)
    stack = settings.with_optics(stack, told, notes.warn)
    if isinstance(settings.input.patterns, tuple):
        stack = with_wave_vectors(stack, settings.input.patterns)
    return stack, told


def reopened(plan: Plan, raw: RawImage, settings: Settings) -> Plan:
    """Return the plan of a run for other pixels of the same kind.

    They are arranged as those that the plan was opened with, and not looked at again.

    Parameters
    ----------
    plan : Plan
        By `open_input`, of an input of the same shape.
    raw : RawImage
        The pixels.
    settings : Settings
        Those that the plan was opened with.

    Raises
    ------
    InputError
        If their shape is another one.
    """
    raw = io.pick(raw, channel=settings.input.channel, frames=settings.input.frames)
    stack = _arranged(raw, settings, False, False, False, Context())
    if (stack.axes, stack.shape) != (plan.stack.axes, plan.stack.shape):
        raise InputError(
            "shape of the frames",
            got=f"{stack.axes} {stack.shape}",
            allowed=f"{plan.stack.axes} {plan.stack.shape}, as those before",
        )
    return replace(plan, stack=replace(plan.stack, data=stack.data))


def _with_otfs(plan: Plan, names: str | None) -> Plan:
    """Read the measured OTFs that settings name, check them, and note their names."""
    if not names:
        return plan
    from napari_dps.methods.otf import load_otf

    files = [name.strip() for name in names.split(",")]
    if len(files) not in (1, len(plan.channels)):
        raise InputError(
            field="input.otf",
            got=f"{len(files)} files",
            allowed=f"1, or one for each of {len(plan.channels)} channels",
        )
    each = files * (len(plan.channels) if len(files) == 1 else 1)
    otfs = [
        load_otf(name, channel.stack)
        for name, channel in zip(each, plan.channels, strict=True)
    ]
    noted = {"files": [otf.name for otf in otfs]}
    entry = HistoryEntry(OTF_STEP, noted, __version__, 0.0)
    stack = replace(plan.stack, history=(*plan.stack.history, entry))
    return replace(plan, stack=stack, otfs=tuple(otfs))


def _arranged(
    raw: RawImage,
    settings: Settings,
    lazy: bool,
    check: bool,
    refuse: bool,
    notes: Context,
) -> ImageStack:
    """Arrange frames as settings, instrument and file say, and look at them."""
    asked = settings.input
    angles, phases, order = io.layout_of(
        asked.instrument, raw, asked.angles, asked.phases, asked.order
    )
    if check and angles is None and order is None:
        _ask_if_raw(raw, refuse, notes)
    return io.arrange(
        raw,
        angles=angles,
        phases=phases,
        order=order,
        pixel_size_nm=settings.pixel_size_nm,
        lazy=lazy,
        as_dask=False,
        refuse_wrong_order=refuse,
        check=check,
        warn=notes.warn,
    )


def _ask_if_raw(raw: RawImage, refuse: bool, notes: Context) -> None:
    """Ask about a plain stack that looks like raw frames; refuse one that shows it."""
    found = io.suspect_raw(raw)
    if found is not None and refuse and found.is_plain_to_see:
        raise InputError(found.message)
    if found is not None:
        notes.warn(found.message)


def _read(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    settings: Settings,
    *,
    lazy: bool,
) -> RawImage:
    """Read a file as it is, or several as one stack."""
    if not isinstance(path, str | os.PathLike):
        return io.read_joined([Path(name) for name in path], lazy=lazy)
    return io.read(
        path,
        lazy=lazy,
        allow_missing=settings.input.allow_missing,
        series=settings.input.series,
    )


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
