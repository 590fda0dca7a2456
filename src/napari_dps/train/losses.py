"""Losses that several models share."""

from __future__ import annotations

from torch import Tensor


def ssim_loss(x: Tensor, y: Tensor, *, k1: float = 0.01, k2: float = 0.03) -> Tensor:
    """Return 1 − SSIM, full scale 1, Gaussian window of 11 px and σ = 1.5 px.

    Parameters
    ----------
    x, y : tensor (N, 1, Y, X)
        At least 11 px a side.
    k1, k2 : float
        Constants (Wang et al. 2004, doi:10.1109/TIP.2003.819861). The slides print
        k1 = 0.001.

    Returns
    -------
    tensor, scalar
        0 for equal images.
    """
    from pytorch_msssim import ssim

    similarity: Tensor = ssim(x, y, data_range=1.0, K=(k1, k2))
    return 1 - similarity
