"""Training on for a few minutes: what is no better than before is not kept."""

from __future__ import annotations

import csv
import itertools
import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dps import io
from napari_dps.core import InputError, Progress, uncounted
from napari_dps.train.judgement import Judgement, judge
from napari_dps.train.models import MODELS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_dps.train.task import AdaptTask, Sources

NEEDED = ("lightning_fabric", "pytorch_msssim")
"""Packages of the extra ``train``."""
_SHARE = 0.9
"""Of the time that is left for steps; how long they take differs."""
_SPARE = 1.2
"""What looking and judging may take, over what they took at first."""
_SAVING_S = 1.0
"""Seconds that weights, state and curves take to be written after a look."""
_TRIED_STEPS = 2
LEAST_STEPS = 10
"""Done at least, and refused where the time is not enough for them: what fewer gain
tells nothing of what a training would."""
_LOOKS, _LOOKING = 8, 0.3
"""How often the held-out loss is looked at, and the most of the time for it."""
_WARMUP = 0.1


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen after a step: its number, and the held-out loss."""

    step: int
    loss: float


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What a training has come to.

    Attributes
    ----------
    weights : Path or None
        The file; None where they are no better, and nothing is kept.
    judgement : Judgement
        By blocks that have neither trained nor chosen.
    steps, seconds : int, float
        Done, and taken.
    """

    weights: Path | None
    judgement: Judgement
    steps: int
    seconds: float


def require_packages() -> None:
    """Refuse to train without the packages for it.

    Raises
    ------
    InputError
        Naming them.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f'training needs {", ".join(missing)}: pip install "napari-dps[train]"'
        )


def fine_tune(
    model: str,
    sources: Sources,
    weights: Path,
    *,
    seconds: float,
    steps: int | None = None,
    is_enough: Callable[[], bool] = lambda: False,
    tell: Callable[[Look], None] = lambda _: None,
) -> Generator[Progress, None, FineTuned]:
    """Train a network on for some time, and keep it if it is better.

    Parameters
    ----------
    model : str
        Of `MODELS`, with a recipe for images.
    sources : Sources
        The images, and the weights to begin with.
    weights : Path
        Gets the weights, ``.safetensors``, and their description beside it.
    seconds : float
        For all of it: the times of a step, of a look at the held-out loss and of the
        judgement are measured before the first step, and the clock is asked after
        each. `LEAST_STEPS` are done, however slow the machine gets on the way.
    steps : int, optional
        So many, however long they take.
    is_enough : callable
        Asked after each step: whether it is the last.
    tell : callable
        Called with each look at the held-out loss.

    Yields
    ------
    Progress
        Closing the generator keeps nothing.

    Returns
    -------
    FineTuned

    Raises
    ------
    InputError
        If the images cannot be trained on, packages are missing, or the time does not
        suffice for `LEAST_STEPS`.
    """
    require_packages()
    entry = MODELS[model]
    started = time.monotonic()
    prepare = import_module(entry.module).prepare_task
    # The bar is that of the training.
    preparing = uncounted(prepare(entry.recipe_for_images, sources))
    task: AdaptTask = yield from preparing
    yield Progress(0, 1, "Looking at what is left out")
    clock = time.monotonic()
    before = task.misfit(task.build_network())
    judging_s = time.monotonic() - clock
    yield Progress(0, 1, "Measuring the time of a step")
    pace = _pace(task)
    tell(Look(0, pace.loss))
    last_s = started + (math.inf if steps else seconds) - _SPARE * judging_s
    count, looks = (steps, _LOOKS) if steps else pace.steps_until(last_s)
    if count < LEAST_STEPS and not steps:
        raise _too_short(seconds, pace.missing_s(last_s))
    task = replace(task, recipe=_with_steps(task, count, looks, weights.stem))
    number = itertools.count(1)
    steps_done = _trained_and_judged(
        task,
        weights,
        before,
        is_enough=lambda: (
            is_enough() or (next(number) >= LEAST_STEPS and pace.is_late(last_s))
        ),
        tell=tell,
    )
    kept, judgement, done = yield from steps_done
    return FineTuned(kept, judgement, done, time.monotonic() - started)


def _too_short(seconds: float, missing_s: float) -> InputError:
    """Return what is said of a time in which too little can be done."""
    needed = math.ceil((seconds + missing_s) / 6) / 10
    return InputError(
        "time to train",
        got=f"{seconds / 60:.2g} min",
        allowed=f"{needed:g} min or more: on this machine, as busy as it is, fewer "
        f"than {LEAST_STEPS} steps fit in. The old weights are kept",
    )


def _trained_and_judged(
    task: AdaptTask,
    weights: Path,
    before: NDArray[np.float64],
    *,
    is_enough: Callable[[], bool],
    tell: Callable[[Look], None],
) -> Generator[Progress, None, tuple[Path | None, Judgement, int]]:
    """Train, judge, and keep what is better; return where, and the steps done."""
    hidden = io.temporary_name(weights)
    try:
        with io.writing(weights.parent):
            hidden.mkdir(parents=True)
        done = yield from _trained(task, hidden, is_enough, tell)
        yield Progress(1, 1, "Judging by what is left out")
        found = hidden / f"{task.recipe.name}.safetensors"
        judgement = judge(before, task.misfit(_network(task, found)))
        if judgement.is_better:
            for name in (found, found.with_suffix(".json")):
                io.put(name, weights.parent / name.name)
    finally:
        io.remove_all(hidden)
    kept = weights.parent / found.name if judgement.is_better else None
    return kept, judgement, done


@dataclass(frozen=True, slots=True)
class _Pace:
    """Seconds that a step, and a look at the held-out loss, take; that loss."""

    step_s: float
    look_s: float
    loss: float

    def steps_until(self, last_s: float) -> tuple[int, int]:
        """Return how many steps fit in, by the clock of `time`, and how many looks."""
        left = last_s - time.monotonic()
        each = _SPARE * self.look_s
        looks = max(min(int(_LOOKING * left / each), _LOOKS), 1)
        return max(int(_SHARE * (left - looks * each) / self.step_s), 0), looks

    def missing_s(self, last_s: float) -> float:
        """Return the seconds that are missing for `LEAST_STEPS` and a look."""
        needed = LEAST_STEPS * self.step_s / _SHARE + _SPARE * self.look_s
        return max(needed - (last_s - time.monotonic()), 0.0)

    def is_late(self, last_s: float) -> bool:
        """Whether there is no time left for a look, another step and its look."""
        needed = self.step_s + 2 * _SPARE * self.look_s + _SAVING_S
        return time.monotonic() + needed > last_s


def _pace(task: AdaptTask) -> _Pace:
    """Measure how long steps and looks take."""
    import torch

    network = task.build_network()
    taken = []
    for step in range(_TRIED_STEPS):
        clock = time.monotonic()
        terms = task.objective(network, task.draw(step, torch.device("cpu")))
        torch.autograd.backward([terms["loss"]])
        taken.append(time.monotonic() - clock)
    clock = time.monotonic()
    loss = task.validate(network.eval())["held_out_loss"]
    look_s = max(time.monotonic() - clock, 1e-6)
    # The first step pays for what is made once.
    return _Pace(max(min(taken), 1e-6), look_s, loss)


def _with_steps(task: AdaptTask, steps: int, looks: int, name: str) -> Any:
    """Return the recipe with so many steps, under another name."""
    changes = {
        "name": name,
        "steps": steps,
        "validate_every": max(steps // looks, 1),
        "warmup": max(int(_WARMUP * steps), 1),
    }
    return task.recipe.model_validate({**task.recipe.model_dump(), **changes})


def _trained(
    task: AdaptTask,
    folder: Path,
    is_enough: Callable[[], bool],
    tell: Callable[[Look], None],
) -> Generator[Progress, None, int]:
    """Train; return the steps that were done."""
    from napari_dps.train.trainer import train_steps

    recipe, ended = task.recipe, False

    def is_last() -> bool:
        nonlocal ended
        ended = is_enough()
        return ended

    done = 0
    training = train_steps(
        task, folder, accelerator="cpu", resume=False, is_enough=is_last
    )
    with closing(training):
        for report in training:
            done = report.done
            if ended or done % recipe.validate_every == 0 or done == recipe.steps:
                tell(Look(done, _last_loss(folder)))
            yield replace(report, message=f"step {done} of {recipe.steps}")
    return done


def _last_loss(folder: Path) -> float:
    with (folder / "validation.csv").open(newline="", encoding="utf-8") as stream:
        *_, row = csv.DictReader(stream)
    return float(row["held_out_loss"])


def _network(task: AdaptTask, path: Path) -> Any:
    """Return a network with the weights of a file."""
    from napari_dps.nets.checkpoint import load_checkpoint

    network = task.build_network()
    network.load_state_dict(load_checkpoint(path).weights)
    return network
