"""A network: one convolution, the mean of its maps, and a linear layer."""

from torch import nn

from bench.archs import register

WIDTH = 4


@register(
    "example_net",
    family="example",
    input_size=8,
    min_input=3,
    num_classes=2,
    parameters=(3 * 3 * 3 + 1) * WIDTH + (WIDTH + 1) * 2,
)
def example_net(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, num_classes)
    )
