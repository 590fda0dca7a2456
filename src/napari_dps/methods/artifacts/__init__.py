"""Artefact removal from reconstructions."""
