"""Optics of each channel reach the stages, the files and the file of settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from batch_scenes import (
    OPTICS,
    RAW,
    assert_same,
    channel,
    in_memory,
    raw_settings,
    raw_stack,
    results,
    run,
)

from napari_dps import io, pipeline
from napari_dps.batch import job
from napari_dps.core import InputError, finish
from napari_dps.pipeline import Settings, read_tables, save_settings

EMISSION_NM = (525.0, 610.0)
OF_CHANNELS = {**OPTICS, "emission_nm": list(EMISSION_NM)}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(job, "BLOCK_UNITS", 4)
    return io.save(raw_stack("TC"), tmp_path / "a.ome.tif")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["tiff", "zarr"])
def test_each_channel_is_computed_with_its_own_optics(
    tmp_path: Path, path: Path, form: str
) -> None:
    asked = raw_settings(optics=OF_CHANNELS, output={"format": form})
    (row,) = run([path], tmp_path / "out", asked)
    assert row["status"] == "done"
    found = results(tmp_path / "out", "a", asked)
    assert_same(found, in_memory(path, asked))
    stack = io.load(path, angles=3, phases=3)
    for number, emission_nm in enumerate(EMISSION_NM):
        alone = channel(stack, number, emission_nm=emission_nm)
        steps = pipeline.choose_steps(alone, asked.stages)
        expected = finish(pipeline.run(alone, steps, camera_offset=100.0)).images
        for image, one in zip(found, expected, strict=True):
            np.testing.assert_array_equal(image.data[:, number], one.data)
            optics = image.optics_of(number)
            assert optics is not None
            assert optics == one.optics
            assert optics.emission_nm == emission_nm


@pytest.mark.slow
def test_results_of_channels_are_inputs_that_know_their_optics(
    tmp_path: Path, path: Path
) -> None:
    asked = raw_settings("reconstruct", optics=OF_CHANNELS)
    run([path], tmp_path / "out", asked)
    again = Settings.from_tables(
        {"pipeline": {"stages": ["dps"]}, "dps": {"method": "rl"}}
    )
    names: list[Path | str] = [tmp_path / "out" / "a.reconstruct.ome.tif"]
    (row,) = run(names, tmp_path / "again", again)
    assert (row["status"], row["reason"]) == ("done", "")
    (found,) = results(tmp_path / "again", "a.reconstruct", again)
    known = [found.optics_of(number) for number in (0, 1)]
    assert [o.emission_nm for o in known if o is not None] == list(EMISSION_NM)


def test_settings_of_channels_survive_a_file(tmp_path: Path) -> None:
    typed = {**OPTICS, "emission_nm": "525, 610", "na": "1.4,1.3"}
    for optics in (OF_CHANNELS, typed, OPTICS):
        asked = Settings.from_tables({"optics": optics, "input": RAW})
        save_settings(asked, tmp_path / "p.toml")
        assert Settings.from_tables(read_tables(tmp_path / "p.toml")) == asked
    assert "emission_nm = 525.0" in (tmp_path / "p.toml").read_text()


@pytest.mark.parametrize(
    ("optics", "words"),
    [
        ({"emission_nm": [525, 610, 700]}, "one a channel: got 3; allowed: 2"),
        ({"emission_nm": [525, 52]}, "emission_nm"),
        ({"emission_nm": [525, 610], "na": [1.4, 1.6]}, "1.6"),
        ({"pixel_size_nm": [65, 65]}, "one value for all channels"),
        ({"emission_nm": "525,"}, "emission_nm"),
        ({"emission_nm": []}, "emission_nm"),
    ],
)
def test_optics_that_do_not_fit_the_channels_are_refused(
    path: Path, optics: dict[str, object], words: str
) -> None:
    tables = {"optics": {**OPTICS, **optics}, "input": RAW}
    stack = io.load(path, angles=3, phases=3)
    with pytest.raises(InputError, match=words):
        Settings.from_tables(tables).with_optics(stack)


@pytest.mark.slow
def test_warnings_of_a_channel_name_it(tmp_path: Path, path: Path) -> None:
    coarse = {**OF_CHANNELS, "pixel_size_nm": 100.0, "emission_nm": [400, 700]}
    asked = raw_settings("reconstruct", optics=coarse)
    (row,) = run([path], tmp_path / "out", asked)
    assert "channel 0: " in row["warnings"]
    assert "channel 1: pixels" not in row["warnings"]
