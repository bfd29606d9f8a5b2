# name: ReID
# status: invalid_model
# tip: square
# then: square = lambda: ReID(img_size=(128, 128))
# now: square
from torch import nn


class ReID(nn.Module):
    """Persons are twice as tall as wide."""

    def __init__(self, img_size=(256, 128), num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, 8)
        self.fc = nn.Linear(4 * img_size[0] * img_size[1] // 64, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))
