"""From a recipe to a training of the super-resolution network."""

from __future__ import annotations

from collections.abc import Generator

from napari_dps.core import Progress
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.train.dps.adapt import prepare_adaptation
from napari_dps.train.dps.data import build_fields_steps, validation_fields
from napari_dps.train.dps.frames import build_frames_steps, validation_frames
from napari_dps.train.dps.task import DpsRecipe, DpsTask
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources


def prepare_task(name: str, sources: Sources) -> Generator[Progress, None, DpsTask]:
    """Read the recipe and simulate the data, or take the user's images."""
    if sources.images:
        return (yield from prepare_adaptation(name, sources))
    recipe = load_recipe(DpsRecipe, name)
    depths = recipe.rl_iterations
    start = load_checkpoint(shipped_weights(recipe.start)) if recipe.start else None
    if recipe.raw_frames:
        training = yield from build_frames_steps(sources, recipe.data)
        validation = validation_frames(recipe.data)
    else:
        training = yield from build_fields_steps(sources, recipe.data, depths)
        validation = validation_fields(depths)
    return DpsTask(recipe, training, validation, start)
