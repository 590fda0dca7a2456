"""Run and Cancel, progress, messages: the foot of every dock that computes."""

from collections.abc import Callable, Iterable
from typing import Any

from napari.utils import progress
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QWidget

from napari_dps._qt.bridge.run_costs import memory_used_gb, time_left
from napari_dps._qt.bridge.runner import Runner, Steps
from napari_dps._qt.bridge.wording import in_docks
from napari_dps._qt.widgets.layout import column_of, push_button
from napari_dps._qt.widgets.messages import Messages
from napari_dps.core import Progress
from napari_dps.core.errors import Failure


class RunBar(QWidget):
    """Starts, shows and stops the runs of a dock.

    Parameters
    ----------
    title : str
        What napari's activity dock calls a run.
    run_text, stop_text : str
        Of the buttons that start and stop one.
    lane : str
        As of `Runner`.
    """

    runClicked = Signal()

    def __init__(
        self,
        title: str,
        run_text: str = "Run",
        stop_text: str = "Cancel",
        *,
        lane: str = "stages",
    ) -> None:
        super().__init__()
        self._title, self._reason, self._text = title, "", ""
        self._run_text = run_text
        self._share = 0.0
        self._activity: Any = None
        self.runner = Runner(self, lane)
        self.run_button = push_button(run_text, slot=self.runClicked)
        self.cancel_button = push_button(stop_text, slot=self.cancel)
        self.run_button.setStyleSheet("font-weight: bold;")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.messages = Messages()
        self._lay_out()
        self._connect_runner()
        self._set_running(False)

    def start(self, make_steps: Callable[[], Steps]) -> bool:
        """Start a run, unless one is going on."""
        return self.runner.start(make_steps)

    def cancel(self) -> None:
        """Stop the run after the step at work."""
        self.runner.cancel()
        self.cancel_button.setEnabled(False)
        self.status.setText("stopping …")

    def refuse(self, reason: str) -> None:
        """Say why Run cannot be clicked; an empty reason allows it."""
        self._reason = reason
        self.run_button.setEnabled(not reason and not self.runner.is_running)
        self.run_button.setToolTip(self._reason)
        if not self.runner.is_running:
            self.status.setText(self._reason)

    def ask_to_confirm(self, values: str) -> None:
        """Let the button name values that a click on it confirms; empty for none."""
        confirm = f"{self._run_text} with {values}?" if values else self._run_text
        self.run_button.setText(confirm)
        if values:
            self.run_button.setToolTip(
                "These values of your microscope are not confirmed for this layer: "
                "Run takes them as true of it."
            )

    def done(self, text: str, warnings: Iterable[str] = ()) -> None:
        """Show how a run went."""
        self.messages.show_texts(warnings)
        self.status.setText(text)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        # What a run says stands above: Run stays where it is, under the mouse.
        column_of(self.messages, buttons, self.bar, self.status, inside=self)
        self.status.setMinimumHeight(2 * self.status.fontMetrics().lineSpacing())
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)

    def _connect_runner(self) -> None:
        runner = self.runner
        runner.started.connect(self._on_started)
        runner.progressed.connect(self._on_progress)
        runner.ticked.connect(self._on_tick)
        runner.failed.connect(self._on_failed)
        runner.cancelled.connect(self._on_cancelled)
        runner.finished.connect(self._on_finished)

    def _set_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running and not self._reason)
        self.cancel_button.setEnabled(running)
        # Hidden it would move everything below: it keeps its place.
        self.bar.setEnabled(running)
        if not running:
            self.bar.setRange(0, 1)
            self.bar.setValue(0)

    def _on_started(self) -> None:
        self.messages.clear()
        self._set_running(True)
        self._text, self._share = "starting", 0.0
        self._activity = progress(total=100, desc=self._title)
        self._on_tick(0.0)

    def _on_progress(self, report: Progress) -> None:
        if report.done:  # never backwards, whatever a later stage adds to the total
            self._share = max(self._share, report.done / report.total)
            percent = int(100 * self._share)
            self.bar.setRange(0, 100)
            self.bar.setValue(percent)
            self._activity.update(percent - self._activity.n)
        self._text = report.message or self._text
        self._on_tick(self.runner.elapsed_s)

    def _on_tick(self, seconds: float) -> None:
        if self.cancel_button.isEnabled():
            left = time_left(seconds, self._share)
            used = f" · {memory_used_gb():.1f} GB" if left else ""
            self.status.setText(f"{self._text} · {seconds:.0f} s{left}{used}")

    def _on_failed(self, failure: Failure) -> None:
        text = in_docks(failure)
        self.messages.show_texts([text], "error")
        self.status.setText("failed")
        show_error(text)

    def _on_cancelled(self) -> None:
        self.status.setText("cancelled")

    def _on_finished(self) -> None:
        self._set_running(False)
        if self._activity is not None:
            self._activity.close()
            self._activity = None
