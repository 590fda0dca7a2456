"""What a terabyte of raw frames costs on processors, from the time that a set takes.

``python benchmarks/terabyte.py --price 0.04 --out docs/benchmarks/terabyte.md``

Time-lapses of two lengths are run by the program, one thread each; the seconds of the
processor by which the longer takes more, a set, are what a set costs: the start of the
program is not in it. They do not depend on what else the machine does, unlike seconds
of the clock.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from batch import WORKERS, command, write_lapse
from page import machine, options, publish, table

SIDE_PX, FRAMES = 512, 9
SET_BYTES = 2 * FRAMES * SIDE_PX**2
TERABYTE = 1e12
CHAINS = {
    "all stages": (),
    "`denoise`, `reconstruct`": ("--stages", "denoise,reconstruct"),
    "`reconstruct`": ("--stages", "reconstruct"),
}
"""What is run, and the words that say so."""


def main() -> None:
    """Run, divide, write."""
    parser = options(__doc__)
    parser.add_argument(
        "--price", type=float, default=0.04, help="of a core for an hour; any currency"
    )
    parser.add_argument(
        "--lengths", type=int, nargs=2, default=(3, 11), help="sets of the two lapses"
    )
    asked = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lapses = [
            write_lapse(folder / f"{sets}.tif", SIDE_PX, sets) for sets in asked.lengths
        ]
        for title, words in CHAINS.items():
            spent = [used(lapse, folder / "out", words) for lapse in lapses]
            more = asked.lengths[1] - asked.lengths[0]
            seconds, size = (
                (long - short) / more for short, long in zip(*spent, strict=True)
            )
            rows.append([title, *cells(seconds, size, asked.price)])
            print(rows[-1], flush=True)
    publish(page(rows, asked.price), asked.out)


def used(lapse: Path, out: Path, words: Sequence[str]) -> tuple[float, int]:
    """Return the seconds of the processor that a run takes, and the bytes it writes."""
    out = out / lapse.stem
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command(lapse, "--out", out, "--keep", "last", "--device", "cpu", *words),
        check=True,
        capture_output=True,
        env=os.environ | WORKERS,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = sum(path.stat().st_size for path in out.glob("*.ome.tif"))
    for path in out.iterdir():
        path.unlink()
    return seconds, size


def cells(seconds: float, size: float, price: float) -> list[str]:
    """Return what a set takes, and what a terabyte of raw frames comes to."""
    hours = seconds * TERABYTE / SET_BYTES / 3600
    return [
        f"{seconds:.2f}",
        f"{hours:.0f}",
        f"{size / SET_BYTES:.1f}",
        f"{hours * price:.1f}",
    ]


def page(rows: list[list[str]], price: float) -> str:
    """Return the page."""
    header = ["stages", "core s a set", "core hours a TB", "TB of results", "price"]
    return f"""# What a terabyte costs

`python benchmarks/terabyte.py --price {price:g} --out docs/benchmarks/terabyte.md`
({machine("torch")}).

A terabyte (10¹² bytes) of raw 16-bit frames is {TERABYTE / SET_BYTES:,.0f} sets of
{FRAMES} × {SIDE_PX}². Seconds of one core a set, with the default parameters and
`--keep last`, reading and writing included, the start of the program not; the price at
{price:g} a core-hour, in the currency of `--price`. A machine that waits for its
disk takes longer.

{table(header, rows)}
"""


if __name__ == "__main__":
    main()
