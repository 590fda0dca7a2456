"""What a batch of the dock asks for, and what it says of its inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from napari_dps._qt.bridge.batch import BatchForm, notes_of, plan_batch, summary
from napari_dps.core import InputError
from napari_dps.pipeline import InputSettings, OutputSettings, Settings

SETTINGS = Settings(
    stages=("background",),
    optics={"na": 1.4, "pixel_size_nm": 65.0},
    input=InputSettings(camera_offset=100),
)


@pytest.fixture
def form(tmp_path: Path) -> BatchForm:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").touch()
    return BatchForm(
        inputs=str(tmp_path / "in"),
        results=str(tmp_path / "out"),
        frames=InputSettings(angles=3, phases=5),
        pixel_size_nm=0.0,
        output=OutputSettings(keep="last"),
        jobs=2,
        resume=False,
    )


def test_frames_are_those_of_the_batch_and_the_offset_that_of_the_dock(
    form: BatchForm,
) -> None:
    batch = plan_batch(form, SETTINGS, "cpu")
    settings = batch.job.settings
    assert settings.input == InputSettings(angles=3, phases=5, camera_offset=100)
    assert settings.stages == ("background",)
    assert settings.output.keep == "last"
    assert (batch.job.device, batch.job.resume, batch.jobs) == ("cpu", False, 2)
    assert [source.path.name for source in batch.sources] == ["a.tif"]


def test_pixel_size_of_a_layer_is_not_that_of_the_files(form: BatchForm) -> None:
    assert plan_batch(form, SETTINGS, "cpu").job.settings.optics == {"na": 1.4}
    by_hand = plan_batch(replace(form, pixel_size_nm=32.5), SETTINGS, "cpu")
    assert by_hand.job.settings.pixel_size_nm == 32.5


@pytest.mark.parametrize("name", ["inputs", "results"])
def test_batch_without_inputs_or_results_is_refused(form: BatchForm, name: str) -> None:
    with pytest.raises(InputError, match="name the inputs"):
        plan_batch(replace(form, **{name: ""}), SETTINGS, "cpu")


def test_inputs_that_failed_are_counted() -> None:
    rows = [{"status": status} for status in ("done", "was done", "failed", "fault")]
    text, warnings = summary(rows)
    assert text.startswith("2 of 4 inputs are done")
    assert warnings == ("2 failed: the notes say why",)
    assert summary(rows[:2])[1] == ()


def test_notes_are_the_warnings_of_an_input_that_is_done() -> None:
    assert notes_of({"status": "done", "warnings": "under-sampled"}) == "under-sampled"
