"""The training loop: resumable to the step, on any device that Fabric knows."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from napari_dps import __version__
from napari_dps.core import InputError, Progress
from napari_dps.nets.checkpoint import save_checkpoint
from napari_dps.train.recipe import Recipe
from napari_dps.train.task import Task

_LAST_RATE = 0.01
"""Learning rate at the end, of that of the recipe."""
_RESTART = 0.5
"""Learning rate where it rises again, of that of the recipe."""
_LOG_EVERY = 25


@dataclass
class _State:
    """What a resumed training continues from."""

    network: nn.Module
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    best: dict[str, float] = field(default_factory=dict)


def train_steps(
    task: Task,
    folder: Path,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    resume: bool = True,
    stop_at: int | None = None,
    is_enough: Callable[[], bool] = lambda: False,
) -> Generator[Progress, None, dict[str, float]]:
    """Train a network; keep the best weights by validation.

    The batches and the learning rate are functions of the step, so that a training
    that was stopped and resumed ends with the weights of one that was not.

    Parameters
    ----------
    task : Task
        What to train, on what, for what.
    folder : Path
        Gets ``<name>.safetensors`` and ``.json`` (best), ``state.pt`` (to resume),
        ``training.csv``, ``validation.csv`` and ``curves.png``.
    accelerator : str
        ``"auto"``, ``"cpu"``, ``"gpu"``, ``"mps"``; see Lightning Fabric.
    devices : int
        Devices; each computes a batch of its own.
    resume : bool
        Continue from ``state.pt`` if it is there.
    stop_at : int, optional
        Save and stop after this step, though the recipe goes on.
    is_enough : callable
        Asked after each step: whether it is the last, to be validated and saved.

    Yields
    ------
    Progress

    Returns
    -------
    dict
        Scores of the best weights, as `Task.validate` returns them.
    """
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=accelerator, devices=devices)
    fabric.launch()
    folder.mkdir(parents=True, exist_ok=True)
    recipe = task.recipe
    state = _start(task, fabric)
    if resume and (folder / "state.pt").exists():
        _load_state(folder / "state.pt", state, recipe, fabric.device)
    last = min(recipe.steps, stop_at or recipe.steps)
    while state.step < last:
        started = time.perf_counter()
        logged = _one_step(task, state, fabric)
        state.seconds += time.perf_counter() - started
        if is_enough():
            last = state.step
        if fabric.is_global_zero:
            _after_step(task, folder, state, logged, last=last)
        yield Progress(state.step, recipe.steps, f"loss {logged['loss']:.4f}")
    return state.best


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine, or two.

    Examples
    --------
    >>> from napari_dps.train.dps.task import DpsRecipe
    >>> from napari_dps.train.recipe import load_recipe
    >>> recipe = load_recipe(DpsRecipe, "paper")
    >>> rates = [learning_rate(recipe, step) for step in (24, 50, recipe.steps)]
    >>> [round(rate, 7) for rate in rates]
    [0.0005, 0.001, 1e-05]
    >>> recipe = recipe.model_copy(update={"restart": recipe.steps // 2})
    >>> [round(learning_rate(recipe, recipe.restart + n), 7) for n in (-1, 0)]
    [1e-05, 0.0005]
    """
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    again = bool(recipe.restart) and step >= recipe.restart
    begin = recipe.restart if again else recipe.warmup
    end = recipe.steps if again or not recipe.restart else recipe.restart
    highest = recipe.learning_rate * (_RESTART if again else 1.0)
    fall = (1 + math.cos(math.pi * (step - begin) / max(end - begin, 1))) / 2
    return highest * (_LAST_RATE + (1 - _LAST_RATE) * fall)


def _start(task: Task, fabric: Any) -> _State:
    recipe = task.recipe
    torch.manual_seed(recipe.seed)
    network = task.build_network()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    average = AveragedModel(network, avg_fn=partial(_moving_average, recipe.ema))
    network, optimizer = fabric.setup(network, optimizer)
    return _State(network, average.to(fabric.device), optimizer)


def _moving_average(
    decay: float, average: Tensor, current: Tensor, count: Tensor | int
) -> Tensor:
    """Average over few steps at first, so that the first weights are soon forgotten."""
    return average.lerp(current, max(1 - decay, 9 / (float(count) + 10)))


def _one_step(task: Task, state: _State, fabric: Any) -> dict[str, float]:
    """Update the weights once; return the terms of the loss and the rate."""
    rate = learning_rate(task.recipe, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    # Each device draws a batch of its own.
    number = state.step * fabric.world_size + fabric.global_rank
    terms = task.objective(state.network, task.draw(number, fabric.device))
    state.optimizer.zero_grad(set_to_none=True)
    fabric.backward(terms["loss"])
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimizer.step()
    state.average.update_parameters(_bare(state.network))
    state.step += 1
    return {**{name: float(t.detach()) for name, t in terms.items()}, "rate": rate}


def _after_step(
    task: Task, folder: Path, state: _State, logged: dict[str, float], *, last: int
) -> None:
    """Log, and from time to time validate and save."""
    head = {"step": state.step, "seconds": round(state.seconds, 1)}
    if state.step % _LOG_EVERY == 0:
        _append(folder / "training.csv", {**head, **logged})
    if state.step % task.recipe.validate_every and state.step != last:
        return
    state.average.eval()
    scores = task.validate(state.average.module)
    _append(folder / "validation.csv", {**head, **scores})
    if scores["score"] > state.best.get("score", -math.inf):
        state.best = scores
        _save_best(task, folder, state)
    _save_state(folder / "state.pt", state, task.recipe)
    _plot(folder, task.curves)


def _save_best(task: Task, folder: Path, state: _State) -> None:
    description = task.describe()
    save_checkpoint(
        folder / f"{task.recipe.name}.safetensors",
        dict(state.average.module.state_dict()),
        {
            **description,
            "metrics": {
                "step": state.step,
                "seconds": round(state.seconds),
                "held_out": state.best,
                **description["metrics"],
            },
            "version": __version__,
        },
    )


def _save_state(path: Path, state: _State, recipe: Recipe) -> None:
    part = path.with_suffix(".part")
    torch.save(
        {
            "network": _bare(state.network).state_dict(),
            "average": state.average.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "step": state.step,
            "seconds": state.seconds,
            "best": state.best,
            "recipe": recipe.model_dump_json(),
        },
        part,
    )
    part.replace(path)


def _load_state(
    path: Path, state: _State, recipe: Recipe, device: torch.device
) -> None:
    """Read a state; only tensors and plain values, nothing is run from the file."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except Exception as problem:
        raise InputError(f"{path.name} is not the state of a training") from problem
    if json.loads(saved["recipe"]) != recipe.model_dump(mode="json"):
        raise InputError(
            f"{path.parent.name} holds a training of another recipe; "
            "choose another folder or do not resume"
        )
    _bare(state.network).load_state_dict(saved["network"])
    state.average.load_state_dict(saved["average"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.step, state.seconds = saved["step"], saved["seconds"]
    state.best = saved["best"]


def _bare(network: nn.Module) -> nn.Module:
    """Return the module inside Fabric's wrapper."""
    inner: nn.Module = getattr(network, "module", network)
    return inner


def _append(path: Path, row: dict[str, float]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def _plot(folder: Path, curves: tuple[str, ...]) -> None:
    """Draw loss and validation against the step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name, columns in (
        (left, "training.csv", ("loss",)),
        (right, "validation.csv", curves),
    ):
        if not (folder / name).exists():
            continue
        with (folder / name).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        steps = [int(row["step"]) for row in rows]
        for column in columns:
            axes.plot(steps, [float(row[column]) for row in rows], label=column)
        axes.set_xlabel("step")
        axes.legend()
    left.set_yscale("log")
    left.set_ylabel("training loss")
    right.set_ylabel("held-out score")
    figure.savefig(folder / "curves.png", dpi=110)
