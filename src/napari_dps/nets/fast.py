"""Networks made faster for inference: in bfloat16, or compiled for the machine."""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from napari_dps.core import InputError
from napari_dps.core.networks import NetworkSettings

_COMPILERS = ("torch._dynamo", "torch._inductor")
"""Modules of the errors of torch.compile, which has no public ones."""


def make_fast(network: nn.Module, device: torch.device, how: NetworkSettings) -> None:
    """Let a network compute as the settings say.

    Parameters
    ----------
    network : module
        Ready for inference, on the device; is changed. Its output stays float32.
    device : torch.device
        Where it computes.
    how : NetworkSettings
        Precision, and whether to compile.

    Raises
    ------
    InputError
        When a compiled network first computes, if this machine cannot compile.
    """
    if how.precision == "bfloat16":
        if device.type == "cpu":
            _use_quick_activations(network)
        _use_bfloat16(network, device)
    if how.compiled:
        _compile(network)


class _QuickPReLU(nn.Module):
    """PReLU of slopes up to 1: the larger of x and slope · x.

    That of torch takes ten times as long for bfloat16 on processors, where channels
    are few.
    """

    def __init__(self, slopes: Tensor) -> None:
        super().__init__()
        fitting = slopes[:, None, None].bfloat16()
        self._slopes = nn.Parameter(fitting, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, Y, X) to the same shape."""
        scaled = x * self._slopes
        return torch.maximum(x, scaled, out=scaled)


def _use_quick_activations(network: nn.Module) -> None:
    """Replace PReLUs where they do the same."""
    for name, child in network.named_children():
        if not isinstance(child, nn.PReLU):
            _use_quick_activations(child)
        elif bool((child.weight <= 1).all()):
            setattr(network, name, _QuickPReLU(child.weight.detach()))


def _use_bfloat16(network: nn.Module, device: torch.device) -> None:
    """Convolve in bfloat16 by torch.autocast, which keeps what needs range in float32.

    Not float16, which overflows at 65504: images need not be normalised.
    """
    forward = network.forward

    @wraps(forward)
    def in_bfloat16(*images: Tensor) -> Any:
        with torch.autocast(device.type, torch.bfloat16):
            results = forward(*images)
        if isinstance(results, tuple):
            return tuple(result.float() for result in results)
        return results.float()

    network.forward = in_bfloat16


def _compile(network: nn.Module) -> None:
    """Compile the network when it is first called, anew for two kinds of sizes."""
    forward = network.forward
    compiled = torch.compile(forward)

    @wraps(forward)
    def call(*images: Tensor) -> Any:
        try:
            return compiled(*images)
        except RuntimeError as problem:
            if not type(problem).__module__.startswith(_COMPILERS):
                raise
            raise InputError(
                field="networks.compiled",
                got="true",
                allowed="false: this machine cannot compile networks "
                f"({str(problem).splitlines()[0]})",
            ) from problem

    network.forward = call
