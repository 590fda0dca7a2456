"""What is loaded when, who imports whom, and how long modules and functions are."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import napari_dps

HEAVY = {"torch", "matplotlib", "skimage", "zarr", "mrc"}
GUI = {"napari", "qtpy", "superqt", "magicgui", "PyQt6", "PySide6"}

IMPORT_ALL = """
import importlib, pkgutil, napari_dps
for module in pkgutil.walk_packages(napari_dps.__path__, "napari_dps."):
    # Classes of layers need torch when they are defined: loaded when a network is.
    # Widgets need the GUI, which nothing else may load.
    if not module.name.startswith(
        ("napari_dps.nets.", "napari_dps.train.", "napari_dps._qt")
    ):
        importlib.import_module(module.name)
"""
HELP = """
from napari_dps.cli import main
try:
    main(["run", "--help"])
except SystemExit:
    pass
"""


def _loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after the code."""
    report = "import sys\nprint(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import napari_dps", id="package"),
        pytest.param(HELP, id="help"),
        pytest.param(IMPORT_ALL, id="every-module"),
    ],
)
def test_import_loads_nothing_heavy_and_no_gui(code: str) -> None:
    loaded = _loaded_by(code)
    assert "napari_dps" in loaded
    assert not loaded & (HEAVY | GUI)


def test_loaded_modules_are_seen_by_the_check() -> None:
    assert "matplotlib" in _loaded_by("import matplotlib")


def test_command_line_version_is_that_of_the_package() -> None:
    from napari_dps import __version__

    done = subprocess.run(
        [sys.executable, "-c", "from napari_dps.cli import main; main(['--version'])"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split()[-1] == __version__


def test_help_of_run_offers_every_parameter_of_every_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from napari_dps.cli import main
    from napari_dps.core.params import describe
    from napari_dps.stages import STAGES

    main(["run", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    flags = {
        f"--{stage.id}.{info.name.replace('_', '-')}"
        for stage in STAGES
        for info in describe(stage.parameters)
    }
    assert flags
    assert {flag for flag in flags if flag not in text} == set()


def test_stages_have_unique_ids_and_described_parameters() -> None:
    from napari_dps.core.params import describe
    from napari_dps.stages import STAGES

    assert len({stage.id for stage in STAGES}) == len(STAGES) > 0
    for stage in STAGES:
        assert {stage.takes, stage.gives} <= {"APYX", "YX"}
        for info in describe(stage.parameters):
            assert info.title != info.name, f"{stage.id}.{info.name} has no title"
            assert info.description.endswith("."), f"{stage.id}.{info.name}"


SOURCE = Path(napari_dps.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 40
"""Lines of code: docstring, comments and blank lines do not count."""

LONG_FUNCTIONS = {"cli/train.py:configure"}
"""A list of options; none may be added."""


def _name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def _private_imports(path: Path) -> list[str]:
    """Names with one leading underscore that a module takes from another."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        sources = [getattr(node, "module", None), *(alias.name for alias in node.names)]
        found += [
            f"{_name(path)}:{node.lineno}: {name}"
            for name in ".".join(filter(None, sources)).split(".")
            # The package _qt is private to users, not to its own modules.
            if name.startswith("_") and not name.startswith("__") and name != "_qt"
        ]
    return found


def _long_functions(path: Path) -> set[str]:
    """Functions of more lines of code than allowed."""
    text = path.read_text(encoding="utf-8")
    no_code = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in no_code:
            code.update(range(token.start[0], token.end[0] + 1))
    found = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = code & set(range(node.lineno, (node.end_lineno or 0) + 1))
        if ast.get_docstring(node) is not None:
            first = node.body[0]
            lines -= set(range(first.lineno, (first.end_lineno or 0) + 1))
        if len(lines) > LINES_OF_A_FUNCTION:
            found.add(f"{_name(path)}:{node.name}")
    return found


def test_no_module_imports_what_is_private_to_another() -> None:
    assert [name for path in MODULES for name in _private_imports(path)] == []


def test_private_imports_are_seen_by_the_check(tmp_path: Path) -> None:
    text = "def f():\n    from napari_dps.core.types import _check\n"
    module = tmp_path / "module.py"
    module.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "SOURCE", tmp_path)
        assert _private_imports(module) == ["module.py:2: _check"]


def test_stages_hold_one_file_a_stage() -> None:
    from napari_dps.stages import STAGES

    expected = {f"{stage.id}.py" for stage in STAGES} | {"base.py", "__init__.py"}
    assert {path.name for path in (SOURCE / "stages").glob("*.py")} == expected


def test_modules_are_short() -> None:
    long = {
        _name(path)
        for path in MODULES
        if len(path.read_text(encoding="utf-8").splitlines()) > LINES_OF_A_MODULE
    }
    assert long == set()


def test_functions_are_short() -> None:
    long = {name for path in MODULES for name in _long_functions(path)}
    assert long == LONG_FUNCTIONS


def test_long_functions_are_seen_by_the_check(tmp_path: Path) -> None:
    body = "\n".join(f"    x = {number}  # comment\n" for number in range(40))
    module = tmp_path / "module.py"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "SOURCE", tmp_path)
        module.write_text(f'def f():\n    """Doc."""\n{body}\n')
        assert _long_functions(module) == {"module.py:f"}
        module.write_text(f'def f():\n    """Doc."""\n{body[: body.rindex("    x")]}\n')
        assert _long_functions(module) == set()


def test_names_of_test_modules_differ():
    """Pytest cannot import two of one name from folders that are no packages."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
