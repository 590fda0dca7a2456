"""Membrane organelles: endoplasmic reticulum and mitochondria with cristae."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Voronoi, cKDTree

from napari_dps.physics.phantoms.canvas import Canvas
from napari_dps.physics.phantoms.curves import (
    Float,
    Sites,
    on_tube,
    ragged,
    sites_along,
    smooth_noise,
    worm_like_chains,
)

_TUBULE_VERTICES = 17
_NETWORK_MARGIN_NM = 4000.0


def endoplasmic_reticulum(canvas: Canvas) -> None:
    """Draw the peripheral ER: tubules that meet in threes, dead ends and sheets.

    The network is a relaxed Voronoi diagram, since tension makes three tubules meet at
    about 120°; tubules have a radius of 45 nm to the label, beads and varying density.
    """
    rng = canvas.rng
    diagram = _network(canvas)
    cell = _Cell.draw(canvas)
    start, stop = _tubules(canvas, diagram, cell)
    curves = _bent(rng, start, stop)
    count = len(curves)
    dead_end = rng.random(count) < 0.06
    part = np.where(dead_end, rng.uniform(0.3, 0.8, count), 1.0)
    sites = sites_along(rng, curves, spacing_nm=4, stop=part)
    overall = rng.lognormal(0, 0.25, (count, 1))
    along = smooth_noise(rng, count, _TUBULE_VERTICES, correlation_steps=1.0)
    radius_nm = sites.at(40 * np.exp(0.15 * along))
    brightness = sites.at(overall * np.exp(0.35 * along))
    canvas.add(
        sites.moved_aside(radius_nm * on_tube(rng, len(radius_nm))),
        brightness * rng.exponential(1.0, len(brightness)),
    )
    _sheets(canvas, diagram, cell)


def mitochondria(canvas: Canvas) -> None:
    """Draw mitochondria: tubes with a bright boundary and cristae across them.

    Radius 130 to 230 nm, cristae 60 to 110 nm apart and 20 nm thick, as live-cell STED
    shows them (Stephan et al. 2019, doi:10.1038/s41598-019-48838-2).
    """
    rng = canvas.rng
    start = canvas.scatter(rng.uniform(0.15, 0.6), margin_nm=2500)
    chains = worm_like_chains(
        rng,
        start,
        rng.uniform(0, 2 * np.pi, len(start)),
        length_nm=8000,
        persistence_nm=3500,
        smooth_over_nm=800,
        step_nm=25,
    )
    stop = np.clip(rng.lognormal(np.log(0.35), 0.7, len(chains)), 0.06, 1.0)
    free = _without_overlaps(chains, stop)
    chains, stop = chains[free], stop[free]
    radius_nm = rng.uniform(120, 210, (len(chains), 1)) * np.exp(
        0.12 * smooth_noise(rng, *chains.shape[:2], correlation_steps=10)
    )
    radius_nm *= _rounded_ends(chains.shape[1], stop, radius_nm)
    brightness = rng.lognormal(0, 0.3, len(chains))
    wall = sites_along(rng, chains, spacing_nm=1.5, stop=stop)
    canvas.add(
        wall.moved_aside(wall.at(radius_nm) * on_tube(rng, len(wall.vertex))),
        0.5 * brightness[wall.curve] * rng.exponential(1.0, len(wall.vertex)),
    )
    _cristae(canvas, chains, stop, radius_nm, brightness)


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where the cell is: the field and a margin, up to a straight border."""

    size_nm: Float
    outwards: Float
    border_nm: float

    @classmethod
    def draw(cls, canvas: Canvas) -> _Cell:
        """Draw a border; in a third of the scenes it leaves the field alone."""
        angle = canvas.rng.uniform(0, 2 * np.pi)
        border_nm = canvas.rng.uniform(0.1, 1.5) * canvas.size_nm.min() / 2
        return cls(canvas.size_nm, np.array([np.sin(angle), np.cos(angle)]), border_nm)

    def holds(self, points_nm: Float) -> NDArray[np.bool_]:
        """Return which points (N, 2) lie in it."""
        from_middle = points_nm - self.size_nm / 2
        near = np.abs(from_middle) < self.size_nm / 2 + _NETWORK_MARGIN_NM
        inside = from_middle @ self.outwards < self.border_nm
        return np.asarray(near.all(axis=1) & inside)


def _network(canvas: Canvas) -> Voronoi:
    """Return a half-relaxed Voronoi diagram, with finer meshes somewhere."""
    rng = canvas.rng
    seeds = canvas.scatter(rng.uniform(0.8, 2.0), margin_nm=_NETWORK_MARGIN_NM)
    centre = rng.random(2) * canvas.size_nm
    distance_nm = np.hypot(*(seeds - centre).T)
    chance = 0.12 + 0.88 * np.exp(-((distance_nm / rng.uniform(3000, 9000)) ** 2))
    seeds = seeds[rng.random(len(seeds)) < chance]
    # Four far seeds close the diagram, and are enough of them for any field.
    far = 1e6 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1.0]])
    diagram = Voronoi(np.concatenate([seeds, far]))
    seeds = _towards_centroids(diagram, seeds)
    return Voronoi(np.concatenate([seeds, far]))


def _tubules(canvas: Canvas, diagram: Voronoi, cell: _Cell) -> tuple[Float, Float]:
    """Return the ends of the tubules: most edges of the diagram in the cell."""
    rng = canvas.rng
    edges = np.array([e for e in diagram.ridge_vertices if e[0] >= 0], dtype=np.intp)
    start, stop = diagram.vertices[edges[:, 0]], diagram.vertices[edges[:, 1]]
    middle = (start + stop) / 2
    keep = rng.random(len(edges)) < 0.93
    keep &= np.hypot(*(stop - start).T) < 6000
    keep &= cell.holds(middle)
    return start[keep], stop[keep]


def _towards_centroids(diagram: Voronoi, seeds: Float) -> Float:
    """Return the seeds moved half-way to the middle of the corners of their cells."""
    moved = seeds.copy()
    for index in range(len(seeds)):
        region = diagram.regions[diagram.point_region[index]]
        corners = diagram.vertices[region]
        if -1 not in region and np.abs(corners - seeds[index]).max() < 5000:
            moved[index] = (seeds[index] + corners.mean(axis=0)) / 2
    return moved


def _bent(rng: np.random.Generator, start: Float, stop: Float) -> Float:
    """Return gently bent curves (E, V, 2) between nodes."""
    part = np.linspace(0, 1, _TUBULE_VERTICES)
    along = (stop - start)[:, np.newaxis]
    sideways = np.stack([along[..., 1], -along[..., 0]], axis=-1)
    bend = rng.normal(0, 0.07, (len(start), 1)) * np.sin(np.pi * part)
    bend += rng.normal(0, 0.03, (len(start), 1)) * np.sin(2 * np.pi * part)
    return (
        start[:, np.newaxis]
        + part[:, np.newaxis] * along
        + bend[..., np.newaxis] * sideways
    )


def _sheets(canvas: Canvas, diagram: Voronoi, cell: _Cell) -> None:
    """Fill some of the small meshes of the network: sheets."""
    rng = canvas.rng
    triangles = []
    for index in diagram.point_region:
        region = diagram.regions[index]
        corners = diagram.vertices[region]
        if (
            rng.random() < 0.3
            and -1 not in region
            and np.ptp(corners, axis=0).max() < 1200
            and cell.holds(corners).all()
        ):
            middle = np.broadcast_to(corners.mean(axis=0), corners.shape)
            triangles.append(
                np.stack([middle, corners, np.roll(corners, 1, axis=0)], axis=1)
            )
    if not triangles:
        return
    corner, side, other = np.moveaxis(np.concatenate(triangles), 1, 0)
    side, other = side - corner, other - corner
    area_nm2 = np.abs(side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0]) / 2
    owner, _ = ragged(np.ceil(area_nm2 / 80).astype(np.intp))
    a, b = np.sort(rng.random((2, len(owner))), axis=0)
    places = corner[owner] + a[:, np.newaxis] * side[owner]
    places += (b - a)[:, np.newaxis] * other[owner]
    canvas.add(places, rng.exponential(0.1, len(owner)))


def _without_overlaps(chains: Float, stop: Float) -> NDArray[np.bool_]:
    """Return which chains to keep, so that none comes closer than 400 nm."""
    stride = 8  # compares points 200 nm apart
    owner, rank = ragged(np.ceil(stop * chains.shape[1] / stride).astype(np.intp))
    tree = cKDTree(chains[owner, rank * stride])
    pairs = np.sort(owner[tree.query_pairs(400, output_type="ndarray")], axis=1)
    free = np.ones(len(chains), bool)
    for earlier, later in np.unique(pairs, axis=0):
        if earlier != later and free[earlier]:
            free[later] = False
    return free


def _rounded_ends(vertices: int, stop: Float, radius_nm: Float) -> Float:
    """Return factors (N, V) that close tubes as half spheres at both ends."""
    step_nm = 25.0
    position = np.arange(vertices) * step_nm
    last = (stop * (vertices - 1) * step_nm)[:, np.newaxis]
    to_end = np.minimum(position, last - position)
    depth = np.clip(1 - to_end / radius_nm, 0, 1)
    factors: Float = np.sqrt(1 - depth**2)
    return factors


def _cristae(
    canvas: Canvas, chains: Float, stop: Float, radius_nm: Float, brightness: Float
) -> None:
    """Draw cristae: lamellae that start at one wall and cross most of the tube."""
    rng = canvas.rng
    length_nm = stop * (chains.shape[1] - 1) * 25.0
    curve, rank = ragged((length_nm / rng.uniform(60, 110)).astype(np.intp))
    count = np.bincount(curve, minlength=len(chains))[curve]
    middle = (rank + rng.normal(0.5, 0.2, len(rank))) / count * length_nm[curve] / 25.0
    tilt = (rng.normal(0, 0.3, len(chains))[curve]) + rng.normal(0, 0.2, len(curve))
    side = rng.choice([-1.0, 1.0], len(curve))
    reach = rng.uniform(0.5, 1.0, len(curve))
    bow = rng.normal(0, 0.15, len(curve))
    sites_each = 200
    across = side[:, np.newaxis] * (
        1 - 2 * reach[:, np.newaxis] * rng.random((len(curve), sites_each))
    )
    owner = np.repeat(curve, sites_each)
    here = Sites.on(chains, curve, np.clip(middle, 0, chains.shape[1] - 1))
    radius = here.at(radius_nm)[:, np.newaxis]
    along_nm = radius * (tilt[:, np.newaxis] * across + bow[:, np.newaxis] * across**2)
    along_nm = along_nm + rng.normal(0, 8, across.shape)
    vertex = (middle[:, np.newaxis] + along_nm / 25.0).ravel()
    sites = Sites.on(chains, owner, vertex)
    weight = rng.lognormal(0, 0.3, (len(curve), 1)) * radius / 180
    weights = weight * rng.exponential(1.0, across.shape)
    # The radius where a site ends up, so that tilted cristae stay in rounded ends.
    radius_there = sites.at(radius_nm)
    canvas.add(
        sites.moved_aside(radius_there * across.ravel()),
        brightness[owner] * weights.ravel() / 4 * (radius_there > 0),
    )
