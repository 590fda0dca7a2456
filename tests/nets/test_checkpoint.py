"""Weights on disk: exact round trip; what was changed is refused."""

from __future__ import annotations

import json

import pytest
import torch

from napari_dps.core import InputError
from napari_dps.nets.architectures.res_u_dbpn import ResUDBPN
from napari_dps.nets.checkpoint import (
    load_checkpoint,
    save_checkpoint,
    shipped_weights,
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(3)
    network = ResUDBPN(features=0, noise_input=False, channels=8, head_channels=4)
    torch.nn.init.normal_(network.leave.weight, std=0.1)
    description = {
        "network": network.settings,
        "rl_iterations": [],
        "output_width": 0.0,
        "optics": {"pixel_size_nm": 32.5},
        "recipe": {"name": "test"},
        "data": {},
        "metrics": {"psnr": 30.0},
        "version": "0",
    }
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, network.state_dict(), description)
    return path, network.eval()


def test_round_trip_gives_the_same_output(saved):
    path, network = saved
    again = load_checkpoint(path).network(torch.device("cpu"))
    image = torch.rand(1, 1, 12, 10)
    torch.testing.assert_close(again(image), network(image), rtol=0, atol=1e-6)
    assert not any(p.requires_grad for p in again.parameters())
    assert sorted(p.suffix for p in path.parent.iterdir()) == [".json", ".safetensors"]


def test_one_changed_byte_is_refused(saved):
    path, _ = saved
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="not the file that its description names"):
        load_checkpoint(path)


def _edit(path, **changes):
    description = path.with_suffix(".json")
    values = {**json.loads(description.read_text()), **changes}
    description.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format"),
        ({"architecture": "other"}, "architecture"),
        ({"rl_iterations": "many"}, "rl_iterations"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_description_of_another_kind_is_refused(saved, changes, message):
    path, _ = saved
    _edit(path, **changes)
    with pytest.raises(InputError, match=message):
        load_checkpoint(path)


@pytest.mark.parametrize("network", [{"channels": 16}, {"evil": 1}])
def test_network_that_the_weights_do_not_fit_is_refused(saved, network):
    path, original = saved
    _edit(path, network={**original.settings, **network})
    with pytest.raises(InputError, match="do not fit the network"):
        load_checkpoint(path).network(torch.device("cpu"))


def test_missing_or_garbled_description_is_refused(saved):
    path, _ = saved
    path.with_suffix(".json").write_text("{")
    with pytest.raises(InputError, match="does not describe weights"):
        load_checkpoint(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="cannot read"):
        load_checkpoint(path)


def test_pickle_is_never_read(saved):
    path, network = saved
    torch.save(network.state_dict(), path)
    import hashlib

    _edit(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(InputError, match="not a safetensors file"):
        load_checkpoint(path)


def test_unknown_shipped_weights_are_refused():
    with pytest.raises(InputError, match="no-such"):
        shipped_weights("no-such")


def test_shipped_weights_load_and_are_small():
    path = shipped_weights("dps-oriented")
    assert path.stat().st_size < 2e6
    checkpoint = load_checkpoint(path)
    network = checkpoint.network(torch.device("cpu"))
    assert network.settings["features"] == len(checkpoint.metadata.rl_iterations)
    held_out = checkpoint.metadata.metrics["held_out"]
    assert held_out["psnr_200"] > checkpoint.metadata.metrics["input"]["psnr_200"] + 3
