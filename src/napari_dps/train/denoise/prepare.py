"""From a recipe to a training of the denoiser."""

from __future__ import annotations

from collections.abc import Generator

from napari_dps.core import Progress
from napari_dps.train.denoise.adapt import DenoiseAdaptTask, prepare_adaptation
from napari_dps.train.denoise.objects import build_objects_steps
from napari_dps.train.denoise.task import DenoiseRecipe, DenoiseTask
from napari_dps.train.recipe import load_recipe
from napari_dps.train.task import Sources


def prepare_task(
    name: str, sources: Sources
) -> Generator[Progress, None, DenoiseTask | DenoiseAdaptTask]:
    """Read the recipe and draw the objects, or take the user's raw frames."""
    if sources.images:
        return (yield from prepare_adaptation(name, sources))
    recipe = load_recipe(DenoiseRecipe, name)
    objects = yield from build_objects_steps(sources, recipe.data)
    return DenoiseTask(recipe, objects)
