"""The pictures of docs/stages/reconstruct.md and denoise.md on three-beam stacks.

    python benchmarks/missing_cone.py --out docs/_static

A simulated stack in focus and in section, and the spectrum of points along kx and kz,
as a widefield microscope records them and after the reconstruction in three dimensions;
and a stack of few photons reconstructed with and without `denoise`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import napari_dps
from napari_dps.core import ImageStack
from napari_dps.figures import Panel, Section, save_figure, side_by_side
from napari_dps.figures.theme import FAINT, INK, new_figure

PLANES, SIDE_PX = 24, 96
FARTHEST_PER_UM = 12
DIM_PHOTONS = 8
DECADES = 6
"""Of the power that the spectra show."""


def stacks(
    structure: str, photons: float = 1000, *, denoises: bool = False
) -> list[tuple[str, ImageStack]]:
    """Return the widefield stack of a structure and its reconstructions."""
    made = napari_dps.simulate(
        structure=structure,
        planes=PLANES,
        beams="three",
        phases=5,
        modulation=4 / 3,
        second_modulation=2 / 3,
        pixel_size_nm=80,
        period_nm=395,
        height_px=SIDE_PX,
        width_px=SIDE_PX,
        photons=photons,
        haze_fraction=0.3 if structure == "shells" else 0,
        seed=14,
    )
    mean = made.raw.data.mean(axis=(1, 2), dtype=np.float64) - 100
    wide = made.raw.derive(mean.astype(np.float32), axes="ZYX")
    ways = {"3-D SIM": ["reconstruct"]}
    if denoises:
        ways["denoise, 3-D SIM"] = ["denoise", "reconstruct"]
    results = [
        (
            title,
            napari_dps.run(
                made.raw, stages, camera_offset=100, excitation_nm=472.5
            ).images[-1],
        )
        for title, stages in ways.items()
    ]
    return [("Widefield", wide), *results]


def panel(title: str, stack: ImageStack) -> Panel:
    """Return the middle plane of a stack, with sections through its middle."""
    planes, height, width = stack.shape
    plane = stack.derive(stack.data[planes // 2], axes="YX")
    step = stack.z_step_nm, stack.pixel_size_nm
    sections = (
        Section("xz", stack.data[:, height // 2], *step),
        Section("yz", stack.data[:, :, width // 2], *step),
    )
    return Panel(title, plane, "", sections)


def spectrum(stack: ImageStack, reach: tuple[int, int]) -> np.ndarray:
    """Return the logarithm of the power over kz and kx, summed over ky, (z, x)."""
    planes, height, width = stack.shape
    window = np.multiply.outer(
        np.hanning(planes), np.multiply.outer(np.hanning(height), np.hanning(width))
    )
    power = np.abs(np.fft.fftn(stack.data * window)) ** 2
    # Near ky = 0 alone: a sum over all ky would fill the cone from aside.
    flat = np.fft.fftshift(power[:, 2:6].sum(axis=1))
    rows, columns = (n // 2 for n in flat.shape)
    part = flat[
        rows - reach[0] : rows + reach[0] + 1,
        columns - reach[1] : columns + reach[1] + 1,
    ]
    return np.log10(part / part.max() + 10.0**-DECADES)


def spectra(found: list[tuple[str, ImageStack]]) -> Figure:
    """Draw the spectra side by side, over the same frequencies."""
    figure = new_figure(1300, 480)
    for number, (title, stack) in enumerate(found):
        axes = figure.add_axes((0.07 + 0.49 * number, 0.16, 0.42, 0.7))
        reach = stack.size("Z") // 2 - 1, stack.size("X") // 2 - 1
        values = spectrum(stack, reach)
        kx = reach[1] / (stack.size("X") * stack.pixel_size_nm) * 1000
        kz = reach[0] / (stack.size("Z") * stack.z_step_nm) * 1000
        axes.imshow(
            values,
            extent=(-kx, kx, -kz, kz),
            cmap="magma",
            aspect="auto",
            vmin=-DECADES,
        )
        axes.set_xlim(-FARTHEST_PER_UM, FARTHEST_PER_UM)
        axes.set_facecolor("black")
        axes.set_title(title, color=INK, fontsize=18)
        axes.set_xlabel("kx, 1/µm", color=FAINT)
        axes.set_ylabel("kz, 1/µm", color=FAINT)
        axes.tick_params(colors=FAINT)
    return figure


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    panels = [panel(title, stack) for title, stack in stacks("shells")]
    save_figure(side_by_side(panels), options.out / "three_beam_sections.png")
    dim = [panel(*one) for one in stacks("filaments", DIM_PHOTONS, denoises=True)]
    save_figure(side_by_side(dim), options.out / "three_beam_denoised.png")
    # Points, whose own spectrum is even.
    save_figure(spectra(stacks("points")), options.out / "three_beam_spectra.png")


if __name__ == "__main__":
    main()
