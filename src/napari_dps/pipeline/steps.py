"""Which stages run, in which order, with which parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_dps.core import ImageStack, InputError, StageParameters, is_raw
from napari_dps.core.text import quoted
from napari_dps.methods.sim.patterns import SEARCH_FIELDS
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage


@dataclass(frozen=True)
class Step:
    """A stage with the parameters it is to run with."""

    stage: Stage[Any]
    parameters: StageParameters

    @property
    def window(self) -> tuple[int, int]:
        """Time points before and after each that it needs."""
        asked = self.stage.window
        return (0, 0) if asked is None else asked(self.parameters)

    @property
    def averages_time(self) -> bool:
        """Whether it averages over neighbours in time, which must not share frames."""
        return self.stage.by_default_of_lapses and any(self.window)

    def takes_volume(self, stack: ImageStack) -> bool:
        """Whether it is to get all planes of a stack at once.

        Raises
        ------
        InputError
            If that is demanded of a stack that it cannot be done with.
        """
        asked = self.stage.takes_volumes
        return asked is not None and asked(stack, self.parameters)

    def finer_z(self, stack: ImageStack) -> int:
        """How many planes its result has for each plane of a stack."""
        asked = self.stage.finer_z
        is_volume = asked is not None and self.takes_volume(stack)
        return asked(stack, self.parameters) if asked and is_volume else 1


def find_stage(stage_id: str, stages: Sequence[Stage[Any]] = STAGES) -> Stage[Any]:
    """Return the stage of that id.

    Raises
    ------
    InputError
        Naming the stages that exist.
    """
    for stage in stages:
        if stage.id == stage_id:
            return stage
    raise InputError(
        "stage",
        got=quoted(stage_id),
        allowed=", ".join(stage.id for stage in stages),
        field="pipeline.stages",
    )


def choose_steps(
    image: ImageStack,
    names: Sequence[str] | None = None,
    parameters: Mapping[str, StageParameters] | None = None,
    *,
    stages: Sequence[Stage[Any]] = STAGES,
    in_lapse: bool = False,
) -> tuple[Step, ...]:
    """Return the steps for an image, checked to fit one another.

    Parameters
    ----------
    image : ImageStack
        The input; its axes decide which stages can come first.
    names : sequence of str, optional
        Ids in the order to run; stages for time-lapses are left out of a single time
        point if there are others. By default every stage that fits and is meant for it,
        in the order of ``stages``: raw SIM frames start at the raw stages, plain
        images after them.
        An image without optics goes past those that need them where it can.
    parameters : mapping of str to StageParameters, optional
        By stage id; a stage that is not named runs with its defaults.
    stages : sequence of Stage, optional
        The stages to choose from.
    in_lapse : bool
        Whether other time points come before or after those of the image, as while
        recording.

    Raises
    ------
    InputError
        If a stage is unknown, named twice, or does not fit what comes before it.
    """
    chosen = (
        _fitting(image, stages)
        if names is None
        else [find_stage(name, stages) for name in names]
    )
    if not chosen:
        raise InputError(
            f"no stage is chosen for an image with axes {image.axes}",
            allowed=", ".join(stage.id for stage in stages),
            field="pipeline.stages",
        )
    if image.size("T") == 1 and len(chosen) > 1 and not in_lapse:
        # It would compare the only time point with none, and give it back.
        chosen = [stage for stage in chosen if not stage.by_default_of_lapses]
    _check_chain(image.axes, chosen)
    chosen_values = _with_one_search(parameters or {}, chosen)
    return tuple(
        Step(stage, chosen_values.get(stage.id) or stage.parameters())
        for stage in chosen
    )


def _with_one_search(
    parameters: Mapping[str, StageParameters], chosen: Sequence[Stage[Any]]
) -> dict[str, StageParameters]:
    """Return the parameters, those of the search for patterns the same in all stages.

    What one stage is given, chosen or not, counts for all that seek patterns.
    """
    result = {**{stage.id: stage.parameters() for stage in chosen}, **parameters}
    for field in SEARCH_FIELDS:
        seeking = {key: p for key, p in result.items() if hasattr(p, field)}
        wanted = {
            key: getattr(p, field)
            for key, p in seeking.items()
            if getattr(p, field) != type(p).model_fields[field].default
        }
        if len(set(wanted.values())) > 1:
            raise InputError(
                " and ".join(f"{key}.{field}" for key in wanted),
                got=" and ".join(str(value) for value in wanted.values()),
                allowed="the same: patterns are sought once for all stages",
                field=f"{next(iter(wanted))}.{field}",
            )
        for value in set(wanted.values()):
            for key, values in seeking.items():
                result[key] = values.model_copy(update={field: value})
    return result


def suited_stages(
    names: Collection[str],
    *,
    raw: bool,
    done: Collection[str] = (),
    stages: Sequence[Stage[Any]] = STAGES,
) -> tuple[str, ...]:
    """Return those of some stages that an image is meant for, in the order to run.

    Plain images go past the stages for raw frames, and a stage that mends another is
    for images that this has made. Whether the rest fits together, `choose_steps` says.

    Parameters
    ----------
    names : collection of str
        Ids of stages.
    raw : bool
        Whether the image is a stack of raw SIM frames.
    done : collection of str
        Ids of the stages that made the image.
    stages : sequence of Stage, optional
        The stages to choose from.

    Examples
    --------
    >>> suited_stages(["reconstruct", "artifacts", "dps", "background"], raw=False)
    ('background', 'dps')
    >>> suited_stages(["artifacts"], raw=False, done=["reconstruct"])
    ('artifacts',)
    """
    behind, suited = {"", *done}, []
    for stage in stages:
        if stage.id in names and _is_meant_for(stage, raw, behind):
            suited.append(stage.id)
            behind.add(stage.id)
    return tuple(suited)


def _is_meant_for(stage: Stage[Any], raw: bool, done: Collection[str]) -> bool:
    """Whether a stage is for images like this that have some stages behind them."""
    return stage.takes_raw <= raw and stage.only_after in done


def _fits(axes: str, takes: str) -> bool:
    """Whether units of ``takes`` can be cut from ``axes`` along T, C and Z."""
    return axes.endswith(takes) and set(axes.removesuffix(takes)) <= set("TCZ")


def left_out(
    image: ImageStack, stages: Sequence[Stage[Any]] = STAGES
) -> tuple[Stage[Any], ...]:
    """Return the stages that `choose_steps` goes past for want of optics.

    What gives another kind of image than it takes cannot be left out: it asks.
    """
    if image.optics is not None:
        return ()
    return tuple(
        s
        for s in stages
        if s.runs_by_default(image.size("T"))
        and s.needs_optics
        and s.takes == s.gives
        and _is_meant_for(s, image.is_raw, _done(image))
    )


def _done(image: ImageStack) -> set[str]:
    """Return the ids of the stages that an image has behind it, and no stage."""
    return {"", *(entry.stage for entry in image.history)}


def _fitting(image: ImageStack, stages: Sequence[Stage[Any]]) -> list[Stage[Any]]:
    chosen: list[Stage[Any]] = []
    axes, unfit = image.axes, left_out(image, stages)
    done = _done(image)
    for stage in stages:
        if (
            stage.runs_by_default(image.size("T"))
            and _is_meant_for(stage, image.is_raw, done)
            and _fits(axes, stage.unit_of(axes))
            and stage not in unfit
        ):
            done.add(stage.id)
            chosen.append(stage)
            axes = _after(stage, axes)
    return chosen


def _check_chain(axes: str, chosen: Sequence[Stage[Any]]) -> None:
    seen: set[str] = set()
    for stage in chosen:
        if stage.id in seen:
            raise InputError(
                f"stage '{stage.id}' is named twice", field="pipeline.stages"
            )
        seen.add(stage.id)
        if not _fits(axes, stage.unit_of(axes)):
            raise InputError(
                f"stage '{stage.id}' takes {_in_words(stage.takes)} and cannot follow "
                f"{_in_words(axes)}"
            )
        axes = _after(stage, axes)


def _after(stage: Stage[Any], axes: str) -> str:
    """Return the axes of what a stage makes of an image with these."""
    unit = stage.unit_of(axes)
    return axes.removesuffix(unit) + stage.gives_of(unit)


def _in_words(axes: str) -> str:
    """Name a kind of image as a person would."""
    kind = "raw SIM frames" if is_raw(axes) else "a plain image"
    return f"{kind} (axes {axes})"
