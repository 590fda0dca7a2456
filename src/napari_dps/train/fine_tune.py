"""Training on for a few minutes: what is no better than before is not kept."""

from __future__ import annotations

import csv
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
from napari_dps.core import InputError, Progress
from napari_dps.train.judgement import Judgement, judge
from napari_dps.train.models import MODELS

if TYPE_CHECKING:
    from napari_dps.train.dps.adapt import AdaptTask
    from napari_dps.train.task import Sources

NEEDED = ("lightning_fabric", "pytorch_msssim")
"""Packages of the extra ``train``."""
_SHARE = 0.9
"""Of the time, for steps: the rest is for looking at what is left out."""
_LATE = 1.5
"""Of the time, after which a training ends though its steps are not done."""
_TRIED_STEPS = 2
_LOOKS = 8
"""How often the held-out loss is looked at."""
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
        By regions that have neither trained nor chosen.
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
            f"training needs {', '.join(missing)}: pip install 'napari-dps[train]'"
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
        To train; how many steps that are is measured before the first.
    steps : int, optional
        So many, however long they take.
    is_enough : callable
        Asked after each step; what is best by then is judged and kept.
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
        If the images cannot be trained on, or packages are missing.
    """
    require_packages()
    entry = MODELS[model]
    started = time.monotonic()
    prepare = import_module(entry.module).prepare_task
    task: AdaptTask = yield from prepare(entry.recipe_for_images, sources)
    yield Progress(0, 1, "Looking at what is left out")
    before = task.misfit(task.build_network())
    yield Progress(0, 1, "Measuring the time of a step")
    most_s = _LATE * seconds if steps is None else math.inf
    count = steps or _steps_within(task, seconds)
    task = replace(task, recipe=_with_steps(task, count, weights.stem))
    hidden = io.temporary_name(weights)
    try:
        with io.writing(weights.parent):
            hidden.mkdir(parents=True)
        done = yield from _trained(task, hidden, most_s, is_enough, tell)
        yield Progress(1, 1, "Judging by what is left out")
        found = hidden / f"{task.recipe.name}.safetensors"
        judgement = judge(before, task.misfit(_network(task, found)))
        if judgement.is_better:
            for name in (found, found.with_suffix(".json")):
                io.put(name, weights.parent / name.name)
    finally:
        io.remove_all(hidden)
    taken = time.monotonic() - started
    kept = weights.parent / found.name if judgement.is_better else None
    return FineTuned(kept, judgement, done, taken)


def _steps_within(task: AdaptTask, seconds: float) -> int:
    """Return how many steps fit into a time, as some steps take it."""
    import torch

    network = task.build_network()
    clock = time.monotonic()
    for step in range(_TRIED_STEPS):
        terms = task.objective(network, task.draw(step, torch.device("cpu")))
        torch.autograd.backward([terms["loss"]])
    each = (time.monotonic() - clock) / _TRIED_STEPS
    return max(int(_SHARE * seconds / max(each, 1e-6)), _LOOKS)


def _with_steps(task: AdaptTask, steps: int, name: str) -> Any:
    """Return the recipe with so many steps, under another name."""
    changes = {
        "name": name,
        "steps": steps,
        "validate_every": max(steps // _LOOKS, 1),
        "warmup": max(int(_WARMUP * steps), 1),
    }
    return task.recipe.model_validate({**task.recipe.model_dump(), **changes})


def _trained(
    task: AdaptTask,
    folder: Path,
    most_s: float,
    is_enough: Callable[[], bool],
    tell: Callable[[Look], None],
) -> Generator[Progress, None, int]:
    """Train; return the steps that were done."""
    from napari_dps.train.trainer import train_steps

    recipe, started, done = task.recipe, time.monotonic(), 0
    training = train_steps(task, folder, accelerator="cpu", resume=False)
    with closing(training):
        for report in training:
            done = report.done
            if done % recipe.validate_every == 0 or done == recipe.steps:
                tell(Look(done, _last_loss(folder)))
            is_late = time.monotonic() - started > most_s
            if (is_enough() or is_late) and done >= recipe.validate_every:
                break
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
