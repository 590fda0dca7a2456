"""Images of any size on cells: the middle stays the middle."""

from __future__ import annotations

import pytest
import torch

from napari_dps.nets.equivariant import TURNS, turned
from napari_dps.nets.grid import centred, mirrored_rim, to_borders, to_pixels


@pytest.mark.parametrize("shape", [(8, 12), (6, 10), (7, 9), (1, 5), (8, 3)])
def test_filling_turns_with_the_image(shape):
    image = torch.rand(1, 1, *shape)
    filled, _ = centred(image, 4)
    assert all(side % 4 == 0 for side in filled.shape[-2:])
    for turn in range(TURNS):
        result, _ = centred(turned(image, turn), 4)
        torch.testing.assert_close(result, turned(filled, turn), rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 12), (6, 10), (14, 2)])
def test_even_images_lie_inside_as_they_are(shape):
    image = torch.rand(1, 2, *shape)
    filled, (rows, columns) = centred(image, 8)
    torch.testing.assert_close(filled[..., rows, columns], image)
    fine, (rows, columns) = centred(image, 8, finer=2)
    twice = fine.repeat_interleave(2, -1).repeat_interleave(2, -2)
    expected = image.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(twice[..., rows, columns], expected)


def test_odd_images_have_their_fine_pixels_where_they_were():
    # A ramp at the middles of the fine pixels of 9 pixels, from that of 10 borders.
    fine = torch.arange(20.0) / 2 - 0.75
    _, (_, columns) = centred(torch.rand(1, 1, 4, 9), 2, finer=2)
    assert fine[columns].tolist() == [n / 2 - 0.25 for n in range(18)]


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_borders_and_pixels_undo_one_another(size):
    image = torch.rand(3, size, 4)
    there = to_borders(image, 1)
    assert there.shape == (3, size + 1, 4)
    torch.testing.assert_close(to_pixels(there, 1), image, rtol=0, atol=1e-5)


def test_rim_mirrors_where_it_can():
    row = torch.arange(4.0).expand(1, 1, 3, 4)
    assert mirrored_rim(row, 0, 2)[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 3, 2, 1]
    assert mirrored_rim(row, 4, 0).shape == (1, 1, 11, 4)
