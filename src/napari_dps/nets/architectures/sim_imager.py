"""The network of SIM images: from the orders of a stack to its image."""

from __future__ import annotations

from napari_dps.nets.res_unet import SimImager

NETWORK = SimImager
