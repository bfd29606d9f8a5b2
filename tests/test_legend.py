"""The legend of families fits its figure."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from bench.report.figures._style import family_legend, looks

LONG = ["alexnet", "vgg", "resnet", "convnext", "efficientnet", "swin_transformer", "vision_transformer"]


@pytest.mark.parametrize("more", range(9))
def test_a_legend_is_no_wider_than_its_figure(more: int) -> None:
    families = [*LONG, *(f"family_{i}" for i in range(more))]
    figure = Figure(figsize=(8.2, 4), layout="constrained")
    family_legend(figure, families, looks(families))
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
