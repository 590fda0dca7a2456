"""``napari-dps train``: the weights of a network, from a recipe."""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from napari_dps.cli import console
from napari_dps.core import InputError


class Model(NamedTuple):
    """A model that can be trained.

    Attributes
    ----------
    module : str
        Of `napari_dps.train`; its ``prepare_task(name, sources)`` yields `Progress` and
        returns the `napari_dps.train.task.Task` of a recipe.
    recipe : str
        Taken when none is named.
    """

    module: str
    recipe: str


MODELS = {
    "artifacts": Model("artifacts", "artifacts"),
    "denoise": Model("denoise", "denoise"),
    "dps": Model("dps", "hybrid"),
    "features": Model("features", "features"),
}

_NEEDED = ("lightning_fabric", "pytorch_msssim")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", choices=list(MODELS), help="the network to train")
    defaults = ", ".join(f"{name} {model.recipe}" for name, model in MODELS.items())
    parser.add_argument(
        "--recipe",
        metavar="NAME|FILE.toml",
        help=f"a recipe of the package or a file (default: {defaults})",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FOLDER",
        help="gets weights, curves and the state that a stopped training resumes from",
    )
    parser.add_argument(
        "--bank",
        metavar="FOLDER",
        help="simulated fields, kept for the next training (default: OUT/bank)",
    )
    parser.add_argument(
        "--objects",
        metavar="FOLDER",
        help="TIFF stacks of real, sharp images to simulate from, beside drawn ones",
    )
    parser.add_argument(
        "--accelerator",
        default="auto",
        choices=["auto", "cpu", "gpu", "mps"],
        help="what to compute on (default: auto)",
    )
    for name, default, text in (
        ("--devices", 1, "devices"),
        ("--workers", 1, "processes that simulate"),
        ("--threads", 0, "threads on the CPU; 0 is torch's choice"),
        ("--stop-at", 0, "save and stop after this step; 0 is the recipe's end"),
    ):
        parser.add_argument(
            name,
            type=int,
            default=default,
            metavar="N",
            help=f"{text} (default: {default})",
        )
    parser.add_argument(
        "--fresh", action="store_true", help="start over, do not resume"
    )


def execute(options: argparse.Namespace) -> int:
    """Simulate the data, train, and print the scores."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"training needs {', '.join(missing)}: pip install 'napari-dps[train]'"
        )
    for name, least in (("devices", 1), ("workers", 1), ("threads", 0), ("stop_at", 0)):
        if getattr(options, name) < least:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                option, got=getattr(options, name), allowed=f"{least} or more"
            )
    import torch

    from napari_dps.train.task import Sources
    from napari_dps.train.trainer import train_steps

    if options.threads:
        torch.set_num_threads(options.threads)
    model = MODELS[options.model]
    folder = Path(options.out)
    sources = Sources(
        Path(options.bank) if options.bank else folder / "bank",
        Path(options.objects) if options.objects else None,
        options.workers,
    )
    prepare = import_module(f"napari_dps.train.{model.module}").prepare_task
    task = console.track(prepare(options.recipe or model.recipe, sources), "data")
    steps = train_steps(
        task,
        folder,
        accelerator=options.accelerator,
        devices=options.devices,
        resume=not options.fresh,
        stop_at=options.stop_at or None,
    )
    scores = console.track(steps, task.recipe.name)
    rows = [["held-out", "best"]]
    rows += [[name, f"{value:.4g}"] for name, value in scores.items()]
    console.say(console.table(rows))
    console.say(str(folder / f"{task.recipe.name}.safetensors"))
    return 0
