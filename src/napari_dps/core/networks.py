"""The table ``[networks]`` of the settings: how networks compute."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_dps.core.params import FrozenModel


class NetworkSettings(FrozenModel):
    """How networks compute; all else is always done in float32.

    Examples
    --------
    >>> NetworkSettings(precision="bfloat16").compiled
    False
    """

    precision: Literal["float32", "bfloat16"] = Field(
        default="float32",
        title="Precision of networks",
        description="bfloat16: half the memory; faster on graphics cards and "
        "processors that compute in it, slower on others. Results differ by some "
        "thousandths of their contrast.",
    )
    compiled: bool = Field(
        default=False,
        title="Compile networks",
        description="Compile each network for this machine with torch.compile: takes "
        "half a minute each at first, and a C++ compiler, or Triton for a graphics "
        "card. Of use for large batches.",
    )
