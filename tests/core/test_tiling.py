"""Tiles: how far networks see, how large tiles are, and what happens without memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from napari_dps.core import InputError, Progress, finish, tiling
from napari_dps.core.context import Context
from napari_dps.core.errors import is_out_of_memory
from napari_dps.core.tiling import (
    GRID_PX,
    LEAST_TILE_PX,
    STRIP_BYTES,
    Tile,
    TileNeeds,
    cut,
    require_memory,
    strips,
    tile_edge,
    tiled_steps,
)
from napari_dps.methods.artifacts import low_light
from napari_dps.methods.artifacts import network as artifacts_network
from napari_dps.methods.dps import network as dps_network
from napari_dps.methods.dps.by_network import SHIPPED_WEIGHTS
from napari_dps.methods.sim import network as denoise_network
from napari_dps.nets.architectures.artifact_remover import ArtifactRemover
from napari_dps.nets.architectures.noise_remover import NoiseRemover
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.nets.equivariant import EquivariantConv2d
from napari_dps.nets.res_unet import SimDenoiser

CPU = torch.device("cpu")
NEEDS = TileNeeds("test", overlap_px=32, bytes_per_px=100, tile_px=256)
OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA: none left"),
    MemoryError(),
    RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8"),
    RuntimeError("MPS backend out of memory"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("could not create a primitive"),
]


@pytest.fixture
def free(monkeypatch) -> Callable[[float], None]:
    """Set the bytes that are free."""

    def set_free(count: float) -> None:
        monkeypatch.setattr(tiling, "available_bytes", lambda device: count)

    set_free(1e12)
    return set_free


def positive(network: torch.nn.Module) -> torch.nn.Module:
    """Give it weights above 0, so that nothing that it sees cancels out."""
    torch.manual_seed(0)
    network = network.double().eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            layer.weight.uniform_(0.1, 1.9).div_(layer.weight[0].numel())
            if layer.bias is not None:
                layer.bias.zero_()
        if isinstance(layer, EquivariantConv2d):
            count = layer.expanded()[0][0].numel()
            for filters in layer.filters:
                filters.uniform_(0.1, 1.9).div_(count)
            for biases in layer.biases:
                biases.zero_()
    return network


def look(network: torch.nn.Module, coarse: torch.Tensor) -> list[torch.Tensor]:
    """Return all outputs for an image (Y, X) and fine images that repeat it."""
    fine = coarse.repeat_interleave(2, 0).repeat_interleave(2, 1)
    if isinstance(network, ArtifactRemover):
        return list(network(coarse[None, None], torch.tensor([0.1]).double()))
    if isinstance(network, NoiseRemover):
        numbers = torch.zeros(1, network.settings["numbers"]).double()
        bases = coarse.expand(1, network.settings["bases"], -1, -1)
        return list(network(bases, torch.ones_like(bases[:, :1]), numbers))
    if isinstance(network, SimDenoiser):
        return list(network(fine.expand(1, 4, -1, -1), torch.zeros(1, 2).double()))
    features = torch.stack([fine, 2 * fine])[None]
    noise = torch.tensor([0.1]).double()
    return [network(coarse[None, None], features, noise)]


def reach_px(network: torch.nn.Module) -> int:
    """Change a column, wherever it lies in the network's cells, and look how far."""
    width, reach = 256, 0
    image = torch.rand(8, width, dtype=torch.float64)
    before = look(network, image)
    for column in range(width // 2, width // 2 + 8):
        changed = image.clone()
        changed[:, column] += 1
        for old, new in zip(before, look(network, changed), strict=True):
            moved = (old != new).reshape(-1, old.shape[-1]).any(0)
            columns = moved.nonzero().flatten() * width // len(moved)
            reach = max(reach, int((columns - column).abs().max()))
    return reach


@pytest.mark.parametrize(
    ("network", "needs", "expected"),
    [
        (SimDenoiser(), denoise_network.TILES, 40),
        (ArtifactRemover(), artifacts_network.TILES, 48),
        (NoiseRemover(bases=4, numbers=10), low_light.TILES, 39),
        (ResUDBPN(), dps_network.TILES, 31),
    ],
    ids=["denoise", "artifacts", "low light", "dps"],
)
def test_tiles_overlap_by_what_the_network_sees_and_no_cell_more(
    network, needs, expected
):
    reach = reach_px(positive(network))
    assert reach == expected
    assert reach <= needs.overlap_px < reach + GRID_PX
    assert needs.overlap_px % GRID_PX == 0


def test_trained_networks_are_as_deep_as_those_that_the_overlap_is_for():
    from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights

    deep = {"artifacts": ArtifactRemover(), "denoise": SimDenoiser()}
    deep["artifacts-low-light"] = NoiseRemover(bases=4, numbers=10)
    deep |= {f"dps-{name}": ResUDBPN() for name in SHIPPED_WEIGHTS}
    for name, default in deep.items():
        settings = load_checkpoint(shipped_weights(name)).network(CPU).settings
        assert settings["blocks"] == default.settings["blocks"]


@pytest.mark.parametrize("equal_reads", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (64, 64), (65, 300), (333, 70)])
def test_tiles_cover_every_pixel_once_with_all_that_it_looks_at(shape, equal_reads):
    needs = TileNeeds("test", overlap_px=16, bytes_per_px=1, equal_reads=equal_reads)
    seen, sizes = np.zeros(shape, int), set()

    def work(tile: Tile) -> None:
        seen[tile.write] += 1
        size = []
        for read, keep, write, length in zip(
            tile.read, tile.keep, tile.write, shape, strict=True
        ):
            assert read.start + keep.start == write.start
            assert read.start + keep.stop == write.stop
            assert read.start <= max(write.start - 16, 0)
            assert min(write.stop + 16, length) <= read.stop <= length
            assert write.stop - write.start <= 64
            assert equal_reads or read.start % GRID_PX == 0
            size.append(read.stop - read.start)
        sizes.add(tuple(size))

    reports = list(tiled_steps(shape, needs, work, Context(tile_px=64), CPU))
    assert (seen == 1).all()
    assert reports[-1].done == reports[-1].total == seen.size
    assert reports[-1].message == f"test, tile {len(reports)} of {len(reports)}"
    assert not equal_reads or len(sizes) == 1


@pytest.mark.parametrize("edge", [64, 80, 352])
def test_pieces_are_about_equal(edge):
    sides = [rows.stop - rows.start for rows, _ in cut((slice(0, 1000),) * 2, edge)]
    assert max(sides) <= edge
    assert max(sides) - np.median(sides) < GRID_PX


def test_tile_is_as_the_work_likes_best_while_memory_is_plenty(free):
    assert tile_edge((5000, 5000), NEEDS, Context(), CPU) == 256


def test_tile_is_smaller_when_memory_is_short(free):
    free(2 * 100 * (160 + 2 * 32) ** 2)
    assert tile_edge((5000, 5000), NEEDS, Context(), CPU) == 160
    free(0)
    assert tile_edge((5000, 5000), NEEDS, Context(), CPU) == LEAST_TILE_PX


def test_whole_plane_is_one_tile_where_it_fits_else_it_is_cut(free):
    needs = TileNeeds("test", overlap_px=32, bytes_per_px=100)
    context = Context()
    free(2 * 100 * 1000 * 777)
    assert tile_edge((1000, 777), needs, context, CPU) >= 1000
    assert not context.warnings
    context = Context()
    free(2 * 100 * 1000 * 776)
    edge = tile_edge((1000, 777), needs, context, CPU)
    assert (edge + 64) ** 2 <= 1000 * 776
    assert edge % GRID_PX == 0
    assert context.warnings == [
        f"little memory is free: tiles of {edge} px are used for the test"
    ]


def test_tile_stays_as_it_is_for_the_planes_of_a_stack(free):
    context = Context()
    free(2 * 100 * (160 + 2 * 32) ** 2)
    sizes = [tile_edge((5000, 5000), NEEDS, context, CPU)]
    free(0)
    sizes.append(tile_edge((5000, 5000), NEEDS, context, CPU))
    assert sizes == [160, 160]


def test_size_in_the_context_counts_more_than_memory(free):
    free(0)
    assert tile_edge((5000, 5000), NEEDS, Context(tile_px=200), CPU) == 192
    with pytest.raises(InputError, match="tile_px: got 8; allowed: 64 or more"):
        tile_edge((5000, 5000), NEEDS, Context(tile_px=8), CPU)


def test_bytes_that_are_left_are_told_when_a_plane_does_not_fit(free):
    free(2e9)
    require_memory("dps", (1000, 2000), 1000, CPU)
    with pytest.raises(InputError, match=r"1000 × 2001 px: got 2.0 GB free.*crop"):
        require_memory("dps", (1000, 2001), 1000, CPU)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: str(e)[-30:])
def test_out_of_memory_is_known_however_it_is_said(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes cannot be multiplied"), ValueError("out of memory")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


class Short:
    """Work that fails for tiles with a longer side than it has memory for."""

    def __init__(self, most_px: int, error: BaseException) -> None:
        self.most_px, self.error = most_px, error
        self.done = np.zeros((512, 300), int)
        self.calls = 0

    def __call__(self, tile: Tile) -> None:
        self.calls += 1
        area = self.done[tile.write]
        if max(area.shape) > self.most_px:
            raise self.error
        area += 1

    def steps(self, context: Context) -> list[Progress]:
        return list(tiled_steps(self.done.shape, NEEDS, self, context, CPU))


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda e: str(e)[-30:])
def test_smaller_tiles_are_tried_after_the_memory_ran_out(free, error):
    context, work = Context(), Short(100, error)
    reports = work.steps(context)
    assert (work.done == 1).all()
    assert [r.done for r in reports] == sorted(r.done for r in reports)
    assert context.warnings == [
        "out of memory: tiles of 128 px are used for the test",
        "out of memory: tiles of 64 px are used for the test",
    ]
    assert work.calls == len(reports) + 2
    again = Short(100, error)
    assert len(again.steps(context)) == again.calls
    assert len(context.warnings) == 2


def test_tiles_done_before_the_memory_ran_out_stay_done(free):
    class Later(Short):
        def __call__(self, tile: Tile) -> None:
            self.most_px = 1000 if self.calls < 2 else 100
            super().__call__(tile)

    work = Later(1000, MemoryError())
    work.steps(Context())
    assert (work.done == 1).all()


def test_giving_up_says_what_to_do(free):
    work = Short(20, OUT_OF_MEMORY[0])
    with pytest.raises(InputError, match="even in tiles of 64 px: crop the image"):
        work.steps(Context())


def test_other_errors_are_passed_on(free):
    work = Short(20, RuntimeError("shapes cannot be multiplied"))
    context = Context()
    with pytest.raises(RuntimeError, match="shapes"):
        work.steps(context)
    assert not context.warnings
    assert work.calls == 1


def test_nothing_is_yielded_inside_of_inference_mode(free):
    image = torch.rand(100, 100)

    def work(tile: Tile) -> None:
        with torch.inference_mode():
            if image[tile.read].numel() > 100**2 - 1:
                raise MemoryError

    for _ in tiled_steps((100, 100), NEEDS, work, Context(), CPU):
        assert not torch.is_inference_mode_enabled()
    assert finish(tiled_steps((9, 9), NEEDS, work, Context(), CPU)) is None


def test_strips_cover_all_rows_and_fit_the_cache():
    for rows, row_bytes in ((100, 2**15), (7, 2**22), (513, 3000)):
        found = strips(rows, row_bytes, torch.device("cpu"))
        assert [n for part in found for n in range(rows)[part]] == list(range(rows))
        longest = max(part.stop - part.start for part in found)
        assert longest == 1 or longest * row_bytes < 1.1 * STRIP_BYTES
    assert strips(100, 2**30, torch.device("meta")) == [slice(0, 100)]
