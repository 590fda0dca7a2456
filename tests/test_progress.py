"""Progress of whole runs: it never goes backwards, and ends at its total."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_dps import io
from napari_dps.cli import console, main
from napari_dps.core import ImageStack, Progress, finish, relay
from napari_dps.core.context import Context
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.pipeline import Settings, open_input, run_plan
from napari_dps.pipeline.halves import reconstructed_halves

CHAIN = ["denoise", "reconstruct", "artifacts", "background", "dps"]
OFFSET = 100.0


def shares_of(reports: Iterable[Progress]) -> list[float]:
    return [report.done / report.total for report in reports]


def set_of_frames(photons: float = 200, seed: int = 0) -> ImageStack:
    settings = SimulationSettings(
        height_px=72, width_px=64, photons=photons, seed=seed, structure="er"
    )
    return simulate(settings).raw


def several(axis: str, count: int = 3, photons: float = 200) -> ImageStack:
    sets = [set_of_frames(photons, seed) for seed in range(count)]
    return sets[0].derive(np.stack([one.data for one in sets]), axes=f"{axis}APYX")


def volume() -> ImageStack:
    settings = SimulationSettings(
        height_px=48,
        width_px=48,
        planes=6,
        beams="three",
        phases=5,
        structure="shells",
    )
    return simulate(settings).raw


def plain_lapse() -> ImageStack:
    """Noise between that of the two networks of `artifacts`: both are asked."""
    stack = several("T", photons=60)
    return stack.derive(stack.data[:, 0, 0] - np.float32(OFFSET), axes="TYX")


def two_channels() -> ImageStack:
    stack = several("T", 4)
    return stack.derive(stack.data.reshape(2, 2, *stack.shape[1:]), axes="TCAPYX")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "stages", "more", "tile_px"),
    [
        pytest.param(set_of_frames, CHAIN, {}, None, id="one set"),
        pytest.param(set_of_frames, CHAIN, {}, 64, id="tiles"),
        pytest.param(
            set_of_frames,
            ["reconstruct", "dps"],
            {"reconstruct": {"method": "network"}, "dps": {"uncertainty": True}},
            None,
            id="networks, uncertainty",
        ),
        pytest.param(
            set_of_frames,
            ["reconstruct", "dps"],
            {"dps": {"uncertainty": True, "invented": True}},
            None,
            id="both maps",
        ),
        pytest.param(
            lambda: several("T"), ["temporal", *CHAIN], {}, None, id="lapse, windows"
        ),
        pytest.param(
            lambda: several("T"),
            ["reconstruct", "dps"],
            {
                "output": {"drift_correct": True, "bleach_correct": True},
                "dps": {"method": "sparse"},
            },
            None,
            id="lapse, corrected, fitted in time",
        ),
        pytest.param(
            lambda: several("T"),
            ["reconstruct", "background"],
            {"reconstruct": {"rolling": True}},
            None,
            id="lapse, a result an angle",
        ),
        pytest.param(
            two_channels, ["temporal", "reconstruct"], {}, None, id="two channels"
        ),
        pytest.param(lambda: several("Z"), CHAIN, {}, 64, id="planes, tiles"),
        pytest.param(
            volume, CHAIN, {"reconstruct": {"dimension": "3d"}}, None, id="volume"
        ),
        pytest.param(
            volume,
            ["reconstruct", "dps"],
            {
                "reconstruct": {"dimension": "3d"},
                "dps": {"dimension": "3d", "method": "rl"},
            },
            None,
            id="volume, deconvolved as a whole",
        ),
        pytest.param(
            plain_lapse,
            ["temporal", "artifacts", "background", "dps"],
            {"input": {"camera_offset": 0.0}},
            None,
            id="plain lapse",
        ),
    ],
)
def test_progress_of_a_run_never_goes_backwards(
    make: Any, stages: list[str], more: dict[str, Any], tile_px: int | None
) -> None:
    tables = {"pipeline": {"stages": stages}, "input": {"camera_offset": OFFSET}}
    plan = open_input(make(), Settings.from_tables(tables | more))
    shares = shares_of(run_plan(plan, Context(device="cpu", tile_px=tile_px)))
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1


def test_progress_of_halves_is_that_of_all_three_runs() -> None:
    tables = {"pipeline": {"stages": ["reconstruct"]}}
    plan = open_input(
        set_of_frames(),
        Settings.from_tables(tables | {"input": {"camera_offset": OFFSET}}),
    )
    shares = shares_of(reconstructed_halves(plan, Context(device="cpu")))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert {int(3 * share) for share in shares} == {0, 1, 2, 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("axis", "options"),
    [
        ("", []),
        ("", ["--tile-px", "64", "--self-check"]),
        ("T", ["--stages", "temporal,denoise,reconstruct,dps"]),
        ("Z", ["--stages", "reconstruct,dps", "--tile-px", "64"]),
    ],
)
def test_progress_on_the_terminal_never_goes_backwards(
    axis: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: list[Progress] = []

    def track(steps: Any, label: str) -> Any:
        def note(report: Progress) -> Progress:
            reports.append(report)
            return report

        return finish(relay(steps, note))

    monkeypatch.setattr(console, "track", track)
    for number in range(2):
        stack = several(axis) if axis else set_of_frames(seed=number)
        io.save(stack, tmp_path / "raw" / f"{number}.ome.tif")
    said = main(
        [
            *("run", str(tmp_path / "raw"), "--out", str(tmp_path / "out")),
            *("--device", "cpu", "--camera-offset", str(OFFSET), *options),
        ]
    )
    assert said == 0
    shares = shares_of(reports)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len({round(share, 2) for share in shares}) > 20
