"""A run of a dock as a command or as a program that does the same."""

import pprint
import shlex
from typing import Any

from napari_dps.pipeline import Settings

_BY_HAND = "patterns set by hand are not in it: save the settings of the dock Pipeline"


def as_command(settings: Settings, source: str) -> str:
    """Return the command line of a run.

    Parameters
    ----------
    settings : Settings
        Of the run.
    source : str
        Name of the file.

    Examples
    --------
    >>> as_command(Settings(stages=("background",), optics={"na": 1.4}), "cell 1.tif")
    "napari-dps run 'cell 1.tif' --out results --stages background --na 1.4"
    """
    words = ["napari-dps", "run", source, "--out", "results"]
    if settings.stages is not None:
        words += ["--stages", ",".join(settings.stages)]
    tables = _changed(settings)
    for name, table in tables.items():
        dotted = "" if name in ("input", "optics", "output") else f"{name}."
        for field, value in table.items():
            words += [f"--{dotted}{field}".replace("_", "-"), _word(value)]
    return shlex.join(words) + (f"  # {_BY_HAND}" if _is_by_hand(settings) else "")


def as_python(settings: Settings, source: str) -> str:
    """Return a program of a run; parameters are as for `as_command`.

    Examples
    --------
    >>> print(as_python(Settings(stages=("background",)), "cell.tif"))
    from napari_dps import io
    from napari_dps.core import finish
    from napari_dps.pipeline import Settings, open_input, run_plan
    <BLANKLINE>
    settings = Settings.from_tables({'pipeline': {'stages': ['background']}})
    result = finish(run_plan(open_input('cell.tif', settings)))
    for output in result.outputs:
        io.save(output.image, f"result.{output.step.stage.id}.ome.tif")
    """
    tables = dict(_changed(settings))
    if settings.stages is not None:
        tables = {"pipeline": {"stages": list(settings.stages)}, **tables}
    shown = pprint.pformat(tables, width=80, sort_dicts=False)
    note = f"  # {_BY_HAND}" if _is_by_hand(settings) else ""
    return (
        "from napari_dps import io\n"
        "from napari_dps.core import finish\n"
        "from napari_dps.pipeline import Settings, open_input, run_plan\n\n"
        f"settings = Settings.from_tables({shown}){note}\n"
        f"result = finish(run_plan(open_input({source!r}, settings)))\n"
        "for output in result.outputs:\n"
        '    io.save(output.image, f"result.{output.step.stage.id}.ome.tif")'
    )


def _changed(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the tables of what differs from the defaults."""
    tables = settings.to_tables()
    tables.pop("pipeline")
    if _is_by_hand(settings):
        tables["input"].pop("patterns")
    for name, parameters in settings.parameters.items():
        usual = type(parameters)().model_dump(mode="json")
        tables[name] = {
            field: value
            for field, value in tables[name].items()
            if value != usual[field]
        }
    return {name: table for name, table in tables.items() if table}


def _is_by_hand(settings: Settings) -> bool:
    return isinstance(settings.input.patterns, tuple)


def _word(value: Any) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_word, value))
    return str(value)
