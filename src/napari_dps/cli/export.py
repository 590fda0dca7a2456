"""``napari-dps export``: a network for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_dps import io
from napari_dps.cli import console
from napari_dps.core import InputError

_SUFFIXES = {"bioimageio": ".bioimageio.zip", "onnx": ".onnx"}

EXAMPLES = """
  napari-dps export dps-oriented --out dps-oriented.zip
  napari-dps export denoise-oriented --format onnx
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
        choices=list(_SUFFIXES),
        default="bioimageio",
        help="bioimageio: a package of bioimage.io (extra bioimageio; the default); "
        "onnx: a file for programs without PyTorch (extra onnx)",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="what is written (default: MODEL.bioimageio.zip or MODEL.onnx)",
    )


def execute(options: argparse.Namespace) -> int:
    """Write the package, or file."""
    from napari_dps.nets.bioimageio_package import write_package
    from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
    from napari_dps.nets.onnx_file import write_onnx

    is_file = options.model.endswith(".safetensors")
    path = Path(options.model) if is_file else shipped_weights(options.model)
    suffix = _SUFFIXES[options.format]
    out = Path(options.out or path.stem + suffix)
    if out.suffix != (last := f".{suffix.rpartition('.')[2]}"):
        raise InputError("--out", got=out.name, allowed=f"a name that ends in {last}")
    checkpoint = load_checkpoint(path)
    write = write_onnx if options.format == "onnx" else write_package
    with io.replacing(out) as temporary:
        write(checkpoint, path.stem, temporary)
    console.say(str(out))
    return 0
