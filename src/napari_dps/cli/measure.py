"""``napari-dps measure``: the quality of an image, in numbers."""

from __future__ import annotations

import argparse
import math
from typing import Any

from napari_dps import io
from napari_dps.cli import console
from napari_dps.core import ImageStack
from napari_dps.metrics.catalogue import METRICS
from napari_dps.metrics.measure import measure
from napari_dps.pipeline import first_plane, first_volume

EXAMPLES = r"""
  napari-dps measure image.tif --pixel-size-nm 65
  napari-dps measure results/cell.dps.ome.tif \
      --reference results/cell.reconstruct.ome.tif
"""


class _Names(argparse.Action):
    """Prints what each metric is, and ends."""

    def __call__(
        self, parser: argparse.ArgumentParser, *_unused: object, **_also: object
    ) -> None:
        """Print a line a metric."""
        width = max(len(metric.key) for metric in METRICS)
        for metric in METRICS:
            unit = f" ({metric.unit})" if metric.unit else ""
            console.say(f"{metric.key:<{width}}  {metric.title}{unit}: {metric.tip}")
        parser.exit()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("image", metavar="IMAGE", help="the image to measure")
    parser.add_argument(
        "--reference", metavar="REF", help="an image of the same field to compare with"
    )
    parser.add_argument(
        "--pixel-size-nm",
        type=float,
        metavar="NM",
        help="of the image (default: as its metadata say)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--names", action=_Names, nargs=0, help="print what each metric is, and end"
    )


def execute(options: argparse.Namespace) -> int:
    """Print the measures."""
    stack, image = _plane(options.image, options.pixel_size_nm)
    reference = None
    if options.reference is not None:
        _, reference = _plane(options.reference, None)
    values = measure(image, reference, volume=first_volume(stack))
    if options.json:
        console.show_json(values)
        return 0
    notes = values.pop("notes", {})
    rows = [[name, _in_words(value)] for name, value in values.items()]
    console.show(console.table(rows))
    for note in dict.fromkeys(notes.values()):
        names = ", ".join(name for name, same in notes.items() if same == note)
        console.say(f"{names}: {note}")
    return 0


def _plane(path: str, pixel_size_nm: float | None) -> tuple[ImageStack, ImageStack]:
    """Return a file and its first plane, with a warning where there are more."""
    stack = io.load(path, pixel_size_nm=pixel_size_nm, warn=console.warning)
    plane = first_plane(stack)
    planes = math.prod(stack.size(axis) for axis in "TCZ")
    if planes > 1:
        along_z = " but along z" if stack.size("Z") > 1 else ""
        console.warning(
            f"{path}: only the first of {planes} planes is measured{along_z}"
        )
    return stack, plane


def _in_words(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_in_words, value))
    if value is None or isinstance(value, float):
        return console.number(value)
    return str(value)
