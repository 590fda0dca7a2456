"""Names of inputs: any bytes, formulas of matplotlib and of spreadsheets, codes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from cli_lines import told

from napari_dps.core import ImageStack
from napari_dps.figures import Panel, side_by_side

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems forbid most of these names"
)

NAMES = {
    b"cell_$1_$2": "cell_$1_$2",
    b"a$_{$": "a$_{$",
    b"$a^b^c$": "$a^b^c$",
    b"$\\frac{1}": "$\\frac{1}",
    b"50% {x} \\alpha": "50% {x} \\alpha",
    "細胞 é".encode(): "細胞 é",
    "😀 emoji".encode(): "😀 emoji",
    b"bad\xff": r"bad\xff",
    b"a\nb.tif: done (0.0 s)\nc": r"a\nb.tif: done (0.0 s)\nc",
    b"x\x1b]0;title\x07\x1b[2J": r"x\x1b]0;title\x07\x1b[2J",
    "right\u202eleft".encode(): r"right\u202eleft",
    b"=1+cmd": "'=1+cmd",
    b"@sum": "'@sum",
    b"+x": "'+x",
    b"\ttab": r"\ttab",
    b'a,b;"c"': 'a,b;"c"',
    b"x" * 225: "x" * 225,
}


def _image(path: bytes | str) -> None:
    pixels = np.random.default_rng(0).poisson(99, (32, 32)).astype(np.uint16)
    tifffile.imwrite("image.tif", pixels, photometric="minisblack")
    os.replace("image.tif", path)


def _check(folder: str, done_out: str, count: int) -> None:
    with Path(folder, "batch.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file"]: row["status"] for row in rows} == {
        f"{name}.tif": "done" for name in NAMES.values()
    }
    assert len(rows) == count
    lines = done_out.splitlines()
    assert len(lines) == count + 1
    assert all(character.isprintable() for line in lines for character in line)
    files = os.listdir(os.fsencode(folder))
    assert sum(name.endswith(b".png") for name in files) == count
    for name in NAMES:
        path = Path(folder, os.fsdecode(name) + ".report.json")
        report = json.loads(path.read_bytes())
        assert report["warnings"] == []


def test_hostile_names_are_run_and_shown_escaped(napari_dps, tmp_path):
    for name in NAMES:
        _image(name + b".tif")
    done = napari_dps("run", "*.tif", "--out", "o", "--stages", "background")
    assert done.told == []
    assert done.code == 0
    _check("o", done.out, len(NAMES))


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_hostile_names_are_right_in_any_locale(tmp_path, monkeypatch, locale):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        _image(name + b".tif")
    environment = {
        **os.environ, "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    }  # fmt: skip
    command = [sys.executable, "-m", "napari_dps.cli", "run", "*.tif", "--out", "o",
               "--stages", "background"]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, env=environment, timeout=120, check=False
    )
    assert (done.returncode, told(done.stderr.decode("utf-8"))) == (0, [])
    _check("o", done.stdout.decode("utf-8"), len(NAMES))


def test_a_name_alone_is_shown_escaped(napari_dps, tmp_path):
    _image(b"x\n\x1b[2J.tif")
    done = napari_dps("run", b"x\n\x1b[2J.tif".decode(), "--out", "o")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
    assert r"o/x\n\x1b[2J.report.json" in done.out.splitlines()


def test_a_name_too_long_for_its_results_fails_before_any_work(napari_dps, tmp_path):
    _image("y" * 250 + ".tif")
    _image("short.tif")
    done = napari_dps("run", "*.tif", "--out", "o", "--stages", "background")
    assert done.code == 1
    assert "too long" in done.errors[0]
    assert "rename the input" in done.errors[0]
    assert "y" * 250 not in "".join(os.listdir("o"))
    assert Path("o", "short.report.json").is_file()


def test_titles_are_no_formulas():
    image = ImageStack(np.ones((32, 32), np.float32), "YX")
    figure = side_by_side([Panel("$_{$ a^b^c 細胞\x1b", image)], heading="$$\n" * 400)
    figure.canvas.draw()
    assert all("\x1b" not in text.get_text() for text in figure.axes[0].texts)
