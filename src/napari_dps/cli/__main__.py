"""``python -m napari_dps.cli``: the command line without its script."""

import sys

from napari_dps.cli import main

if __name__ == "__main__":
    sys.exit(main())
