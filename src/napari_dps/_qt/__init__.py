"""The napari plugin: dock widgets on top of the pipeline; nothing is computed here."""
