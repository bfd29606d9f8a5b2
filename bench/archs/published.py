"""What libraries say of their weights: accuracies on ImageNet-1k, and the images that these were tested on."""

from __future__ import annotations

import math


def torchvision_weights() -> tuple[str, list[dict[str, object]]]:
    """Return torchvision's version, and of each of its classifiers' weights what it says of them.

    That is weights (``torchvision:resnet50.IMAGENET1K_V2``), network, input_size (px), crop (share of the side),
    interpolation, top1 and top5 (shares), parameters. Weights without an accuracy, such as features, are left out.
    """
    import torchvision
    from torchvision.models import get_model_weights, list_models

    rows: list[dict[str, object]] = []
    for name in list_models(module=torchvision.models):
        for weights in get_model_weights(name):
            accuracy, images = weights.meta["_metrics"]["ImageNet-1K"], weights.transforms()
            if not math.isfinite(accuracy["acc@1"]):
                continue
            rows.append(
                {
                    "weights": f"torchvision:{name}.{weights.name}",
                    "network": f"torchvision:{name}",
                    "input_size": images.crop_size[0],
                    "crop": images.crop_size[0] / images.resize_size[0],
                    "interpolation": images.interpolation.value,
                    "top1": round(accuracy["acc@1"] / 100, 6),
                    "top5": round(accuracy["acc@5"] / 100, 6),
                    "parameters": weights.meta["num_params"],
                }
            )
    return torchvision.__version__.partition("+")[0], rows
