"""Training on layers, and on files of a folder, in a worker's thread."""

import re
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps.core import ImageStack, InputError, Progress, is_raw, uncounted
from napari_dps.core.context import Context
from napari_dps.io import RawImage, find_inputs
from napari_dps.pipeline import Settings, find_stage, open_input
from napari_dps.pipeline.halves import raw_halves, reconstructed_halves

if TYPE_CHECKING:
    from napari_dps.train.fine_tune import FineTuned, Look

_DEALS = 4
"""How often the photons of few raw frames are dealt out."""
MODELS_FOLDER = Path.home() / "napari-dps" / "weights"
"""Where weights go unless somebody says otherwise."""


@dataclass(eq=False)
class Training:
    """A training of a stage's network on a person's images.

    Attributes
    ----------
    stage_id : str
        ``"dps"`` or ``"denoise"``.
    snapshots : sequence of LayerSnapshot
        Layers: raw frames, for `dps` also plain images or reconstructions.
    folder : str
        Of files to train on as well; empty: none.
    settings : callable
        Takes whether an image holds raw frames; returns how it is opened.
    weights : Path
        Gets the weights.
    start : str or None
        Weights to begin with, as the stage's parameter names them; None: shipped ones.
    minutes : float
        To train.
    device : str
        To reconstruct on.
    looks : list of Look
        At the held-out loss, as they come.
    """

    stage_id: str
    snapshots: Sequence[LayerSnapshot]
    folder: str
    settings: Callable[[bool], Settings]
    weights: Path
    start: str | None
    minutes: float
    device: str
    looks: list["Look"] = field(default_factory=list)
    _enough: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End the training after this step; what is best so far is judged."""
        self._enough.set()

    def steps(self) -> Generator[Progress, None, "FineTuned"]:
        """Train; call it in a worker's thread."""
        from napari_dps.train.fine_tune import fine_tune, require_packages
        from napari_dps.train.task import Sources

        require_packages()
        # The bar is that of the training.
        images, partners = yield from uncounted(self._images())
        sources = Sources(
            self.weights.parent,
            images=tuple(images),
            init=self.start,
            partners=tuple(partners),
        )
        training = fine_tune(
            self.stage_id,
            sources,
            self.weights,
            seconds=60 * self.minutes,
            is_enough=self._enough.is_set,
            tell=self.looks.append,
        )
        return (yield from training)

    def _images(
        self,
    ) -> Generator[Progress, None, tuple[list[ImageStack], list[ImageStack]]]:
        """Open all images, of raw frames two halves."""
        context = Context(device=self.device)
        found: list[tuple[ImageStack, ImageStack | None]] = []
        for source, raw in self._sources():
            yield Progress(0, 1, "Reading images")
            plan = open_input(source, self.settings(raw), refuse_wrong_order=True)
            if self._takes_raw:
                dealing = raw_halves(plan, context, most_deals=_DEALS)
                found.append((yield from dealing))
            elif plan.stack.is_raw:
                found.append((yield from reconstructed_halves(plan, context)))
            else:
                found.append((plan.corrected(), None))
        halves = [other for _, other in found if other is not None]
        if halves and len(halves) < len(found):
            raise InputError("train on raw frames or on images, not on both at once")
        return [one for one, _ in found], halves

    @property
    def _takes_raw(self) -> bool:
        return find_stage(self.stage_id).takes_raw

    def _sources(self) -> Iterable[tuple[RawImage | Path, bool]]:
        """Return what is opened, and whether it holds raw frames."""
        for snapshot in self.snapshots:
            yield snapshot.unread(), is_raw(snapshot.axes)
        if self.folder:
            for path, _ in find_inputs(self.folder, exclude=self.weights.parent):
                yield path, self._takes_raw


def weights_name(text: str) -> str:
    """Return a name for weights: small letters, digits, - and _.

    Examples
    --------
    >>> weights_name("Cell 1 · SIM"), weights_name("·")
    ('cell-1-sim', 'mine')
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:40] or "mine"


def in_words(found: "FineTuned") -> str:
    """Say whether a training has gained anything.

    Examples
    --------
    >>> from napari_dps.train.fine_tune import FineTuned
    >>> from napari_dps.train.judgement import Judgement
    >>> judgement = Judgement(1.0, 0.98, 0.001, 8, True)
    >>> in_words(FineTuned(Path("a.safetensors"), judgement, 200, 61.0))[:46]
    'better: what was left out (8 blocks) is explai'
    """
    one = found.judgement
    change = 100 * (one.after / one.before - 1)
    what = (
        f"what was left out ({one.blocks} blocks) is explained with a misfit of "
        f"{one.after:.4g} in place of {one.before:.4g} ({change:+.1f} %, error "
        f"{100 * one.error / one.before:.1f} %)"
    )
    done = f"{found.steps} step{'s' * (found.steps > 1)} in {found.seconds:.0f} s"
    if found.weights is None:
        chance = "not better beyond chance" if one.after < one.before else "not better"
        return f"{chance}: {what}; {done}. The old weights are kept, nothing is saved"
    return f"better: {what}; {done}. Saved as {found.weights}"
