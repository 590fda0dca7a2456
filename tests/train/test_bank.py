"""Banks: drawn once, whole files, resumed, and never read for other settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps.core import InputError
from napari_dps.core.progress import finish
from napari_dps.train.artifacts.data import pairs_bank
from napari_dps.train.artifacts.scenes import PairSettings
from napari_dps.train.bank import Arrays, Bank, bank_steps
from napari_dps.train.denoise.objects import build_objects_steps, objects_bank
from napari_dps.train.denoise.settings import DenoiseData
from napari_dps.train.dps.data import fields_bank
from napari_dps.train.dps.simulation import DataSettings
from napari_dps.train.objects import load_objects
from napari_dps.train.task import Sources


class Drawing:
    """Items that are their number; keeps a list of what was drawn."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.drawn: list[int] = []
        self.fails_at = fails_at

    def __call__(self, numbers: range) -> Arrays:
        if self.fails_at in numbers:
            raise RuntimeError("stopped")
        self.drawn += numbers
        return {
            "a": np.repeat(np.array(numbers), 2),
            "b": np.zeros((2 * len(numbers), 3)),
        }


def bank_of(draw: Drawing, **shaped_by: object) -> Bank:
    return Bank("things", draw, shaped_by, shard=4, rows=2)


def test_items_come_in_order_and_are_drawn_once(tmp_path: Path) -> None:
    draw = Drawing()
    bank = bank_of(draw)
    steps = bank_steps(tmp_path, bank, 10)
    reports = []
    while True:
        try:
            reports.append(next(steps))
        except StopIteration as done:
            arrays = done.value
            break
    assert [(r.done, r.total) for r in reports] == [(1, 3), (2, 3), (3, 3)]
    assert arrays["a"].tolist() == [n for n in range(10) for _ in range(2)]
    assert arrays["b"].shape == (20, 3)
    again = finish(bank_steps(tmp_path, bank, 10))
    assert np.array_equal(again["a"], arrays["a"])
    assert draw.drawn == list(range(10))


def test_bank_can_be_shortened_and_made_longer(tmp_path: Path) -> None:
    draw = Drawing()
    finish(bank_steps(tmp_path, bank_of(draw), 6))
    assert len(finish(bank_steps(tmp_path, bank_of(draw), 5))["a"]) == 10
    assert draw.drawn == list(range(6))
    longer = finish(bank_steps(tmp_path, bank_of(draw), 9))
    assert longer["a"].tolist() == [n for n in range(9) for _ in range(2)]
    # The file that was cut short is drawn again, the one before it is not.
    assert draw.drawn == [*range(6), *range(4, 9)]


def test_stopped_drawing_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped"):
        finish(bank_steps(tmp_path, bank_of(Drawing(fails_at=5)), 8))
    assert [f.name for f in tmp_path.rglob("*.*")] == ["things-00000000-00000004.npz"]
    draw = Drawing()
    whole = finish(bank_steps(tmp_path, bank_of(draw), 8))
    assert len(whole["a"]) == 16
    assert draw.drawn == [4, 5, 6, 7]


def test_damaged_file_is_named(tmp_path: Path) -> None:
    bank = bank_of(Drawing())
    finish(bank_steps(tmp_path, bank, 4))
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="drawn anew"):
        finish(bank_steps(tmp_path, bank, 4))


def test_what_shapes_the_items_names_the_folder() -> None:
    draw = Drawing()
    keys = {
        bank_of(draw, **shaped).key
        for shaped in (
            {},
            {"version": 1},
            {"version": 2},
            {"classes": {"a": 1, "b": 2}},
        )
    }
    assert len(keys) == 4
    # Classes are drawn by their place in the list.
    swapped = bank_of(draw, classes={"b": 2, "a": 1})
    assert swapped.key not in keys


@pytest.mark.slow
def test_processes_draw_the_same(tmp_path: Path) -> None:
    bank = replace(objects_bank(DenoiseData(object_px=64)), shard=1)
    one, two = (
        finish(bank_steps(tmp_path / str(n), bank, 2, workers=n))["objects"]
        for n in (1, 2)
    )
    assert one.shape == (2, 64, 64)
    assert np.array_equal(one, two)


@pytest.mark.slow
def test_objects_of_another_magnification_are_drawn_anew(tmp_path: Path) -> None:
    data = DenoiseData(objects=2, object_px=64)
    other = data.model_copy(update={"magnification": (2.0, 3.0)})
    first, second = (
        finish(build_objects_steps(Sources(tmp_path), d)) for d in (data, other)
    )
    assert not np.array_equal(first, second)
    again = finish(build_objects_steps(Sources(tmp_path), data))
    assert np.array_equal(first, again)


@pytest.mark.parametrize("settings", [DataSettings(time_points=3), PairSettings()])
def test_every_setting_but_the_size_is_in_the_key(
    settings: DataSettings | PairSettings,
) -> None:
    def key(changed: DataSettings | PairSettings) -> str:
        if isinstance(changed, DataSettings):
            return fields_bank(changed, (1,)).key
        return pairs_bank(changed).key

    for name, value in settings.model_dump().items():
        other = (0.1, 0.2) if isinstance(value, tuple) else value + 1
        changed = settings.model_copy(update={name: other})
        assert (key(changed) == key(settings)) == (name == "fields"), name


def test_depths_of_the_features_are_in_the_key() -> None:
    assert fields_bank(DataSettings(), (1,)).key != fields_bank(DataSettings(), ()).key


def test_real_images_are_told_by_their_content(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (2, 80, 80), dtype=np.uint8)
    for folder, name in (("a", "x.tif"), ("b", "other.tif")):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / name, images)
    data = DenoiseData(object_px=64)
    known, renamed = (objects_bank(data, tmp_path / f).key for f in "ab")
    assert known == renamed != objects_bank(data).key
    before = load_objects(tmp_path / "a", "train")
    tifffile.imwrite(tmp_path / "a" / "x.tif", 255 - images)
    assert objects_bank(data, tmp_path / "a").key != known
    assert not np.array_equal(load_objects(tmp_path / "a", "train")[0], before[0])
