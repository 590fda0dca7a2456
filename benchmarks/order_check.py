"""The frame-order check on simulated stacks: how often it is right, silent, wrong.

Each stack is read in the right order and with phases and angles exchanged. Right:
"confirmed" or "wrong", as it is. Silent: "cannot tell". Wrong: the contrary, and any
call without stripes.

    python benchmarks/order_check.py --out order_check.md
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from page import options, publish, table

from napari_dps.io import check_order
from napari_dps.physics.simulate import simulate
from napari_dps.physics.simulate_settings import SimulationSettings

STRUCTURES = ("microtubules", "er", "clathrin", "mitochondria", "actin")
COUNTS = ((3, 3), (3, 5))
OUTCOMES = ("right", "silent", "wrong")
FLAWS = {"bleaching": 0.02, "intensity_jitter": 0.03, "phase_error_deg": 4.0}

ROWS: tuple[tuple[str, dict[str, float]], ...] = (
    ("1000 photons, modulation .6", {"photons": 1000, "modulation": 0.6}),
    ("1000 photons, modulation .3", {"photons": 1000, "modulation": 0.3}),
    ("100 photons, modulation .6", {"photons": 100, "modulation": 0.6}),
    ("100 photons, modulation .3", {"photons": 100, "modulation": 0.3}),
    ("30 photons, modulation .6", {"photons": 30, "modulation": 0.6}),
    ("30 photons, modulation .3", {"photons": 30, "modulation": 0.3}),
    ("10 photons, modulation .6", {"photons": 10, "modulation": 0.6}),
    ("sample moving 3 nm a frame", {"photons": 300, "motion_nm": 3}),
    ("sample moving 20 nm a frame", {"photons": 300, "motion_nm": 20}),
    ("no stripes, 30 photons", {"photons": 30, "modulation": 0}),
    ("no stripes, 5000 photons", {"photons": 5000, "modulation": 0}),
    ("no stripes, moving 3 nm", {"photons": 1000, "modulation": 0, "motion_nm": 3}),
    ("no stripes, moving 20 nm", {"photons": 1000, "modulation": 0, "motion_nm": 20}),
)


def score(changes: dict[str, float], size: int, seeds: int) -> Counter[str]:
    """Count the outcomes of all stacks of one row of the table."""
    outcomes: Counter[str] = Counter()
    has_stripes = changes.get("modulation", 1) > 0
    for structure in STRUCTURES:
        for angles, phases in COUNTS:
            for seed in range(seeds):
                settings = SimulationSettings(
                    structure=structure,
                    height_px=size,
                    width_px=size,
                    angles=angles,
                    phases=phases,
                    seed=seed,
                    **{**FLAWS, **changes},
                )
                if not has_stripes:
                    settings = settings.model_copy(update={"second_modulation": 0.0})
                raw = np.asarray(simulate(settings).raw.data)
                for stack, truth in ((raw, "apyx"), (raw.swapaxes(0, 1), "payx")):
                    frames = stack.reshape(-1, size, size)
                    check = check_order(frames, angles=angles, phases=phases)
                    expected = f"{truth} {angles}×{phases}"
                    if check.status == "unclear":
                        outcomes["silent"] += 1
                    elif has_stripes and check.best == expected:
                        outcomes["right"] += 1
                    else:
                        outcomes["wrong"] += 1
    return outcomes


def main() -> None:
    """Print the table, and write it where told."""
    parser = options(__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=2)
    chosen = parser.parse_args()
    rows = []
    for title, changes in ROWS:
        found = score(changes, chosen.size, chosen.seeds)
        rows.append([title, *(str(found[key]) for key in OUTCOMES)])
        print(" | ".join(rows[-1]), flush=True)
    text = f"""# The frame-order check

`python benchmarks/order_check.py --out order_check.md`

{len(STRUCTURES)} structures, 3×3 and 3×5, {chosen.size}², {chosen.seeds} seeds, each in
the right and in a wrong order.

{table(["stacks", "right", "cannot tell", "wrong"], rows)}
"""
    publish(text, chosen.out)


if __name__ == "__main__":
    main()
