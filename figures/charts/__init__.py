"""Pictures of a training log, as SVG: what it adds up to, in one look. Pure functions from figures to text."""

from figures.charts.calendar import calendar_chart
from figures.charts.canvas import Theme
from figures.charts.exercise import exercise_chart
from figures.charts.muscles import muscles_chart
from figures.charts.volume import volume_chart

__all__ = ["Theme", "calendar_chart", "exercise_chart", "muscles_chart", "volume_chart"]
