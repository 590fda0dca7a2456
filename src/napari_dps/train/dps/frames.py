"""Fields for the network of raw frames: the likelihood of simulated frames, climbed.

Frames, patterns with the errors of a search, reconstruction, iterates: all as the stage
computes them. Only the camera's gain and read noise are known better than in practice.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_dps.core import ImageStack, Optics, Progress
from napari_dps.core.context import Context
from napari_dps.core.progress import finish
from napari_dps.methods.dps.frames_network import (
    DEPTH,
    DEPTH_EXPONENT,
    FEATURE_SHARES,
    LEAST_ITERATIONS,
    MOST_ITERATIONS,
    Climbed,
    feature_depths,
    features_of,
    network_input,
)
from napari_dps.methods.dps.joint import climb_steps
from napari_dps.methods.dps.noise import is_raw, measured_noise
from napari_dps.methods.dps.optics import effective_optics
from napari_dps.methods.dps.raw_scene import scene_of
from napari_dps.methods.dps.recording import Recording
from napari_dps.methods.dps.target import (
    FramesUnusable,
    network_optics,
    reconstruction_noise,
)
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, to_canonical
from napari_dps.physics.resampling import resample
from napari_dps.physics.sim.shot_noise import ShotNoise
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.dps.chain import DENOISED, ChainScene, draw_chain_scene, inside
from napari_dps.train.dps.data import (
    SHARD,
    VALIDATION_PHOTONS,
    VALIDATION_SEEDS,
    Fields,
    field_arrays,
    fields_shaped_by,
    stack_fields,
)
from napari_dps.train.dps.simulation import (
    MARGIN_PX,
    DataSettings,
    Image,
    draw_emitters,
    draw_object,
)
from napari_dps.train.objects import HELD_OUT_CLASSES, load_objects
from napari_dps.train.task import Sources

_ZOOM = (0.6, 1.0)
"""Canonical pixels along one of a reconstruction: 1 where raw frames are sampled just
finely enough."""
_VERSION = 2
"""Raised when the same settings draw other fields, or their inputs change."""


def build_frames_steps(
    sources: Sources, settings: DataSettings
) -> Generator[Progress, None, Fields]:
    """Simulate and prepare the training fields, or read those that are there.

    As `napari_dps.train.dps.data.build_fields_steps`, of raw frames.
    """
    bank = Bank(
        "frames",
        partial(_drawn, settings, sources.objects),
        {
            **fields_shaped_by(_VERSION, settings, (), sources.objects),
            "feature_depths": [
                DEPTH,
                DEPTH_EXPONENT,
                LEAST_ITERATIONS,
                MOST_ITERATIONS,
                *FEATURE_SHARES,
            ],
        },
        SHARD,
    )
    steps = bank_steps(sources.bank, bank, settings.fields, workers=sources.workers)
    return Fields(**(yield from steps))


def validation_frames(settings: DataSettings, *, field_px: int = 128) -> Fields:
    """Return fixed fields of the held-out classes; as `data.validation_fields`."""
    prepared = []
    for photons in VALIDATION_PHOTONS:
        for number, structure in enumerate(HELD_OUT_CLASSES):
            for seed in VALIDATION_SEEDS:
                rng = np.random.default_rng([90211, number, seed, int(photons)])
                zoom, larger = _sampled(settings, field_px, rng)
                emitters = draw_emitters(
                    structure, larger.field_px, seed=1000 + seed, magnification=1 / zoom
                )
                scene = draw_chain_scene(settings, rng, emitters, photons, zoom)
                prepared.append(_prepared(scene, rng))
    return stack_fields(prepared)


def _drawn(
    settings: DataSettings,
    objects: Path | None,
    numbers: range,
) -> Arrays:
    """Draw fields by number and prepare them."""
    real = load_objects(objects, "train") if objects else ()
    prepared = []
    for number in numbers:
        rng = np.random.default_rng([settings.seed, number])
        zoom, larger = _sampled(settings, settings.field_px, rng)
        emitters = draw_object(larger, rng, real)
        scene = draw_chain_scene(settings, rng, emitters, zoom=zoom)
        prepared.append(_prepared(scene, rng))
    fields = stack_fields(prepared)
    return {name: getattr(fields, name) for name in fields.__slots__}


def _sampled(
    settings: DataSettings, field_px: int, rng: np.random.Generator
) -> tuple[float, DataSettings]:
    """Draw the pixels of a reconstruction: canonical ones along one, and its field."""
    whole = field_px + 2 * MARGIN_PX
    side = 2 * round(whole / 2 / rng.uniform(*_ZOOM))
    zoom = whole / side
    smallest, largest = settings.magnification
    changes = {
        "field_px": side - 2 * MARGIN_PX,
        "magnification": (smallest / zoom, largest / zoom),
    }
    return zoom, settings.model_copy(update=changes)


def _prepared(scene: ChainScene, rng: np.random.Generator) -> dict[str, Any]:
    """Record a scene and compute the network's inputs; see `Fields` for the keys."""
    frames = scene.frames(rng)
    image = scene.reconstructed(frames, denoised=bool(rng.random() < DENOISED))
    climbed, optics = _climbed(scene, frames, image)
    canonical = to_canonical(image, optics)
    features = features_of(climbed, image, optics, canonical.shape)
    target = resample(scene.target, (features.shape[1], features.shape[2]))
    canonical = inside(canonical, MARGIN_PX)
    features, target = (inside(x, 2 * MARGIN_PX) for x in (features, target))
    white = is_raw(canonical)
    noise = measured_noise(canonical, CANONICAL_CUTOFF_PER_PIXEL, white=white)
    noise = reconstruction_noise(canonical, noise)
    inputs = network_input(canonical, features, climbed.scene.clear_photons, noise)
    # Nothing that a second recording would have to explain.
    return field_arrays(inputs, target, np.full_like(canonical, np.nan))


def _climbed(scene: ChainScene, frames: Image, image: Image) -> tuple[Climbed, Optics]:
    """Return objects for the network's features, and the optics."""
    context, read_variance = Context("cpu"), scene.read_noise_e**2
    raw = Recording(frames, scene.patterns, scene.optics, ShotNoise(1.0, read_variance))
    joint, thing = scene_of(raw, image, context, torch.device("cpu"))
    depths = feature_depths(joint.photons)
    try:
        found = finish(climb_steps(joint, thing, depths))
    except FramesUnusable:
        # Next to no light does not show its stripes: as they were found, then.
        joint, thing = scene_of(raw, image, context, torch.device("cpu"))
        found = finish(climb_steps(joint, thing, depths, refits=()))
    fine = scene.optics.at_pixel_size(scene.optics.pixel_size_nm / 2)
    optics = effective_optics(
        ImageStack(
            image,
            "YX",
            pixel_size_nm=fine.pixel_size_nm,
            optics=fine,
            patterns=scene.patterns,
        )
    )
    optics = network_optics(optics)
    return Climbed(joint, found), optics
