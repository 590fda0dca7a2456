"""The examples that end the help of each command."""

from __future__ import annotations

import importlib
import shlex

import pytest

from napari_dps.cli import COMMANDS


def _examples(command: str) -> list[list[str]]:
    module = importlib.import_module(f"napari_dps.cli.{command}")
    lines = module.EXAMPLES.strip().replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_examples_that_the_command_takes(
    napari_dps, command, monkeypatch
):
    module = importlib.import_module(f"napari_dps.cli.{command}")
    helped = napari_dps(command, "--help")
    assert helped.code == 0
    assert helped.out.rstrip().endswith(f"for example:{module.EXAMPLES}".rstrip())
    assert max(map(len, module.EXAMPLES.splitlines())) < 80
    monkeypatch.setattr(module, "execute", lambda options: 0)
    examples = _examples(command)
    assert 1 <= len(examples) <= 2
    for words in examples:
        assert words[:2] == ["napari-dps", command]
        outcome = napari_dps(*words[1:])
        assert outcome.code == 0, outcome.err
