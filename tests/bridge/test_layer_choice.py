"""Which layers can be chosen, and which one is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_dps._qt.bridge.layer_choice import choose_layer, tick_layers
from napari_dps._qt.bridge.layers import why_not


def _image(name: str, *, visible: bool = True) -> Image:
    return Image(np.zeros((8, 8), np.float32), name=name, visible=visible)


def _reason(layer: Any) -> str:
    return why_not(layer, "YX")


@pytest.fixture
def layers() -> list[Any]:
    labels = Labels(np.zeros((8, 8), int), name="labels")
    return [_image("lowest"), labels, _image("upper")]


def test_uppermost_layer_that_fits_is_chosen_first(layers: list[Any]) -> None:
    lowest, labels, upper = layers
    choice = choose_layer(layers, _reason)
    assert choice.layers == (upper, labels, lowest)
    assert choice.chosen is upper
    assert choice.index == 0
    assert choice.reasons == ("", "a Labels layer holds no image", "")


def test_choice_is_kept_before_the_active_layer_is_taken(layers: list[Any]) -> None:
    lowest, labels, upper = layers
    kept = choose_layer(layers, _reason, current=lowest, active=upper)
    assert kept.chosen is lowest
    gone = choose_layer(layers, _reason, current=_image("gone"), active=lowest)
    assert gone.chosen is lowest
    unfit = choose_layer(layers, _reason, active=labels)
    assert unfit.chosen is upper


def test_no_layer_is_a_choice_where_none_is_needed(layers: list[Any]) -> None:
    choice = choose_layer(layers, _reason, can_be_none=True)
    assert choice.layers[0] is None
    assert choice.chosen is None
    assert choice.index == 0


def test_nothing_that_fits_is_no_choice(layers: list[Any]) -> None:
    choice = choose_layer(layers[1:2], _reason)
    assert (choice.chosen, choice.index) == (None, -1)


def test_new_layers_are_ticked_if_they_are_visible(layers: list[Any]) -> None:
    lowest, _, upper = layers
    hidden = _image("hidden", visible=False)
    shown = tick_layers([*layers, hidden], _reason, before=[lowest], ticked=[])
    assert shown == [(hidden, False), (upper, True), (lowest, False)]
    again = tick_layers(layers, _reason, before=[lowest, upper], ticked=[lowest])
    assert again == [(upper, False), (lowest, True)]
