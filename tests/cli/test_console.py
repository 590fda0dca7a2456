"""What the command line says on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys

import pytest
from tqdm import tqdm

from napari_dps.cli import console
from napari_dps.core import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def _steps():
    for done in range(4):
        yield Progress(done * 25, 100, f"step {done}")
    return "result"


def test_a_bar_is_drawn_on_a_terminal_and_taken_away(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert console.track(_steps(), "cell") == "result"
    text = sys.stderr.getvalue()
    assert "cell: step 0" in text
    assert " 75% " in text
    assert text.endswith("\r")
    assert "\n" not in text


def test_a_bar_stays_in_its_row_beside_one_that_was_left_open(monkeypatch):
    left = tqdm(total=1, file=io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal())
    console.track(_steps(), "cell")
    assert "\n" not in sys.stderr.getvalue()
    left.close()


def test_a_pipe_gets_one_line_a_stage_and_input(capsys):
    def steps():
        for part in ("1 of 2, a", "2 of 2, b\n"):
            yield Progress(0, 4, f"{part}: Denoising, t 0: tile 1 of 2")
            yield Progress(1, 4, f"{part}: Denoising, t 1: tile 2 of 2")
            yield Progress(2, 4, f"{part}: SIM reconstruction")

    console.track(steps(), "")
    assert capsys.readouterr().err.splitlines() == [
        "1 of 2, a: Denoising",
        "1 of 2, a: SIM reconstruction",
        "2 of 2, b : Denoising",
        "2 of 2, b : SIM reconstruction",
    ]


def test_a_pipe_gets_no_bar(capsys):
    assert console.track(_steps(), "cell") == "result"
    assert capsys.readouterr().err == ""


def test_an_error_passes_through_the_bar(monkeypatch):
    def failing():
        yield Progress(0, 1)
        raise ValueError("no")

    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(ValueError, match="no"):
        console.track(failing(), "cell")


def test_numbers_that_are_missing_are_dashes():
    assert console.number(None) == "–"
    assert console.number(0.123456) == "0.1235"
