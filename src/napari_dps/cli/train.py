"""``napari-dps train``: the weights of a network, from a recipe."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from napari_dps.cli import console
from napari_dps.core import InputError

_NEEDED = ("lightning_fabric", "pytorch_msssim")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("model", choices=["dps"], help="the stage to train")
    parser.add_argument(
        "--recipe",
        default="hybrid",
        metavar="NAME|FILE.toml",
        help="paper, physics, hybrid, or a file (default: hybrid)",
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
        help="TIFF stacks of sharp real images to simulate from, beside the drawn "
        "structures; every fifth image is left for validation",
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

    from napari_dps.train.data import build_bank_steps, validation_fields
    from napari_dps.train.recipe import load_recipe
    from napari_dps.train.trainer import train_steps

    recipe = load_recipe(options.recipe)
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = Path(options.out)
    bank = Path(options.bank) if options.bank else folder / "bank"
    depths = recipe.rl_iterations
    objects = Path(options.objects) if options.objects else None
    simulating = build_bank_steps(
        bank, recipe.data, depths, objects=objects, workers=options.workers
    )
    training = console.track(simulating, "bank")
    steps = train_steps(
        recipe,
        training,
        validation_fields(depths),
        folder,
        accelerator=options.accelerator,
        devices=options.devices,
        resume=not options.fresh,
        stop_at=options.stop_at or None,
    )
    scores = console.track(steps, recipe.name)
    rows = [["held-out", "PSNR (dB)", "SSIM"]]
    rows += [
        [
            f"{level} photons",
            f"{scores[f'psnr_{level}']:.2f}",
            f"{scores[f'ssim_{level}']:.3f}",
        ]
        for level in (40, 200, 2000)
    ]
    console.say(console.table(rows))
    console.say(str(folder / f"{recipe.name}.safetensors"))
    return 0
