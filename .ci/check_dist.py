"""What is in dist/ is what the clone holds, and of the version that a tag names.

python .ci/check_dist.py [--tag v0.1.0]
"""

import argparse
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOT_IN_SDIST = (
    ".ci/",
    ".github/",
    ".gitignore",
    ".napari-hub/",
    ".pre-commit",
    "benchmarks/",
    ".readthedocs",
    "codecov.yml",
    "recipe/",
)


def main() -> int:
    """Compare, and say what is missing or too much."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tag", default="")
    tag = parser.parse_args().tag
    version = re.search(
        r'__version__ = "(.+)"', (ROOT / "src/napari_dps/__init__.py").read_text()
    )[1]
    faults = []
    if tag and tag != f"v{version}":
        faults.append(f"the tag {tag} is not the version {version}")
    if tag and not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d",
        (ROOT / "CHANGELOG.md").read_text(),
        re.M,
    ):
        faults.append(f"CHANGELOG.md has no dated heading for {version}")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    tracked = set(listed.stdout.split("\n")) - {""}
    with zipfile.ZipFile(ROOT / f"dist/napari_dps-{version}-py3-none-any.whl") as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    expected = {
        name.removeprefix("src/") for name in tracked if name.startswith("src/")
    }
    faults += [f"the wheel lacks {name}" for name in sorted(expected - packed)]
    faults += [f"the wheel holds {name}" for name in sorted(packed - expected)]
    with tarfile.open(ROOT / f"dist/napari_dps-{version}.tar.gz") as sdist:
        packed = {name.split("/", 1)[1] for name in sdist.getnames() if "/" in name}
    expected = {name for name in tracked if not name.startswith(NOT_IN_SDIST)}
    faults += [f"the sdist lacks {name}" for name in sorted(expected - packed)]
    faults += [
        f"the sdist holds {name}" for name in sorted(packed - tracked - {"PKG-INFO"})
    ]
    for fault in faults:
        print(fault)
    print(f"{version}: {len(faults)} faults")
    return min(len(faults), 1)


if __name__ == "__main__":
    sys.exit(main())
