"""Lines that a command writes."""

from __future__ import annotations

from napari_dps.stages import STAGES


def told(stderr: str) -> list[str]:
    """Return lines of stderr but for those that name the stage at work."""
    titles = tuple(f": {stage.title}" for stage in STAGES)
    return [line for line in stderr.splitlines() if not line.endswith(titles)]
