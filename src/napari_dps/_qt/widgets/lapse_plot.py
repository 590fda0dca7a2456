"""A plot over time of one of the measures that layers have in common."""

from qtpy.QtWidgets import QWidget

from napari_dps._qt.bridge.compare_lapse import LapseMeasures
from napari_dps._qt.bridge.measure_cells import first_metrics
from napari_dps._qt.widgets.editors import ChoiceEdit
from napari_dps._qt.widgets.layout import column_of
from napari_dps._qt.widgets.plots import Plot


class LapsePlot(QWidget):
    """Shows measures over time, a curve a layer; hidden while there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.measures: LapseMeasures | None = None
        self.metric = ChoiceEdit()
        self.plot = Plot("time", "")
        column_of(self.metric, self.plot, inside=self)
        self.metric.valueChanged.connect(self._show)
        self.hide()

    def show_measures(self, measures: LapseMeasures) -> None:
        """Show measures in place of those before."""
        self.measures = measures
        rows = [row for rows in measures.rows.values() for row in rows]
        self._metrics = {metric.key: metric for metric in first_metrics(rows)}
        chosen = self.metric.value()
        self.metric.blockSignals(True)
        self.metric.clear()
        for key, metric in self._metrics.items():
            self.metric.addItem(metric.heading.replace("\n", " "), key)
        self.metric.setCurrentIndex(max(self.metric.findData(chosen), 0))
        self.metric.blockSignals(False)
        self.show()
        self._show()

    def _show(self) -> None:
        metric = (
            None if self.measures is None else self._metrics.get(self.metric.value())
        )
        if metric is None or self.measures is None:
            return
        unit = self.measures.unit
        label = f"time ({unit})" if unit else "time point"
        self.plot.set_labels(label, self.metric.currentText())
        self.plot.show_curves(self.measures.curves(metric))
