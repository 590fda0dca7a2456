"""The pipeline: which stages run, over which axes, with what progress and notes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydantic import Field

from napari_dps.core import (
    ImageStack,
    InputError,
    Optics,
    Pattern,
    Progress,
    StageParameters,
    finish,
)
from napari_dps.core.context import Context
from napari_dps.pipeline import (
    Settings,
    choose_steps,
    find_stage,
    first_plane,
    merge_tables,
    read_tables,
    run,
    save_settings,
)
from napari_dps.stages.base import Stage


class Gain(StageParameters):
    gain: float = Field(2.0, ge=0, le=10, title="Gain", description="Factor.")


class Nothing(StageParameters):
    pass


def _multiply(image, parameters, context):
    yield Progress(0, 4, "half way")
    yield Progress(2, 4, "half way")
    context.warn(f"peak {image.data.max():g}")
    return image.derive((image.data * parameters.gain).astype(np.float32))


def _prepare(average, sample, parameters, context):
    seen = context.cache.setdefault("prepared", [])
    mean, one = (float(image.data[0, 0, 0, 0]) for image in (average, sample))
    seen.append((mean, one, [p.period_nm for p in average.patterns]))
    yield Progress(1, 1, "looked")
    return average.derive(average.data, patterns=(Pattern(angle_deg=0, period_nm=200),))


def _collapse(image, parameters, context):
    yield Progress(0, 1)
    context.cache.setdefault("units", []).append(float(image.data.mean()))
    mean = image.data.mean(axis=(0, 1)).repeat(2, 0).repeat(2, 1)
    step = image.pixel_size_nm
    yield Progress(1, 1)
    return image.derive(
        mean, axes="YX", pixel_size_nm=step / 2, origin_nm=(-step / 4, -step / 4)
    )


RAW = Stage("gain", "Gain", "APYX", "APYX", Gain, _multiply)
SIM = Stage("sim", "SIM", "APYX", "YX", Nothing, _collapse, _prepare)
IMAGE = Stage("lift", "Lift", "YX", "YX", Gain, _multiply)
STAGES = (RAW, SIM, IMAGE)


def _stack(axes="APYX", dtype=np.uint16, **attributes):
    sizes = {"T": 3, "C": 2, "Z": 2, "A": 3, "P": 5, "Y": 6, "X": 7}
    shape = tuple(sizes[axis] for axis in axes)
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    return ImageStack(data, axes, pixel_size_nm=60, **attributes)


def _steps(stack, names=None, **parameters):
    return choose_steps(stack, names, parameters, stages=STAGES)


def _ids(steps):
    return [step.stage.id for step in steps]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ("APYX", ["gain", "sim", "lift"]),
        ("TCZAPYX", ["gain", "sim", "lift"]),
        ("YX", ["lift"]),
        ("TZYX", ["lift"]),
    ],
)
def test_default_stages_fit_the_input(axes, expected):
    assert _ids(_steps(_stack(axes))) == expected


def test_stages_that_need_optics_are_left_out_where_they_can():
    blind = Stage("guess", "Guess", "YX", "YX", Gain, _multiply, needs_optics=True)
    asking = replace(SIM, needs_optics=True)
    stages = (RAW, asking, IMAGE, blind)
    assert _ids(choose_steps(_stack("YX"), stages=stages)) == ["lift"]
    # Raw frames become an image in no other way: the stage itself says what it needs.
    raw = choose_steps(_stack(), stages=stages)
    assert _ids(raw) == ["gain", "sim", "lift"]
    assert _ids(choose_steps(_stack("YX"), ["guess"], stages=stages)) == ["guess"]
    optics = Optics(na=1.2, emission_nm=520, pixel_size_nm=60)
    seen = choose_steps(_stack("YX", optics=optics), stages=stages)
    assert _ids(seen) == ["lift", "guess"]


def test_stage_that_mends_another_runs_after_it_alone():
    mend = Stage("mend", "Mend", "YX", "YX", Gain, _multiply, only_after="sim")
    stages = (RAW, SIM, mend, IMAGE)
    assert _ids(choose_steps(_stack(), stages=stages)) == [
        "gain",
        "sim",
        "mend",
        "lift",
    ]
    assert _ids(choose_steps(_stack("YX"), stages=stages)) == ["lift"]
    assert _ids(choose_steps(_stack("YX"), ["mend"], stages=stages)) == ["mend"]
    done = finish(run(_stack(), choose_steps(_stack(), ["sim"], stages=stages)))
    again = choose_steps(done.images[-1], stages=stages)
    assert _ids(again) == ["mend", "lift"]


def test_named_stages_keep_their_order():
    assert _ids(_steps(_stack(), ["sim", "lift"])) == ["sim", "lift"]


@pytest.mark.parametrize(
    ("axes", "names", "message"),
    [
        ("YX", ["sim"], "cannot follow a plain image"),
        ("APYX", ["lift"], "cannot follow raw SIM frames"),
        ("APYX", ["sim", "gain"], "takes raw SIM frames"),
        ("APYX", ["sim", "sim"], "named twice"),
        ("APYX", ["sym"], "allowed: gain, sim, lift"),
        ("APYX", [], "no stage is chosen"),
        ("PYX", None, "no stage is chosen"),
    ],
)
def test_stages_that_do_not_fit_are_refused(axes, names, message):
    with pytest.raises(InputError, match=message):
        _steps(_stack(axes), names)


def test_parameters_reach_their_stage():
    steps = _steps(_stack("YX"), gain=Gain(gain=3), lift=Gain(gain=5))
    assert [step.parameters.gain for step in steps] == [5]


@pytest.mark.parametrize("axes", ["APYX", "TAPYX", "TCZAPYX", "CTAPYX", "ZCAPYX"])
def test_every_unit_is_computed_in_its_place(axes):
    stack = _stack(axes)
    result = finish(run(stack, _steps(stack)))
    gained, flat, lifted = result.images
    leading = axes.removesuffix("APYX")
    assert [i.axes for i in (gained, flat, lifted)] == [
        axes,
        leading + "YX",
        leading + "YX",
    ]
    expected = stack.data.astype(float)
    np.testing.assert_allclose(gained.data, 2 * expected)
    mean = 2 * expected.mean(axis=(-4, -3)).repeat(2, -2).repeat(2, -1)
    np.testing.assert_allclose(flat.data, mean, rtol=1e-6)
    np.testing.assert_allclose(lifted.data, 2 * mean, rtol=1e-6)
    assert {i.data.dtype for i in (gained, flat, lifted)} == {np.dtype(np.float32)}


def test_geometry_and_axes_metadata_survive():
    stack = _stack("TCZAPYX", z_step_nm=125, frame_interval_s=2.0,
                   channel_names=("green", "red"))  # fmt: skip
    image = finish(run(stack, _steps(stack))).images[-1]
    assert (image.pixel_size_nm, image.origin_nm) == (30, (-15, -15))
    assert (image.z_step_nm, image.frame_interval_s) == (125, 2.0)
    assert image.channel_names == ("green", "red")


def test_prepare_sees_the_average_of_each_channel_with_its_own_patterns():
    given = tuple(
        Pattern(channel_index=c, angle_deg=0, period_nm=200 + c) for c in (0, 1, 1)
    )
    stack = _stack("TCZAPYX", patterns=given)
    context = Context()
    result = finish(run(stack, _steps(stack, ["sim"]), context))
    corner = stack.data[..., 0, 0, 0, 0]
    assert context.cache["prepared"] == [
        (corner[:, 0].mean(), corner[0, 0, 1], [200]),
        (corner[:, 1].mean(), corner[0, 1, 1], [201, 201]),
    ]
    assert [p.channel_index for p in result.patterns] == [0, 1]


def test_history_has_one_entry_a_stage():
    stack = _stack("TAPYX")
    image = finish(run(stack, _steps(stack), camera_offset=10)).images[-1]
    assert [e.stage for e in image.history] == ["camera offset", "gain", "sim", "lift"]
    assert image.history[0].parameters == {"camera_offset": 10}
    assert image.history[1].parameters == {"gain": 2.0}
    assert all(entry.seconds >= 0 for entry in image.history)


def test_camera_offset_is_subtracted_once():
    stack = _stack("APYX")
    result = finish(run(stack, _steps(stack, ["gain"]), camera_offset=100.5))
    expected = 2 * (stack.data.astype(np.float32) - 100.5)
    np.testing.assert_allclose(result.images[0].data, expected)
    np.testing.assert_array_equal(stack.data, _stack("APYX").data)


@pytest.mark.parametrize("axes", ["APYX", "TCZAPYX"])
def test_progress_grows_to_its_total(axes):
    stack = _stack(axes)
    steps = run(stack, _steps(stack))
    reports = list(steps)
    totals = {report.total for report in reports}
    done = [report.done for report in reports]
    assert len(totals) == 1
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == totals.pop()


def test_progress_names_stage_and_unit():
    stack = _stack("TAPYX")
    messages = {report.message for report in run(stack, _steps(stack, ["gain"]))}
    assert "Gain (T 2/3): half way" in messages


def test_closing_the_generator_stops_the_stage():
    stopped = []

    def endless(image, parameters, context):
        try:
            while True:
                yield Progress(0, 1)
        finally:
            stopped.append(True)

    stage = Stage("endless", "Endless", "YX", "YX", Nothing, endless)
    stack = _stack("TYX")
    steps = run(stack, choose_steps(stack, stages=(stage,)))
    for _ in range(5):
        next(steps)
    steps.close()
    assert stopped == [True]


def test_warnings_name_their_channel_and_come_once():
    stack = _stack("TCYX", dtype=np.float32)
    stack.data[:] = 1
    result = finish(run(stack, _steps(stack)))
    assert result.warnings == ("channel 0: peak 1", "channel 1: peak 1")
    assert result.outputs[0].warnings == result.warnings
    assert result.images[0].history[-1].warnings == result.warnings


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_not_finite_are_refused_before_any_stage(value):
    stack = _stack("TYX", dtype=np.float32)
    stack.data[2, 3, 3] = value
    context = Context()
    with pytest.raises(InputError, match="1 values that are not finite"):
        finish(run(stack, _steps(stack), context))
    assert context.warnings == []


def test_coarse_pixels_are_warned_of():
    optics = Optics(na=1.4, emission_nm=500, pixel_size_nm=60, modulation_factor=2)
    image = _stack("YX", optics=optics)
    raw = _stack("APYX", optics=optics)
    assert "under-sampled" in finish(run(image, _steps(image))).warnings[0]
    # raw frames of 60 nm hold all that the lens passes
    assert finish(run(raw, _steps(raw, ["sim"]))).warnings == ()


def test_first_plane_of_raw_frames_is_their_mean():
    stack = _stack("TAPYX")
    plane = first_plane(stack)
    assert plane.axes == "YX"
    np.testing.assert_allclose(plane.data, stack.data[0].mean(axis=(0, 1)))


TABLES = {
    "pipeline": {"stages": ["sim", "lift"]},
    "input": {"angles": 3, "phases": 5, "order": "apyx", "camera_offset": 100.0},
    "optics": {"na": 1.3, "emission_nm": 660.0},
    "lift": {"gain": 4.0},
}


def test_settings_survive_a_file(tmp_path):
    from napari_dps.stages import STAGES as SHIPPED

    tables = {
        **{name: TABLES[name] for name in ("input", "optics")},
        "pipeline": {"stages": [stage.id for stage in SHIPPED]},
        **{s.id: s.parameters().model_dump(mode="json") for s in SHIPPED},
    }
    settings = Settings.from_tables(tables)
    save_settings(settings, tmp_path / "pipeline.toml")
    assert Settings.from_tables(read_tables(tmp_path / "pipeline.toml")) == settings
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.toml"]


def test_settings_hold_validated_values():
    settings = Settings.from_tables(TABLES, STAGES)
    assert settings.stages == ("sim", "lift")
    assert settings.parameters == {"lift": Gain(gain=4)}
    assert settings.input.phases == 5
    assert settings.to_tables() == TABLES


@pytest.mark.parametrize(
    ("table", "values", "message"),
    [
        ("pipeline", {"stages": ["sym"]}, "allowed: gain, sim, lift"),
        ("pipeline", {"stages": []}, "pipeline.stages"),
        ("pipeline", {"steps": ["sim"]}, "pipeline.steps is not a parameter"),
        ("lift", {"gain": 11}, "lift.gain: got 11"),
        ("lift", {"gains": 1}, "lift.gains is not a parameter; allowed: gain"),
        ("rolling", {}, r"got \[rolling\]; allowed: pipeline, input, optics, output"),
        ("input", {"angles": 0}, "input.angles: got 0"),
        ("input", 3, "a table"),
        ("optics", {"na": 1.6}, "must be below the refractive index"),
        ("optics", {"emission_nm": None}, "optics.emission_nm: got None"),
        ("optics", {"NA": 1.3}, "optics.NA is not a parameter"),
        ("optics", {"pixel_size_nm": -1}, "optics.pixel_size_nm: got -1"),
    ],
)
def test_wrong_settings_are_refused_by_name(table, values, message):
    tables = dict(TABLES)
    own = tables.get(table, {})
    tables[table] = {**own, **values} if isinstance(values, dict) else values
    with pytest.raises(InputError, match=message):
        Settings.from_tables(tables, STAGES)


def test_optics_take_what_is_missing_from_the_image():
    settings = Settings.from_tables({"optics": TABLES["optics"]})
    stack = settings.with_optics(_stack())
    assert stack.optics == Optics(na=1.3, emission_nm=660, pixel_size_nm=60)
    other = Settings.from_tables({"optics": {"na": 1.2, "pixel_size_nm": 50}})
    stack = other.with_optics(stack)
    assert stack.optics == Optics(na=1.2, emission_nm=660, pixel_size_nm=50)
    assert stack.pixel_size_nm == 50


@pytest.mark.parametrize(
    ("optics", "pixel_size_nm", "missing"),
    [
        ({"na": 1.3}, 60, ["emission_nm"]),
        ({"modulation_factor": 2}, 60, ["na", "emission_nm"]),
        ({"na": 1.3, "emission_nm": 660}, None, ["pixel_size_nm"]),
    ],
)
def test_incomplete_optics_are_refused(optics, pixel_size_nm, missing):
    stack = ImageStack(np.ones((4, 4)), "YX", pixel_size_nm=pixel_size_nm)
    names = " and ".join(missing)
    with pytest.raises(InputError, match=f"{names} (is|are) missing") as caught:
        Settings.from_tables({"optics": optics}).with_optics(stack)
    assert caught.value.fields == tuple(f"optics.{name}" for name in missing)


def test_a_pixel_size_alone_makes_no_optics():
    settings = Settings.from_tables({"optics": {"pixel_size_nm": 60}})
    assert settings.with_optics(_stack()).optics is None


def test_values_on_top_win_when_tables_are_merged():
    merged = merge_tables(TABLES, {"optics": {"na": "1.2"}, "gain": {"gain": "1"}})
    assert merged["optics"] == {"na": "1.2", "emission_nm": 660.0}
    assert merged["gain"] == {"gain": "1"}
    assert TABLES["optics"]["na"] == 1.3


@pytest.mark.parametrize("content", [b"[optics\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no valid TOML"):
        read_tables(path)


def test_a_missing_file_of_settings_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        read_tables(tmp_path / "none.toml")


def test_settings_of_the_search_count_for_all_stages_that_seek_patterns():
    stack = ImageStack(np.ones((1, 5, 32, 32)), "APYX", pixel_size_nm=65)
    given = find_stage("reconstruct").parameters(
        layout="hexagonal", shortest_wavevector=0.05
    )
    for names in (["denoise"], ["denoise", "reconstruct"]):
        for step in choose_steps(stack, names, {"reconstruct": given}):
            assert step.parameters.layout == "hexagonal"
            assert step.parameters.shortest_wavevector == 0.05
            assert step.parameters.longest_wavevector == 1.15


def test_settings_of_the_search_that_differ_are_refused():
    stack = ImageStack(np.ones((1, 5, 32, 32)), "APYX", pixel_size_nm=65)
    given = {
        "denoise": find_stage("denoise").parameters(layout="linear"),
        "reconstruct": find_stage("reconstruct").parameters(layout="hexagonal"),
    }
    with pytest.raises(InputError, match="sought once for all stages"):
        choose_steps(stack, ["denoise"], given)
