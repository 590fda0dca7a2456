"""The stages on one set of frames after another, with everything kept warm."""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dps.core import ImageStack, InputError, Pattern, Progress
from napari_dps.core.context import Context
from napari_dps.io import RawImage
from napari_dps.live.background import Background
from napari_dps.methods.sim.lapse import CHANGED_ERRORS, LEAST_CHANGE_DEG
from napari_dps.pipeline import (
    PipelineResult,
    Plan,
    Settings,
    choose_steps,
    find_stage,
    open_input,
    reopened,
    run_plan,
)
from napari_dps.pipeline.shared import FIRST_FRAMES, Shared, learn

SAME_WAVES = 0.1
"""Cycles over the field by which wave vectors may differ and count as the same."""
_RAW_STAGES, _PLAIN_STAGES = ("reconstruct",), ("background",)
SAME_MODULATION = 0.1
"""Relative change of the modulation depth that counts as none."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What sets share.

    Attributes
    ----------
    shared : tuple of Shared
        Patterns and noise of each channel.
    count : int
        Sets that they were learned from.
    cache : dict
        Networks and filters that were made with them.
    warnings : tuple of str
        What learning them has led to.
    """

    shared: tuple[Shared, ...]
    count: int
    cache: Mapping[Any, Any]
    warnings: tuple[str, ...] = ()


class LiveSession:
    """Computes sets of frames that follow one another, as fast as it can.

    The first set is opened and examined as `napari_dps.pipeline.open_input` does; its
    patterns, noise and hot pixels serve those that follow, and the filters, weights
    and networks made with them stay in memory. After the first ten sets, and every
    ``refresh_every`` sets from then on, a thread examines a set anew and finds the
    patterns on the mean of the ten before; where they differ by more than their errors,
    they replace those before, with their filter. Meanwhile the view goes on.

    Steps with a window, as `temporal`, get as many of the sets before as it reaches
    back, whatever their direction: none after is there yet.

    Parameters
    ----------
    settings : Settings
        Stages, optics, how to read a set. Without stages: `reconstruct` of raw frames,
        `background` of plain images.
    context : Context, optional
        Device, warnings, cache.
    refresh_every : int
        Sets after which patterns are looked at anew; 0: never.

    Examples
    --------
    >>> from napari_dps.core import finish
    >>> from napari_dps.io.raw import Metadata
    >>> settings = Settings(stages=("background",))
    >>> with LiveSession(settings) as session:
    ...     for counts in (5.0, 7.0):
    ...         frame = RawImage(np.full((64, 64), counts), "YX", Metadata())
    ...         result = finish(session.process(frame))
    >>> result.images[0].shape
    (64, 64)
    """

    def __init__(
        self,
        settings: Settings,
        context: Context | None = None,
        *,
        refresh_every: int = 100,
    ) -> None:
        self._settings = settings
        self._context = Context() if context is None else context
        self._refresh_every = refresh_every
        self._plan: Plan | None = None
        self._learned = Learned((), 0, {})
        self._sum: NDArray[np.float32] | None = None
        self._summed, self._processed = 0, 0
        self._background: Background[Learned] = Background()
        self._before: deque[NDArray[Any]] = deque(maxlen=0)
        self._found: dict[Any, dict[Any, Any]] = {}

    def __enter__(self) -> LiveSession:
        """Return the session."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop what goes on in the background."""
        self._background.stop()

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """The patterns in use."""
        return tuple(p for shared in self._learned.shared for p in shared.patterns)

    @property
    def refreshes(self) -> int:
        """How often the patterns were looked at anew, the first set not counted."""
        return self._background.taken

    def warm_up(self) -> Generator[Progress, None, None]:
        """Load what takes seconds to load, before the first set comes.

        Yields
        ------
        Progress
        """
        names = self._settings.stages or (*_RAW_STAGES, *_PLAIN_STAGES)
        modules = {one for name in names for one in find_stage(name).imports}
        for module in sorted(modules):
            yield Progress(0, 1, "loading")
            importlib.import_module(module)

    def wait(self) -> None:
        """Wait for what goes on in the background, and use it from the next set on."""
        self._background.join()

    def process(self, raw: RawImage) -> Generator[Progress, None, PipelineResult]:
        """Run the stages on a set.

        Parameters
        ----------
        raw : RawImage
            Of the same shape as those before: one time point and focal plane.

        Yields
        ------
        Progress

        Returns
        -------
        PipelineResult
            Its warnings are those that are new.

        Raises
        ------
        InputError
            If the set does not fit the settings or those before it, or a stage refuses
            it.
        """
        told = len(self._context.warnings)
        if self._plan is None:
            plan = self._open(raw)
            self._learned = yield from learned(plan, plan, self._context, 1)
            self._plan = plan
            past = max(step.window[0] for step in plan.steps)
            self._before = deque(maxlen=past)
        else:
            plan = reopened(self._plan, raw, self._settings)
            self._take_over()
        context = replace(
            self._context, examines=self._processed == 0, found=dict(self._found)
        )
        result = yield from run_plan(
            plan, context, shared=self._learned.shared, before=tuple(self._before)
        )
        self._processed += 1
        self._move_on(plan, context)
        if self._refresh_every and self.patterns:
            self._learn_more(plan)
        return replace(result, warnings=tuple(self._context.warnings[told:]))

    def _open(self, raw: RawImage) -> Plan:
        """Open the first set."""
        plan = open_input(raw, self._settings)
        if self._settings.stages is None:
            stages = _RAW_STAGES if plan.stack.is_raw else _PLAIN_STAGES
            self._settings = replace(self._settings, stages=stages)
            plan = open_input(raw, self._settings)
        _require_one(plan)
        chosen = self._settings.stages, self._settings.step_parameters
        # The plan of a single set would leave out what compares it with those before.
        return replace(plan, steps=choose_steps(plan.stack, *chosen, in_lapse=True))

    def _take_over(self) -> None:
        """Use what the background has learned."""
        found = self._background.take()
        if self._background.failure:
            self._context.warn(
                f"the patterns could not be looked at anew: {self._background.failure}"
            )
        if found is None:
            return
        for text in found.warnings:
            self._context.warn(text)
        self._learned, self._found = found, {}
        self._context.cache.update(found.cache)

    def _move_on(self, plan: Plan, context: Context) -> None:
        """Keep a set, and what was found of it, for those that follow."""
        count, most = len(self._before), self._before.maxlen
        self._before.append(plan.stack.data)
        self._found = {}
        for (channel, place), found in (context.found or {}).items():
            # The first set of all had no time axis.
            time_point, rest = (place[0], place[1:]) if count else (0, place)
            time_point -= count == most
            if time_point >= 0:
                self._found[channel, (time_point, *rest)] = found

    def _learn_more(self, plan: Plan) -> None:
        """Add a set to the mean; from ten on, learn of it in the background."""
        due = self._processed % self._refresh_every
        is_due = self._learned.count < FIRST_FRAMES or (
            due >= self._refresh_every - FIRST_FRAMES
        )
        if not is_due or self._background.is_busy:
            return
        if self._sum is None:
            self._sum = np.zeros(plan.stack.shape, np.float32)
        self._sum += plan.stack.data
        self._summed += 1
        if self._summed < min(FIRST_FRAMES, self._refresh_every):
            return
        mean = replace(plan, stack=replace(plan.stack, data=self._sum / self._summed))
        count, self._sum, self._summed = self._summed, None, 0
        context = replace(
            self._context, cache=dict(self._context.cache), warnings=[], examines=True
        )
        self._background.start(relearned(plan, mean, self._learned, context, count))


def learned(
    plan: Plan, mean: Plan, context: Context, count: int
) -> Generator[Progress, None, Learned]:
    """Find what sets share, on the mean of some of them and on the latest.

    Parameters
    ----------
    plan, mean : Plan
        Of the latest set, and of the mean.
    context : Context
        Receives warnings.
    count : int
        Sets that the mean is of.

    Yields
    ------
    Progress

    Returns
    -------
    Learned
    """
    shared = []
    part = replace(context, time_points=count)
    for channel, of_mean in zip(plan.channels, mean.channels, strict=True):
        found = yield from learn(
            plan, channel, of_mean.image(of_mean.first), channel.image(channel.first),
            part,
        )  # fmt: skip
        patterns = tuple(
            p.model_copy(update={"phases_of": "first frames"})
            if p.phases_of == "mean"
            else p
            for p in found.patterns
        )
        shared.append(replace(found, patterns=patterns))
    return Learned(tuple(shared), count, context.cache, tuple(context.warnings))


def relearned(
    plan: Plan, mean: Plan, before: Learned, context: Context, count: int
) -> Generator[Progress, None, Learned]:
    """Learn anew, keep what has not changed, and make filters of what has.

    Parameters are those of `learned`, and what was learned before. The latest set is
    examined on the way: its hot pixels, displacement and stripes left.
    """
    found = yield from learned(plan, mean, context, count)
    shared = tuple(
        new if count > before.count or changed(old, new, plan) else old
        for old, new in zip(before.shared, found.shared, strict=True)
    )
    shared = tuple(
        old if not _is_usable(new) and _is_usable(old) else new
        for old, new in zip(before.shared, shared, strict=True)
    )
    with closing(run_plan(plan, context, shared=shared)) as examining:
        yield from examining
    return replace(
        found, shared=shared, cache=context.cache, warnings=tuple(context.warnings)
    )


def changed(old: Shared, new: Shared, plan: Plan) -> bool:
    """Whether patterns differ by more than their errors or what can be seen."""
    if len(old.patterns) != len(new.patterns):
        return True
    pixel_nm = plan.stack.pixel_size_nm or 1.0
    field_nm = pixel_nm * max(plan.stack.shape[-2:])
    return any(
        _differ(one, other, field_nm)
        for one, other in zip(old.patterns, new.patterns, strict=True)
    )


def _differ(old: Pattern, new: Pattern, field_nm: float) -> bool:
    if old.is_usable != new.is_usable or not old.is_usable:
        return old.is_usable != new.is_usable
    waves = np.subtract(
        old.orders[0].wavevector_per_nm, new.orders[0].wavevector_per_nm
    )
    steps = np.subtract(new.phases_deg, old.phases_deg)
    turn = float(np.abs((steps + 180) % 360 - 180).max())
    errors = np.hypot(old.phase_error_deg or 0.0, new.phase_error_deg or 0.0)
    modulation = abs(new.modulation / max(old.modulation, 1e-6) - 1)
    return bool(
        np.hypot(*waves) * field_nm > SAME_WAVES
        or turn > max(CHANGED_ERRORS * errors, LEAST_CHANGE_DEG)
        or modulation > SAME_MODULATION
    )


def _is_usable(shared: Shared) -> bool:
    return any(pattern.is_usable for pattern in shared.patterns)


def _require_one(plan: Plan) -> None:
    """Refuse sets of several time points or planes."""
    stack: ImageStack = plan.stack
    if stack.size("T") * stack.size("Z") > 1:
        raise InputError(
            "a set of frames",
            got=f"axes {stack.axes}, shape {stack.shape}",
            allowed="one time point and one focal plane",
            field=("input.angles", "input.phases"),
        )
