"""Between napari and the pipeline: layers and stacks, tasks, runs, files."""
