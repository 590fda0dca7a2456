"""What a run costs: the time that is left, and the memory that is used."""

import psutil

_LEAST_S = 3.0
_LEAST_SHARE = 0.05
"""Before these an estimate would be a guess."""


def time_left(elapsed_s: float, share: float) -> str:
    """Say how long a run will still take; empty where that cannot be told yet.

    Examples
    --------
    >>> time_left(10, 0.5), time_left(90, 0.25), time_left(1, 0.5)
    (', about 10 s left', ', about 4 min left', '')
    """
    if elapsed_s < _LEAST_S or not _LEAST_SHARE <= share < 1:
        return ""
    left = elapsed_s * (1 - share) / share
    return (
        f", about {left / 60:.0f} min left"
        if left > 90
        else (f", about {max(left, 1):.0f} s left")
    )


def memory_used_gb() -> float:
    """Return the memory of this program in GB."""
    return float(psutil.Process().memory_info().rss / 1e9)
