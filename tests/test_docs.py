"""The code that the documentation shows runs as it is shown."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_dps.cli import main
from napari_dps.core import ImageStack, InputError, finish
from napari_dps.io import INSTRUMENTS, save
from napari_dps.metrics.catalogue import METRICS
from napari_dps.physics.simulate import SimulationSettings, simulate
from napari_dps.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def _run_example(page: str) -> dict[str, Any]:
    """Run the first Python code of a page and return the names it leaves."""
    text = (DOCS / page).read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code, f"{page} shows no Python code"
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code[1], page, "exec"), names)
    return names


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return _run_example("add_a_stage.md")


def test_example_stage_removes_a_hot_pixel_and_keeps_the_geometry(
    example: dict[str, Any],
) -> None:
    data = np.full((31, 37), 7.0)
    data[10, 20] = 1000
    image = ImageStack(data, "YX", pixel_size_nm=65, origin_nm=(5, 9))
    result = finish(example["STAGE"].run(image, example["MedianParameters"]()))
    assert result.data.dtype == np.float32
    assert (result.data == 7).all()
    assert (result.pixel_size_nm, result.origin_nm) == (65, (5, 9))
    assert result.history[-1].stage == "median"
    assert image.data[10, 20] == 1000


def test_example_stage_refuses_raw_frames(example: dict[str, Any]) -> None:
    frames = ImageStack(np.zeros((3, 3, 8, 8)), "APYX")
    with pytest.raises(InputError, match="allowed: YX"):
        finish(example["STAGE"].run(frames, example["MedianParameters"]()))


@pytest.mark.parametrize(
    ("page", "line"),
    [
        ("physics.md", "(3, 3, 128, 160) uint16"),
        ("metrics.md", "None no signal above the noise"),
    ],
)
def test_example_prints_what_its_page_says(
    page: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert line in (DOCS / page).read_text(encoding="utf-8")
    _run_example(page)
    assert line in capsys.readouterr().out.splitlines()


PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>.+?) -->\n+)?"
    r"```(?P<kind>python|console)\n(?P<text>.*?)```",
    re.DOTALL,
)
RUN_ELSEWHERE = {"add_a_file_format.md", "add_a_network.md", "add_a_stage.md"}
"""By tests/test_recipes.py."""


def _blocks(page: Path, kind: str) -> list[str]:
    """Return the code of a page that is to be run."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [m["text"] for m in found if m["kind"] == kind and not m["why"]]


def _names(pages: list[Path]) -> list[str]:
    return [page.relative_to(ROOT).as_posix() for page in pages]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of, small."""
    (tmp_path / "data" / "day 1").mkdir(parents=True)
    settings = SimulationSettings(height_px=64, width_px=72, photons=300, seed=2)
    frames = simulate(settings).raw.data.reshape(9, 64, 72)
    tifffile.imwrite(tmp_path / "cell.tif", frames)
    tifffile.imwrite(tmp_path / "lapse.tif", np.tile(frames, (3, 1, 1)))
    tifffile.imwrite(tmp_path / "image.tif", frames[0])
    tifffile.imwrite(tmp_path / "data" / "a.tif", frames[1])
    tifffile.imwrite(tmp_path / "data" / "day 1" / "b.tif", frames[2])
    both = np.stack([frames[3], frames[4]])
    cells = ImageStack(both, "CYX", pixel_size_nm=65)
    save(cells, tmp_path / "cells.ome.tif")
    toml = '[pipeline]\nstages = ["background"]\n'
    (tmp_path / "pipeline.toml").write_text(toml, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "page",
    _names([p for p in PAGES if _blocks(p, "python") and p.name not in RUN_ELSEWHERE]),
)
def test_python_of_every_page_runs(page: str, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for number, text in enumerate(_blocks(ROOT / page, "python")):
        exec(compile(text, f"{page}, block {number}", "exec"), names)


def test_api_page_writes_every_result(folder: Path) -> None:
    _run_example("api.md")
    expected = {f"cell.{stage.id}.ome.tif" for stage in STAGES if stage.by_default}
    assert expected < {path.name for path in folder.iterdir()}


def _commands(text: str) -> list[list[str]]:
    """Return the words of the commands of a console block; what they print is not."""
    lines = text.replace("\\\n", " ").splitlines()
    if any(line.startswith("$ ") for line in lines):
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("page", _names([p for p in PAGES if _blocks(p, "console")]))
def test_commands_of_every_page_run(page: str, folder: Path) -> None:
    for words in [
        w for text in _blocks(ROOT / page, "console") for w in _commands(text)
    ]:
        assert words[0] == "napari-dps", f"{words}: say `<!-- not run: why -->`"
        words = ["image.tif" if word == "*.tif" else word for word in words]
        assert main(words[1:]) == 0, words


@pytest.mark.slow
@pytest.mark.parametrize(
    "commands", [["run", "measure"], ["check"], ["simulate"], ["psf"], ["doctor"]]
)
def test_examples_that_end_the_help_run(commands: list[str], folder: Path) -> None:
    """Those of the other commands take minutes, or need beads or a microscope."""
    for name in commands:
        module = importlib.import_module(f"napari_dps.cli.{name}")
        lines = module.EXAMPLES.strip().replace("\\\n", " ").splitlines()
        for words in map(shlex.split, lines):
            assert main(words[1:]) == 0, words


def test_examples_on_frames_of_a_camera_say_its_offset() -> None:
    """A reader copies them; where it is forgotten nothing is sure to warn."""
    forgotten = [
        " ".join(words)
        for page in PAGES
        for m in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if m["kind"] == "console"
        for words in _commands(m["text"])
        if _reads_frames(words) and not {"--camera-offset", "--config"} & {*words}
    ]
    assert forgotten == []


def _reads_frames(words: list[str]) -> bool:
    if words[:2] == ["napari-dps", "train"]:
        return "--images" in words
    commands = (["napari-dps", name] for name in ("run", "watch", "check"))
    return words[:2] in commands and len(words) > 2


TABLE = re.compile(r"```\{(?:stage-parameters|metrics|weights)\}.*\n((?:.*\n)*?)```")


def test_tables_of_built_pages_tell_readers_of_plain_ones_where_to_look(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = {
        body
        for page in PAGES
        for body in TABLE.findall(page.read_text(encoding="utf-8"))
    }
    assert len(told) >= 9
    shown = {}
    for body in told:
        if "weights" in body:
            folder = re.search(r"src/\S+/", body)
            assert folder is not None
            assert list((ROOT / folder[0]).glob("*.json"))
            continue
        command = re.search(r"`napari-dps ([^`]+)`", body)
        assert command is not None, body
        assert main(command[1].split()) == 0
        shown[command[1]] = capsys.readouterr().out
    groups = {g for body in told for g in re.findall(r'"(stage \w+)"', body)}
    assert groups == {f"stage {stage.id}" for stage in STAGES}
    assert all(f"{group}:" in shown["run --help"] for group in groups)
    assert all(metric.key in shown["measure --names"] for metric in METRICS)


def test_table_of_instruments_is_that_of_the_program() -> None:
    rows = [
        f"| `{item.key}` | {item.title} | {item.angles or '–'} × {item.phases or '–'} "
        f"| {f'`{item.order}`' if item.order else '–'} | {item.note} "
        f"| {item.source or '–'} |"
        for item in INSTRUMENTS
    ]
    page = (DOCS / "instruments.md").read_text(encoding="utf-8")
    shown = [line for line in page.splitlines() if line.startswith("| `")]
    assert shown == rows


EXTRA = re.compile(r"pip install [^`\n]*\[")
ONE_FORM = re.compile(r'pip install "napari-dps\[')


def test_extras_are_installed_by_one_form_of_command() -> None:
    """An editable clone is for those who work on napari-dps."""
    sources = [*PAGES, *sorted((ROOT / "src").rglob("*.py"))]
    odd = [
        (path.name, found[0])
        for path in sources
        for found in EXTRA.finditer(path.read_text(encoding="utf-8"))
        if not ONE_FORM.match(found[0]) and " -e " not in found[0]
    ]
    assert odd == []


def _numbers(line: str) -> list[float]:
    return [float(word) for word in re.findall(r"\d+\.?\d*", line)]


def test_patterns_that_the_page_of_the_command_line_shows_are_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = BLOCK.search((DOCS / "cli.md").read_text("utf-8").split("## run")[1])
    assert block
    simulated, run = _commands(block["text"])
    assert main(simulated[1:]) == 0
    assert main([*run[1:], "--stages", "reconstruct"]) == 0
    printed = capsys.readouterr().out
    shown = [x for x in block["text"].splitlines() if x.endswith("  found")]
    found = [x for x in printed.splitlines() if x.endswith("  found")]
    assert len(shown) == len(found) == 3
    for told, now in zip(shown, found, strict=True):
        np.testing.assert_allclose(_numbers(told), _numbers(now), rtol=0.02, atol=0.05)


def test_options_of_stages_are_spelled_as_the_program_takes_them() -> None:
    known = {
        f"{stage.id}.{name.replace('_', '-')}"
        for stage in STAGES
        for name in stage.parameters.model_fields
    }
    stages = "|".join(stage.id for stage in STAGES)
    for page in (*DOCS.rglob("*.md"), ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        found = set(re.findall(rf"--((?:{stages})\.[a-z_-]*[a-z])", text))
        assert found <= known, page
