"""The recipes of the pages "Add a …" work as they are shown.

Each is carried out on a copy of the package: the code of a page becomes the files, and
the changes of files, that the text before each block names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_dps

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(python|diff|toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"`(src/napari_dps/[^`\s]*\w)`")


@dataclass
class Copy:
    """A copy of the package, and which of its files were changed or made."""

    folder: Path
    touched: set[str] = field(default_factory=set)

    def follow(self, page: str) -> None:
        """Make every change that a page shows."""
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            names = _NAME.findall(text[: block.start()])
            assert names, f"{page}: no file is named before a block of code"
            path = self.folder / names[-1]
            self.touched.add(names[-1])
            if block[1] == "diff":
                _change(path, block[2])
            else:
                assert not path.exists(), f"{page}: {names[-1]} is there already"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block[2], encoding="utf-8")

    def run(self, *words: object) -> str:
        """Run Python on the copy in its folder, and return what it prints."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, *words: object) -> str:
        """Run the command line."""
        return self.run("-m", "napari_dps.cli", *words)


def _change(path: Path, lines: str) -> None:
    """Apply lines that begin with a minus, a plus, or a space as in a diff."""
    old, new = (
        "".join(
            line.removeprefix(line[0].strip() or " ")
            for line in lines.splitlines(keepends=True)
            if line[0] in (" ", "\n", sign)
        )
        for sign in "-+"
    )
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} does not hold once:\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Return a copy of the package; its weights, which nothing changes, are links."""
    source = Path(napari_dps.__file__).parent
    target = tmp_path / "src" / "napari_dps"
    ignored = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(source, target, ignore=ignored)
    for weights in source.rglob("weights"):
        (target / weights.relative_to(source)).symlink_to(weights)
    return Copy(tmp_path)


@pytest.fixture
def cell() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(50, (31, 37)).astype(np.uint16)


@pytest.mark.slow
def test_page_of_a_file_format_touches_two_files_and_reads_the_format(
    copy: Copy, cell: np.ndarray
) -> None:
    copy.follow("add_a_file_format.md")
    assert len(copy.touched) == 2
    (copy.folder / "cells").mkdir()
    header = b"P5\n37 31\n65535\n"
    path = copy.folder / "cells" / "a.pgm"
    path.write_bytes(header + cell.astype(">u2").tobytes())
    # Found in its folder by its suffix, read, run and written.
    words = ["--stages", "background", "--pixel-size-nm", "65", "--out", "out"]
    copy.command("run", "cells", *words)
    assert (copy.folder / "out" / "a.background.ome.tif").is_file()
    loaded = copy.run(
        "-c",
        "from napari_dps import io; print(io.load('cells/a.pgm').data.sum())",
    )
    assert loaded.split() == [str(cell.sum())]


@pytest.mark.slow
def test_page_of_a_stage_touches_three_files_and_runs_the_stage(
    copy: Copy, cell: np.ndarray
) -> None:
    copy.follow("add_a_stage.md")
    assert len(copy.touched) == 3
    cell[10, 20] = 60000
    tifffile.imwrite(copy.folder / "cell.tif", cell)
    words = ["--stages", "median", "--median.size-px", "5", "--pixel-size-nm", "65"]
    copy.command("run", "cell.tif", *words, "--out", "out")
    result = tifffile.imread(copy.folder / "out" / "cell.median.ome.tif")
    assert result.dtype == np.float32
    assert result.max() < 100
    tests = ROOT / "tests" / "stages" / "test_conformance.py"
    copy.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "median", tests)
    pytest.importorskip("napari")
    manifest = ROOT / "tests" / "qt" / "test_manifest.py"
    copy.run("-m", "pytest", "-q", "-p", "no:cacheprovider", manifest)


@pytest.mark.slow
def test_page_of_a_metric_touches_one_file_and_measures(
    copy: Copy, cell: np.ndarray
) -> None:
    copy.follow("add_a_metric.md")
    assert copy.touched == {"src/napari_dps/metrics/catalogue.py"}
    tifffile.imwrite(copy.folder / "cell.tif", cell)
    text = copy.command("measure", "cell.tif", "--json")
    low, high = np.percentile(cell, (1, 99))
    assert f'"contrast": {(high - low) / (high + low)}' in text


@pytest.mark.slow
def test_page_of_a_network_touches_three_files_and_trains(copy: Copy) -> None:
    copy.follow("add_a_network.md")
    assert len(copy.touched) == 3
    words = ["smoother", "--out", "run", "--accelerator", "cpu", "--threads", "1"]
    assert "psnr_db" in copy.command("train", *words)
    scores = copy.run(
        "-c",
        "from pathlib import Path\n"
        "import torch\n"
        "from napari_dps.nets.checkpoint import load_checkpoint\n"
        "saved = load_checkpoint(Path('run/smoother.safetensors'))\n"
        "network = saved.network(torch.device('cpu'))\n"
        "assert network(torch.zeros(1, 1, 37, 31)).shape == (1, 1, 37, 31)\n"
        "metrics = saved.metadata.metrics\n"
        "print(metrics['held_out']['psnr_db'], metrics['input'])\n",
    )
    after, before = map(float, scores.split())
    assert after > before
