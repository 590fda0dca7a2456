"""Parameters of the stage ``dps``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_dps.core import StageParameters
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS
from napari_dps.methods.dps.maps import MAPS
from napari_dps.methods.networks import WEIGHTS_SUFFIX


class DpsParameters(StageParameters):
    """Parameters of the stage ``dps``."""

    method: Literal["network", "rl", "sparse", "joint"] = Field(
        default="network",
        title="Method",
        description="network: Res-U-DBPN, trained; where the raw SIM frames are at "
        "hand its result is fitted to them. rl: Richardson-Lucy, accelerated: linear, "
        "noisier. sparse: sparse-Hessian deconvolution, which also denoises. joint: "
        "Richardson-Lucy on all raw SIM frames at once, without a network.",
    )
    weights: str = Field(
        default=SHIPPED_WEIGHTS[0],
        title="Weights",
        description="Of the network. oriented: trained on simulated truth, turns with "
        "the image. hybrid: trained on simulated truth. physics: without any truth. "
        "paper: the published objective. Or a .safetensors file.",
        json_schema_extra={
            "file": f"*{WEIGHTS_SUFFIX}",
            "words": list(SHIPPED_WEIGHTS),
        },
    )
    strength: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title="Strength",
        description="From cautious (0) to sharp (1); sharper brings up noise. What it "
        "stands for follows the noise measured in the image.",
        json_schema_extra={"basic": True},
    )
    average_turns: bool = Field(
        default=False,
        title="Average over turns",
        description="Let a network that does not turn with the image, as hybrid, work "
        "on it flipped and turned by quarters in all eight ways, and average. The "
        "network takes eight times as long.",
    )
    raw_frames: bool = Field(
        default=True,
        title="Fit the raw frames",
        description="Bring the network's result into line with the raw SIM frames "
        "where they are at hand, as in a run with reconstruct; else with the "
        "reconstruction alone.",
    )
    uncertainty: bool = Field(
        default=False,
        title="Uncertainty map",
        description="Also compute the standard deviation of the error of each pixel: "
        "what the noise of the image moves, and what the method adds to what the image "
        "holds (takes nine times as long, five times with raw frames).",
    )
    invented: bool = Field(
        default=False,
        title="Invented?",
        description="Also map, in counts, where the result shows more (above 0) or "
        "less (below 0) than the data support, noise considered (takes three to six "
        "times as long).",
    )
    time_continuity: float = Field(
        default=1,
        ge=0,
        le=10,
        title="Continuity in time",
        description="sparse on time-lapses: weight of the curvature along time over "
        "that in the plane, where the time points beside show the same; 0: each time "
        "point by itself.",
    )
    psf: Literal["auto", "stated", "measured"] = Field(
        default="auto",
        title="PSF",
        description="auto: as the optics and patterns say; of a SIM reconstruction "
        "without a history, whose spectrum tells it, as that shows. stated: as the "
        "optics and patterns say. measured: as wide as the image itself shows, where "
        "it can tell; else as stated, with a warning.",
    )
    dimension: Literal["auto", "2d", "3d"] = Field(
        default="auto",
        title="Dimension",
        description="2d: plane by plane. 3d: a z-stack as a volume, with the 3-D PSF; "
        "what the network gives of the planes is brought into line with the stack. "
        "auto: so by rl and sparse, from five planes on, if the z step is known and "
        "neither a PSF to measure nor a map is asked for, and by network and joint "
        "where the raw frames of a 3-D reconstruction are at hand; else plane by "
        "plane.",
    )
    sectioning: Literal["auto", "widefield", "confocal"] = Field(
        default="auto",
        title="Sectioning",
        description="PSF of a z-stack in 3-D. auto: that of 3-D SIM after such a "
        "reconstruction, confocal where the modulation factor is above 1.05, else "
        "widefield.",
    )


def wanted_maps(parameters: DpsParameters) -> tuple[str, ...]:
    """Return the maps that are asked for."""
    return tuple(name for name in MAPS if getattr(parameters, name))


def uses_frames(parameters: DpsParameters) -> bool:
    """Return whether raw frames are to be used where they are at hand."""
    method = parameters.method
    return method == "joint" or (method == "network" and parameters.raw_frames)
