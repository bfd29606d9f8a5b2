"""timm's networks, where timm is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.archs._arguments import library_errors
from bench.errors import UnsupportedError, install_tip, unknown_name
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import Tensor, nn

_LIBRARY = "timm"


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise UnsupportedError("timm is not installed", install_tip("timm")) from error
    return timm


def names() -> list[str]:
    """Return the names of all networks, without the tags of their weights."""
    return list(_timm().list_models())


def card(name: str) -> ArchCard:
    """Return what the configuration of a network's default weights, or of its tagged ones, declares.

    Raises:
        UnknownNameError: if timm has no such network or tag.
        UnsupportedError: if timm is not installed.
    """
    timm = _timm()
    config = configuration(name)
    channels, height, width = config.input_size
    least = config.min_input_size or (0, 1, 1)
    return ArchCard(
        name=f"{_LIBRARY}:{name}",
        family=timm.models.model_entrypoint(name).__module__.rpartition(".")[2],
        paper=config.paper_name or config.paper_ids,
        input_size=max(height, width),
        min_input=max(least[1:]),
        in_channels=channels,
        num_classes=config.num_classes or None,
    )


def configuration(name: str) -> Any:
    """Return what timm declares of a network's default weights, or of its tagged ones.

    Raises:
        UnknownNameError: if timm has no such network or tag.
    """
    timm = _timm()
    if not timm.is_model(name):
        raise unknown_name("timm network", name, names(), "see `bench list 'timm:*'`")
    try:
        return timm.get_pretrained_cfg(name)
    except RuntimeError as error:
        tagged = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise unknown_name("timm network", name, tagged) from error


def build(
    name: str, /, *, num_classes: int | None, in_channels: int, input_size: int, **arguments: object
) -> nn.Module:
    """Return a network with random weights; without classes it returns its pooled features.

    Raises:
        InvalidModelError: for an argument that it does not take.
        UnsupportedError: for a size that it does not come in.
    """
    return _created(
        name,
        input_size,
        {"pretrained": False, "num_classes": num_classes or 0, "in_chans": in_channels, **arguments},
    )


def build_with(name: str, state: dict[str, Tensor] | None, input_size: int) -> nn.Module:
    """Return a network with weights [by their keys], renamed and cut to it as timm does; None leaves them drawn.

    Raises:
        UnsupportedError: for a size that it does not come in.
    """
    weights = {"pretrained_cfg_overlay": {"state_dict": state, "custom_load": False}}
    return _created(name, input_size, {} if state is None else {"pretrained": True, **weights})


def _created(name: str, input_size: int, arguments: dict[str, object]) -> nn.Module:
    config = configuration(name)
    # Only networks of a fixed size have, and need, an argument for another one.
    if config.fixed_input_size and input_size != max(config.input_size[1:]):
        arguments = {"img_size": input_size, **arguments}
    with library_errors(f"{_LIBRARY}:{name}", input_size):
        model: nn.Module = _timm().create_model(name, **arguments)
    return model
