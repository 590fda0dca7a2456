"""What a click on Run asks for, and the generator that does it."""

from collections.abc import Generator
from dataclasses import dataclass, replace

from napari_dps._qt.bridge.devices import device_in_use
from napari_dps._qt.bridge.raw_link import (
    attach,
    link_behind,
    link_to_raw,
    with_raw_frames,
)
from napari_dps._qt.bridge.result_layers import LayerData, map_layer, result_layer
from napari_dps._qt.bridge.run_record import RunRecord
from napari_dps._qt.bridge.snapshot import LayerSnapshot
from napari_dps._qt.bridge.unsupported import unsupported_text
from napari_dps.core import ImageStack, Pattern, Progress
from napari_dps.core.context import Context
from napari_dps.pipeline import Settings, open_input, run_plan


@dataclass(frozen=True, eq=False)
class RunRequest:
    """A run of stages on one layer.

    Attributes
    ----------
    snapshot : LayerSnapshot
        The layer.
    settings : Settings
        Stages, parameters, optics, how to read the frames, known patterns: those of a
        TOML file.
    context : Context
        Device and cache.
    fitted : tuple of Pattern
        Of an earlier run on these very frames, phases included: taken as they are.
    """

    snapshot: LayerSnapshot
    settings: Settings
    context: Context
    fitted: tuple[Pattern, ...] = ()


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave.

    Attributes
    ----------
    layers : tuple
        Data, keyword arguments and type of the layers, in the order of the run.
    stages : tuple of str
        Id of the stage that each layer comes from.
    warnings : tuple of str
        All warnings, each once.
    patterns : tuple of Pattern
        That were used; empty without raw frames.
    stack : ImageStack
        The first T and C and the middle Z as the first stage saw it.
    device : str
        What torch computed on; empty if it was not needed.
    seconds : float
        Time spent in the stages.
    record : RunRecord
        What it can be saved by.
    unsupported : str
        How much of the light the data do not support, in words; empty where that was
        not asked for.
    """

    layers: tuple[LayerData, ...]
    stages: tuple[str, ...]
    warnings: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    stack: ImageStack
    device: str
    seconds: float
    record: RunRecord
    unsupported: str = ""

    def last(self) -> "Outcome":
        """Return the same with the layers of the last stage alone."""
        kept = tuple(
            layer
            for layer, stage in zip(self.layers, self.stages, strict=True)
            if stage == self.stages[-1]
        )
        return replace(self, layers=kept, stages=self.stages[-1:] * len(kept))


def work(request: RunRequest) -> Generator[Progress, None, Outcome]:
    """Run the stages; call it in a worker's thread."""
    context = request.context
    context.forget()
    yield Progress(0, 1, "reading the layer")
    plan = open_input(request.snapshot.unread(), request.settings)
    if request.fitted:
        plan = replace(plan, stack=replace(plan.stack, patterns=request.fitted))
    plan = with_raw_frames(plan, link_behind(request.snapshot), context)
    result = yield from run_plan(plan, context)
    layers: list[LayerData] = []
    stages: list[str] = []
    for output, image in zip(result.outputs, result.images, strict=True):
        stage = output.step.stage

        def layer(stack: ImageStack, title: str = stage.name) -> LayerData:
            return result_layer(stack, request.snapshot, result.input, title)

        made = [layer(image)]
        for name, values in image.maps.items():
            made.append(map_layer(name, layer(image.derive(values)), made[0]))
        link = link_to_raw(request.snapshot, request.settings, plan, output)
        attach(made[0][1], link)
        layers += made
        stages += [stage.id] * len(made)
    device = device_in_use(context.device)
    return Outcome(
        layers=tuple(layers),
        stages=tuple(stages),
        warnings=result.warnings,
        patterns=result.patterns,
        stack=result.first,
        device=device,
        seconds=sum(output.seconds for output in result.outputs),
        record=RunRecord.of(result, request.snapshot, device),
        unsupported=unsupported_text(result),
    )
