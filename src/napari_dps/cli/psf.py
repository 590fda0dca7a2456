"""``napari-dps psf``: the PSF and the OTF of a microscope, as numbers and a picture."""

from __future__ import annotations

import argparse

from napari_dps import io
from napari_dps.cli import arguments, console, outputs
from napari_dps.core import ImageStack, InputError, Optics
from napari_dps.core.params import parse
from napari_dps.figures import psf_figure, save_figure
from napari_dps.io import stem
from napari_dps.physics.psf import first_zero_nm, fwhm_nm, sr_psf, whole_psf_px

LARGEST_PX = 4096

EXAMPLES = """
  napari-dps psf --na 1.4 --emission-nm 525 --out psf.tif
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    arguments.add_model(parser, Optics, "optics")
    parser.add_argument(
        "--size",
        type=int,
        metavar="PX",
        help=f"edge of the image (1 to {LARGEST_PX} px; default: four dark rings)",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE.tif",
        help="the PSF; the plot is beside it",
    )


def execute(options: argparse.Namespace) -> int:
    """Write the PSF, its plot, and print its widths."""
    optics = _optics(arguments.values_of(options, "optics"))
    size = _size(options.size, optics)
    target = outputs.tiff_name(options.out)
    picture = target.with_name(stem(target) + ".png")
    with outputs.output_files(target, picture) as files:
        psf = ImageStack(
            sr_psf(optics, (size, size)).astype("float32"),
            "YX",
            pixel_size_nm=optics.pixel_size_nm,
            optics=optics,
        )
        io.save(psf, files[0])
        save_figure(psf_figure(psf), files[1])
    warning = optics.nyquist_warning()
    if warning is not None:
        console.warning(warning)
    rows = [
        ["full width at half maximum", f"{fwhm_nm(optics):.1f} nm"],
        ["first zero", f"{first_zero_nm(optics):.1f} nm"],
        ["cut-off period", f"{_cutoff_period_nm(optics):.1f} nm"],
        ["pixel size", f"{optics.pixel_size_nm:g} nm"],
    ]
    console.show(console.table(rows))
    for file in (target, picture):
        console.say(str(file))
    return 0


def _cutoff_period_nm(optics: Optics) -> float:
    return optics.cutoff_period_nm / optics.modulation_factor


def _optics(values: dict[str, str]) -> Optics:
    """Return the optics; without a pixel size, of four pixels a cut-off period."""
    stand_in = parse(Optics, {"pixel_size_nm": 100, **values}, "optics")
    if "pixel_size_nm" in values:
        return stand_in
    return stand_in.at_pixel_size(round(_cutoff_period_nm(stand_in) / 4, 1))


def _size(size_px: int | None, optics: Optics) -> int:
    if size_px is None:
        return min(whole_psf_px(optics), LARGEST_PX)
    if not 1 <= size_px <= LARGEST_PX:
        raise InputError("--size", got=size_px, allowed=f"1 to {LARGEST_PX} px")
    return size_px
