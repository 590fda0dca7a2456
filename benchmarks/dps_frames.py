"""What data consistency with the raw frames gains: the chain, with and without it.

Simulated 3 × 3 raw frames of 128² (NA 1.3, 525 nm, 65 nm pixels, stripes at 0.9 of the
cut-off, modulation 0.8, even background of 3 %, read noise 1.5 e-), patterns found on
them. Truth is the object through a PSF of half the width of an ideal SIM image, on the
grid of the result. Peers work on the same reconstruction; they, and the network alone,
are given the best of five strengths, the chain is not.

    python benchmarks/dps_frames.py --out docs/benchmarks/dps_frames.md
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.fft
from dps_real import Sample, picture
from numpy.typing import NDArray
from page import machine, options, publish, table
from scipy.ndimage import map_coordinates, zoom
from stripe_power import stripe_index

from napari_dps.core import ImageStack, finish
from napari_dps.core.context import Context
from napari_dps.metrics.reference import fit_intensity, psnr_db, ssim
from napari_dps.physics.otf import otf_2d
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.simulate import simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import margin_of
from napari_dps.stages.dps import STAGE, DpsParameters, inspect
from napari_dps.stages.reconstruct import STAGE as RECONSTRUCT

Image = NDArray[np.float32]
CLASSES: tuple[StructureId, ...] = ("nuclear_pores", "mitochondria", "glyphs")
"""Held out of every training, and of the choice of the constants."""
LEVELS = (50, 200, 1000)
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SIDE_PX = 128
SHARE_OF_CUTOFF = 0.9
OFFSET = 100
SEPARATIONS_NM = (64, 72, 80, 88, 96, 104)
DIP = 0.26
SETTINGS = SimulationSettings(
    height_px=SIDE_PX,
    width_px=SIDE_PX,
    na=1.3,
    modulation=0.8,
    haze_fraction=0,
    read_noise_e=1.5,
)


def recorded(
    structure: StructureId, photons: float, seed: int
) -> tuple[ImageStack, Image]:
    """Return raw frames, and the truth on a grid four times finer."""
    settings = SETTINGS.model_copy(
        update={
            "photons": photons,
            "background_photons": 0.03 * photons,
            "seed": seed,
        }
    )
    margin, fine = margin_of(SIDE_PX), settings.oversampling
    side = (SIDE_PX + 2 * margin) * fine
    emitters = phantom(
        structure,
        (side, side),
        pixel_size_nm=settings.pixel_size_nm / fine,
        seed=seed,
    )
    simulation = simulate_object(emitters, settings, margin_px=(margin, margin))
    # Twice the cut-off of an ideal SIM image.
    cutoff = settings.optics.cutoff_per_pixel / fine * 2 * (1 + SHARE_OF_CUTOFF)
    otf = otf_2d((side, side), cutoff, half_plane=True)
    seen = scipy.fft.irfft2(scipy.fft.rfft2(emitters) * otf, s=(side, side))
    inner = slice(margin * fine, -margin * fine)
    raw = simulation.raw
    counts = raw.data.astype(np.float32) - OFFSET
    return raw.derive(counts), seen[inner, inner].astype(np.float32)


def reconstructed(raw: ImageStack) -> ImageStack:
    """Reconstruct raw frames; the image carries them."""
    return finish(RECONSTRUCT.run(raw, RECONSTRUCT.parameters(), Context("cpu")))


def sharpened(image: ImageStack, **parameters: object) -> ImageStack:
    """Run the stage."""
    chosen = DpsParameters(**parameters)  # type: ignore[arg-type]
    context = Context("cpu")
    return finish(STAGE.run(finish(inspect(image, chosen, context)), chosen, context))


def score(result: ImageStack, truth: Image) -> tuple[float, float]:
    """Return PSNR and SSIM after an affine fit."""
    fitted, span = fit_intensity(result.data, truth), float(np.ptp(truth))
    return psnr_db(fitted, truth, span), ssim(fitted, truth, span)


def likeness_rows(seeds: int) -> list[list[str]]:
    """Return a row for each structure and level."""
    rows = []
    for structure in CLASSES:
        for photons in LEVELS:
            rows.append(
                [f"{structure}, {photons}", *_likeness(structure, photons, seeds)]
            )
            print(rows[-1], flush=True)
    return rows


def _likeness(structure: StructureId, photons: float, seeds: int) -> list[str]:
    peers, alone, chain, joint, stripes = [], [], [], [], []
    for seed in range(seeds):
        raw, truth = recorded(structure, photons, 4000 + seed)
        image = reconstructed(raw)
        bare = replace(image, frames=None)
        best = [
            score(sharpened(bare, method=method, strength=strength), truth)
            for method in ("network", "rl", "sparse")
            for strength in STRENGTHS
        ]
        peers.append(np.max(best, axis=0))
        plain, fitted = sharpened(bare), sharpened(image)
        alone.append(score(plain, truth))
        chain.append(score(fitted, truth))
        joint.append(score(sharpened(image, method="joint"), truth))
        shown = fitted.derive(truth)
        stripes.append([_stripes(x, image) for x in (plain, fitted, shown)])
    texts = [
        f"{psnr:.1f} / {similarity:.3f}"
        for psnr, similarity in (
            np.mean(x, axis=0) for x in (peers, alone, chain, joint)
        )
    ]
    gain = float(np.mean(chain, axis=0)[0] - np.mean(peers, axis=0)[0])
    left = np.mean(stripes, axis=0)
    return [*texts, f"{gain:+.1f}", " / ".join(f"{x:.1f}" for x in left)]


def _stripes(result: ImageStack, image: ImageStack) -> float:
    """Return the power at the wave vectors over the median of their rings."""
    return stripe_index(result.data[None], image.patterns, result.pixel_size_nm or 1.0)


def pairs(
    separation_nm: float, photons: float
) -> tuple[ImageStack, NDArray[np.float64], NDArray[np.float64]]:
    """Return raw frames of 16 pairs of lines, their middles in nm, and unit vectors."""
    rng = np.random.default_rng(5)
    middles = _raster(4) + rng.uniform(-30, 30, (16, 2))
    across = _directions(rng, len(middles))
    apart = (-separation_nm / 2, separation_nm / 2)
    raw = _lines(middles, across, np.linspace(-550, 550, 551), apart, photons, seed=7)
    return raw, middles, across


def _raster(count: int) -> NDArray[np.float64]:
    """Return the middles of a raster of so many cells each way, (N, 2) in nm."""
    cell_nm = SIDE_PX * SETTINGS.pixel_size_nm / count
    raster = np.stack(np.meshgrid(*2 * [np.arange(count)], indexing="ij"), -1)
    return (raster.reshape(-1, 2) + 0.5) * cell_nm


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Draw unit vectors across lines, (N, 2)."""
    turn = rng.uniform(0, np.pi, count)
    return np.stack([np.sin(turn), np.cos(turn)], axis=-1)


def _along(across: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return unit vectors along lines."""
    return np.stack([-across[:, 1], across[:, 0]], axis=-1)


def _lines(
    middles: NDArray[np.float64],
    across: NDArray[np.float64],
    reach_nm: NDArray[np.float64],
    apart_nm: tuple[float, ...],
    photons: float,
    *,
    seed: int,
) -> ImageStack:
    """Return raw frames of straight lines beside these middles."""
    settings = SETTINGS.model_copy(
        update={"photons": photons, "background_photons": 0.03 * photons, "seed": seed}
    )
    margin, fine = margin_of(SIDE_PX), settings.oversampling
    side = (SIDE_PX + 2 * margin) * fine
    unused = np.random.default_rng(0)
    canvas = Canvas((side, side), settings.pixel_size_nm / fine, unused, 80.0)
    begin = middles + margin * settings.pixel_size_nm
    for apart in apart_nm:
        start = begin[:, None] + apart * across[:, None]
        canvas.add(start + reach_nm[:, None] * _along(across)[:, None])
    raw = simulate_object(canvas.image(), settings, margin_px=(margin, margin)).raw
    return raw.derive(raw.data.astype(np.float32) - OFFSET)


def _profiles(
    result: ImageStack,
    middles: NDArray[np.float64],
    across: NDArray[np.float64],
    offsets_nm: NDArray[np.float64],
    reach_nm: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return values (lines, across, along) around the middles of lines."""
    places = (
        middles[:, None, None]
        + offsets_nm[:, None, None] * across[:, None, None]
        + reach_nm[:, None] * _along(across)[:, None, None]
    )
    pixel_nm = result.pixel_size_nm or 1.0
    values = map_coordinates(
        result.data, np.moveaxis(places / pixel_nm - 0.5, -1, 0), order=3
    )
    return np.asarray(values)


def dip(
    result: ImageStack,
    middles: NDArray[np.float64],
    across: NDArray[np.float64],
    separation_nm: float,
) -> float:
    """Return 1 − middle/peaks of the mean profile across all pairs."""
    offsets = np.linspace(-1.4, 1.4, 57) * separation_nm
    reach = np.arange(-380, 381, 10.0)
    values = _profiles(result, middles, across, offsets, reach)
    profile = values.mean(axis=(0, 2)) - np.median(result.data)
    peaks = (profile[offsets < 0].max() + profile[offsets > 0].max()) / 2
    return float(1 - profile[len(offsets) // 2] / peaks)


def resolved_nm(photons: float, **parameters: object) -> float:
    """Return the separation from which on the dip is 26 %; NaN if beyond the range."""
    dips = []
    for separation in SEPARATIONS_NM:
        raw, middles, across = pairs(separation, photons)
        image = reconstructed(raw)
        dips.append(dip(sharpened(image, **parameters), middles, across, separation))
    below = [n for n, value in enumerate(dips) if value < DIP]
    last = below[-1] if below else -1
    if last + 1 == len(dips):
        return float("nan")
    if last < 0:
        return float(SEPARATIONS_NM[0])
    step = SEPARATIONS_NM[last + 1] - SEPARATIONS_NM[last]
    share = (DIP - dips[last]) / (dips[last + 1] - dips[last])
    return float(SEPARATIONS_NM[last] + share * step)


def pair_rows() -> list[list[str]]:
    """Return what is resolved at full strength, alone and with the frames."""
    rows = []
    for frames in (False, True):
        found = [
            f"{resolved_nm(p, strength=1.0, raw_frames=frames):.0f}" for p in LEVELS[1:]
        ]
        rows.append(["with the raw frames" if frames else "network alone", *found])
    return rows


def filaments(
    photons: float,
) -> tuple[ImageStack, NDArray[np.float64], NDArray[np.float64]]:
    """Return raw frames of even lines, their middles in nm, and unit vectors."""
    middles = _raster(3)
    across = _directions(np.random.default_rng(8), len(middles))
    reach = np.linspace(-1150, 1150, 2301)
    raw = _lines(middles, across, reach, (0.0,), photons, seed=9)
    return raw, middles, across


def unevenness(
    result: ImageStack, middles: NDArray[np.float64], across: NDArray[np.float64]
) -> float:
    """Return std/mean of the ridge along lines, the mean over all; ends left out."""
    reach, offsets = np.arange(-900, 901, 10.0), np.arange(-40, 41, 5.0)
    ridge = _profiles(result, middles, across, offsets, reach).max(axis=1)
    return float((ridge.std(axis=1) / ridge.mean(axis=1)).mean())


def even_rows() -> list[list[str]]:
    """Return the unevenness of even filaments by `rl`, the network alone, the chain."""
    ways = {
        "`rl`": {"method": "rl"},
        "network alone": {"raw_frames": False},
        "**chain**": {},
    }
    made = [filaments(photons) for photons in LEVELS]
    images = [(reconstructed(raw), *places) for raw, *places in made]
    rows = []
    for name, parameters in ways.items():
        found = [
            unevenness(sharpened(image, **parameters), *places)
            for image, *places in images
        ]
        rows.append([name, *(f"{value:.3f}" for value in found)])
    return rows


def samples() -> list[Sample]:
    """Return windows of stacks of little light, by each way."""
    shown = []
    for structure, photons in (
        ("er", 50),
        ("nuclear_pores", 200),
        ("mitochondria", 50),
    ):
        raw, truth = recorded(structure, photons, 4301)
        image = reconstructed(raw)
        panels = (
            (f"{photons} photons, reconstruct", zoom(image.data, 2, order=0)),
            ("network alone", sharpened(image, raw_frames=False).data),
            ("with the raw frames", sharpened(image).data),
            ("truth", truth),
        )
        shown.append(Sample(structure, panels, (slice(100, 270), slice(100, 270))))
    return shown


def main() -> None:
    """Measure, and write the page."""
    parser = options(__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    likeness = table(
        [
            "structure, photons",
            "best peer",
            "network alone",
            "**chain**",
            "`joint`",
            "chain over best peer",
            "stripes alone / chain / truth",
        ],
        likeness_rows(asked.seeds),
    )
    resolution = table(
        ["lines at a 26 % dip (nm)", *(f"{p} photons" for p in LEVELS[1:])],
        pair_rows(),
    )
    even = table(
        ["std/mean along even lines", *(f"{p} photons" for p in LEVELS)], even_rows()
    )
    text = PAGE.format(
        machine=machine("torch"),
        seeds=asked.seeds,
        likeness=likeness,
        resolution=resolution,
        even=even,
    )
    if asked.out is not None:
        picture(samples(), asked.out.with_suffix(".png"))
    publish(text, asked.out)


PAGE = """# DPS from the raw frames

`python benchmarks/dps_frames.py --seeds {seeds} --out docs/benchmarks/dps_frames.md`
({machine}).

Simulated 3 × 3 raw frames of 128² (NA 1.3, 525 nm, 65 nm pixels, stripes at 0.9 of the
cut-off, modulation 0.8, background 3 %, read noise 1.5 e-), patterns found on them,
{seeds} stack(s) a row; structures that neither a training nor a constant has seen. PSNR
(dB) / SSIM against the object through a PSF of half the width of an ideal SIM image,
after an affine fit. *Best peer*: of `network`, `rl` and `sparse` on the reconstruction,
the best of five strengths, each number for itself. *Chain*: `reconstruct,dps` as it is.
Stripes: power at the wave vectors over the median of their rings.

{likeness}

Line pairs through the whole chain, `--dps.strength 1`:

{resolution}

Nine straight lines, evenly bright, 2.3 µm long: how much the ridge varies along them.

{even}

Windows at full zoom: threads between pores, which the network draws from the ripples of
the reconstruction, are not in what explains the raw frames.

![Reconstruction, network alone, with the raw frames, truth](dps_frames.png)
"""

if __name__ == "__main__":
    main()
