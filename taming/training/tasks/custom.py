"""Objects of one's own in a task: what a run's state remembers of them, and whether a file can describe a model."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from ...checkpoints import no_init as blank_layers
from ...errors import ConfigError
from ...text import shorten_text


def describe_plugged(**objects: object) -> dict[str, str]:
    """The objects among a task's keywords that are not None, in words that are the same in every process."""
    # An address in memory is another one in the next process.
    return {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing)) for name, thing in objects.items() if thing is not None
    }


def check_plugged(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Compare what a run was started with to what it goes on with: code is in no recipe and in no state.

    Raises: ConfigError unless they are the same.
    """
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            old, new = (shorten_text(which.get(name, "nothing")) for which in (before, now))
            raise ConfigError(
                f"The run was started with {name}={old}, and now {name} is {new}. Pass the same object to go on, or "
                "give the run a new folder."
            )


def loss_name(loss: object) -> str:
    """What a loss of one's own is called in the log: the name of the function, or of the class."""
    return getattr(loss, "__name__", type(loss).__name__)


def has_own_layers(model: nn.Module, described: nn.Module) -> bool:
    """Whether `model` is not made like `described`, which its configuration builds: a file could not describe it."""
    mine, usual = ([(name, _layer_type(part)) for name, part in whole.named_modules()] for whole in (model, described))
    return mine != usual


def _layer_type(layer: nn.Module) -> type | None:
    """The type of `layer` without its fast path, which of a loaded model's blank layers is torch's."""
    kind = getattr(type(layer), "plain_class", type(layer))
    return kind.__base__ if kind.__module__ == blank_layers.__name__ else kind
