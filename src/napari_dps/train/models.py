"""The models that can be trained."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple


class Model(NamedTuple):
    """A model that can be trained.

    Attributes
    ----------
    module : str
        Its ``prepare_task(name, sources)`` yields `Progress` and returns the
        `napari_dps.train.task.Task` of a recipe. Imported when it is trained.
    recipe : str
        Taken when none is named.
    recipe_for_images : str, optional
        Taken when there are images of the user's; None: it cannot learn from them.
    learns_from : str
        The stage whose input these images are: raw frames or plain images.
    """

    module: str
    recipe: str
    recipe_for_images: str | None = None
    learns_from: str = "dps"


def _models_with_recipes() -> list[str]:
    folder = files("napari_dps.train") / "recipes"
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir())


MODELS = {
    **{
        name: Model(f"napari_dps.train.{name}", name) for name in _models_with_recipes()
    },
    "artifacts": Model("napari_dps.train.artifacts.task", "oriented"),
    "artifacts-low-light": Model(
        "napari_dps.train.artifacts.low_light", "artifacts-low-light"
    ),
    "denoise": Model(
        "napari_dps.train.denoise.prepare",
        "oriented",
        recipe_for_images="adapt",
        learns_from="denoise",
    ),
    "dps": Model("napari_dps.train.dps.prepare", "oriented", recipe_for_images="adapt"),
    "effective-psf": Model("napari_dps.train.effective_psf.task", "effective-psf"),
    "features": Model("napari_dps.train.features.task", "features"),
    "sim": Model("napari_dps.train.sim.task", "sim"),
}
"""By the name that ``napari-dps train`` takes, which is the folder of its recipes.

A model of one module, ``train/NAME.py`` with ``recipes/NAME/NAME.toml``, needs no line.
"""
