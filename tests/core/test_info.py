"""The record of what a stack carries."""

import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from napari_dps.core import (
    HistoryEntry,
    ImageStack,
    InputError,
    NoiseToSignal,
    Optics,
    Pattern,
    StackInfo,
    refined_grid,
)

OPTICS = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)
FULL = StackInfo(
    pixel_size_nm=65.0,
    origin_nm=(-16.25, 3.0),
    optics=OPTICS,
    patterns=(Pattern(angle_deg=30, period_nm=200, phases_deg=(0, 120, 240)),),
    noise=NoiseToSignal(at_cutoff=0.5, exponent=2.0),
    history=(HistoryEntry("denoise", {"strength": 0.5}, "0.1", 1.5, ("dim",)),),
    z_step_nm=125.0,
    frame_interval_s=0.5,
    channel_names=("red", "green"),
    channel_optics=(OPTICS, OPTICS),
    shows_sim=True,
)


def test_record_comes_back_from_json_whole():
    values = json.loads(json.dumps(FULL.to_json()))
    found, invalid = StackInfo.read_json(values)
    assert StackInfo(**found) == FULL
    assert invalid == []
    assert {info.name for info in fields(StackInfo)} == values.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pixel_size_nm", -65),
        ("pixel_size_nm", "inf"),
        ("origin_nm", [float("nan"), 0]),
        ("origin_nm", [0, 0, 0]),
        ("z_step_nm", 0),
        ("frame_interval_s", "soon"),
        ("channel_names", "red"),
        ("channel_names", ["c"] * 10_001),
        ("optics", {"na": 9, "emission_nm": 500, "pixel_size_nm": 65}),
        ("patterns", [{"orders": []}]),
        ("noise", {"at_cutoff": float("inf"), "exponent": 1}),
        ("history", [{"stage": "dps"}]),
    ],
)
def test_wrong_value_is_named_and_left_out(name, value):
    found, invalid = StackInfo.read_json({"z_step_nm": 125.0, name: value, "odd": 1})
    assert invalid == [name]
    assert name not in found


def test_stack_gives_its_record_and_takes_it_whole():
    data = np.zeros((2, 4, 4))
    stack = ImageStack(data, "CYX", **FULL.to_dict())
    assert stack.info == FULL
    assert replace(stack, noise=None).info == replace(FULL, noise=None)
    assert pickle.loads(pickle.dumps(stack)).info == FULL


def test_stacks_of_one_record_and_other_pixels_are_not_equal():
    first, second = (ImageStack(np.full((4, 4), n), "YX") for n in (0, 1))
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize("factor", [2, 4, 0.5])
def test_refined_grid_covers_the_same_area(factor):
    size, (top, left) = 12, (7.0, -3.0)
    pixel_nm, (y, x) = refined_grid(60.0, (top, left), factor)
    assert pixel_nm * factor == 60
    for was, now in ((top, y), (left, x)):
        assert now - pixel_nm / 2 == was - 30
        assert now + (size * factor - 0.5) * pixel_nm == was + (size - 0.5) * 60


def test_refined_stack_has_optics_of_its_pixel_size():
    stack = ImageStack(np.zeros((4, 4)), "YX", pixel_size_nm=65, optics=OPTICS)
    finer = stack.refine(np.zeros((8, 8)))
    assert finer.optics == OPTICS.at_pixel_size(32.5)
    assert finer.origin_nm == (-16.25, -16.25)


def test_finer_grid_without_pixel_size_is_refused():
    with pytest.raises(InputError, match="pixel size"):
        ImageStack(np.zeros((4, 4)), "YX").refine(np.zeros((8, 8)))


def test_maps_belong_to_their_pixels():
    values = np.ones((4, 4))
    stack = ImageStack(np.zeros((4, 4)), "YX", maps={"uncertainty": values})
    assert stack.uncertainty is values
    assert stack.derive(stack.data).maps == {}


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [("gain", (4, 5), "shape of the gain"), ("../gain", (4, 4), "name of a map")],
)
def test_map_that_does_not_fit_is_refused(name, shape, message):
    with pytest.raises(InputError, match=message):
        ImageStack(np.zeros((4, 4)), "YX", maps={name: np.ones(shape)})
