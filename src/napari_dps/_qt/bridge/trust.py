"""How far a result can be believed: the self-check of a stage, in words."""

from collections.abc import Generator, Mapping
from typing import Any

from napari_dps._qt.bridge.run_request import RunRequest
from napari_dps.core import InputError, Progress
from napari_dps.pipeline import first_plane, open_input
from napari_dps.stages.base import Stage


def check_steps(
    request: RunRequest, stage: Stage[Any]
) -> Generator[Progress, None, str]:
    """Let a stage try on a layer what it can do with it; in a worker's thread.

    Returns
    -------
    str
        What was found, for a person.

    Raises
    ------
    InputError
        If the stage has no such trial, or cannot make it with this image.
    """
    if stage.self_check is None:
        raise InputError(f"'{stage.id}' has no self-check")
    request.context.warnings.clear()
    plan = open_input(request.snapshot.unread(), request.settings)
    parameters = plan.steps[0].parameters
    image = first_plane(plan.first)
    found = yield from stage.self_check(image, parameters, request.context)
    return in_words(found)


def in_words(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which separations are told apart, before and after.

    Examples
    --------
    >>> in_words({"lines": {"input_nm": 142.4, "result_nm": 86.1, "pairs": 16}})
    'lines: 86 nm here, 142 nm before'
    """
    lines = []
    for kind, one in found.items():
        here, before = (_length(one.get(key)) for key in ("result_nm", "input_nm"))
        lines.append(f"{kind}: {here} here, {before} before")
    return "\n".join(lines)


def _length(value: float | None) -> str:
    return "not told apart" if value is None else f"{value:.0f} nm"
