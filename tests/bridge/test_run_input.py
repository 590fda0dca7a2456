"""What a dock takes, and what it consists of for a layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_dps._qt.bridge.run_input import RunInput, choose_stages, stages_done
from napari_dps.core import InputError
from napari_dps.pipeline import find_stage
from napari_dps.stages import STAGES

RAW, PLAIN = RunInput(("APYX",), True), RunInput(("YX",), False)
BOTH = RunInput(("APYX", "YX"), True)
FRAMES = Image(np.zeros((3, 3, 8, 8)), axis_labels=("angle", "phase", "y", "x"))
IMAGE = Image(np.zeros((8, 8)))


def _parameters(name: str) -> Any:
    return find_stage(name).parameters()


def test_layer_is_welcome_where_one_of_the_units_fits() -> None:
    assert RAW.why_not(FRAMES) == PLAIN.why_not(IMAGE) == ""
    assert "raw SIM frames are needed" in RAW.why_not(IMAGE)
    assert "reconstruct them first" in PLAIN.why_not(FRAMES)
    assert BOTH.why_not(FRAMES) == BOTH.why_not(IMAGE) == ""
    assert BOTH.may_be_raw_or_not
    assert not RAW.may_be_raw_or_not


def test_what_keeps_a_run_from_starting_is_said_in_order() -> None:
    assert "Open raw SIM frames" in RAW.why_not_run(None, ["NA"])
    assert "Open an image" in PLAIN.why_not_run(None, [])
    assert RAW.why_not_run(FRAMES, ["NA", "Pixel size"]).endswith("NA, Pixel size.")
    assert RAW.why_not_run(FRAMES, []) == PLAIN.why_not_run(IMAGE, ["NA"]) == ""


def test_layer_is_raw_by_its_names_or_by_the_word_of_the_person() -> None:
    assert BOTH.sees_raw(FRAMES, as_frames=False)
    assert not BOTH.sees_raw(IMAGE, as_frames=False)
    assert BOTH.sees_raw(IMAGE, as_frames=True)
    assert not BOTH.sees_raw(None, as_frames=True)


def test_stages_for_frames_are_left_out_of_a_plain_image() -> None:
    every = [stage.id for stage in STAGES]
    assert list(choose_stages(every, _parameters, is_raw=True)) == every
    plain = choose_stages(every, _parameters, is_raw=False)
    assert "reconstruct" not in plain
    assert "background" in plain


def test_stage_that_follows_another_needs_it_before_or_behind() -> None:
    follower = next(stage for stage in STAGES if stage.only_after)
    ticked = [follower.id, "background"]
    assert follower.id not in choose_stages(ticked, _parameters, is_raw=False)
    done = [follower.only_after]
    chosen = choose_stages(ticked, _parameters, is_raw=False, done=done)
    assert follower.id in chosen
    assert stages_done(None) == stages_done(IMAGE) == frozenset()


@pytest.mark.parametrize("ticked", [[], ["background"]])
def test_stages_that_do_not_fit_raw_frames_are_refused(ticked: list[str]) -> None:
    with pytest.raises(InputError):
        choose_stages(ticked, _parameters, is_raw=True)


def test_parameters_of_stages_that_do_not_run_are_not_asked_for() -> None:
    asked = []

    def parameters(name: str) -> Any:
        asked.append(name)
        return _parameters(name)

    choose_stages(["reconstruct", "background"], parameters, is_raw=False)
    assert asked == ["background"]
