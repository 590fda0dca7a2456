"""Recipes: everything that a training depends on, in one TOML file."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, Field

from napari_dps.core import InputError
from napari_dps.core.params import FrozenModel, parse
from napari_dps.io.text_files import parse_toml, read_toml
from napari_dps.physics.canonical import CANONICAL_CUTOFF_PER_PIXEL, CANONICAL_OPTICS


class Recipe(FrozenModel):
    """What the recipes of all models hold.

    Attributes
    ----------
    name, purpose : str
        For people and file names.
    seed : int
        Of the first weights and of the batches; the data may have their own.
    steps, batch : int
        Steps, and what is drawn for each: patches, images, stacks.
    learning_rate, weight_decay, warmup : float, float, int
        AdamW; the rate rises over ``warmup`` steps and falls as a cosine to 1 %.
    restart : int
        Step at which the rate rises again, to half its height, and falls as a cosine to
        the end (Loshchilov and Hutter 2017, arXiv:1608.03983); 0: never.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    validate_every : int
        Steps between validations, which also save the state.
    """

    model: ClassVar[str]
    """The model that recipes of this kind train, and their folder."""

    name: str = Field(pattern=r"^[a-z0-9_-]{1,40}$")
    purpose: str
    seed: int = Field(default=1, ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup: int = Field(ge=0)
    restart: int = Field(default=0, ge=0)
    ema: float = Field(ge=0, lt=1)
    validate_every: int = Field(ge=1)


class PatchRecipe(Recipe):
    """A recipe whose batches are patches of images.

    Attributes
    ----------
    patch_px : int
        Edge of the patches in px.
    """

    patch_px: int = Field(ge=16)

    @property
    def patches(self) -> dict[str, int]:
        """What the patches of a step are drawn with, beside its number."""
        return {"seed": self.seed, "size": self.batch, "patch_px": self.patch_px}


CANONICAL_RECORD = {
    "pixel_size_nm": CANONICAL_OPTICS.pixel_size_nm,
    "cutoff_per_pixel": CANONICAL_CUTOFF_PER_PIXEL,
}
"""What a checkpoint says of canonical sampling, where a pixel has its size in nm."""


def training_record(
    recipe: Recipe, *, network: BaseModel, data: BaseModel
) -> dict[str, Any]:
    """Return what a checkpoint says of its training: network, recipe and data."""
    return {
        "network": network.model_dump(),
        "recipe": recipe.model_dump(mode="json", exclude={"data", "network"}),
        "data": data.model_dump(mode="json"),
    }


R = TypeVar("R", bound=Recipe)


def load_recipe(kind: type[R], name: str) -> R:
    """Read a recipe that comes with the package, or a TOML file.

    Parameters
    ----------
    kind : type of Recipe
        The model to train, for example `napari_dps.train.dps.task.DpsRecipe`.
    name : str
        Of a shipped recipe of that model, or a file name ending in ``.toml``.

    Returns
    -------
    Recipe

    Raises
    ------
    InputError
        If there is none, or it is not a recipe of that kind.

    Examples
    --------
    >>> from napari_dps.train.dps.task import DpsRecipe
    >>> load_recipe(DpsRecipe, "paper").loss.hessian
    0.01
    """
    folder = files("napari_dps.train") / "recipes" / kind.model
    shipped = sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    if name in shipped:
        values = parse_toml((folder / f"{name}.toml").read_text("utf-8"), name)
    elif name.endswith(".toml"):
        values = read_toml(name)
    else:
        raise InputError(
            "recipe", got=name, allowed=f"{', '.join(shipped)}, or a .toml file"
        )
    return parse(kind, values, "recipe")
