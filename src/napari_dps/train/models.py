"""The models that can be trained."""

from __future__ import annotations

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
    """

    module: str
    recipe: str
    recipe_for_images: str | None = None


MODELS = {
    "artifacts": Model("napari_dps.train.artifacts.task", "artifacts"),
    "denoise": Model("napari_dps.train.denoise.task", "denoise"),
    "dps": Model("napari_dps.train.dps.prepare", "hybrid", recipe_for_images="adapt"),
    "effective-psf": Model("napari_dps.train.effective_psf.task", "effective-psf"),
    "features": Model("napari_dps.train.features.task", "features"),
    "sim": Model("napari_dps.train.sim.task", "sim"),
}
"""By the name that ``napari-dps train`` takes, which is the folder of its recipes."""
