"""What went wrong, with the parameters named by their place in the docks."""

import re

from pydantic import BaseModel

from napari_dps.core import Optics
from napari_dps.core.errors import Failure, explain
from napari_dps.core.params import describe
from napari_dps.pipeline import InputSettings
from napari_dps.stages import STAGES

_TO_SET = (
    (
        re.compile(r"add input\.angles (\d+) input\.phases (\d+)"),
        r"set Angles × phases to \1 × \2",
    ),
    (re.compile(r"(\d) input\.order (\w+)"), r"\1, input.order to \2"),
    (re.compile(r"add input\.instrument "), "set input.instrument to "),
)
"""What the command line adds is set in the docks."""
_CHOICE = re.compile(r"(?<![\w./-])(\w+\.\w+) (\w+)")
_PATH = re.compile(r"(?<![\w./-])\w+\.\w+(?![\w./-])")
_PLACES = {
    "input.angles": "Angles × phases",
    "input.phases": "Angles × phases",
    "input.order": "Frame order",
    "input.instrument": "Instrument",
    "input.camera_offset": "Camera offset in Microscope",
    "input.patterns": "Patterns",
    "device": "Device",
    "debug": "in the log",
}
_SECTIONS: dict[str, tuple[type[BaseModel], str]] = {
    "optics": (Optics, "Microscope"),
    "input": (InputSettings, "Frames and camera"),
    **{stage.id: (stage.parameters, stage.title) for stage in STAGES},
}


def place_of(field: str) -> str:
    """Return where the docks set a parameter; empty if they do not.

    Parameters
    ----------
    field : str
        Its path, as in a file of settings.

    Examples
    --------
    >>> place_of("optics.na"), place_of("dps.strength"), place_of("scheduler")
    ('NA in Microscope', 'Strength in Super-resolution (DPS)', '')
    """
    table, _, name = field.rpartition(".")
    if field in _PLACES or table not in _SECTIONS:
        return _PLACES.get(field, "")
    model, section = _SECTIONS[table]
    titles = {info.name: info.title for info in describe(model)}
    return f"{titles[name]} in {section}" if name in titles else ""


def in_words_of_docks(text: str) -> str:
    """Return a warning with places in the docks for the parameters that it names.

    Examples
    --------
    >>> in_words_of_docks("add input.angles 3 input.phases 5 input.order payx; a.tif")
    'set Angles × phases to 3 × 5, Frame order to payx; a.tif'
    >>> in_words_of_docks("if it holds raw SIM frames, add input.instrument n-sim")
    'if it holds raw SIM frames, set Instrument to n-sim'
    >>> in_words_of_docks("to take the image's: dps.psf measured")
    "to take the image's: PSF measured in Super-resolution (DPS)"
    """
    for pattern, words in _TO_SET:
        text = pattern.sub(words, text)
    text = _CHOICE.sub(lambda match: _chosen(*match.groups()) or match[0], text)
    return _PATH.sub(lambda match: place_of(match[0]) or match[0], text)


def _chosen(field: str, word: str) -> str:
    """Return the place of a parameter and its choice; empty if it is none."""
    table, _, name = field.rpartition(".")
    if table not in _SECTIONS or not place_of(field):
        return ""
    model, section = _SECTIONS[table]
    infos = {info.name: info for info in describe(model)}
    if name not in infos or word not in infos[name].choices:
        return ""
    return f"{infos[name].title} {word} in {section}"


def in_docks(problem: Failure | BaseException) -> str:
    """Say what went wrong, with the place in the docks that mends it.

    Examples
    --------
    >>> from napari_dps.core import InputError
    >>> in_docks(InputError(field="optics.na", got=-1))
    'NA in Microscope: got -1'
    >>> in_docks(InputError("no order", field="input.order"))
    'no order (Frame order)'
    """
    failure = problem if isinstance(problem, Failure) else explain(problem)
    places = dict.fromkeys(filter(None, map(place_of, failure.fields)))
    if not places:
        return in_words_of_docks(failure.text)
    names = ", ".join(places)
    is_path = failure.what in failure.fields
    return (names if is_path else f"{failure.what} ({names})") + failure.detail
