"""The command line: ``napari-dps run | watch | demo | measure | check | …``.

This module knows the commands by name only, so that ``napari-dps --help`` starts at
once; the module of a command is imported when the command is called.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from napari_dps import __version__
from napari_dps.cli import console, stopping

COMMANDS = {
    "run": "run the stages on raw SIM stacks or plain images",
    "watch": "reconstruct files and growing stacks as they arrive",
    "demo": "simulate a raw stack with known truth, run all stages, score the results",
    "measure": "measure an image: resolution, noise, agreement with a reference",
    "simulate": "simulate a raw SIM stack with its exact truth and patterns",
    "check": "plant pairs into an image: which separation does dps resolve in it?",
    "psf": "compute the PSF and the OTF of a microscope",
    "otf": "measure the OTF of a microscope on a stack of beads",
    "doctor": "say what is installed, what is missing and how fast it is",
    "train": "train the network of a stage from a recipe",
    "export": "write a network as a package of bioimage.io",
}
"""Each command is a module here with ``configure(parser)``, ``execute(options)`` and
``EXAMPLES``, which end its help."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        console.error(f"{message} (see {self.prog} --help)")
        raise SystemExit(console.USER_MISTAKE)

    def refuse(self, words: Sequence[str]) -> NoReturn:
        """Name what is no option, and the option that was meant."""
        known = re.findall(r"--[\w.-]+", self.format_help())
        near = difflib.get_close_matches(words[0].partition("=")[0], known, 1, 0.7)
        meant = f"; did you mean {near[0]}?" if near else ""
        self.error(f"unrecognized arguments: {' '.join(words)}{meant}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        ``sys.argv[1:]`` when not given.

    Returns
    -------
    int
        0: all is well; 1: some of several inputs failed; 2: a mistake of the user;
        3: a fault of napari-dps itself; 130, 143: stopped by Ctrl-C, by SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with stopping.stoppable():
            return _run_command(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    except BrokenPipeError:
        # The reader of our output (head, less) has seen enough.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for the rest of the process
        return 0
    except KeyboardInterrupt as stop:
        is_terminated = isinstance(stop, stopping.Terminated)
        word = "terminated" if is_terminated else "interrupted"
        console.error(str(stop) or f"{word}; no half-written file is left")
        return console.TERMINATED if is_terminated else console.INTERRUPTED
    except Exception as problem:  # noqa: BLE001 - the last resort: told to the user
        return console.tell(problem, debug="--debug" in words)


def _run_command(words: Sequence[str]) -> int:
    called = next((word for word in words if word in COMMANDS), None)
    parser = _Parser(
        prog="napari-dps",
        description="From raw SIM stripes to a super-resolved image.",
        epilog="napari-dps COMMAND --help tells the options of a command.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands: dict[str, _Parser] = {}
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, title="commands"
    )
    for name, purpose in COMMANDS.items():
        command = subparsers.add_parser(
            name,
            help=purpose,
            description=purpose[0].upper() + purpose[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_argument(
            "--debug", action="store_true", help="show the traceback of an error"
        )
        commands[name] = command
        if name == called:
            module = importlib.import_module(f"napari_dps.cli.{name}")
            module.configure(command)
            command.epilog = f"for example:{module.EXAMPLES}"
    options, unknown = parser.parse_known_args(words)
    if unknown:
        commands[options.command].refuse(unknown)
    code: int = module.execute(options)
    return code
