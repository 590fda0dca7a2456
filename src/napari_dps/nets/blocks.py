"""Building blocks: residual block, up- and down-projection."""

from __future__ import annotations

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(PReLU(conv(x))), 3 × 3 (He et al. 2016, doi:10.1109/CVPR.2016.90).

    Parameters
    ----------
    channels : int
        Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, Y, X) to the same shape."""
        out: Tensor = x + self.body(x)
        return out


class UpProjection(nn.Module):
    """Back-projection to twice the size (doi:10.1109/CVPR.2018.00179).

    Haris et al. 2018: H₀ = deconv(L), L₀ = conv(H₀), H = H₀ + deconv(L₀ − L): what H₀
    fails to explain of L is projected up as well. A PReLU follows each convolution.

    Parameters
    ----------
    channels : int
        Channels of input and output.
    kernel : int
        Edge of the kernels in px: even, so that the sizes double exactly.
    """

    def __init__(self, channels: int, kernel: int = 4) -> None:
        super().__init__()
        self.first = _up(channels, kernel)
        self.back = _down(channels, kernel)
        self.second = _up(channels, kernel)

    def forward(self, low: Tensor) -> Tensor:
        """Map (N, C, Y, X) to (N, C, 2Y, 2X)."""
        high: Tensor = self.first(low)
        out: Tensor = high + self.second(self.back(high) - low)
        return out


class DownProjection(nn.Module):
    """Back-projection to half the size: the mirror of `UpProjection`.

    Parameters
    ----------
    channels : int
        Channels of input and output.
    kernel : int
        Edge of the kernels in px: even, so that the sizes halve exactly.
    """

    def __init__(self, channels: int, kernel: int = 4) -> None:
        super().__init__()
        self.first = _down(channels, kernel)
        self.back = _up(channels, kernel)
        self.second = _down(channels, kernel)

    def forward(self, high: Tensor) -> Tensor:
        """Map (N, C, Y, X), even sides, to (N, C, Y/2, X/2)."""
        low: Tensor = self.first(high)
        out: Tensor = low + self.second(self.back(low) - high)
        return out


def _up(channels: int, kernel: int) -> nn.Sequential:
    layer = nn.ConvTranspose2d(
        channels, channels, kernel, stride=2, padding=kernel // 2 - 1
    )
    return nn.Sequential(layer, nn.PReLU(channels))


def _down(channels: int, kernel: int) -> nn.Sequential:
    layer = nn.Conv2d(channels, channels, kernel, stride=2, padding=kernel // 2 - 1)
    return nn.Sequential(layer, nn.PReLU(channels))
