"""The network whose features judge the artefact remover."""

from __future__ import annotations

from napari_dps.nets.vgg import Classifier

NETWORK = Classifier
