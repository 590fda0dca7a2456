"""Building blocks: residual block, up- and down-projection."""

from __future__ import annotations

from torch import Tensor, nn

from napari_dps.nets.equivariant import PLAIN, Layers


class ResidualBlock(nn.Module):
    """x + conv(PReLU(conv(x))), 3 × 3 (He et al. 2016, doi:10.1109/CVPR.2016.90).

    Parameters
    ----------
    channels : int
        Channels of input and output.
    layers : Layers
        Kind of the layers.
    """

    def __init__(self, channels: int, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layers.conv(channels, channels, 3),
            layers.activation(channels),
            layers.conv(channels, channels, 3),
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
    layers : Layers
        Kind of the layers.
    """

    def __init__(self, channels: int, kernel: int = 4, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.first = _up(channels, kernel, layers)
        self.back = _down(channels, kernel, layers)
        self.second = _up(channels, kernel, layers)

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
    layers : Layers
        Kind of the layers.
    """

    def __init__(self, channels: int, kernel: int = 4, layers: Layers = PLAIN) -> None:
        super().__init__()
        self.first = _down(channels, kernel, layers)
        self.back = _up(channels, kernel, layers)
        self.second = _down(channels, kernel, layers)

    def forward(self, high: Tensor) -> Tensor:
        """Map (N, C, Y, X), even sides, to (N, C, Y/2, X/2)."""
        low: Tensor = self.first(high)
        out: Tensor = low + self.second(self.back(low) - high)
        return out


def _up(channels: int, kernel: int, layers: Layers) -> nn.Sequential:
    up = layers.conv(channels, channels, kernel, stride=2, transposed=True)
    return nn.Sequential(up, layers.activation(channels))


def _down(channels: int, kernel: int, layers: Layers) -> nn.Sequential:
    down = layers.conv(channels, channels, kernel, stride=2)
    return nn.Sequential(down, layers.activation(channels))
