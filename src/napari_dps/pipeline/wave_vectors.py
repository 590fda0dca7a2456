"""Wave vectors of the stripes that the user knows: of a file, or set by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from napari_dps import io
from napari_dps.core import ImageStack, InputError, Pattern
from napari_dps.core.params import describe
from napari_dps.pipeline.settings import Settings
from napari_dps.pipeline.steps import Step


def with_wave_vectors(stack: ImageStack, patterns: Iterable[Pattern]) -> ImageStack:
    """Return raw frames with the wave vectors of a file or of a calibration stack.

    Only the wave vectors are taken: phases and modulation depth differ from stack to
    stack and are fitted anew. A pattern that the other run did not find is left out.

    Parameters
    ----------
    stack : ImageStack
        Raw SIM frames.
    patterns : iterable of Pattern
        As `napari_dps.io.load_patterns` returns them.

    Returns
    -------
    ImageStack
        With patterns of status "given".

    Raises
    ------
    InputError
        If the stack holds no raw frames, or none of the patterns is usable.

    Examples
    --------
    >>> import numpy as np
    >>> raw = ImageStack(np.ones((3, 3, 8, 8)), "APYX", pixel_size_nm=65)
    >>> found = Pattern(angle_deg=30, period_nm=200, status="found", phases_deg=(0, 9))
    >>> pattern = with_wave_vectors(raw, [found]).patterns[0]
    >>> pattern.status, pattern.phases_deg
    ('given', ())
    """
    if not stack.is_raw:
        raise InputError(
            "known patterns are for raw SIM frames, of several angles and phases",
            field=("input.patterns", "input.angles", "input.phases"),
        )
    usable = tuple(p.only_wave_vectors() for p in patterns if p.is_usable)
    if not usable:
        raise InputError(
            "none of the known patterns has a wave vector", field="input.patterns"
        )
    return replace(stack, patterns=usable)


def with_files_of_steps(stack: ImageStack, steps: Sequence[Step]) -> ImageStack:
    """Return the stack with the patterns of the file that a step's parameters name.

    A stage reads no file itself. Patterns that the stack carries go first.

    Parameters
    ----------
    stack : ImageStack
        The input of a run.
    steps : sequence of Step
        Of the run; the first that names a file counts.

    Raises
    ------
    InputError
        If the file cannot be read or holds no wave vector.
    """
    for step in steps:
        for info in describe(type(step.parameters)):
            name = str(getattr(step.parameters, info.name))
            is_file = info.name == "patterns" and info.file and name not in info.words
            if is_file and not stack.patterns:
                stack = with_wave_vectors(stack, io.load_patterns(name))
    return stack


def read_patterns(settings: Settings) -> Settings:
    """Return settings with the patterns themselves in place of a file that has them.

    So all inputs of a batch, on any machine, get the same, and the file is read once.

    Raises
    ------
    InputError
        If the file cannot be read or holds no valid patterns.
    """
    if not isinstance(settings.input.patterns, str):
        return settings
    patterns = io.load_patterns(settings.input.patterns)
    asked = settings.input.model_copy(update={"patterns": patterns})
    return replace(settings, input=asked)
