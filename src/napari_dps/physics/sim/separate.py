"""Order separation: from the phase-shifted frames of an angle to its bands.

With illumination 1 + Σ_n m_n cos(2π k_n·r + ψ_np), frame p of an object s seen through
the PSF h is D_0 + Σ_n [cos ψ_np Re D_n − sin ψ_np Im D_n] with D_0 = s ⊗ h and
D_n = (m_n s e^{2πi k_n·r}) ⊗ h (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mixing_matrix(phases_rad: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the matrix that mixes the bands of one angle into its frames.

    Parameters
    ----------
    phases_rad : sequence of arrays (P,)
        Phase ψ_np of each band n ≥ 1 in each frame p, in radians.

    Returns
    -------
    array (P, 1 + 2 N), float64
        Columns: 1, then cos ψ_n and −sin ψ_n of each band, the factors of D_0, Re D_n
        and Im D_n.

    Examples
    --------
    >>> mixing_matrix([np.array([0, 2, 4]) * np.pi / 3]).round(2).tolist()[0]
    [1.0, 1.0, -0.0]
    """
    count = len(phases_rad[0])
    columns = [np.ones(count)]
    for phases in phases_rad:
        columns += [np.cos(phases), -np.sin(phases)]
    return np.stack(columns, axis=1)


def separation_matrix(phases_rad: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the least-squares inverse of `mixing_matrix`.

    Parameters
    ----------
    phases_rad : sequence of arrays (P,)
        As for `mixing_matrix`.

    Returns
    -------
    array (1 + 2 N, P), float64
        Applied to the frames it gives D_0, Re D_1, Im D_1, Re D_2, …
    """
    inverse: NDArray[np.float64] = np.linalg.pinv(mixing_matrix(phases_rad)).astype(
        np.float64
    )
    return inverse
