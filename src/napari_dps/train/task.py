"""What the trainer needs to know of a model: its network, data, objective, scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_dps.core import ImageStack
from napari_dps.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the data of a training come from.

    Attributes
    ----------
    bank : Path
        Folder for what is simulated once and read again.
    objects : Path or None
        Folder of TIFF stacks of real images; see `napari_dps.train.objects`.
    workers : int
        Processes that simulate.
    images : tuple of ImageStack
        The user's own, to train on in place of simulations; with optics.
    init : str or None
        Weights to begin with: ``"shipped"``, shipped ones by name, or a file.
    partners : tuple of ImageStack
        Second recordings of the images that differ in their noise alone; empty: none.
    """

    bank: Path
    objects: Path | None = None
    workers: int = 1
    images: tuple[ImageStack, ...] = ()
    init: str | None = None
    partners: tuple[ImageStack, ...] = ()


class Task(Protocol):
    """A model to train; one class for each.

    Attributes
    ----------
    recipe : Recipe
        The common part is used by the trainer, the rest by the task.
    curves : tuple of str
        Columns of ``validation.csv`` to draw, all in the same unit.
    """

    @property
    def recipe(self) -> Recipe:
        """What to train."""

    @property
    def curves(self) -> tuple[str, ...]:
        """Columns of the scores to draw."""

    def build_network(self) -> nn.Module:
        """Return a new network; torch's seed is set before."""

    def draw(self, step: int, device: torch.device) -> Any:
        """Return the batch of a step: a function of recipe, data and step alone."""

    def objective(self, network: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Return the terms of the loss, and their sum as ``"loss"``."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Return scores on held-out data; ``"score"`` is the one to maximise."""

    def describe(self) -> dict[str, Any]:
        """Return the fields of `CheckpointMetadata` that the task knows.

        ``metrics`` holds the scores of what the network is to be compared with.
        """


class AdaptTask(Task, Protocol):
    """A network to train on with a user's images; a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def misfit(self, network: nn.Module) -> NDArray[np.float64]:
        """Return −2 log likelihood, but for a constant, of each region left out."""
