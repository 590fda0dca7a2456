"""Types, parameters, errors, progress and device, each by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from napari_dps.core import (
    ImageStack,
    InputError,
    Optics,
    Pattern,
    PatternOrder,
    Progress,
    StageParameters,
    finish,
)
from napari_dps.core.beside import Cancelled, beside
from napari_dps.core.device import available_bytes, resolve_device
from napari_dps.core.params import describe, parse

OPTICS = Optics(na=1.3, emission_nm=660, pixel_size_nm=65)


class Example(StageParameters):
    width_px: float = Field(3, ge=1, le=9, json_schema_extra={"unit": "px"})
    mode: Literal["a", "b"] = "a"
    is_on: bool = False
    source: str = Field(
        "auto", json_schema_extra={"file": "*.json *.toml", "words": ["auto", "none"]}
    )


@given(st.floats(1, 9), st.sampled_from("ab"), st.booleans())
def test_parameters_are_read_from_values_and_from_text_alike(width_px, mode, is_on):
    values = {"width_px": width_px, "mode": mode, "is_on": is_on}
    expected = Example(**values)
    assert parse(Example, values, "example") == expected
    texts = {name: str(value) for name, value in values.items()}
    assert parse(Example, texts, "example") == expected


@given(st.floats().filter(lambda value: not 1 <= value <= 9))
def test_value_beyond_the_limits_is_refused_by_name(value):
    with pytest.raises(InputError, match=r"^example\.width_px: got "):
        parse(Example, {"width_px": value}, "example")


def test_parameters_are_described_with_unit_limits_and_choices():
    width, mode, is_on, source = describe(Example)
    assert (width.allowed, width.default) == ("1 to 9 px", 3)
    assert (mode.allowed, mode.kind) == ("a, b", str)
    assert (is_on.allowed, is_on.kind) == ("true, false", bool)
    assert source.allowed == "auto, none, a file (*.json *.toml)"
    assert (source.file, source.words) == ("*.json *.toml", ("auto", "none"))


def test_cutoff_of_the_optics_is_that_of_abbe():
    assert OPTICS.cutoff_period_nm == pytest.approx(660 / 2.6)
    assert OPTICS.cutoff_per_pixel == pytest.approx(65 * 2.6 / 660)


@pytest.mark.parametrize(("pixel_size_nm", "is_coarse"), [(126.9, False), (127, True)])
def test_pixels_above_a_quarter_of_the_abbe_wavelength_are_warned_of(
    pixel_size_nm, is_coarse
):  # 660 nm / (4 · 1.3) = 126.92 nm
    warning = OPTICS.at_pixel_size(pixel_size_nm).nyquist_warning()
    assert (warning is not None) == is_coarse


def test_impossible_pixel_size_is_refused():
    with pytest.raises(InputError, match=r"optics\.pixel_size_nm: got 0\.5"):
        OPTICS.at_pixel_size(0.5)


@given(st.floats(0, 179.999), st.floats(1, 1e5))
def test_wave_vector_has_the_direction_and_the_period(angle_deg, period_nm):
    order = PatternOrder(angle_deg=angle_deg, period_nm=period_nm)
    y, x = order.wavevector_per_nm
    assert math.hypot(y, x) == pytest.approx(1 / period_nm)
    assert math.degrees(math.atan2(y, x)) == pytest.approx(angle_deg, abs=1e-9)


@pytest.mark.parametrize(
    "known",
    [{"period_nm": 200}, {"angle_deg": 30}, {}, {"status": "not found"}],
    ids=["period", "angle", "nothing", "not found"],
)
def test_order_without_a_wave_vector_is_not_usable(known):
    assert not PatternOrder(**known).is_usable


def test_given_pattern_keeps_wave_vectors_alone():
    orders = (
        PatternOrder(angle_deg=30, period_nm=400, modulation=0.5, status="found"),
        PatternOrder(order=2, status="not found"),
    )
    pattern = Pattern(angle_index=2, phases_deg=(0, 120, 240), orders=orders)
    assert pattern.only_wave_vectors() == Pattern(
        angle_index=2, angle_deg=30, period_nm=400
    )


@pytest.mark.parametrize(
    ("data", "axes", "message"),
    [
        (np.ones((4, 4)), "XY", "axes: got XY"),
        (np.ones((4, 4, 4)), "YYX", "axes: got YYX"),
        (np.ones((4, 4)), "TYX", "does not fit the axes TYX"),
        (np.ones((0, 4)), "YX", "empty"),
        (np.ones((4, 4), complex), "YX", "pixel type: got complex128"),
    ],
)
def test_stack_that_does_not_fit_together_is_refused(data, axes, message):
    with pytest.raises(InputError, match=message):
        ImageStack(data, axes)


def test_optics_of_another_pixel_size_are_refused():
    with pytest.raises(InputError, match="60 on the image and 65"):
        ImageStack(np.ones((4, 4)), "YX", pixel_size_nm=60, optics=OPTICS)


def test_derived_pixel_size_reaches_the_optics():
    stack = ImageStack(np.ones((4, 4)), "YX", pixel_size_nm=65, optics=OPTICS)
    derived = stack.derive(np.ones((8, 8)), pixel_size_nm=32.5)
    assert derived.optics == OPTICS.at_pixel_size(32.5)


@pytest.mark.parametrize(("done", "total"), [(-1, 3), (4, 3)])
def test_progress_beyond_its_total_is_refused(done, total):
    with pytest.raises(ValueError, match="progress"):
        Progress(done, total)


def test_finish_returns_what_the_generator_returned():
    def steps():
        yield Progress(0, 1)
        return "result"

    assert finish(steps()) == "result"


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:99", "", "cpu:1"])
def test_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match="device"):
        resolve_device(name)


def test_memory_of_a_gpu_is_what_is_free_and_what_torch_holds_in_reserve(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    assert available_bytes(torch.device("cuda")) == 1300


def test_memory_of_the_cpu_is_what_programs_can_still_get():
    import psutil
    import torch

    assert 0 < available_bytes(torch.device("cpu")) <= psutil.virtual_memory().total


@pytest.mark.parametrize("version", [1, 2])
def test_memory_limit_of_a_job_counts(tmp_path, monkeypatch, version):
    from napari_dps.core import device

    text = "4:memory:/job/step" if version == 1 else "0::/job/step"
    folder = tmp_path / "memory" if version == 1 else tmp_path
    names = (
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        if version == 1
        else ("memory.max", "memory.current", "inactive_file")
    )
    for place, limit in (("job/step", "max"), ("job", "1000")):
        own = folder / place
        own.mkdir(parents=True, exist_ok=True)
        (own / names[0]).write_text(limit)
        (own / names[1]).write_text("600\n")
        (own / "memory.stat").write_text(f"cache 300\n{names[2]} 200\n")
    read_text = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a, **k: (
            text if str(self) == "/proc/self/cgroup" else read_text(self, *a, **k)
        ),
    )
    assert device._left_of_job(tmp_path) == 1000 - 600 + 200


def test_what_work_returned_can_check_after_it() -> None:
    check = finish(beside(lambda check: check, "Working"))
    check()  # raises Cancelled only if the generator was closed before the end


def test_work_is_cancelled_where_its_generator_is_closed() -> None:
    seen: list[type[BaseException]] = []

    def work(check: Callable[[], None]) -> None:
        try:
            while True:
                check()
                time.sleep(0.01)
        except Cancelled as error:
            seen.append(type(error))
            raise

    steps = beside(work, "Working")
    next(steps)
    steps.close()
    assert seen == [Cancelled]
