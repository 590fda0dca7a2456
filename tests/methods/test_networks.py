"""Networks of the stages: kept, recorded, and refused where they do not fit."""

from __future__ import annotations

import pytest
import torch

from napari_dps.core import InputError
from napari_dps.core.context import Context
from napari_dps.methods.networks import load_network
from napari_dps.nets.checkpoint import shipped_weights

CPU = torch.device("cpu")


def test_network_is_loaded_once_and_recorded():
    context = Context("cpu")
    path = shipped_weights("artifacts")
    network, metadata = load_network(context, path, CPU, "artifact_remover")
    assert context.weights_sha256 == metadata.sha256
    context.weights_sha256 = None
    assert load_network(context, path, CPU, "artifact_remover")[0] is network
    assert context.weights_sha256 == metadata.sha256


def test_weights_of_another_network_are_refused():
    with pytest.raises(InputError, match="architecture"):
        load_network(Context("cpu"), shipped_weights("denoise"), CPU, "res_u_dbpn")
