"""Time-lapses of the benchmark of averaging over time: five kinds of motion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dps.core import ImageStack
from napari_dps.physics.illumination import draw_patterns
from napari_dps.physics.image_formation import Microscope
from napari_dps.physics.lit_frames import evenly_lit
from napari_dps.physics.phantoms import phantom
from napari_dps.physics.simulate import simulate_object
from napari_dps.physics.simulate_settings import SimulationSettings
from napari_dps.physics.simulated import bright_level

TIME_POINTS = 9
BLEACHING = 0.02
"""Light lost from one time point to the next."""

Array = NDArray[np.float32]
Objects = list[Array]


@dataclass(frozen=True)
class Lapse:
    """A simulated time-lapse.

    Attributes
    ----------
    raw : tuple of ImageStack
        Each time point (A, P, Y, X), counts above the offset, with its exact patterns.
    clean : tuple of array (A, P, Y, X)
        Their expectation.
    truth : tuple of ImageStack
        The emitters, on a grid of a quarter of the pixel size.
    """

    raw: tuple[ImageStack, ...]
    clean: tuple[Array, ...]
    truth: tuple[ImageStack, ...]


def still(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw an endoplasmic reticulum that does not move."""
    return [phantom("er", shape, pixel_size_nm=nm, seed=seed)] * TIME_POINTS


def drifting(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw one that drifts by half a camera pixel from one time point to the next."""
    image = phantom("er", shape, pixel_size_nm=nm, seed=seed)
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    step = 0.5 * 4 * np.array([np.sin(angle), np.cos(angle)])
    return [
        ndimage.shift(image, step * t, order=1, mode="grid-wrap")
        for t in range(TIME_POINTS)
    ]


def warped(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw one whose places wander, each by itself, by .3 camera pixels RMS."""
    image = phantom("er", shape, pixel_size_nm=nm, seed=seed)
    rng = np.random.default_rng(seed)
    places = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    displaced = np.zeros_like(places)
    result = [image]
    for _ in range(TIME_POINTS - 1):
        noise = rng.standard_normal((2, *shape))
        smooth = np.stack([ndimage.gaussian_filter(n, 60, mode="wrap") for n in noise])
        displaced = displaced + 0.3 * 4 * smooth / np.sqrt((smooth**2).sum(0).mean())
        moved = ndimage.map_coordinates(
            image, places + displaced, order=1, mode="grid-wrap"
        )
        result.append(moved.astype(np.float32))
    return result


def vesicles(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw vesicles at speeds of 0 to 3 camera pixels, of which a fifth blink."""
    rng = np.random.default_rng(seed)
    count = round(60 * np.prod(shape) / 512**2)
    place = rng.uniform(0, shape, (count, 2))
    speed = 4 * rng.uniform(0, 3, count)
    heading = rng.uniform(0, 2 * np.pi, count)
    radius = rng.uniform(40, 90, count) / nm
    light = rng.uniform(0.4, 1, count)
    blinks = rng.random(count) < 0.2
    y, x = np.mgrid[: shape[0], : shape[1]]
    result = []
    for _ in range(TIME_POINTS):
        lit = light * ~(blinks & (rng.random(count) < 0.5))
        image = np.full(shape, 0.004)
        for (cy, cx), r, b in zip(place, radius, lit, strict=True):
            dy, dx = (
                (d + s / 2) % s - s / 2
                for d, s in ((y - cy, shape[0]), (x - cx, shape[1]))
            )
            image += b * np.clip(1 + r - np.hypot(dy, dx), 0, 1)
        result.append(image.astype(np.float32))
        heading = heading + rng.normal(0, 0.4, count)
        place += speed[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    return result


def growing(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw filaments that grow by 1 to 5 camera pixels at their ends."""
    rng = np.random.default_rng(seed)
    count = round(24 * np.prod(shape) / 512**2)
    steps = np.arange(900)
    result = [np.full(shape, 0.004) for _ in range(TIME_POINTS)]
    for _ in range(count):
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.012, 900))
        path = rng.uniform(0, shape) + np.cumsum(
            np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0
        )
        first, speed = rng.uniform(100, 500), 4 * rng.uniform(1, 5)
        for t, image in enumerate(result):
            some = path[steps < first + speed * t]
            low = np.floor(some).astype(int)
            part = some - low
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
                    rows, columns = ((low + np.array([dy, dx])) % shape).T
                    np.add.at(image, (rows, columns), weight)
    return [ndimage.gaussian_filter(i, 0.7).astype(np.float32) for i in result]


def events(shape: tuple[int, int], nm: float, seed: int) -> Objects:
    """Draw a still ER, with 24 spots that the time point in the middle alone has."""
    image = phantom("er", shape, pixel_size_nm=nm, seed=seed)
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    lit = image.copy()
    for cy, cx in rng.uniform(0, shape, (24, 2)):
        lit += 0.5 * (np.hypot(y - cy, x - cx) < 100 / nm).astype(np.float32)
    return [lit if t == TIME_POINTS // 2 else image for t in range(TIME_POINTS)]


SCENES: dict[str, Callable[[tuple[int, int], float, int], Objects]] = {
    "still ER": still,
    "drift .5 px": drifting,
    "warped ER": warped,
    "vesicles": vesicles,
    "growing filaments": growing,
}


def lapse(
    kind: str, photons: float, seed: int, side_px: int = 128, **settings: object
) -> Lapse:
    """Simulate a time-lapse; the light is that of the first time point."""
    base = SimulationSettings(
        photons=photons, seed=seed, height_px=side_px, width_px=side_px, **settings
    )
    fine = base.oversampling
    shape = (side_px * fine, side_px * fine)
    draw = events if kind == "events" else SCENES[kind]
    objects = draw(shape, base.pixel_size_nm / fine, seed)
    microscope = Microscope(base.optics, shape, fine, (0, 0))
    levels = [
        bright_level(microscope.image(evenly_lit(image, microscope, base)))
        for image in objects
    ]
    raw, clean = [], []
    rng = np.random.default_rng([seed, 7])
    gain = np.float32(base.gain_counts_per_e)
    for t, image in enumerate(objects):
        light = photons * (1 - BLEACHING) ** t * levels[t] / levels[0]
        now = base.model_copy(update={"photons": light, "seed": 1000 * seed + t})
        patterns = draw_patterns(base, rng)
        made = simulate_object(image, now, patterns=patterns)
        counts = made.raw.data.astype(np.float32) - base.offset_counts
        raw.append(replace(made.raw.derive(counts), patterns=made.patterns))
        clean.append((made.clean * gain).astype(np.float32))
    return Lapse(tuple(raw), tuple(clean), tuple(_truth(o, base) for o in objects))


def _truth(emitters: Array, settings: SimulationSettings) -> ImageStack:
    fine_nm = settings.pixel_size_nm / settings.oversampling
    optics = settings.optics.at_pixel_size(fine_nm)
    return ImageStack(emitters, "YX", pixel_size_nm=fine_nm, optics=optics)
