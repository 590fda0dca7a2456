"""The networks that read the width of the effective PSF, trained side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS_IN = 5
"""Channels of `napari_dps.methods.effective_psf.features.log_channels`."""


class PsfVoters(nn.Module):
    """Dilated convolutions along ln f; each place votes for ln k, with a weight.

    A convolution knows no zoom, so that what is learned at one k serves at all others.
    Inference does without torch: `napari_dps.methods.effective_psf.estimate`.

    Parameters
    ----------
    networks : int
        Independent networks N.
    channels, kernel : int
        Channels and taps of the convolutions.
    dilations : sequence of int
        Dilation of each hidden layer.
    log_frequencies : sequence of float
        ln of the frequencies along the axis, in cycles per pixel.
    """

    def __init__(
        self,
        networks: int,
        channels: int,
        kernel: int,
        dilations: Sequence[int],
        log_frequencies: Sequence[float],
    ) -> None:
        super().__init__()
        width = CHANNELS_IN
        for layer, dilation in enumerate(dilations):
            convolution = _Convolutions(networks, width, channels, kernel, dilation)
            self.add_module(str(layer), convolution)
            width = channels
        self.add_module(str(len(dilations)), _Convolutions(networks, width, 3, 1, 1))
        axis = torch.tensor(log_frequencies, dtype=torch.float32)
        self.register_buffer("axis", axis, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, B, 5, F), one batch a network, to ln k and ln sd (N, B, 2)."""
        *hidden, last = self.children()
        for layer in hidden:
            x = F.silu(layer(x))
        score, offset, log_sd = last(x).unbind(2)
        share = torch.softmax(score, dim=-1)
        log_cutoff = (share * (self.axis + 0.3 * offset)).sum(-1)
        return torch.stack([log_cutoff, (share * log_sd).sum(-1) - 2.5], dim=-1)


class _Convolutions(nn.Module):
    """One convolution of each of N networks: (N, B, C, F) to (N, B, C', F)."""

    def __init__(
        self, networks: int, inputs: int, outputs: int, kernel: int, dilation: int
    ) -> None:
        super().__init__()
        self.dilation = dilation
        reach = (inputs * kernel) ** -0.5  # as `nn.Conv1d` begins
        weight = torch.empty(networks, outputs, inputs, kernel)
        self.weight = nn.Parameter(nn.init.uniform_(weight, -reach, reach))
        bias = torch.empty(networks, outputs)
        self.bias = nn.Parameter(nn.init.uniform_(bias, -reach, reach))

    def forward(self, x: Tensor) -> Tensor:
        networks, outputs, inputs, kernel = self.weight.shape
        batch, length = x.shape[1], x.shape[-1]
        grouped = x.transpose(0, 1).reshape(batch, networks * inputs, length)
        result = F.conv1d(
            grouped,
            self.weight.reshape(networks * outputs, inputs, kernel),
            self.bias.flatten(),
            padding=self.dilation * (kernel // 2),
            dilation=self.dilation,
            groups=networks,
        )
        return result.view(batch, networks, outputs, length).transpose(0, 1)


NETWORK = PsfVoters
