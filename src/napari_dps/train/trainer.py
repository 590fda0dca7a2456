"""The training loop: resumable to the step, on any device that Fabric knows."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Generator
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
from napari_dps.nets.res_u_dbpn import ResUDBPN
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, CANONICAL_OPTICS
from napari_dps.train.data import Batch, Fields, draw_batch
from napari_dps.train.evaluate import baselines, run_network, validate
from napari_dps.train.losses import ImageFormation, Objective
from napari_dps.train.recipe import Recipe

_LAST_RATE = 0.01
"""Learning rate at the end, of that of the recipe."""
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
    recipe: Recipe,
    training: Fields,
    validation: Fields,
    folder: Path,
    *,
    accelerator: str = "auto",
    devices: int = 1,
    resume: bool = True,
    stop_at: int | None = None,
) -> Generator[Progress, None, dict[str, float]]:
    """Train a network; keep the best weights by validation.

    The batches and the learning rate are functions of the step, so that a training
    that was stopped and resumed ends with the weights of one that was not.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    training, validation : Fields
        As from `data.build_bank_steps` and `data.validation_fields`.
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

    Yields
    ------
    Progress

    Returns
    -------
    dict
        Scores of the best weights; see `evaluate.validate`.
    """
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=accelerator, devices=devices)
    fabric.launch()
    folder.mkdir(parents=True, exist_ok=True)
    state = _start(recipe, fabric)
    if resume and (folder / "state.pt").exists():
        _load_state(folder / "state.pt", state, recipe, fabric.device)
    objective = Objective(recipe.loss, ImageFormation(recipe.output_width))
    last = min(recipe.steps, stop_at or recipe.steps)
    while state.step < last:
        started = time.perf_counter()
        logged = _one_step(recipe, training, objective, state, fabric)
        state.seconds += time.perf_counter() - started
        if fabric.is_global_zero:
            _after_step(recipe, validation, folder, state, logged, last=last)
        yield Progress(state.step, recipe.steps, f"loss {logged['loss']:.4f}")
    return state.best


def learning_rate(recipe: Recipe, step: int) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine.

    Examples
    --------
    >>> from napari_dps.train.recipe import load_recipe
    >>> recipe = load_recipe("paper")
    >>> rates = [learning_rate(recipe, step) for step in (24, 50, recipe.steps)]
    >>> [round(rate, 7) for rate in rates]
    [0.0005, 0.001, 1e-05]
    """
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    part = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    fall = (1 + math.cos(math.pi * part)) / 2
    return recipe.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * fall)


def _start(recipe: Recipe, fabric: Any) -> _State:
    torch.manual_seed(recipe.seed)
    network = ResUDBPN(**recipe.network.model_dump())
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


def _one_step(
    recipe: Recipe, training: Fields, objective: Objective, state: _State, fabric: Any
) -> dict[str, float]:
    """Update the weights once; return the terms of the loss and the rate."""
    rate = learning_rate(recipe, state.step)
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    batch = draw_batch(
        training,
        step=state.step * fabric.world_size + fabric.global_rank,
        seed=recipe.seed,
        size=recipe.batch,
        patch_px=recipe.patch_px,
    )
    batch = Batch(*(fabric.to_device(getattr(batch, n)) for n in batch.__slots__))
    output = run_network(state.network, batch, noise_input=recipe.network.noise_input)
    terms = objective(output, batch)
    state.optimizer.zero_grad(set_to_none=True)
    fabric.backward(terms["loss"])
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimizer.step()
    state.average.update_parameters(_bare(state.network))
    state.step += 1
    return {**{name: float(t.detach()) for name, t in terms.items()}, "rate": rate}


def _after_step(
    recipe: Recipe,
    validation: Fields,
    folder: Path,
    state: _State,
    logged: dict[str, float],
    *,
    last: int,
) -> None:
    """Log, and from time to time validate and save."""
    head = {"step": state.step, "seconds": round(state.seconds, 1)}
    if state.step % _LOG_EVERY == 0:
        _append(folder / "training.csv", {**head, **logged})
    if state.step % recipe.validate_every and state.step != last:
        return
    state.average.eval()
    scores = validate(
        state.average.module,
        validation,
        noise_input=recipe.network.noise_input,
        output_width=recipe.output_width,
    )
    _append(folder / "validation.csv", {**head, **scores})
    if scores["psnr"] > state.best.get("psnr", -math.inf):
        state.best = scores
        _save_best(recipe, validation, folder, state)
    _save_state(folder / "state.pt", state, recipe)
    _plot(folder)


def _save_best(recipe: Recipe, validation: Fields, folder: Path, state: _State) -> None:
    save_checkpoint(
        folder / f"{recipe.name}.safetensors",
        dict(state.average.module.state_dict()),
        {
            "network": recipe.network.model_dump(),
            "rl_iterations": recipe.rl_iterations,
            "output_width": recipe.output_width,
            "optics": {
                "pixel_size_nm": CANONICAL_OPTICS.pixel_size_nm,
                "cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL,
            },
            "recipe": recipe.model_dump(mode="json", exclude={"data", "network"}),
            "data": recipe.data.model_dump(mode="json"),
            "metrics": {
                "step": state.step,
                "seconds": round(state.seconds),
                "held_out": state.best,
                **baselines(validation),
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
    if saved["recipe"] != recipe.model_dump_json():
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


def _plot(folder: Path) -> None:
    """Draw loss and validation against the step."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, name, columns in (
        (left, "training.csv", ("loss",)),
        (right, "validation.csv", ("psnr_40", "psnr_200", "psnr_2000")),
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
    right.set_ylabel("held-out PSNR (dB)")
    figure.savefig(folder / "curves.png", dpi=110)
