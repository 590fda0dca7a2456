"""Round things: vesicles, clathrin-coated pits, nuclear pores, beads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.curves import Float, ragged


def vesicles(canvas: Canvas) -> None:
    """Draw vesicles and endosomes: spheres of 50 to 350 nm radius, in loose clouds.

    In half of the scenes the membrane is labelled (rings), in the others the inside.
    """
    rng = canvas.rng
    centres = canvas.scatter(rng.uniform(0.3, 1.0), margin_nm=400)
    clouds = canvas.scatter(0.05, margin_nm=2000)
    members = np.repeat(clouds, rng.poisson(6, len(clouds)), axis=0)
    centres = np.concatenate([centres, members + rng.normal(0, 700, members.shape)])
    radius_nm = np.clip(rng.lognormal(np.log(110), 0.4, len(centres)), 50, 350)
    centres, radius_nm = _apart(rng, centres, radius_nm)
    filled = rng.random() < 0.5
    owner, places = _in_balls(rng, radius_nm, filled=filled)
    brightness = rng.lognormal(0, 0.5, len(centres))
    if filled:  # sites are spread by area seen; the light follows the volume
        brightness *= radius_nm / 110
    canvas.add(
        centres[owner] + places, brightness[owner] * rng.exponential(1.0, len(owner))
    )


def clathrin(canvas: Canvas) -> None:
    """Draw clathrin-coated pits: domes to closed cages, seen as dots and small rings.

    Cages of 35 to 75 nm radius to the label (Kaksonen and Roux 2018,
    doi:10.1038/nrm.2017.132) and plaques of several; single labels are visible.
    """
    rng = canvas.rng
    pits = canvas.scatter(rng.uniform(0.4, 1.6), margin_nm=200)
    plaques = canvas.scatter(rng.uniform(0.02, 0.08), margin_nm=500)
    lattices = np.repeat(plaques, rng.integers(4, 12, len(plaques)), axis=0)
    centres = np.concatenate([pits, lattices + rng.normal(0, 140, lattices.shape)])
    radius_nm = rng.uniform(35, 75, len(centres))
    closure = rng.uniform(0.2, 2.0, len(centres))  # height over radius: dome to ball
    owner, _ = ragged(rng.poisson(90 * closure))
    height = 1 - closure[owner] * rng.random(len(owner))
    places = _on_circle(rng, radius_nm[owner] * np.sqrt(1 - height**2))
    places += rng.normal(0, 6, places.shape)
    brightness = rng.lognormal(0, 0.4, len(centres))[owner]
    canvas.add(centres[owner] + places, brightness * rng.exponential(1.0, len(owner)))


def nuclear_pores(canvas: Canvas) -> None:
    """Draw nuclear pores from below the nucleus: rings of eight corners.

    Ring diameter 107 nm (Thevathasan et al. 2019, doi:10.1038/s41592-019-0574-9); 70 %
    of the labels are there, so that rings are incomplete.
    """
    rng = canvas.rng
    centres = canvas.scatter(rng.uniform(5, 11), margin_nm=100)
    nucleus = rng.random(2) * canvas.size_nm
    outside = np.hypot(*(centres - nucleus).T) > rng.uniform(5000, 12000)
    centres = centres[~outside]
    centres, _ = _apart(rng, centres, np.full(len(centres), 70.0))
    corner = np.arange(8) * np.pi / 4
    turn = corner + rng.uniform(0, np.pi / 4, (len(centres), 1))
    ring = 53.5 * np.stack([np.sin(turn), np.cos(turn)], axis=-1)
    copies = (centres[:, np.newaxis] + ring)[:, :, np.newaxis]
    copies = copies + rng.normal(0, 5, (len(centres), 8, 4, 2))
    labelled = rng.random(copies.shape[:-1]) < 0.7
    canvas.add(copies, labelled * rng.exponential(1.0, labelled.shape))


def beads(canvas: Canvas) -> None:
    """Draw fluorescent beads of one size, 40, 100 or 200 nm across, some touching."""
    rng = canvas.rng
    radius = rng.choice([20.0, 50.0, 100.0])
    centres = canvas.scatter(rng.uniform(0.1, 0.5), margin_nm=200)
    partners = centres[rng.random(len(centres)) < 0.12]
    partners = partners + _on_circle(rng, np.full(len(partners), 2 * radius))
    centres = np.concatenate([centres, partners])
    owner, places = _in_balls(rng, np.full(len(centres), radius), filled=True)
    brightness = np.clip(rng.normal(1, 0.12, len(centres)), 0.5, None)
    canvas.add(centres[owner] + places, brightness[owner])


def _apart(
    rng: np.random.Generator, centres: Float, radius_nm: Float
) -> tuple[Float, Float]:
    """Return the balls without those that overlap an earlier one."""
    if len(centres) < 2:
        return centres, radius_nm
    pairs = cKDTree(centres).query_pairs(2 * radius_nm.max(), output_type="ndarray")
    distance = np.hypot(*(centres[pairs[:, 0]] - centres[pairs[:, 1]]).T)
    touching = distance < radius_nm[pairs].sum(axis=1)
    keep = np.ones(len(centres), bool)
    keep[pairs[touching].max(axis=1)] = False
    return centres[keep], radius_nm[keep]


def _in_balls(
    rng: np.random.Generator, radius_nm: Float, *, filled: bool
) -> tuple[NDArray[np.intp], Float]:
    """Return sites in balls or on their surface, from above: owner and (y, x)."""
    owner, _ = ragged(np.ceil(np.pi * radius_nm**2 / 40).astype(np.intp))
    height = rng.uniform(-1, 1, len(owner))
    radius = radius_nm[owner] * np.sqrt(1 - height**2)
    if filled:
        radius *= np.cbrt(rng.random(len(owner)))
    return owner, _on_circle(rng, radius)


def _on_circle(rng: np.random.Generator, radius_nm: Float) -> Float:
    """Return a random point (y, x) on each circle around the origin."""
    angle = rng.uniform(0, 2 * np.pi, len(radius_nm))
    points: Float = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    points *= radius_nm[:, np.newaxis]
    return points
