"""``napari-dps export``: a network for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_dps import io
from napari_dps.cli import console
from napari_dps.core import InputError

EXAMPLES = """
  napari-dps export dps-oriented --out dps-oriented.zip
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="weights that come with the package, such as dps-hybrid or artifacts, or "
        "a .safetensors file",
    )
    parser.add_argument(
        "--format",
        choices=["bioimageio"],
        default="bioimageio",
        help="bioimageio: a package of bioimage.io (extra bioimageio; the default)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.zip",
        help="the package (default: MODEL.bioimageio.zip)",
    )


def execute(options: argparse.Namespace) -> int:
    """Write the package."""
    from napari_dps.nets.bioimageio_package import write_package
    from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights

    is_file = options.model.endswith(".safetensors")
    path = Path(options.model) if is_file else shipped_weights(options.model)
    out = Path(options.out or f"{path.stem}.bioimageio.zip")
    if out.suffix != ".zip":
        raise InputError("--out", got=out.name, allowed="a name that ends in .zip")
    checkpoint = load_checkpoint(path)
    with io.replacing(out) as temporary:
        write_package(checkpoint, path.stem, temporary)
    console.say(str(out))
    return 0
