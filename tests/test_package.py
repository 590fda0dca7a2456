"""What makes the project installable and releasable, as far as it shows offline."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from napari_dps import __version__
from napari_dps.cli import doctor, main

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SOURCE = PROJECT["project"]["urls"]["Source"]

REPEATS_THE_ADDRESS = {"CITATION.cff", "pyproject.toml", "recipe/recipe.yaml"}
"""Files that no program makes of `[project.urls]`."""


def _text_files() -> list[Path]:
    kinds = {".md", ".toml", ".yml", ".yaml", ".cff", ".py", ".xml", ".ini"}
    folders = [ROOT / name for name in ("docs", "src", ".github", "recipe", "examples")]
    files = [*ROOT.glob("*"), *(f for folder in folders for f in folder.rglob("*"))]
    return [f for f in files if f.suffix in kinds and "_build" not in f.parts]


@pytest.mark.skipif(not (ROOT / ".github").is_dir(), reason="an sdist, not a clone")
def test_address_of_the_project_stands_in_the_files_that_are_listed() -> None:
    owner = SOURCE.removeprefix("https://github.com/")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in _text_files()
        if owner in path.read_text("utf-8")
    }
    assert found == REPEATS_THE_ADDRESS
    readme = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    for rule in readme["substitutions"]:
        assert owner in rule["replacement"]


def test_pictures_and_links_of_the_readme_are_files() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="an sdist, not a clone")
@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("other.md", ""),
        ("other.md#the-2-k-field", ""),
        ("#here", ""),
        ("https://example.org/a_(b)", ""),
        ("gone.md", "no such file"),
        ("other.md#elsewhere", "no such heading"),
        ("https://example/a", "no address"),
        ("htps://example.org", "unknown scheme htps"),
    ],
)
def test_check_of_links_sees_those_that_lead_nowhere(
    tmp_path: Path, link: str, fault: str
) -> None:
    check = runpy.run_path(str(ROOT / ".ci" / "check_links.py"))
    (tmp_path / "other.md").write_text("# Other\n## The 2-`k` [field](x)\n", "utf-8")
    page = tmp_path / "page.md"
    page.write_text(f"# Here\n[a]({link})\n", "utf-8")
    assert check["_what_is_wrong"](link, page) == fault


def test_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {__version__}\n" in citation
    recipe = ROOT / "recipe" / "recipe.yaml"
    if recipe.is_file():
        assert f'version: "{__version__}"' in recipe.read_text("utf-8")
        galaxy = ET.parse(ROOT / "examples/galaxy/napari_dps_run.xml").getroot()
        assert galaxy.attrib["version"] == __version__


def test_conda_recipe_needs_what_the_package_needs() -> None:
    path = ROOT / "recipe" / "recipe.yaml"
    if not path.is_file():
        pytest.skip("an sdist, not a clone")
    recipe = path.read_text("utf-8")
    renamed = {
        "torch": "pytorch",
        "matplotlib": "matplotlib-base",
        "dask[array]": "dask",
    }
    for requirement in PROJECT["project"]["dependencies"]:
        name, lowest = requirement.split(">=")
        assert f"- {renamed.get(name, name)} >={lowest}\n" in recipe


def test_options_of_the_galaxy_tool_exist(capsys: pytest.CaptureFixture[str]) -> None:
    tool = ET.parse(ROOT / "examples/galaxy/napari_dps_run.xml").getroot()
    options = set(re.findall(r"--[a-z-]+", tool.findtext("command", "")))
    assert main(["run", "--help"]) == 0
    text = capsys.readouterr().out
    assert {option for option in options if option not in text} == set()
    assert len(options) > 8


def test_doctor_names_versions_device_and_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["doctor", "--no-speed-test", "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["napari-dps"] == __version__
    assert found["device"]["kind"] == "cpu"
    assert found["device"]["free_gb"] > 0
    assert found["packages"]["numpy"]
    monkeypatch.setattr(
        doctor.importlib.metadata,
        "requires",
        lambda _: ["no-such-thing>=1; extra == 'zarr'", "pytest; extra == 'test'"],
    )
    assert doctor.missing_by_extra() == {"zarr": ["no-such-thing"]}
    assert main(["doctor", "--no-speed-test", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert 'without no-such-thing: no OME-Zarr; pip install "napari-dps[zarr]"' in said
    assert said.splitlines()[-1] == (
        "Everything that a run needs is here. For what is missing above: "
        'pip install "napari-dps[zarr]"'
    )


def test_doctor_says_last_that_all_is_here(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: ["numpy>=2"])
    assert main(["doctor", "--no-speed-test", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Everything is here."


def test_doctor_names_a_package_without_which_nothing_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = ["numpy>=2", "no-such-thing>=1", "mrc; extra == 'dv'"]
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: needed)
    assert main(["doctor", "--no-speed-test", "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "needs no-such-thing: pip install napari-dps" in said


def test_doctor_offers_one_binding_of_qt() -> None:
    missing = {name: [name] for name in ("dv", "gui", "pyqt6", "pyside6")}
    said = doctor.verdict(missing, is_right=True)
    assert said.endswith('pip install "napari-dps[dv,pyqt6]"')
    assert doctor.verdict({"gui": ["superqt"]}, is_right=True).endswith('[gui]"')
    assert "report" in doctor.verdict({}, is_right=False)


@pytest.mark.slow
def test_trial_run_of_doctor_finds_the_stripes() -> None:
    trial = doctor.trial("cpu")
    assert trial["is_right"]
    assert trial["seconds"] > 0
