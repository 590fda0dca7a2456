"""Arrangement of raw frames: every order, every count, clear refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from napari_dps.core import InputError
from napari_dps.io.montage import untile
from napari_dps.io.order import plain_order, sim_order

CANONICAL = "tczap"


def truth(axes: str, sizes: dict[str, int]) -> np.ndarray:
    shape = [sizes[c] for c in axes]
    return np.arange(math.prod(shape) * 6).reshape(*shape, 2, 3)


@given(
    letters=st.sets(st.sampled_from("tcz"))
    .map(lambda lead: "".join(sorted(lead)) + "ap")
    .flatmap(st.permutations)
    .map("".join),
    numbers=st.lists(st.integers(2, 4), min_size=5, max_size=5),
)
def test_arrange_undoes_any_permutation_when_the_file_names_its_axes(
    letters: str, numbers: list[int]
) -> None:
    sizes = dict(zip(CANONICAL, numbers, strict=True))
    axes = "".join(c for c in CANONICAL if c in letters)
    stack = truth(axes, sizes)
    scrambled = stack.transpose(*(axes.index(c) for c in letters), -2, -1)
    dims = [(c, sizes[c]) for c in letters]
    layout, _ = sim_order(dims, sizes["a"], sizes["p"], f"{letters}yx")
    frames = scrambled.reshape(-1, 2, 3)
    assert layout.axes == axes.upper() + "YX"
    assert_array_equal(layout.arrange(frames), stack)


@pytest.mark.parametrize(("angles", "phases"), [(3, 3), (3, 5), (5, 3), (1, 3), (1, 7)])
@pytest.mark.parametrize(
    "order",
    ["zapyx", "apzyx", "azpyx", "pazyx", "zpayx", "pzayx", "tapyx", "aptyx", "patyx"],
)
def test_arrange_undoes_an_order_when_the_file_names_nothing(
    order: str, angles: int, phases: int
) -> None:
    letters = order[:-2]
    lead = next(c for c in letters if c in "tz")
    sizes = {lead: 4, "a": angles, "p": phases}
    stack = truth(f"{lead}ap", sizes)
    scrambled = stack.transpose(*(f"{lead}ap".index(c) for c in letters), -2, -1)
    layout, _ = sim_order([("q", 4 * angles * phases)], angles, phases, order)
    assert layout.axes == f"{lead.upper()}APYX"
    assert_array_equal(layout.arrange(scrambled.reshape(-1, 2, 3)), stack)


@pytest.mark.parametrize(
    ("dims", "order", "letters", "sizes"),
    [
        # no order: from names and sizes
        ([("q", 9)], None, "ap", (3, 3)),
        ([("q", 27)], None, "tap", (3, 3, 3)),
        ([("z", 27)], None, "zap", (3, 3, 3)),
        ([("c", 9)], None, "ap", (3, 3)),
        ([("q", 5), ("q", 9)], None, "tap", (5, 3, 3)),
        ([("q", 3), ("q", 3)], None, "ap", (3, 3)),
        ([("q", 4), ("q", 3), ("q", 3)], None, "tap", (4, 3, 3)),
        ([("t", 3), ("z", 3)], None, "ap", (3, 3)),
        ([("t", 9), ("z", 5)], None, "apz", (3, 3, 5)),
        ([("t", 4), ("c", 2), ("z", 45)], None, "tczap", (4, 2, 5, 3, 3)),
        ([("a", 3), ("p", 3)], None, "ap", (3, 3)),
        ([("t", 2), ("a", 3), ("p", 3)], None, "tap", (2, 3, 3)),
        # an order without leading letters: the file's outer dimensions lead
        ([("q", 45)], "payx", "tpa", (5, 3, 3)),
        ([("z", 45)], "payx", "zpa", (5, 3, 3)),
        ([("t", 4), ("z", 18)], "qyx", "tzap", (4, 2, 3, 3)),
        ([("q", 45)], "tqyx", "tap", (5, 3, 3)),
        # an order that leaves out channels never mixes them into z
        ([("c", 2), ("z", 27)], "zapyx", "czap", (2, 3, 3, 3)),
        ([("c", 2), ("z", 27)], "apzyx", "capz", (2, 3, 3, 3)),
        ([("t", 4), ("z", 45)], "tzapyx", "tzap", (4, 5, 3, 3)),
        ([("t", 9), ("z", 5)], "apzyx", "apz", (3, 3, 5)),
        ([("t", 9), ("z", 9)], "apzyx", "apz", (3, 3, 9)),
        # a name that only says "stack" does not stand in the way
        ([("t", 45)], "zapyx", "zap", (5, 3, 3)),
    ],
)
def test_layout_is_found_for_3x3(
    dims: list[tuple[str, int]],
    order: str | None,
    letters: str,
    sizes: tuple[int, ...],
) -> None:
    layout, _ = sim_order(dims, 3, 3, order)
    assert (layout.letters, layout.sizes) == (letters, sizes)


@pytest.mark.parametrize("order", ["capyx", "tapyx", "zapyx", "cqyx"])
def test_letter_of_an_order_names_the_dimension_that_the_file_does_not(
    order: str,
) -> None:
    layout, _ = sim_order([("q", 2), ("q", 9)], 3, 3, order)
    assert layout.axes == f"{order[0].upper()}APYX"
    # Images of several planes beside unnamed time points.
    deeper, _ = sim_order([("q", 5), ("q", 18)], 3, 3, "zapyx")
    assert (deeper.axes, deeper.size("z")) == ("TZAPYX", 2)


def test_omx_order_is_angle_z_phase() -> None:
    layout, _ = sim_order([("z", 60)], 3, 5, z_holds="azp")
    assert (layout.letters, layout.sizes) == ("azp", (3, 4, 5))


def test_hint_is_given_when_two_dimensions_would_fit() -> None:
    layout, hint = sim_order([("t", 9), ("z", 9)], 3, 3)
    assert layout.letters == "tap"
    assert "9 (t) would fit too" in hint


def test_wrong_count_says_what_came_and_what_fits() -> None:
    with pytest.raises(
        InputError, match=r"15 frames do not fit 3 angles × 3 phases = 9"
    ):
        sim_order([("q", 15)], 3, 3)
    with pytest.raises(InputError, match=r"15 frames fit 3×5, 5×3"):
        sim_order([("q", 15)], 3, 3)


@pytest.mark.parametrize(
    ("dims", "order", "message"),
    [
        ([("q", 9)], "apxy", "order: got apxy"),
        ([("q", 9)], "aapyx", "order: got aapyx"),
        ([("q", 9)], "wapyx", "order: got wapyx"),
        ([("q", 9)], "qapyx", "order: got qapyx"),
        ([("q", 9)], "tyx", "with a and p"),
        ([("q", 90)], "tzapyx", "does not say how 90 frames split into t, z"),
        ([("t", 6), ("z", 15)], "apyx", "order: got apyx for 6"),
        ([("t", 6), ("z", 3)], None, "no dimension"),
        ([("a", 9), ("p", 1)], None, "got 3 × 3; allowed: 9 angles × 1 phases"),
    ],
)
def test_order_that_does_not_fit_is_refused(
    dims: list[tuple[str, int]], order: str | None, message: str
) -> None:
    dims = [("a", 9), ("p", 2)] if message.startswith("got 3") else dims
    message = message.replace("1 phases", "2 phases")
    with pytest.raises(InputError, match=message):
        sim_order(dims, 3, 3, order)


@pytest.mark.parametrize(
    ("dims", "order", "letters"),
    [
        ([], None, ""),
        ([("q", 5)], None, "t"),
        ([("z", 5)], None, "z"),
        ([("t", 2), ("q", 5)], None, "tz"),
        ([("q", 5)], "zyx", "z"),
        ([("q", 5)], "cyx", "c"),
        ([("t", 2), ("z", 3)], "ctyx", "ct"),
        ([("q", 5), ("c", 1)], "zyx", "z"),
    ],
)
def test_plain_images_get_names(
    dims: list[tuple[str, int]], order: str | None, letters: str
) -> None:
    assert plain_order(dims, order).letters == letters


def test_plain_order_of_other_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"like the file's tzyx"):
        plain_order([("t", 2), ("z", 3)], "tyx")


@pytest.mark.parametrize("lead", [(), (4,)])
def test_untile_cuts_angles_from_rows_and_phases_from_columns(
    lead: tuple[int, ...],
) -> None:
    tiles = np.arange(math.prod(lead) * 3 * 5 * 4 * 6).reshape(*lead, 3, 5, 4, 6)
    plane = np.block([[tiles[..., a, p, :, :] for p in range(5)] for a in range(3)])
    frames, dims = untile(plane, 3, 5, "montage")
    assert_array_equal(frames, tiles)
    assert dims == [("a", 3), ("p", 5)]


def test_untile_cuts_phases_from_rows_when_told() -> None:
    tiles = np.arange(5 * 3 * 4 * 6).reshape(5, 3, 4, 6)
    plane = np.block([list(row) for row in tiles])
    frames, dims = untile(plane, 3, 5, "montage-pa")
    assert_array_equal(frames, tiles)
    assert dims == [("p", 5), ("a", 3)]


def test_untile_refuses_a_plane_that_cannot_be_cut() -> None:
    with pytest.raises(InputError, match="100 × 99 pixels cannot be cut into 3 rows"):
        untile(np.zeros((100, 99)), 3, 3, "montage")
