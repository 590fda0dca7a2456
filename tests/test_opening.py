"""Opening: the same run of a file, a layer's pixels or a stack, from its settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_dps import io
from napari_dps.batch import Job
from napari_dps.core import ImageStack, InputError
from napari_dps.pipeline import (
    Plan,
    Settings,
    choose_steps,
    open_input,
    read_patterns,
    read_tables,
    save_settings,
)
from napari_dps.stages.denoise import DenoiseParameters

OPTICS = {"na": 1.4, "emission_nm": 525.0, "pixel_size_nm": 65.0}
RAW = {"angles": 3, "phases": 3, "camera_offset": 100.0}
ANGLES_DEG = (20.0, 80.0, 140.0)


@pytest.fixture
def raw_file(tmp_path: Path) -> Path:
    frames = np.random.default_rng(1).poisson(200, (9, 16, 18)).astype(np.uint16)
    path = tmp_path / "raw.tif"
    tifffile.imwrite(path, frames)
    return path


@pytest.fixture
def patterns_file(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.toml"
    tables = [f"[[patterns]]\nangle_deg = {a}\nperiod_nm = 200.0\n" for a in ANGLES_DEG]
    path.write_text("".join(tables))
    return path


def _settings(stages: str = "reconstruct,background", **tables) -> Settings:
    return Settings.from_tables(
        {
            "pipeline": {"stages": stages.split(",")},
            "optics": OPTICS,
            "input": {**RAW, **tables.pop("input", {})},
            **tables,
        }
    )


def _angles_deg(plan: Plan) -> list[float | None]:
    return [pattern.angle_deg for pattern in plan.stack.patterns]


def test_file_pixels_and_stack_open_to_the_same_run(raw_file):
    asked = _settings()
    stack = io.load(raw_file, angles=3, phases=3)
    one, *others = (
        open_input(source, asked) for source in (raw_file, io.read(raw_file), stack)
    )
    assert one.stack.axes == "APYX"
    assert one.stack.optics is not None
    assert one.stack.optics.emission_nm == 525.0
    assert [entry.stage for entry in one.stack.history] == ["camera offset"]
    assert one.first.data.mean() == pytest.approx(stack.data.mean() - 100)
    for other in others:
        np.testing.assert_array_equal(other.stack.data, one.stack.data)
        for name in ("axes", "pixel_size_nm", "optics", "patterns", "history"):
            assert getattr(other.stack, name) == getattr(one.stack, name), name
        assert (other.steps, other.warnings) == (one.steps, one.warnings)


@pytest.mark.parametrize("lazy", [False, True])
def test_first_plane_is_the_same_lazily(raw_file, lazy):
    plan = open_input(raw_file, _settings(), lazy=lazy)
    np.testing.assert_array_equal(
        plan.first.data, tifffile.imread(raw_file).reshape(3, 3, 16, 18) - 100.0
    )


def test_known_patterns_of_a_file_are_attached(raw_file, patterns_file):
    plan = open_input(raw_file, _settings(input={"patterns": str(patterns_file)}))
    assert _angles_deg(plan) == list(ANGLES_DEG)
    assert {pattern.status for pattern in plan.stack.patterns} == {"given"}


def test_file_of_patterns_that_a_stage_names_is_read_when_opening(
    raw_file, patterns_file
):
    denoise = {"patterns": str(patterns_file)}
    asked = _settings("denoise,reconstruct", denoise=denoise)
    assert _angles_deg(open_input(raw_file, asked)) == list(ANGLES_DEG)
    # It counts for a run of that stage alone.
    without = _settings("reconstruct", denoise=denoise)
    assert _angles_deg(open_input(raw_file, without)) == []
    stack = io.load(raw_file, angles=3, phases=3)
    chosen = {"denoise": DenoiseParameters(patterns=str(patterns_file))}
    steps = choose_steps(stack, ["denoise"], chosen)
    assert _angles_deg(Plan.of(stack, steps)) == list(ANGLES_DEG)


def test_patterns_of_the_input_go_before_those_of_a_stage(
    raw_file, patterns_file, tmp_path
):
    other = tmp_path / "other.toml"
    other.write_text("[[patterns]]\nangle_deg = 5.0\nperiod_nm = 210.0\n")
    asked = _settings(
        "denoise,reconstruct",
        input={"patterns": str(other)},
        denoise={"patterns": str(patterns_file)},
    )
    assert _angles_deg(open_input(raw_file, asked)) == [5.0]


@pytest.mark.parametrize("read", [False, True])
def test_known_patterns_survive_a_file_of_settings(tmp_path, patterns_file, read):
    settings = _settings(input={"patterns": str(patterns_file)})
    if read:  # the patterns themselves, in place of their file
        settings = read_patterns(settings)
        patterns_file.unlink()
    save_settings(settings, tmp_path / "run.toml")
    tables = read_tables(tmp_path / "run.toml")
    assert isinstance(tables["input"]["patterns"], list if read else str)
    assert Settings.from_tables(tables) == settings


def test_patterns_listed_in_the_settings_count_up(raw_file):
    listed = [{"angle_deg": a, "period_nm": 200.0} for a in ANGLES_DEG]
    plan = open_input(raw_file, _settings(input={"patterns": listed}))
    assert [p.angle_index for p in plan.stack.patterns] == [0, 1, 2]
    assert _angles_deg(plan) == list(ANGLES_DEG)


def test_auto_finds_the_patterns_again(raw_file, patterns_file):
    assert _settings(input={"patterns": "auto"}) == _settings()


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ("none.toml", "cannot read none.toml"),
        ([{"angle_deg": 3.0}], r"patterns\[0\] needs angle_deg and period_nm"),
        ([7], r"patterns\[0\]: got 7"),
    ],
)
def test_patterns_that_cannot_be_used_are_refused(raw_file, patterns, message):
    with pytest.raises(InputError, match=message):
        open_input(raw_file, _settings(input={"patterns": patterns}))


def test_content_of_known_patterns_is_in_the_key_of_a_batch(patterns_file):
    asked = _settings(input={"patterns": str(patterns_file)})
    by_name, by_content = Job(asked).key("content"), Job(read_patterns(asked))
    patterns_file.write_text(patterns_file.read_text().replace("200.0", "201.0"))
    assert Job(asked).key("content") != by_name
    assert Job(read_patterns(asked)).key("content") != by_content.key("content")


def test_options_of_a_stage_that_does_not_run_are_refused(raw_file):
    with pytest.raises(InputError, match="options of 'dps' are given"):
        open_input(raw_file, _settings(), must_run={"background", "dps"})
    assert open_input(raw_file, _settings(), must_run={"background"}).steps


def test_stages_left_out_for_want_of_optics_are_told():
    plan = open_input(ImageStack(np.ones((8, 9)), "YX"), Settings())
    assert [step.stage.id for step in plan.steps] == ["background"]
    assert len(plan.warnings) == 1
    assert plan.warnings[0].startswith("'dps' is left out")


def test_order_that_the_frames_contradict_is_told_or_refused(
    tmp_path, raw_frames_by_phase
):
    tifffile.imwrite(tmp_path / "swapped.tif", raw_frames_by_phase)
    plan = open_input(tmp_path / "swapped.tif", _settings())
    assert any("payx" in warning for warning in plan.warnings)
    unseen = open_input(tmp_path / "swapped.tif", _settings(), check_order=False)
    assert unseen.warnings == ()
    with pytest.raises(InputError, match="payx"):
        open_input(tmp_path / "swapped.tif", _settings(), refuse_wrong_order=True)
    # An order that is named is believed, and only warned of.
    named = _settings(input={"order": "apyx"})
    opened = open_input(tmp_path / "swapped.tif", named, refuse_wrong_order=True)
    assert any("payx" in warning for warning in opened.warnings)


@pytest.fixture
def raw_frames_by_phase() -> np.ndarray:
    from napari_dps.physics.simulate import simulate
    from napari_dps.physics.simulate_settings import SimulationSettings

    settings = SimulationSettings(height_px=128, width_px=115, photons=2000, seed=3)
    return simulate(settings).raw.data.swapaxes(0, 1).reshape(9, 128, 115)


def _ome(path: Path, waves: list[float], **metadata) -> Path:
    """Write raw frames of some channels that tell wavelengths and no NA."""
    frames = np.random.default_rng(0).poisson(100, (len(waves), 9, 64, 64))
    channel = {
        "Name": [f"dye {wave:g}" for wave in waves],
        "EmissionWavelength": waves,
        "EmissionWavelengthUnit": ["nm"] * len(waves),
    }
    sizes = {"PhysicalSizeX": 0.065, "PhysicalSizeY": 0.065} | metadata
    tifffile.imwrite(
        path,
        frames.astype("u2"),
        metadata={"axes": "CZYX", "Channel": channel, **sizes},
    )
    return path


def _asked(optics: dict[str, float], **tables) -> Settings:
    frames = {"angles": 3, "phases": 3}
    chosen = {"pipeline": {"stages": ["reconstruct"]}, "input": frames}
    return Settings.from_tables({**chosen, "optics": optics, **tables})


def test_optics_that_a_file_tells_in_part_are_completed(tmp_path):
    path = _ome(tmp_path / "one.ome.tif", [525])
    plan = open_input(path, _asked({"na": 1.4}), check_order=False)
    optics = plan.stack.optics
    assert (optics.na, optics.emission_nm, optics.pixel_size_nm) == (1.4, 525, 65)
    assert plan.warnings == ()


def test_wavelengths_of_channels_stay_with_one_na(tmp_path):
    path = _ome(tmp_path / "two.ome.tif", [525, 610])
    for source in (path, io.read(path)):
        plan = open_input(source, _asked({"na": 1.4}), check_order=False)
        each = [channel.stack.optics for channel in plan.channels]
        assert [(o.na, o.emission_nm) for o in each] == [(1.4, 525), (1.4, 610)]


def test_value_that_contradicts_the_file_is_used_and_told(tmp_path):
    path = _ome(tmp_path / "two.ome.tif", [525, 610])
    near = {"na": 1.4, "emission_nm": 612}
    plan = open_input(path, _asked(near), check_order=False)
    assert plan.stack.channel_optics == ()
    assert plan.stack.optics.emission_nm == 612
    assert plan.warnings == (
        "channel 0: Emission wavelength 612 nm is used; the file says 525 nm",
    )


def test_only_what_the_file_does_not_tell_is_called_missing(tmp_path):
    path = _ome(tmp_path / "one.ome.tif", [525])
    with pytest.raises(InputError, match="na is missing, and the file does not"):
        open_input(path, _asked({"emission_nm": 525}))
    image = io.read(path)
    plane = io.RawImage(image.data[0], "YX", image.metadata)
    plan = open_input(plane, Settings())
    assert [w.split(";")[-1] for w in plan.warnings] == [" missing: NA"]


def test_pixel_size_with_an_odd_unit_is_understood_or_said(tmp_path):
    for unit in ("MICRONS", "Micron", "\\u00B5m", "um"):
        frame = np.ones((9, 16, 16), np.uint16)
        tifffile.imwrite(
            tmp_path / "unit.tif", frame, imagej=True,
            resolution=(1 / 0.065, 1 / 0.065), metadata={"unit": unit},
        )  # fmt: skip
        assert io.load(tmp_path / "unit.tif").pixel_size_nm == pytest.approx(65)
    for unit, words in ((" ", "without a unit"), ("furlong", "furlong")):
        tifffile.imwrite(
            tmp_path / "unit.tif", frame, imagej=True,
            resolution=(1 / 0.065, 1 / 0.065), metadata={"unit": unit},
        )  # fmt: skip
        warnings: list[str] = []
        stack = io.load(tmp_path / "unit.tif", warn=warnings.append)
        assert stack.pixel_size_nm is None
        assert [words in warning for warning in warnings] == [True]
