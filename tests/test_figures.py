"""Pictures: what is shown, at which place, at which size."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dps.core import ImageStack, Optics
from napari_dps.figures import (
    Panel,
    Section,
    psf_figure,
    save_figure,
    side_by_side,
)
from napari_dps.figures.panels import nice_length
from napari_dps.physics.psf import sr_psf


def _image(shape, pixel_size_nm=65.0, spot=None, origin_nm=(0.0, 0.0)):
    data = np.random.default_rng(0).normal(100, 1, shape).astype(np.float32)
    if spot is not None:
        y, x = spot
        data[y : y + 60 : 3, x : x + 60] += 1000
    return ImageStack(data, "YX", pixel_size_nm=pixel_size_nm, origin_nm=origin_nm)


def _bars(axes):
    """Lengths of the scale bars: the filled rectangles."""
    return [patch.get_width() for patch in axes.patches if patch.get_fill()]


def _words(axes):
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("longest", [0.7, 1.0, 4.9, 5.0, 73, 1999, 2000, 123456])
def test_scale_bars_are_round_and_not_too_long(longest):
    length = nice_length(longest)
    assert longest / 2.5 < length <= longest
    assert f"{length:e}"[0] in "125"
    assert float(f"{length:e}".split("e")[0]) in (1, 2, 5)


@pytest.mark.parametrize(
    "shape", [(512, 512), (112, 512), (512, 112), (120, 120), (37, 31), (8, 300)]
)
def test_image_pixels_are_whole_pixels_of_the_picture(shape):
    height, width = shape
    coarse = _image(shape)
    fine = _image((2 * height, 2 * width), 32.5, origin_nm=(-16.25, -16.25))
    figure = side_by_side([Panel("a", coarse), Panel("b", fine)])
    for axes in figure.axes:
        box = axes.get_window_extent()
        field = abs(np.diff(axes.get_xlim())[0]), abs(np.diff(axes.get_ylim())[0])
        for length, size in zip((box.width, box.height), field, strict=True):
            per_pixel = length / (size / 32.5)
            near = per_pixel if per_pixel >= 1 else 1 / per_pixel
            assert near == pytest.approx(round(near), rel=0.02)
    assert figure.bbox.width < 5000
    assert figure.bbox.height < 5000


def test_every_panel_shows_the_same_field():
    coarse = _image((64, 80))
    fine = _image((128, 160), 32.5, origin_nm=(-16.25, -16.25))
    figure = side_by_side([Panel("a", coarse), Panel("b", fine)])
    fields = {axes.get_xlim() + axes.get_ylim() for axes in figure.axes[::2]}
    zooms = {axes.get_xlim() + axes.get_ylim() for axes in figure.axes[1::2]}
    assert fields == {(-32.5, 80 * 65 - 32.5, 64 * 65 - 32.5, -32.5)}
    assert len(zooms) == 1


def test_a_footing_lies_below_the_panels():
    panels = [Panel("a", _image((64, 80)))]
    plain, told = side_by_side(panels), side_by_side(panels, footing="2 warnings")
    assert [text.get_text() for text in told.texts] == ["2 warnings"]
    line = told.texts[0].get_window_extent()
    lowest = min(axes.get_window_extent().y0 for axes in told.axes)
    assert line.y0 > 0
    assert line.y1 < lowest
    sizes = [[a.get_window_extent().size for a in f.axes] for f in (plain, told)]
    np.testing.assert_allclose(*sizes)


def test_the_lower_row_shows_the_region_with_structure():
    figure = side_by_side([Panel("a", _image((600, 700), spot=(420, 300)))])
    left, right = figure.axes[1].get_xlim()
    bottom, top = figure.axes[1].get_ylim()
    assert left < 300 * 65
    assert right > 360 * 65
    assert top < 420 * 65
    assert bottom > 480 * 65
    assert right - left < 0.6 * 700 * 65


def test_one_hot_pixel_sets_neither_contrast_nor_region():
    image = _image((600, 600), spot=(350, 420))
    image.data[60, 60] = 1e6
    figure = side_by_side([Panel("a", image)])
    assert figure.axes[0].images[0].get_clim()[1] < 2000
    assert figure.axes[1].get_xlim()[1] > 450 * 65


def test_scale_bars_have_the_length_that_they_say():
    figure = side_by_side([Panel("a", _image((512, 512)))])
    units = {"nm": 1, "µm": 1000}
    for axes in figure.axes:
        words = next(text for text in _words(axes) if text[:1].isdigit())
        number, unit = words.split()
        assert _bars(axes) == [pytest.approx(float(number) * units[unit])]


def test_without_a_pixel_size_the_bar_counts_pixels():
    figure = side_by_side([Panel("a", _image((512, 512), None))])
    assert _bars(figure.axes[0]) == [100]
    assert "100 px" in _words(figure.axes[0])


def test_titles_and_captions_are_written():
    figure = side_by_side(
        [Panel("Widefield", _image((64, 64)), "resolution 240 nm")], heading="cell 1"
    )
    assert _words(figure.axes[0])[-2:] == ["Widefield", "resolution 240 nm"]
    assert [text.get_text() for text in figure.texts] == ["cell 1"]


def test_a_constant_image_is_drawn(tmp_path):
    image = ImageStack(np.zeros((40, 40), np.float32), "YX")
    save_figure(side_by_side([Panel("flat", image)]), tmp_path / "flat.png")
    assert (tmp_path / "flat.png").stat().st_size > 1000


def test_a_saved_figure_replaces_the_old_one_and_leaves_nothing_else(tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "a.png"
    path.write_text("old")
    figure = side_by_side([Panel("a", _image((100, 100)))])
    save_figure(figure, path)
    height, width = imread(path).shape[:2]
    assert (width, height) == (figure.bbox.width, figure.bbox.height)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_drawing_leaves_the_state_of_pyplot_alone():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    side_by_side([Panel("a", _image((64, 64)))])
    assert plt.get_fignums() == before


def test_psf_figure_marks_widths_and_cut_off():
    optics = Optics(na=1.4, emission_nm=525, pixel_size_nm=30, modulation_factor=1.5)
    psf = ImageStack(sr_psf(optics, (41, 41)), "YX", pixel_size_nm=30, optics=optics)
    image, profile, otf = psf_figure(psf).axes
    assert len(image.images) == 1
    words = [text.get_text() for text in profile.get_legend().texts]
    assert words == ["pixels", "FWHM 128.6 nm", "first zero 152.5 nm"]
    words = [text.get_text() for text in otf.get_legend().texts]
    assert words == ["cut-off 8.00/µm (125 nm)", "Nyquist of the pixels 16.67/µm"]


def test_sections_of_a_volume_have_the_scale_of_its_field():
    coarse, fine = _image((64, 96)), _image((128, 192), 32.5)
    depth = np.zeros((12, 64)), np.zeros((12, 128))
    panels = [
        Panel("a", coarse, "", (Section("yz", depth[0], 125.0, 65.0),)),
        Panel("b", fine, "", (Section("yz", depth[1], 125.0, 32.5),)),
    ]
    figure = side_by_side(panels)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert len(boxes) == 6
    per_nm = boxes[0].width / (96 * 65)
    for axes, box in ((figure.axes[n], boxes[n]) for n in (2, 5)):
        assert "yz" in _words(axes)
        assert box.width / (64 * 65) == pytest.approx(per_nm, rel=0.02)
        assert box.height / (12 * 125) == pytest.approx(per_nm, rel=0.02)
        assert 0 < _bars(axes)[0] <= 0.25 * 64 * 65
    others = [box for n, box in enumerate(boxes) if n not in (2, 5)]
    assert min(box.y0 for box in others) > max(boxes[2].y1, boxes[5].y1)
