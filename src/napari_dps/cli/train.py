"""``napari-dps train``: the weights of a network, from a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from napari_dps.cli import arguments, console
from napari_dps.core import ImageStack, InputError, Optics
from napari_dps.core.context import Context
from napari_dps.pipeline import Settings, find_stage, open_input
from napari_dps.pipeline.halves import raw_halves
from napari_dps.train.fine_tune import require_packages
from napari_dps.train.models import MODELS

_NUMBERS = (
    ("--devices", 1, "devices"),
    ("--workers", 1, "processes that simulate"),
    ("--threads", 0, "threads on the CPU; 0 is torch's choice"),
    ("--stop-at", 0, "save and stop after this step; 0 is the recipe's end"),
)
"""Options with their default, which is the least that they allow."""

EXAMPLES = r"""
  napari-dps train dps --recipe oriented --out runs/oriented
  napari-dps train dps --images image.tif --na 1.4 --emission-nm 525 \
      --pixel-size-nm 65 --camera-offset 100 --out runs/own
"""


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
        "--images",
        nargs="+",
        metavar="IMAGE",
        help="dps, denoise: train on, without truth, on your own images (denoise: raw "
        "frames) instead of simulations",
    )
    parser.add_argument(
        "--init",
        metavar="shipped|NAME|FILE.safetensors",
        help="with --images: weights to begin with (default: shipped)",
    )
    parser.add_argument(
        "--camera-offset",
        type=float,
        default=0.0,
        metavar="COUNTS",
        help="subtracted from the images (default: 0)",
    )
    parser.add_argument(
        "--accelerator",
        default="auto",
        choices=["auto", "cpu", "gpu", "mps"],
        help="what to compute on (default: auto)",
    )
    _configure_numbers(parser)
    parser.add_argument(
        "--fresh", action="store_true", help="start over, do not resume"
    )
    arguments.add_model(parser, Optics, "optics", title="optics of the images")


def _configure_numbers(parser: argparse.ArgumentParser) -> None:
    for name, default, text in _NUMBERS:
        parser.add_argument(
            name,
            type=int,
            default=default,
            metavar="N",
            help=f"{text} (default: {default})",
        )


def execute(options: argparse.Namespace) -> int:
    """Simulate the data, train, and print the scores."""
    _check(options)
    import torch

    from napari_dps.train.task import Sources
    from napari_dps.train.trainer import train_steps

    if options.threads:
        torch.set_num_threads(options.threads)
    model = MODELS[options.model]
    folder = Path(options.out)
    pairs = list(_images(options))
    sources = Sources(
        Path(options.bank) if options.bank else folder / "bank",
        Path(options.objects) if options.objects else None,
        options.workers,
        tuple(one for one, _ in pairs),
        options.init,
        tuple(other for _, other in pairs if other is not None),
    )
    prepare = import_module(model.module).prepare_task
    usual = model.recipe_for_images if sources.images else model.recipe
    recipe = options.recipe or usual
    task = console.track(prepare(recipe, sources), "data")
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
    console.show(console.table(rows))
    console.say(str(folder / f"{task.recipe.name}.safetensors"))
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what cannot be trained with."""
    require_packages()
    for name, least, _ in _NUMBERS:
        number = getattr(options, name.removeprefix("--").replace("-", "_"))
        if number < least:
            raise InputError(name, got=number, allowed=f"{least} or more")


def _images(
    options: argparse.Namespace,
) -> Iterator[tuple[ImageStack, ImageStack | None]]:
    """Read the images to train on; of raw frames, halves of their photons."""
    if not options.images:
        if options.init:
            raise InputError("--init needs --images")
        return
    able = [name for name, model in MODELS.items() if model.recipe_for_images]
    if options.model not in able:
        raise InputError(
            "--images: model",
            got=options.model,
            allowed=f"{' or '.join(able)}, which needs no truth",
        )
    stage = find_stage(MODELS[options.model].learns_from)
    settings = Settings.from_tables(
        {
            "pipeline": {"stages": [stage.id]},
            "input": {"camera_offset": options.camera_offset},
            "optics": arguments.values_of(options, "optics"),
        }
    )
    for path in options.images:
        plan = open_input(path, settings)
        for warning in plan.warnings:
            console.warning(f"{path}: {warning}")
        if stage.takes_raw:
            yield console.track(raw_halves(plan, Context()), Path(path).name)
        else:
            yield plan.corrected(), None
