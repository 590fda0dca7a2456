"""The feature extractor of the artefact remover's loss."""
