"""Pairs of reconstructions: what is wrong in one is right in the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps.core.progress import finish
from napari_dps.methods.artifacts.network import noise_level
from napari_dps.metrics.reference import psnr_db
from napari_dps.train.artifacts.data import (
    KIND_NAMES,
    STRUCTURE_NAMES,
    PairBank,
    as_bank,
    build_pairs_steps,
    draw_pairs_batch,
    held_out_cases,
    held_out_pairs,
    pairs_bank,
    whole_batch,
)
from napari_dps.train.artifacts.faults import (
    HELD_OUT_KINDS,
    HELD_OUT_MIXTURES,
    KINDS,
)
from napari_dps.train.artifacts.pairs import draw_kinds, draw_pairs, make_pair
from napari_dps.train.artifacts.scenes import (
    REAL,
    PairSettings,
    Scene,
    draw_scene,
    enlarge_object,
    plant,
)
from napari_dps.train.objects import HELD_OUT_CLASSES
from napari_dps.train.task import Sources

SMALL = PairSettings(fields=2, variants=2, field_px=40, haze=0.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return draw_scene(SMALL, np.random.default_rng(5), structure="microtubules")


@pytest.mark.slow
def test_reconstruction_without_artefacts_is_the_target(scene: Scene) -> None:
    pair = make_pair(scene, (), SMALL, np.random.default_rng(0))
    np.testing.assert_array_equal(pair.image, pair.target)
    assert pair.image.shape == (40, 40)


@pytest.mark.parametrize("kind", [*KINDS, *HELD_OUT_KINDS])
def test_every_kind_spoils_the_image_but_keeps_its_light(
    scene: Scene, kind: str
) -> None:
    pair = make_pair(scene, (kind,), SMALL, np.random.default_rng(1))
    assert pair.kinds == (kind,)
    assert 5 < psnr_db(pair.image, pair.target) < 50
    assert pair.image.mean() == pytest.approx(pair.target.mean(), rel=0.05)


def test_same_index_gives_the_same_pairs_and_another_others() -> None:
    first, again, other = (draw_pairs(SMALL, index) for index in (3, 3, 4))
    assert len(first) == SMALL.variants
    for one, two, three in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        assert not np.array_equal(one.image, three.image)


def test_drawn_kinds_leave_out_what_is_held_out() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_kinds(SMALL, rng) for _ in range(500)]
    assert {kind for kinds in drawn for kind in kinds} == set(KINDS)
    assert not any(
        set(mix) <= set(kinds) for mix in HELD_OUT_MIXTURES for kinds in drawn
    )
    assert 0.1 < np.mean([not kinds for kinds in drawn]) < 0.3


@pytest.mark.slow
def test_held_out_pairs_are_of_classes_that_are_never_drawn() -> None:
    pairs = held_out_pairs(SMALL, seeds=1)
    assert len(pairs) == len(HELD_OUT_CLASSES) * len(held_out_cases())
    assert {pair.structure for pair in pairs} == set(HELD_OUT_CLASSES)
    assert not set(HELD_OUT_CLASSES) & set(STRUCTURE_NAMES)
    assert [pair.kinds for pair in pairs[: len(held_out_cases())]] == [
        *held_out_cases()
    ]


def test_real_images_become_objects(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (6, 60, 60), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "real.tif", images)
    settings = SMALL.model_copy(update={"real": 1.0})
    (pair, _) = draw_pairs(settings, 0, tmp_path)
    assert pair.structure == REAL
    assert np.isfinite(pair.image).all()


def test_planted_points_are_added_and_gaps_are_cut() -> None:
    even = np.full((80, 80), 0.5, np.float32)
    planted = plant(even, np.random.default_rng(2), resolved_px=4)
    middle = float(np.median(planted))
    assert planted.max() == 1
    assert (planted < 0.3 * middle).any()
    assert (planted > 1.5 * middle).sum() >= 3


@pytest.mark.parametrize("side", [30, 150])
def test_real_image_is_enlarged_to_the_side_wanted(side: int) -> None:
    image = np.random.default_rng(0).random((50, 60), dtype=np.float32)
    large = enlarge_object(image, side, np.random.default_rng(1))
    assert large.shape == (side, side)
    assert large.min() > 0
    assert large.max() == pytest.approx(1)


@pytest.mark.slow
def test_bank_is_made_once_and_read_again(tmp_path: Path) -> None:
    sources = Sources(tmp_path)
    bank = finish(build_pairs_steps(sources, SMALL))
    (file,) = pairs_bank(SMALL).folder(tmp_path).glob("*.npz")
    made = file.stat().st_mtime_ns
    again = finish(build_pairs_steps(sources, SMALL))
    assert file.stat().st_mtime_ns == made
    assert len(bank) == SMALL.fields * SMALL.variants
    np.testing.assert_array_equal(bank.image, again.image)


@pytest.fixture(scope="module")
def bank() -> PairBank:
    return as_bank([pair for index in range(3) for pair in draw_pairs(SMALL, index)])


def test_bank_is_at_full_scale_with_its_noise_and_labels(bank: PairBank) -> None:
    pairs = [pair for index in range(3) for pair in draw_pairs(SMALL, index)]
    for pair, image, noise, kinds in zip(
        pairs, bank.image, bank.noise, bank.kinds, strict=True
    ):
        assert image.min() < 0.1
        assert 0.9 < image.max() < 10
        scale = np.ptp(pair.image) / float(np.ptp(image.astype(np.float32)))
        assert noise * scale == pytest.approx(noise_level(pair.image), rel=0.01)
        assert {
            n for n, is_there in zip(KIND_NAMES, kinds, strict=True) if is_there
        } == {*pair.kinds}


def test_batch_depends_on_seed_and_step_alone(bank: PairBank) -> None:
    first, again, later = (
        draw_pairs_batch(bank, step=step, seed=1, size=3, patch_px=24)
        for step in (7, 7, 8)
    )
    assert first.image.shape == first.target.shape == (3, 1, 24, 24)
    assert bool((first.image == again.image).all())
    assert not bool((first.image == later.image).all())


def test_crops_of_image_and_target_belong_together(bank: PairBank) -> None:
    clean = bank.part(np.flatnonzero(~bank.kinds.any(axis=1))[:1])
    assert len(clean) == 1
    batch = draw_pairs_batch(clean, step=0, seed=1, size=4, patch_px=16)
    assert bool((batch.image == batch.target).all())
    assert len(whole_batch(bank).image) == len(bank)
