"""The whole story in a real viewer, and the command line on the same file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from real_window import played

pytestmark = pytest.mark.slow

STAGES = ("denoise", "reconstruct", "artifacts", "background", "dps")
SHOTS = (*STAGES, "spectrum", "psf", "compare", "split", "pipeline", "batch", "live")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tell the story once; screenshots stay where NAPARI_DPS_SCREENSHOTS says."""
    folder = tmp_path_factory.mktemp("story")
    return played("story.py", folder, timeout_s=900)


@pytest.fixture(scope="module")
def seen(told: Path) -> dict[str, Any]:
    return json.loads((told / "story.json").read_text("utf-8"))


def test_command_line_gives_the_pixels_of_the_gui(told: Path, tmp_path: Path) -> None:
    import tifffile

    # A process of its own, as the story: sums depend on the number of threads.
    arguments = [str(told / "raw.ome.tif"), "--config", str(told / "pipeline.toml")]
    command = [sys.executable, "-m", "napari_dps.cli", "run", *arguments]
    out = ["--out", str(tmp_path)]
    subprocess.run([*command, *out], check=True, capture_output=True)
    for dock in ("pipeline", "gui"):
        for stage in STAGES:
            written = tifffile.imread(tmp_path / f"raw.{stage}.ome.tif")
            shown = np.load(told / f"{dock}.{stage}.npy")
            # Angles and phases are folded into Z in the file.
            same = np.array_equal(written.reshape(shown.shape), shown)
            assert same, f"{stage} of {dock}"


def test_every_dock_is_pictured_in_both_themes_and_nothing_is_clipped(
    told: Path, seen: dict[str, Any]
) -> None:
    for name in SHOTS:
        for theme in ("light", "dark"):
            assert (told / f"{name}-{theme}.png").stat().st_size > 50_000
    assert seen["clipped"] == {}


def test_batch_over_a_folder_tells_of_each_file(
    told: Path, seen: dict[str, Any]
) -> None:
    assert seen["batch"].startswith("3 of 4 inputs are done")
    assert (told / "results" / "cell 3.background.ome.tif").is_file()


def test_napari_has_nothing_to_complain_of(seen: dict[str, Any]) -> None:
    assert seen["notifications"] == []


def test_docks_open_without_torch(seen: dict[str, Any]) -> None:
    assert seen["torch_before_run"] is False


def test_comparison_ranks_the_reconstruction_above_the_widefield_image(
    seen: dict[str, Any],
) -> None:
    scores = seen["psnr_db"]
    reconstructed = scores["Microtubules · SIM"]
    assert reconstructed > scores["Microtubules"] + 3
    assert seen["profiles"] == len(scores)
