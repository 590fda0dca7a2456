"""Arrays that depend on little but a shape, kept for the next image of that shape."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from numpy.typing import NDArray

P = ParamSpec("P")
A = TypeVar("A", bound=NDArray[Any])

MOST_BYTES = 32 * 1024**2
"""Of an array that is kept: those of large planes are made again, as what they take of
the memory counts more than the time beside that of the rest."""


def kept(count: int) -> Callable[[Callable[P, A]], Callable[P, A]]:
    """Decorate a function whose last few arrays are kept, unless they are large.

    Parameters
    ----------
    count : int
        How many.

    Examples
    --------
    >>> import numpy as np
    >>> ones = kept(2)(np.ones)
    >>> ones(3) is ones(3), ones(5_000_000) is ones(5_000_000)
    (True, False)
    """

    def decorate(make: Callable[P, A]) -> Callable[P, A]:
        found: dict[Any, A] = {}
        lock = threading.Lock()

        @wraps(make)
        def get(*values: P.args, **named: P.kwargs) -> A:
            key = values, tuple(named.items())
            array = found.get(key)
            if array is None:
                array = make(*values, **named)
                if array.nbytes <= MOST_BYTES:
                    with lock:
                        while len(found) >= count:
                            del found[next(iter(found))]
                        found[key] = array
            return array

        return get

    return decorate
