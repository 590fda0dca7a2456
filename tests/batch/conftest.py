"""Batches without their picture, which takes longer than all stages at these sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_dps.results import write as results


@pytest.fixture(autouse=True)
def _no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(figure: None, path: Path) -> None:
        path.touch()

    monkeypatch.setattr(results, "picture", lambda *_: None)
    monkeypatch.setattr(results, "save_figure", write)
