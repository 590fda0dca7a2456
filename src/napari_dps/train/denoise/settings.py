"""What the stacks of the denoiser are drawn from."""

from __future__ import annotations

from pydantic import Field

from napari_dps.core.params import FrozenModel


class DenoiseData(FrozenModel):
    """Ranges that stacks are drawn from, uniformly or log-uniformly.

    Attributes
    ----------
    objects, object_px : int
        Objects of the bank and their edge on the fine grid.
    real : float
        Share of real images among the objects, where there are any.
    photons : (float, float)
        At the 99.9th percentile of the mean frame; log-uniform.
    wavevector : (float, float)
        Of the finest order, over the cut-off.
    wrong : float
        Share of stacks whose pattern is not the one that is assumed.
    """

    objects: int = Field(default=2000, ge=1)
    object_px: int = Field(default=224, ge=64)
    seed: int = 1
    real: float = Field(default=0.25, ge=0, le=1)
    magnification: tuple[float, float] = (0.6, 1.6)
    separation_nm: tuple[float, float] = (80, 250)
    mixed: float = Field(default=0.35, ge=0, le=1)
    diffuse: float = Field(default=0.3, ge=0, le=1)
    photons: tuple[float, float] = (3, 15000)
    read_noise_e: tuple[float, float] = (0.5, 5)
    background: tuple[float, float] = (0, 0.15)
    otf_fall: tuple[float, float] = (0, 0.5)
    haze: float = Field(default=0.4, ge=0, le=1)
    wavevector: tuple[float, float] = (0.4, 1.15)
    modulation: tuple[float, float] = (0.1, 1)
    intensity_jitter: float = Field(default=0.05, ge=0, le=0.5)
    phase_error_deg: float = Field(default=4, ge=0, le=60)
    modulation_error: float = Field(default=0.12, ge=0, le=1)
    wavevector_error: float = Field(default=0.0006, ge=0, le=0.05)
    wrong: float = Field(default=0.04, ge=0, le=1)
