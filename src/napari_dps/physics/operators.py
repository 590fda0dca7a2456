"""The contract of forward models: how an object becomes what is measured of it.

Deconvolution and SIM fit an object x to data y with a linear model y = A x. What they
need of it is A, its adjoint Aᵀ, and AᵀA.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

X = TypeVar("X")
Y = TypeVar("Y")


class ForwardModel(Protocol[X, Y]):
    """A linear model y = A x with its adjoint.

    The adjoint satisfies ⟨A x, y⟩ = ⟨x, Aᵀ y⟩. An inner product of images is an
    integral over the area, in pixels of the data: on a grid of n × n fine pixels a
    pixel it is the sum over fine pixels divided by n². Data of unequal noise are
    weighted by its inverse variance, which each model states.
    """

    def forward(self, thing: X, /) -> Y:
        """Return the data y = A x of an object."""

    def adjoint(self, data: Y, /) -> X:
        """Return Aᵀ y, the data brought back to the object."""

    def normal(self, thing: X, /) -> X:
        """Return AᵀA x, the object as the data show it."""
        return self.adjoint(self.forward(thing))
