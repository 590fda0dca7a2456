"""The stages in the order in which they are run; `STAGES` is the one list of them."""

from __future__ import annotations

from typing import Any

from napari_dps.stages import (
    artifacts,
    background,
    denoise,
    dps,
    reconstruct,
    temporal,
)
from napari_dps.stages.base import Stage

STAGES: tuple[Stage[Any], ...] = (
    temporal.STAGE,
    denoise.STAGE,
    reconstruct.STAGE,
    artifacts.STAGE,
    background.STAGE,
    dps.STAGE,
)

__all__ = ["STAGES", "Stage"]
