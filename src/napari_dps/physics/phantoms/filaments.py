"""Filaments of the cytoskeleton: microtubules and the actin mesh."""

from __future__ import annotations

import numpy as np

from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.curves import (
    Float,
    normals_of,
    on_tube,
    sites_along,
    smooth_noise,
    worm_like_chains,
)


def microtubules(canvas: Canvas) -> None:
    """Draw microtubules: hollow tubes with labels on the wall, lone and in bundles.

    Radius of the labelled wall 20 nm: 12.5 nm of the tube and the antibodies. Apparent
    persistence length 30 µm, as bent by the cell (Brangwynne et al. 2007,
    doi:10.1073/pnas.0703094104), against millimetres in vitro.
    """
    rng = canvas.rng
    start = canvas.scatter(rng.uniform(0.05, 0.13), margin_nm=7000)
    chains = worm_like_chains(
        rng,
        start,
        _headings(rng, len(start), spread_rad=0.35),
        length_nm=26000,
        persistence_nm=30000,
        smooth_over_nm=1500,
    )
    chains = np.concatenate([chains, _companions(rng, chains, share=0.5)])
    count, vertices = chains.shape[:2]
    sites = sites_along(
        rng,
        chains,
        spacing_nm=5,
        start=rng.uniform(0, 0.2, count),
        stop=rng.uniform(0.6, 1, count),
    )
    along = smooth_noise(rng, count, vertices, correlation_steps=25)
    overall = rng.lognormal(0, 0.4, (count, 1))
    brightness = sites.at(overall * np.exp(0.25 * along))
    brightness *= rng.exponential(1.0, len(brightness))
    canvas.add(sites.moved_aside(20 * on_tube(rng, len(brightness))), brightness)


def actin(canvas: Canvas) -> None:
    """Draw the actin cortex: a mesh of filaments, bundles through it, bright asters.

    Persistence length 10 µm, below the 17 µm of a lone filament (Ott et al. 1993,
    doi:10.1103/PhysRevE.48.R1642); brightness follows the filaments in a strand.
    """
    rng = canvas.rng
    density = rng.uniform(0.8, 2.2)
    _strands(canvas, per_um2=density, length_nm=7000, width_nm=10, brightness=1.0)
    _strands(canvas, per_um2=density / 10, length_nm=16000, width_nm=30, brightness=2.5)
    centres = canvas.scatter(rng.uniform(0, 0.05), margin_nm=500)
    arms = np.repeat(centres, 30, axis=0) + rng.normal(0, 90, (30 * len(centres), 2))
    chains = worm_like_chains(
        rng,
        arms,
        rng.uniform(0, 2 * np.pi, len(arms)),
        length_nm=280,
        persistence_nm=1500,
        smooth_over_nm=100,
        step_nm=40,
    )
    sites = sites_along(rng, chains, spacing_nm=6)
    canvas.add(sites.points_nm, rng.exponential(0.8, len(sites.points_nm)))


def _strands(
    canvas: Canvas,
    *,
    per_um2: float,
    length_nm: float,
    width_nm: float,
    brightness: float,
) -> None:
    """Draw one population of actin strands, a few directions preferred."""
    rng = canvas.rng
    start = canvas.scatter(per_um2, margin_nm=length_nm / 3)
    chains = worm_like_chains(
        rng,
        start,
        _headings(rng, len(start), spread_rad=0.7),
        length_nm=length_nm,
        persistence_nm=10000,
        smooth_over_nm=500,
    )
    count, vertices = chains.shape[:2]
    stop = 0.1 + 0.9 * rng.beta(1.2, 1.2, count)
    sites = sites_along(rng, chains, spacing_nm=6, stop=stop)
    along = smooth_noise(rng, count, vertices, correlation_steps=10)
    overall = brightness * rng.lognormal(-0.2, 0.6, (count, 1))
    weights = sites.at(overall * np.exp(0.35 * along))
    # Strands leave a bundle one by one: it thins out over 8 vertices, 400 nm.
    to_end = np.minimum(
        sites.vertex, (stop * (vertices - 1))[sites.curve] - sites.vertex
    )
    weights *= np.minimum(1, to_end / 8)
    weights *= rng.exponential(1.0, len(weights))
    canvas.add(sites.moved_aside(rng.normal(0, width_nm, len(weights))), weights)


def _headings(rng: np.random.Generator, count: int, *, spread_rad: float) -> Float:
    """Return directions: most near one of up to three axes of the cell, some random."""
    axes = rng.uniform(0, np.pi, rng.integers(1, 4))
    heading = rng.choice(axes, count) + rng.normal(0, spread_rad, count)
    stray = rng.random(count) < 0.25
    heading[stray] = rng.uniform(0, np.pi, stray.sum())
    return heading + np.pi * rng.integers(0, 2, count)


def _companions(rng: np.random.Generator, chains: Float, *, share: float) -> Float:
    """Return filaments that run along others, now closer, now farther, and cross."""
    groups = [chains[rng.random(len(chains)) < share]]
    groups += [groups[0][rng.random(len(groups[0])) < share]]
    leaders = np.concatenate(groups)
    apart_nm = 220 * smooth_noise(
        rng, len(leaders), leaders.shape[1], correlation_steps=50
    )
    apart_nm += rng.normal(0, 150, (len(leaders), 1))
    return leaders + apart_nm[..., np.newaxis] * normals_of(leaders)
