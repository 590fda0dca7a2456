"""Raw SIM stacks at canonical sampling, simulated by the batch."""

from __future__ import annotations

import math
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from napari_dps.core import Progress
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL
from napari_dps.physics.phantoms import StructureId, phantom
from napari_dps.physics.sim.pattern_model import Orders, PatternModel
from napari_dps.train.objects import load_objects
from napari_dps.train.simulation import HELD_OUT_CLASSES, TRAINING_CLASSES

MARGIN_PX = 8
"""Light comes from that far outside a patch."""
OBJECT_PIXEL_NM = 45.0
"""Pixel of the objects at magnification 1: half a canonical pixel of a microscope with
a cut-off period of 225 nm (NA 1.3, 585 nm)."""
_SHARD = 100


class DenoiseData(BaseModel):
    """Ranges that stacks are drawn from, uniformly or log-uniformly.

    Attributes
    ----------
    objects, object_px : int
        Objects of the bank and their edge on the fine grid.
    real : float
        Share of real images among the objects, where there are any.
    photons : (float, float)
        At the 99.9th percentile of the mean frame; log-uniform.
    wavevector : (float, float)
        Of the finest order, over the cut-off.
    wrong : float
        Share of stacks whose pattern is not the one that is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    objects: int = Field(default=2000, ge=1)
    object_px: int = Field(default=224, ge=64)
    seed: int = 1
    real: float = Field(default=0.25, ge=0, le=1)
    magnification: tuple[float, float] = (0.6, 1.6)
    separation_nm: tuple[float, float] = (80, 250)
    mixed: float = Field(default=0.35, ge=0, le=1)
    diffuse: float = Field(default=0.3, ge=0, le=1)
    photons: tuple[float, float] = (3, 15000)
    read_noise_e: tuple[float, float] = (0.5, 5)
    background: tuple[float, float] = (0, 0.15)
    otf_fall: tuple[float, float] = (0, 0.5)
    haze: float = Field(default=0.4, ge=0, le=1)
    wavevector: tuple[float, float] = (0.4, 1.15)
    modulation: tuple[float, float] = (0.1, 1)
    intensity_jitter: float = Field(default=0.05, ge=0, le=0.5)
    phase_error_deg: float = Field(default=4, ge=0, le=60)
    modulation_error: float = Field(default=0.12, ge=0, le=1)
    wavevector_error: float = Field(default=0.0006, ge=0, le=0.05)
    wrong: float = Field(default=0.04, ge=0, le=1)


@dataclass(frozen=True, slots=True)
class Layout:
    """Angles, phases, and waves at each angle of a stack."""

    angles: int
    phases: int
    waves: int = 1


LAYOUTS: dict[Layout, float] = {
    Layout(3, 3): 0.5,
    Layout(3, 5, 2): 0.12,
    Layout(1, 3): 0.08,
    Layout(2, 3): 0.05,
    Layout(5, 3): 0.05,
    Layout(1, 7, 3): 0.1,
    Layout(1, 9, 0): 0.06,
    Layout(1, 3, 0): 0.04,
}
"""How often each layout is trained on; without waves no pattern is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Stacks:
    """A batch of simulated stacks and what is known of them, in photons.

    Attributes
    ----------
    frames, clean : tensor (B, A, P, Y, X)
        Recorded and expected, equally bright.
    mixing : tensor (B, A, P, 1 + 2 N)
        Matrix from order 0 and the real and imaginary parts of the others to frames,
        by the phases that are told.
    wavevectors, modulation : tensor (B, W, 2), (B, W)
        As told.
    noise : tensor (B,)
        Standard deviation of the noise of a frame, as told.
    ideal : tensor (B, 2Y, 2X)
        The object without haze, as `PatternModel.apodised` shows it.
    """

    frames: Tensor
    clean: Tensor
    mixing: Tensor
    wavevectors: Tensor
    modulation: Tensor
    noise: Tensor
    ideal: Tensor


def draw_object(
    data: DenoiseData, index: int, real: tuple[NDArray[np.float32], ...] = ()
) -> NDArray[np.float16]:
    """Draw the object of an index on the fine grid, maximum 1."""
    rng = np.random.default_rng([data.seed, index])
    side = data.object_px
    if real and rng.random() < data.real:
        result = _real_object(real[rng.integers(len(real))], side, rng)
    else:
        classes = list(TRAINING_CLASSES)
        weights = np.array([*TRAINING_CLASSES.values()])
        result = np.zeros((side, side), np.float32)
        for _ in range(1 + int(rng.random() < data.mixed)):
            part = draw_phantom(
                classes[rng.choice(len(classes), p=weights / weights.sum())],
                side,
                seed=rng,
                magnification=rng.uniform(*data.magnification),
                separation_nm=rng.uniform(*data.separation_nm),
            )
            result += part * np.float32(rng.lognormal(0, 0.5) / part.sum())
    if rng.random() < data.diffuse:
        cloud = scipy.ndimage.gaussian_filter(result, rng.uniform(6, 30), mode="wrap")
        result = result + np.float32(rng.uniform(0.3, 2)) * cloud
    return np.asarray(result / result.max(), dtype=np.float16)


def draw_phantom(
    structure: StructureId,
    side: int,
    *,
    seed: int | np.random.Generator,
    magnification: float = 1.0,
    separation_nm: float = 120.0,
) -> NDArray[np.float32]:
    """Draw a structure on the fine grid."""
    return phantom(
        structure,
        (side, side),
        pixel_size_nm=OBJECT_PIXEL_NM / magnification,
        seed=seed,
        separation_nm=separation_nm / magnification,
    )


def _real_object(
    image: NDArray[np.float32], side: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Cut and shrink a part of a real image at random."""
    wide = int(min(side * rng.uniform(1.0, 2.0), *image.shape))
    y, x = (int(rng.integers(0, n - wide + 1)) for n in image.shape)
    part = torch.from_numpy(image[y : y + wide, x : x + wide])[None, None]
    shrunk = F.interpolate(part, (side, side), mode="bilinear", antialias=True)
    return shrunk[0, 0].numpy() + np.float32(1e-6)


def build_objects_steps(
    root: Path, data: DenoiseData, real: Path | None, *, workers: int = 1
) -> Generator[Progress, None, NDArray[np.float16]]:
    """Draw the objects of a bank, or read those that are there.

    Yields
    ------
    Progress
        After each file.

    Returns
    -------
    array (N, S, S), float16
    """
    folder = root / f"objects-{data.seed}-{data.object_px}-{'real' if real else 'none'}"
    folder.mkdir(parents=True, exist_ok=True)
    starts = range(0, data.objects, _SHARD)
    make = partial(_make_shard, folder, data, real)
    if workers == 1:
        for done, start in enumerate(starts, 1):
            make(start)
            yield Progress(done, len(starts), "Drawing objects")
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            for done, _ in enumerate(pool.map(make, starts), 1):
                yield Progress(done, len(starts), "Drawing objects")
    shards = [np.load(folder / f"objects-{start:06d}.npy") for start in starts]
    return np.concatenate(shards)[: data.objects]


def _make_shard(folder: Path, data: DenoiseData, real: Path | None, start: int) -> None:
    target = folder / f"objects-{start:06d}.npy"
    if target.exists():
        return
    images = load_objects(real, "train") if real else ()
    objects = [draw_object(data, start + i, images) for i in range(_SHARD)]
    part = target.with_suffix(".part")
    with part.open("wb") as stream:
        np.save(stream, np.stack(objects))
    part.replace(target)


def validation_objects(side: int, *, seeds: int = 2) -> Tensor:
    """Return objects of the classes that are never trained on, (N, S, S)."""
    drawn = [
        draw_phantom(structure, side, seed=1000 + seed)
        for structure in HELD_OUT_CLASSES
        for seed in range(seeds)
    ]
    return torch.from_numpy(np.stack(drawn))


def draw_objects(
    bank: NDArray[np.float16], rng: np.random.Generator, *, size: int, side: int
) -> Tensor:
    """Cut, turn and mirror objects (B, side, side) of the bank at random."""
    parts = []
    for index in rng.integers(len(bank), size=size):
        y, x = rng.integers(0, bank.shape[-1] - side + 1, size=2)
        part = np.rot90(bank[index, y : y + side, x : x + side], int(rng.integers(4)))
        part = part[:, ::-1] if rng.integers(2) else part
        parts.append(np.ascontiguousarray(part, dtype=np.float32))
    return torch.from_numpy(np.stack(parts))


def draw_stacks(
    bank: NDArray[np.float16],
    data: DenoiseData,
    rng: np.random.Generator,
    *,
    size: int,
    patch_px: int,
) -> Stacks:
    """Record objects of the bank with one layout, ``size`` stacks of patch_px²."""
    layout = draw_layout(rng)
    side = 2 * (patch_px + 2 * MARGIN_PX)
    drawn = draw_objects(bank, rng, size=size, side=side)
    return simulate_stacks(drawn, layout, data, rng)


def draw_layout(rng: np.random.Generator) -> Layout:
    """Draw a layout as often as `LAYOUTS` says."""
    weights = np.array([*LAYOUTS.values()])
    return list(LAYOUTS)[rng.choice(len(weights), p=weights / weights.sum())]


def simulate_stacks(
    objects: Tensor,
    layout: Layout,
    data: DenoiseData,
    rng: np.random.Generator,
    *,
    photons: NDArray[np.float64] | None = None,
    exact: bool = False,
    haze: bool = True,
) -> Stacks:
    """Record objects through random patterns.

    Parameters
    ----------
    objects : tensor (B, 2Y, 2X)
        On the fine grid, with the margin.
    layout : Layout
        Of all the stacks.
    data : DenoiseData
        Ranges.
    rng : numpy.random.Generator
        Draws everything.
    photons : array (B,), optional
        In place of random ones.
    exact : bool
        Whether the patterns told are the true ones.
    haze : bool
        Whether some have haze.

    Returns
    -------
    Stacks
        Without the margin.
    """
    size, shape = len(objects), (objects.shape[-2] // 2, objects.shape[-1] // 2)
    if photons is None:
        low, high = np.log(data.photons)
        photons = np.exp(rng.uniform(low, high, size))
    k, phases, modulation = _patterns(size, layout, data, rng)
    flat = k.reshape(size, -1, 2), modulation.reshape(size, -1)
    true = PatternModel(
        shape,
        _tensor(flat[0]),
        _tensor(flat[1]),
        torch.ones(flat[1].shape),
        origin_px=(shape[0] - 1) / 2,
        fall=0.1 if exact else float(rng.uniform(*data.otf_fall)),
    )
    orders = true.forward(objects)
    bright = torch.quantile(orders.zero.flatten(1), 0.999, dim=1)
    scale = _tensor(photons) / bright.clamp(min=1e-6)
    unlit = _tensor(rng.uniform(*data.background, (size, 1, 1)))
    if haze:
        unlit = unlit + _haze(objects, data, rng)
    zero = orders.zero + unlit * bright[:, None, None]
    mixing = _mixing(phases)
    clean = mix(Orders(zero, orders.others), mixing) * scale[:, None, None, None, None]
    clean = clean.clamp(min=0)
    gain = 1 + data.intensity_jitter * rng.standard_normal(
        phases.shape[:2] + phases.shape[3:]
    )
    lit = clean * _tensor(np.clip(gain, 0.5, 1.5))[..., None, None]
    read = _tensor(rng.uniform(*data.read_noise_e, (size, 1, 1, 1, 1)))
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    frames = torch.poisson(lit, generator) + read * torch.randn(
        lit.shape, generator=generator
    )
    frames = frames / _tensor(np.clip(gain, 0.5, 1.5))[..., None, None]
    noise = (clean.mean(dim=(1, 2, 3, 4)) + read.flatten() ** 2).sqrt()
    if not exact:
        noise = noise * _tensor(rng.lognormal(0, 0.05, size))
        k, phases, modulation = _misjudged(k, phases, modulation, data, rng)
        mixing = _mixing(phases)
    inside, wide = (slice(m, -m) for m in (MARGIN_PX, 2 * MARGIN_PX))
    return Stacks(
        frames[..., inside, inside],
        clean[..., inside, inside],
        mixing,
        _tensor(k.reshape(size, -1, 2)),
        _tensor(modulation.reshape(size, -1)),
        noise,
        (true.apodised(objects) * scale[:, None, None])[..., wide, wide],
    )


def mix(orders: Orders, mixing: Tensor) -> Tensor:
    """Return the frames (B, A, P, Y, X) of orders."""
    batch, angles, _, columns = mixing.shape
    others = torch.view_as_real(orders.others)
    others = others.reshape(batch, angles, (columns - 1) // 2, *others.shape[-3:])
    others = others.movedim(-1, 3).reshape(
        batch, angles, columns - 1, *others.shape[-3:-1]
    )
    zero = orders.zero[:, None, None].expand(-1, angles, -1, -1, -1)
    return torch.einsum("bapc,bacyx->bapyx", mixing, torch.cat([zero, others], dim=2))


def separate(frames: Tensor, mixing: Tensor) -> tuple[Orders, Tensor, Tensor]:
    """Return orders, the weights of `PatternModel`, and the gain of order 0's noise.

    Returns
    -------
    orders : Orders
    weights : tensor (B, W)
    gain : tensor (B,)
        Standard deviation of order 0's noise over that of a frame.
    """
    batch, angles, _, columns = mixing.shape
    inverse = torch.linalg.pinv(mixing)
    parts = torch.einsum("bacp,bapyx->bacyx", inverse, frames)
    power = (inverse**2).sum(dim=-1)
    variance = power[:, :, 0].sum(dim=1) / angles**2
    pairs = power[:, :, 1:].reshape(batch, angles * (columns - 1) // 2, 2).mean(dim=-1)
    others = parts[:, :, 1:].reshape(batch, -1, 2, *parts.shape[-2:])
    return (
        Orders(
            parts[:, :, 0].mean(dim=1),
            torch.complex(others[:, :, 0].contiguous(), others[:, :, 1].contiguous()),
        ),
        variance[:, None] / pairs,
        variance.sqrt(),
    )


def _patterns(
    size: int, layout: Layout, data: DenoiseData, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw wave vectors (B, A, N, 2), phases (B, A, N, P), modulation (B, A, N)."""
    a, p, n = layout.angles, layout.phases, layout.waves
    length = CANONICAL_CUTOFF_PER_PIXEL * rng.uniform(*data.wavevector, (size, 1, 1))
    length = length * (1 + 0.02 * rng.standard_normal((size, a, n)))
    first = rng.uniform(0, math.pi, (size, 1, 1))
    turn = np.pi / a * np.arange(a)[None, :, None] + 0.05 * rng.standard_normal(
        (size, a, 1)
    )
    number = np.arange(1, n + 1)
    if layout.waves == 3:  # hexagonal: three directions in the same frames
        turn = turn + np.pi / 3 * np.arange(3)
        step = np.array([1, 3, 2])
    else:  # stripes and their harmonics
        length = length[..., :1] * number / max(n, 1)
        step = number
        turn = np.broadcast_to(turn, (size, a, n))
    angle = first + turn
    k = np.stack([np.sin(angle) * length, np.cos(angle) * length], axis=-1)
    phases = (
        rng.uniform(0, 2 * np.pi, (size, a, n, 1))
        + 2 * np.pi * step[:, None] * np.arange(p) / p
        + np.radians(data.phase_error_deg) * rng.standard_normal((size, a, n, p))
    )
    modulation = rng.uniform(*data.modulation, (size, 1, 1))
    modulation = modulation * np.clip(rng.lognormal(0, 0.15, (size, a, n)), 0.5, 1.5)
    limit = 0.65 if n > 1 else 1.0
    return k, phases, np.minimum(modulation, limit)


def _misjudged(
    k: NDArray[np.float64],
    phases: NDArray[np.float64],
    modulation: NDArray[np.float64],
    data: DenoiseData,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return patterns as an estimator would find them, or quite other ones."""
    k = k + data.wavevector_error * rng.standard_normal(k.shape)
    spread = np.radians(data.phase_error_deg) * np.abs(
        rng.standard_normal((len(k), 1, 1, 1))
    )
    phases = phases + 0.7 * spread * rng.standard_normal(phases.shape)
    modulation = modulation * rng.lognormal(0, data.modulation_error, modulation.shape)
    wrong = rng.random(len(k)) < data.wrong
    turn = rng.uniform(0.2, 1.3, wrong.sum())[:, None, None]
    other = np.stack(
        [
            k[wrong][..., 0] * np.cos(turn) + k[wrong][..., 1] * np.sin(turn),
            k[wrong][..., 1] * np.cos(turn) - k[wrong][..., 0] * np.sin(turn),
        ],
        axis=-1,
    )
    k[wrong] = other
    modulation[wrong] = rng.uniform(0.02, 0.2, modulation[wrong].shape)
    return k, phases, np.minimum(modulation, 1.2)


def _mixing(phases: NDArray[np.float64]) -> Tensor:
    """Return the matrices (B, A, P, 1 + 2 N) of `separate.mixing_matrix`."""
    size, angles, waves, count = phases.shape
    pairs = np.stack([np.cos(phases), -np.sin(phases)], axis=3)
    pairs = pairs.reshape(size, angles, 2 * waves, count)
    ones = np.ones((size, angles, 1, count))
    return _tensor(np.concatenate([ones, pairs], axis=2)).mT.contiguous()


def _haze(objects: Tensor, data: DenoiseData, rng: np.random.Generator) -> Tensor:
    """Return light out of focus (B, Y, X), for some stacks, maximum 1 at most.

    Of the object itself, as from above and below, or of another one, as from a place
    where nothing is in focus.
    """
    size, height, width = objects.shape
    own = _tensor(rng.random((size, 1, 1))) < 0.5
    source = torch.where(own, objects, objects.roll(1, dims=0))
    y = torch.fft.fftfreq(height, d=0.5)[:, None]
    x = torch.fft.rfftfreq(width, d=0.5)
    sigma = _tensor(np.exp(rng.uniform(np.log(1.5), np.log(12), (size, 1, 1))))
    blur = torch.exp(-2 * (math.pi * sigma * torch.hypot(y, x)) ** 2)
    image = torch.fft.irfft2(torch.fft.rfft2(source) * blur, s=(height, width))
    haze = F.avg_pool2d(image[:, None], 2)[:, 0].clamp(min=0)
    strength = rng.uniform(0.05, 1, (size, 1, 1))
    strength *= rng.random((size, 1, 1)) < data.haze
    return (
        haze / haze.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6) * _tensor(strength)
    )


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
