"""Recipes: everything that a training depends on, in one TOML file."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_dps.core import InputError
from napari_dps.core.params import parse
from napari_dps.train.losses import LossWeights
from napari_dps.train.simulation import DataSettings


class NetworkSettings(BaseModel):
    """Arguments of `ResUDBPN`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: int = Field(default=2, ge=0, le=8)
    noise_input: bool = True
    channels: int = Field(default=48, ge=1, le=1024)
    head_channels: int = Field(default=32, ge=1, le=1024)
    blocks: int = Field(default=1, ge=0, le=64)


class Recipe(BaseModel):
    """A training, to the last weight.

    Attributes
    ----------
    name, purpose : str
        For people and file names.
    seed : int
        Of the first weights and of the batches; the data have their own.
    steps, batch, patch_px : int
        Steps, patches in a step, and their edge in px of the image.
    learning_rate, weight_decay, warmup : float, float, int
        AdamW; the rate rises over ``warmup`` steps and falls as a cosine to 1 %.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    validate_every : int
        Steps between validations, which also save the state.
    rl_iterations : tuple of int
        Depths of the Richardson–Lucy features.
    output_width : float
        PSF of the output over that of the image: 0 for point emitters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[a-z0-9_-]{1,40}$")
    purpose: str
    seed: int = Field(default=1, ge=0)
    steps: int = Field(ge=1)
    batch: int = Field(ge=1)
    patch_px: int = Field(ge=16)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    warmup: int = Field(ge=0)
    ema: float = Field(ge=0, lt=1)
    validate_every: int = Field(ge=1)
    rl_iterations: tuple[int, ...]
    output_width: float = Field(ge=0, lt=1)
    network: NetworkSettings
    loss: LossWeights
    data: DataSettings

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.network.features != len(self.rl_iterations):
            raise ValueError("network.features must be the number of rl_iterations")
        if self.patch_px > self.data.field_px:
            raise ValueError("patch_px must not exceed data.field_px")
        loss = self.loss
        supervised = loss.truth or loss.truth_square or loss.truth_ssim
        if supervised and not self.output_width:
            raise ValueError("the supervised term needs output_width above 0")
        return self


def load_recipe(name: str) -> Recipe:
    """Read a recipe that comes with the package, or a TOML file.

    Parameters
    ----------
    name : str
        ``"paper"``, ``"physics"``, ``"hybrid"``, or a file name ending in ``.toml``.

    Returns
    -------
    Recipe

    Raises
    ------
    InputError
        If there is none, or it is not a recipe.

    Examples
    --------
    >>> load_recipe("paper").loss.hessian
    0.01
    """
    folder = files("napari_dps.train") / "recipes"
    shipped = sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )
    if name in shipped:
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml"):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise InputError(f"cannot read the recipe {name}: {problem}") from problem
    else:
        raise InputError(
            "recipe", got=name, allowed=f"{', '.join(shipped)}, or a .toml file"
        )
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(f"the recipe {name} is not TOML: {problem}") from problem
    return parse(Recipe, values, "recipe")
