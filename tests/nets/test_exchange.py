"""Networks for other programs: the same values, also after a package was read."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_dps.nets
from napari_dps.cli import main
from napari_dps.core import InputError
from napari_dps.nets import onnx_file
from napari_dps.nets.checkpoint import load_checkpoint, shipped_weights
from napari_dps.nets.exchange import ExchangedNetwork, sample, signature

SHIPPED = sorted(
    path.stem for path in Path(napari_dps.nets.__path__[0], "weights").glob("*.json")
)


def _expected(name: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return an example of the inputs of a network, and what it gives."""
    checkpoint = load_checkpoint(shipped_weights(name))
    takes, _ = signature(checkpoint.metadata)
    inputs = sample(takes, checkpoint.metadata)
    named = {spec.name: value for spec, value in zip(takes, inputs, strict=True)}
    found = checkpoint.network(torch.device("cpu"))(**named)
    if isinstance(found, dict):
        found = tuple(found.values())
    return inputs, list(found if isinstance(found, tuple) else (found,))


@pytest.mark.parametrize("name", SHIPPED)
def test_exchanged_network_gives_what_its_signature_says(name):
    checkpoint = load_checkpoint(shipped_weights(name))
    metadata = checkpoint.metadata
    _, gives = signature(metadata)
    inputs, expected = _expected(name)
    network = ExchangedNetwork.of(checkpoint)
    with torch.inference_mode():
        outputs = network(*inputs)
    assert len(outputs) == len(gives)
    side = inputs[0].shape[-1]
    for spec, value, right in zip(gives, outputs, expected, strict=True):
        torch.testing.assert_close(value, right, rtol=1e-4, atol=1e-5)
        lengths = dict(zip(spec.axes, value.shape, strict=True))
        assert lengths.get("x", side / spec.scale) == side / spec.scale
        assert lengths.get("c", spec.channels) == spec.channels


PREDICT = """
import sys
import bioimageio.core as core
import numpy as np
package, inputs, outputs = sys.argv[1:]
summary = core.test_model(package)
if summary.status != "passed":
    sys.exit(summary.format())
model = core.load_model_description(package)
values = dict(np.load(inputs))
found = core.predict(model=model, inputs={t.id: values[t.id] for t in model.inputs})
np.savez(outputs, **{t.id: found.members[t.id].data.to_numpy() for t in model.outputs})
"""
"""Run apart: bioimageio leaves files open, of which Python warns when it likes."""


def _run(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_package_of_bioimageio_is_valid_and_gives_the_same(name, tmp_path, monkeypatch):
    pytest.importorskip("bioimageio", reason="needs the extra bioimageio")
    monkeypatch.chdir(tmp_path)
    _run("-m", "napari_dps.cli", "export", name, "--format", "bioimageio")
    package = f"{name}.bioimageio.zip"
    assert [path.name for path in tmp_path.iterdir()] == [package]
    inputs, expected = _expected(name)
    takes, gives = signature(load_checkpoint(shipped_weights(name)).metadata)
    named = {spec.name: x.numpy() for spec, x in zip(takes, inputs, strict=True)}
    np.savez("inputs.npz", **named)
    _run("-c", PREDICT, package, "inputs.npz", "outputs.npz")
    found = dict(np.load("outputs.npz"))
    assert list(found) == [spec.name for spec in gives]
    for values, right in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(values, right.numpy(), rtol=1e-4, atol=1e-5)


RUN_ONNX = """
import sys
import numpy as np
import onnxruntime
file, inputs, outputs = sys.argv[1:]
session = onnxruntime.InferenceSession(file)
about = session.get_modelmeta().custom_metadata_map["napari-dps"]
names = [one.name for one in session.get_outputs()]
found = zip(names, session.run(None, dict(np.load(inputs))))
np.savez(outputs, about=about, **dict(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_onnx_file_gives_the_same_on_images_of_another_size(
    name, tmp_path, monkeypatch
):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if find_spec(package) is None:
            pytest.skip(f"needs {package}, of the extras onnx and test")
    monkeypatch.chdir(tmp_path)
    _run("-m", "napari_dps.cli", "export", name, "--format", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.onnx"]
    checkpoint = load_checkpoint(shipped_weights(name))
    takes, gives = signature(checkpoint.metadata)
    small = sample(takes, checkpoint.metadata)
    inputs = [_larger(spec, value) for spec, value in zip(takes, small, strict=True)]
    with torch.inference_mode():
        expected = ExchangedNetwork.of(checkpoint)(*inputs)
    named = {spec.name: x.numpy() for spec, x in zip(takes, inputs, strict=True)}
    np.savez("inputs.npz", **named)
    _run("-c", RUN_ONNX, f"{name}.onnx", "inputs.npz", "outputs.npz")
    found = dict(np.load("outputs.npz"))
    about = json.loads(str(found.pop("about")))
    assert about["weights_sha256"] == checkpoint.metadata.sha256
    assert [one["name"] for one in about["inputs"]] == [spec.name for spec in takes]
    assert list(found) == [spec.name for spec in gives]
    for values, right in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(values, right.numpy(), rtol=1e-4, atol=1e-5)


def _larger(spec, value):
    """Return a sample of 96 × 136 px, of the same kind."""
    sides = {"y": round(96 / spec.scale), "x": round(136 / spec.scale)}
    shape = [sides.get(a, n) for a, n in zip(spec.axes, value.shape, strict=True)]
    random = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    return random if spec.fill is None else random.fill_(spec.fill)


def test_export_refuses_what_it_cannot_write(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", "no-such-network"]) == 2
    assert "dps-hybrid" in capsys.readouterr().err
    assert main(["export", "dps-hybrid", "--out", "dps.tar"]) == 2
    assert "--out: got dps.tar" in capsys.readouterr().err
    assert main(["export", "dps-hybrid", "--format", "onnx", "--out", "dps.zip"]) == 2
    assert "ends in .onnx" in capsys.readouterr().err
    monkeypatch.setattr(onnx_file, "NEEDED", ("no_such_package",))
    assert main(["export", "dps-hybrid", "--format", "onnx"]) == 2
    assert 'pip install "napari-dps[onnx]"' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "bioimageio", None)
    assert main(["export", "dps-hybrid"]) == 2
    assert 'pip install "napari-dps[bioimageio]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_architecture_without_signature_is_refused():
    metadata = load_checkpoint(shipped_weights("sim")).metadata
    with pytest.raises(InputError, match="architecture to export"):
        signature(metadata.model_copy(update={"architecture": "new"}))
