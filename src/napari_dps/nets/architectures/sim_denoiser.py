"""The network of the stage `denoise`: orders of raw frames without their noise."""

from __future__ import annotations

from napari_dps.nets.res_unet import SimDenoiser

NETWORK = SimDenoiser
