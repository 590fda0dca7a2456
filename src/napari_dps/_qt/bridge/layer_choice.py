"""Which layers can be chosen, why others cannot, and which one is chosen now."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from napari.layers import Layer

Rank = Callable[[Layer], int | None]
"""Says how well a layer suits, the larger the better; None: not unless it is chosen."""

Reason = Callable[[Layer], str]
"""Says why a layer cannot be chosen; empty if it can."""


@dataclass(frozen=True, eq=False)
class LayerChoice:
    """Layers to choose from.

    Attributes
    ----------
    layers : tuple of Layer or None
        In the order in which they are shown; None stands for no layer.
    reasons : tuple of str
        Why each cannot be chosen; empty where it can.
    chosen : Layer or None
        One of those that can.
    """

    layers: tuple[Layer | None, ...] = ()
    reasons: tuple[str, ...] = ()
    chosen: Layer | None = None

    @property
    def index(self) -> int:
        """Place of the chosen one; -1 where none can be chosen."""
        return self.layers.index(self.chosen) if self.chosen in self.layers else -1


def choose_layer(
    layers: Iterable[Layer],
    reason: Reason,
    *,
    current: Layer | None = None,
    active: Layer | None = None,
    can_be_none: bool = False,
    rank: Rank = lambda layer: 0,
) -> LayerChoice:
    """Offer layers, the uppermost first, and keep the choice if possible.

    Parameters
    ----------
    layers : iterable of Layer
        In the order of the viewer, the lowest first.
    reason : callable
        Says why a layer cannot be chosen; empty if it can.
    current : Layer, optional
        Chosen before; stays chosen if it is still there and fits.
    active : Layer, optional
        Chosen next if it suits, else the uppermost of those that suit best.
    can_be_none : bool
        Whether no layer is a choice as well, and the one made unless ``current`` or
        ``active`` fits.
    rank : callable
        Says how well a layer suits; one without a rank is never chosen unasked.
    """
    shown = tuple(reversed(list(layers)))
    reasons = tuple(reason(layer) for layer in shown)
    fitting = [x for x, why in zip(shown, reasons, strict=True) if not why]
    ranks = {x: found for x in fitting if (found := rank(x)) is not None}
    first = None if can_be_none else max(ranks, key=lambda x: ranks[x], default=None)
    chosen = current if current in fitting else active if active in ranks else first
    if can_be_none:
        return LayerChoice((None, *shown), ("", *reasons), chosen)
    return LayerChoice(shown, reasons, chosen)


def tick_layers(
    layers: Iterable[Layer],
    reason: Reason,
    *,
    before: Collection[Layer],
    ticked: Collection[Layer],
    is_wanted: Callable[[Layer], bool] = lambda layer: True,
) -> list[tuple[Layer, bool]]:
    """Return the layers that fit, the uppermost first, and whether each is ticked.

    Parameters
    ----------
    layers : iterable of Layer
        In the order of the viewer, the lowest first.
    reason : callable
        Says why a layer does not fit; empty if it does.
    before : collection of Layer
        That were shown before; others are new, and ticked if they are visible.
    ticked : collection of Layer
        Those of them that were ticked.
    is_wanted : callable
        Whether a new layer is ticked where it is visible.
    """
    return [
        (
            layer,
            layer in ticked
            or (layer not in before and layer.visible and is_wanted(layer)),
        )
        for layer in reversed(list(layers))
        if not reason(layer)
    ]
