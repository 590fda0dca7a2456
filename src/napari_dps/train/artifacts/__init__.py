"""The artefact remover: pairs of reconstructions, objective, task."""
