"""What every stage of `STAGES` must keep to; a new stage is tested by being listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_dps.core import (
    ImageStack,
    InputError,
    NapariDpsError,
    Optics,
    Progress,
    finish,
)
from napari_dps.core.context import Context, Neighbours, TimePoint
from napari_dps.core.params import describe, parse
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.stages import STAGES
from napari_dps.stages.base import Stage

PIXEL_NM = 65.0
ORIGIN_NM = (130.0, -65.0)


def plane(shape: tuple[int, int]) -> ImageStack:
    """Blobs with photon noise on a slope, in counts."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: shape[0], : shape[1]]
    counts = 20 + 0.5 * x + 500 * (np.sin(x / 3) * np.sin(y / 4)) ** 8
    optics = Optics(na=1.3, emission_nm=525, pixel_size_nm=PIXEL_NM)
    return ImageStack(
        rng.poisson(counts).astype(np.float32),
        "YX",
        pixel_size_nm=PIXEL_NM,
        origin_nm=ORIGIN_NM,
        optics=optics,
    )


def raw_stack(shape: tuple[int, int]) -> ImageStack:
    """A simulated raw SIM stack without camera offset, as the pipeline hands it on."""
    height_px, width_px = shape
    settings = SimulationSettings(
        height_px=height_px, width_px=width_px, pixel_size_nm=PIXEL_NM, seed=3
    )
    raw = simulate(settings).raw
    counts = raw.data.astype(np.float32) - settings.offset_counts
    return raw.derive(counts, origin_nm=ORIGIN_NM)


MAKERS: dict[str, Callable[[tuple[int, int]], ImageStack]] = {
    "YX": plane,
    "APYX": raw_stack,
}
"""One factory for each kind of input that a stage may take."""

every_stage = pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.id)


def make(stage: Stage[Any], shape: tuple[int, int] = (64, 64)) -> ImageStack:
    return MAKERS[stage.takes](shape)


def run(stage: Stage[Any], image: ImageStack) -> ImageStack:
    return finish(stage.run(image, stage.parameters(), context_of(stage, image)))


def context_of(stage: Stage[Any], image: ImageStack) -> Context:
    """Give a stage that compares time points two that show the same."""
    if stage.window is None:
        return Context(device="cpu")
    here, before, after = (TimePoint(image) for _ in range(3))
    return Context(device="cpu", neighbours=Neighbours(here, (before,), (after,)))


@every_stage
def test_parameters_survive_json(stage: Stage[Any]) -> None:
    parameters = stage.parameters()
    text = json.dumps(parameters.model_dump(mode="json"))
    assert parse(stage.parameters, json.loads(text), stage.id) == parameters


@every_stage
def test_parameters_at_their_limits_are_accepted_and_beyond_refused(
    stage: Stage[Any],
) -> None:
    for info in describe(stage.parameters):
        for limit, step in ((info.minimum, -1), (info.maximum, 1)):
            if limit is None:
                continue
            value = info.kind(limit)
            parsed = parse(stage.parameters, {info.name: value}, stage.id)
            assert getattr(parsed, info.name) == value
            with pytest.raises(InputError, match=f"{stage.id}.{info.name}"):
                parse(stage.parameters, {info.name: info.kind(limit + step)}, stage.id)


@every_stage
def test_unknown_parameter_is_refused(stage: Stage[Any]) -> None:
    with pytest.raises(InputError, match="is not a parameter"):
        parse(stage.parameters, {"no_such_thing": 1}, stage.id)


@every_stage
def test_input_is_unchanged(stage: Stage[Any]) -> None:
    image = make(stage)
    before = image.data.copy()
    image.data.setflags(write=False)
    run(stage, image)
    np.testing.assert_array_equal(image.data, before)
    assert image.history == ()


@every_stage
@pytest.mark.parametrize("shape", [(64, 64), (37, 31)])
def test_result_is_finite_float32_on_the_declared_axes(
    stage: Stage[Any], shape: tuple[int, int]
) -> None:
    result = run(stage, make(stage, shape))
    assert result.axes == stage.gives
    assert result.data.dtype == np.float32
    assert np.isfinite(result.data).all()
    assert result.data.any()


@every_stage
@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_type_of_the_input_does_not_matter(stage: Stage[Any], dtype: type) -> None:
    image = make(stage)
    whole = image.derive(np.clip(np.rint(image.data), 0, None).astype(np.float32))
    expected = run(stage, whole).data
    result = run(stage, whole.derive(whole.data.astype(dtype)))
    assert result.data.dtype == np.float32
    atol = 0.005 * float(np.ptp(expected))
    np.testing.assert_allclose(result.data, expected, atol=atol)


@every_stage
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_unit_of_the_counts_does_not_matter(stage: Stage[Any], factor: float) -> None:
    image = make(stage)
    expected = run(stage, image).data
    scaled = run(stage, image.derive(image.data * np.float32(factor))).data / factor
    atol = 1e-3 * float(np.ptp(expected))
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=atol)


@every_stage
@pytest.mark.parametrize("shape", [(64, 64), (37, 31)])
def test_geometry_covers_the_same_area(
    stage: Stage[Any], shape: tuple[int, int]
) -> None:
    image = make(stage, shape)
    result = run(stage, image)
    assert image.pixel_size_nm is not None
    assert result.pixel_size_nm is not None
    for axis, origin, new in zip("YX", image.origin_nm, result.origin_nm, strict=True):
        corner = origin - image.pixel_size_nm / 2
        assert new - result.pixel_size_nm / 2 == pytest.approx(corner)
        extent = image.size(axis) * image.pixel_size_nm
        assert result.size(axis) * result.pixel_size_nm == pytest.approx(extent)
    assert result.optics is not None
    assert result.optics.pixel_size_nm == pytest.approx(result.pixel_size_nm)


@every_stage
def test_image_without_optics_is_refused_only_where_they_are_needed(
    stage: Stage[Any],
) -> None:
    image = ImageStack(make(stage).data, stage.takes)
    if stage.needs_optics:
        with pytest.raises(InputError, match="NA"):
            run(stage, image)
        return
    result = run(stage, image)
    assert result.pixel_size_nm is None
    assert result.optics is None


@every_stage
def test_progress_rises_to_its_total(stage: Stage[Any]) -> None:
    reports = list(stage.run(make(stage), stage.parameters(), Context(device="cpu")))
    assert reports
    assert all(isinstance(report, Progress) for report in reports)
    shares = [report.done / report.total for report in reports]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert reports[-1].message


@every_stage
def test_run_can_be_stopped_at_every_report(stage: Stage[Any]) -> None:
    image = make(stage)
    total = len(list(stage.run(image, stage.parameters(), Context(device="cpu"))))
    for reports in {1, (total + 1) // 2, total}:
        steps = stage.run(image, stage.parameters(), Context(device="cpu"))
        for _ in range(reports):
            next(steps)
        steps.close()
        with pytest.raises(StopIteration):
            next(steps)


@every_stage
def test_same_input_gives_the_same_result(stage: Stage[Any]) -> None:
    image = make(stage)
    np.testing.assert_array_equal(run(stage, image).data, run(stage, image).data)


@every_stage
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(
    stage: Stage[Any], value: float
) -> None:
    image = make(stage)
    data = image.data.copy()
    data[..., 5, 7] = value
    with pytest.raises(InputError, match="not finite"):
        run(stage, image.derive(data))


@every_stage
@pytest.mark.parametrize("power", [90, -90])
def test_values_whose_squares_exceed_float32_are_computed_with(
    stage: Stage[Any], power: int
) -> None:
    image = make(stage)
    expected = run(stage, image.derive(image.data.astype(np.float32))).data
    found = run(stage, image.derive(image.data.astype(np.float64) * 2.0**power)).data
    np.testing.assert_allclose(
        found / 2.0**power, expected, atol=1e-3 * np.ptp(expected), rtol=0
    )


@every_stage
def test_one_enormous_value_leaves_the_result_finite(stage: Stage[Any]) -> None:
    image = make(stage)
    one = image.data.astype(np.float32)
    one[..., 5, 7] = 1e25
    assert np.isfinite(run(stage, image.derive(one)).data).all()


def test_results_beyond_float32_are_refused() -> None:
    stage = next(s for s in STAGES if s.id == "dps")
    data = np.full((48, 48), 3e38, np.float32)
    data[20:24, 20:24] = 3.4e38
    with pytest.raises(InputError, match="beyond float32"):
        run(stage, make(stage).derive(data))


@every_stage
@pytest.mark.parametrize("lower", [0, 1])
def test_values_that_the_stage_makes_are_told_from_those_of_the_input(
    stage: Stage[Any], lower: int
) -> None:
    def broken(
        image: ImageStack, parameters: Any, context: Context
    ) -> Generator[Progress, None, ImageStack]:
        yield Progress(0, 1)
        shape = (8, 8) if stage.gives == "YX" else image.shape
        made = np.full(shape, np.nan, np.float32)
        if lower:
            made = np.zeros(shape, np.float32)
            return ImageStack(made, stage.gives, maps={"uncertainty": made + np.nan})
        return ImageStack(made, stage.gives)

    with pytest.raises(NapariDpsError, match=f"'{stage.id}' made"):
        run(replace(stage, function=broken), make(stage))


@every_stage
def test_wrong_axes_are_refused_naming_both(stage: Stage[Any]) -> None:
    image = make(stage)
    axes = "T" + stage.takes
    with pytest.raises(InputError, match=f"{axes}.*{stage.takes}"):
        run(stage, ImageStack(image.data[None], axes))


@every_stage
def test_history_is_appended(stage: Stage[Any]) -> None:
    image = make(stage)
    once = run(stage, image)
    again = run(stage, image.derive(image.data, history=once.history))
    assert [entry.stage for entry in again.history] == [stage.id, stage.id]
    entry = once.history[0]
    assert entry.parameters == stage.parameters().model_dump(mode="json")
    assert entry.seconds >= 0
    assert entry.version
