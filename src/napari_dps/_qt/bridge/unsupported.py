"""How much of the light of a result its data do not support, in words."""

from napari_dps.methods.dps.maps import unsupported, unsupported_in_words
from napari_dps.pipeline import PipelineResult


def unsupported_text(result: PipelineResult) -> str:
    """Say it of the last result that has a map of it; empty where none has."""
    for output in reversed(result.outputs):
        for found in unsupported(output.first).values():
            return unsupported_in_words(found)
    return ""
