"""torchvision's classifiers. The library is imported when the first of them is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.archs._arguments import library_errors
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import nn

_LIBRARY = "torchvision"


def names() -> list[str]:
    """Return the names of all classifiers."""
    from torchvision import models

    return list(models.list_models(module=models))


def card(name: str) -> ArchCard:
    """Return what torchvision declares of a network, by the first weights of the smallest native size.

    Those are of the original recipe where there are several.
    """
    from torchvision import models

    return card_of(name, min(models.get_model_weights(name), key=_crop))


def card_of(name: str, weights: Any) -> ArchCard:
    """Return what torchvision declares of a network with these of its weights, at the size of their crop."""
    accuracy = weights.meta["_metrics"]["ImageNet-1K"]
    return ArchCard(
        name=f"{_LIBRARY}:{name}",
        family=_family(name),
        input_size=_crop(weights),
        min_input=max(weights.meta["min_size"]),
        num_classes=len(weights.meta["categories"]),
        parameters=weights.meta["num_params"],
        published={
            "top1": round(accuracy["acc@1"] / 100, 5),
            "top5": round(accuracy["acc@5"] / 100, 5),
            "source": f"{_LIBRARY} {weights.name}",
            "protocol": "1 crop",
            "protocol_source": f"{_LIBRARY}, the weights' transforms",
            # Which it prints in G, with three decimals, and counts as multiply-adds.
            "macs": round(weights.meta["_ops"] * 1e9),
            "macs_source": f"{_LIBRARY} {weights.name}",
            "parameters": weights.meta["num_params"],
            "parameters_source": f"{_LIBRARY} {weights.name}",
        },
    )


def _crop(weights: Any) -> int:
    return int(weights.transforms.keywords["crop_size"])


def _family(name: str) -> str:
    """Return the module that defines the network, such as `vision_transformer`."""
    from torchvision import models

    return str(models.get_model_builder(name).__module__.rpartition(".")[2])


def build(
    name: str, /, *, num_classes: int, in_channels: int, input_size: int, **arguments: object
) -> nn.Module:
    """Return a network with random weights.

    Raises:
        InvalidModelError: for an argument that it does not take.
        UnsupportedError: for a size that it does not come in.
    """
    from torchvision import models

    arguments = {**_family_arguments(_family(name), input_size), **arguments}
    with library_errors(f"{_LIBRARY}:{name}", input_size):
        model: nn.Module = models.get_model(name, weights=None, num_classes=num_classes, **arguments)
    return model if in_channels == 3 else _with_channels(model, in_channels)


def build_for_weights(name: str, input_size: int) -> nn.Module:
    """Return a network in the form that trained weights are for, as torchvision's own builders make it then.

    Raises:
        UnsupportedError: for a size that it does not come in.
    """
    from torchvision import models

    kind = _family(name)
    arguments = _family_arguments(kind, input_size)
    if kind in ("googlenet", "inception"):
        arguments = {**arguments, "init_weights": False, "transform_input": True}
    model: nn.Module = models.get_model(name, weights=None, **arguments)
    return model


def _family_arguments(kind: str, input_size: int) -> dict[str, object]:
    """Return the arguments without which a family would not fit its card or the images."""
    families: dict[str, dict[str, object]] = {
        "vision_transformer": {"image_size": input_size},
        "maxvit": {"input_size": (input_size, input_size)},
        # The declared counts are without auxiliary heads for GoogLeNet and with them for Inception v3.
        "googlenet": {"aux_logits": False, "init_weights": True},
        "inception": {"init_weights": True},
    }
    return families.get(kind, {})


def _with_channels(model: nn.Module, in_channels: int) -> nn.Module:
    """Replace the first convolution by a fresh one of equal settings that takes `in_channels` channels."""
    from torch import nn

    name, old = next((n, m) for n, m in model.named_modules() if isinstance(m, nn.Conv2d))
    fresh = nn.Conv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,  # type: ignore[arg-type]
        old.stride,  # type: ignore[arg-type]
        old.padding,  # type: ignore[arg-type]
        old.dilation,  # type: ignore[arg-type]
        old.groups,
        old.bias is not None,
        old.padding_mode,
    )
    model.set_submodule(name, fresh)
    return model
