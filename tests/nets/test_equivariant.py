"""Convolutions that turn with the image, for all eight turns."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from napari_dps.core import InputError
from napari_dps.nets.equivariant import (
    ORIENTED,
    PLAIN,
    TURNS,
    EquivariantConv2d,
    Fields,
    as_plain,
    turned,
)


def network(**middle: int | bool) -> nn.Sequential:
    """Return cells of 2 × 2 pixels to the same, through hidden layers."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        ORIENTED.conv([Fields(1, 2)], 16, 3),
        ORIENTED.activation(16),
        ORIENTED.conv(16, 24, **middle),  # type: ignore[arg-type]
        ORIENTED.activation(24),
        ORIENTED.conv(24, [Fields(2, 2), Fields(1)], 3),
    )


def images(maps: torch.Tensor) -> torch.Tensor:
    """Return two images of cells of 2 × 2 pixels, and one of whole cells."""
    whole = maps[:, 8:].repeat_interleave(2, -1).repeat_interleave(2, -2)
    return torch.cat([F.pixel_shuffle(maps[:, :8], 2), whole], dim=1)


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize(
    "middle",
    [
        {"kernel": 3},
        {"kernel": 1},
        {"kernel": 2, "stride": 2},
        {"kernel": 4, "stride": 2},
        {"kernel": 2, "stride": 2, "transposed": True},
        {"kernel": 4, "stride": 2, "transposed": True},
    ],
)
def test_output_turns_with_the_input(turn, middle):
    layers = network(**middle)
    image = torch.rand(1, 1, 20, 28)
    with torch.inference_mode():
        expected = turned(images(layers(image)), turn)
        result = images(layers(turned(image, turn)))
    assert float(expected.std()) > 1e-3
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(7, 9), (8, 11), (1, 5)])
def test_output_turns_with_the_input_of_any_size_without_stride(size):
    torch.manual_seed(0)
    layers = nn.Sequential(
        ORIENTED.conv([Fields(2)], 8, 5),
        ORIENTED.activation(8),
        ORIENTED.conv(8, [Fields(1)], 3),
    )
    image = torch.rand(1, 2, *size)
    with torch.inference_mode():
        for turn in range(TURNS):
            expected = turned(layers(image), turn)
            result = layers(turned(image, turn))
            torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)


def test_plain_layers_do_not_turn():
    torch.manual_seed(0)
    layer = PLAIN.conv([Fields(1)], [Fields(1)], 3)
    image = torch.rand(1, 1, 8, 8)
    assert not torch.allclose(layer(turned(image, 1)), turned(layer(image), 1))


def test_turns_are_eight_different_ones():
    image = torch.arange(6).view(2, 3)
    seen = {tuple(turned(image, turn).reshape(-1).tolist()) for turn in range(TURNS)}
    assert len(seen) == TURNS


def test_a_filter_between_fields_has_eight_times_fewer_numbers():
    layer = EquivariantConv2d([Fields(3, 0)], [Fields(2, 0)], 3)
    weight, bias = layer.expanded()
    assert weight.shape == (16, 24, 3, 3)
    assert bias.shape == (16,)
    free = sum(p.numel() for p in layer.parameters())
    assert free == weight.numel() // TURNS + 2


def test_a_filter_from_an_image_to_itself_is_as_symmetric_as_the_square():
    weight, _ = EquivariantConv2d([Fields(1)], [Fields(1)], 3).expanded()
    assert len(weight.unique()) == 3  # middle, edges, corners


@pytest.mark.parametrize("transposed", [False, True])
def test_plain_layers_do_the_same(transposed):
    layers = network(kernel=4, stride=2, transposed=transposed)
    image = torch.rand(1, 1, 20, 28)
    with torch.inference_mode():
        expected = layers(image)
    as_plain(layers)
    names = {type(layer).__name__ for layer in layers}
    assert names <= {"PixelUnshuffle", "Conv2d", "ConvTranspose2d", "PReLU"}
    with torch.inference_mode():
        torch.testing.assert_close(layers(image), expected)


def test_filters_learn():
    torch.manual_seed(0)
    layers = network(kernel=3)
    image = torch.rand(2, 1, 8, 8)
    optimizer = torch.optim.Adam(layers.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss = F.mse_loss(images(layers(image)), image.expand(-1, 3, -1, -1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ORIENTED.conv(12, 16, 3), "a multiple of 8"),
        (lambda: ORIENTED.conv(8, 8, 2), "edge of filters"),
        (lambda: ORIENTED.activation(4), "a multiple of 8"),
    ],
)
def test_what_cannot_turn_is_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()
