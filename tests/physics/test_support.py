"""Angles that speak against one another."""

import math

import pytest

from napari_dps.physics.sim.bands import Band
from napari_dps.physics.sim.support import doubt_contradictions, doubt_lonely


def bands_of(*described):
    """Return bands of the angles of one harmonic: wave vector, status, doubt, plain."""
    return {
        (angle, 1): Band(1, vector, 30.0, status, doubt, is_plain)
        for angle, (vector, status, doubt, is_plain) in enumerate(described)
    }


def at(length, degrees):
    turn = math.radians(degrees)
    return length * math.sin(turn), length * math.cos(turn)


@pytest.mark.parametrize(("length", "is_doubted"), [(0.12, True), (0.15, False)])
def test_harmonics_of_stripes_that_another_angle_has_outside_the_range_are_doubted(
    length, is_doubted
):
    bands = bands_of(
        (at(0.06, 40), "doubtful", "outside", False),
        (at(length, 100), "found", "", False),
        (at(length, 160), "found", "", False),
    )
    doubt_contradictions(bands, list(bands))
    assert [bands[angle, 1].status == "doubtful" for angle in (1, 2)] == [
        is_doubted
    ] * 2


@pytest.mark.parametrize(
    ("others", "is_doubted"), [("not found", True), ("found", False)]
)
def test_a_peak_of_a_film_that_one_angle_alone_shows_is_doubted(others, is_doubted):
    bands = bands_of(
        (at(0.2, 10), "found", "", True),
        (at(0.2, 70), others, "", True),
        (at(0.2, 130), others, "", True),
    )
    doubt_lonely(bands, list(bands), plain_only=True)
    assert (bands[0, 1].status == "doubtful") == is_doubted
