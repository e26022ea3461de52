"""Cancel in the middle of a model's call: between any two operations of torch, wherever in the model they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from torch.overrides import TorchFunctionMode

from . import host

Result = TypeVar("Result")


class Cancelable(TorchFunctionMode):
    """In here every operation of torch is a chance to cancel.

    The host's layers are one by themselves, but between two of them attention alone may take minutes on a CPU. It is
    cut into parts of a fraction of a second, and so is everything else that grows with the image
    (taming/modules/fast/chunked.py). What it costs, some microseconds for an operation, is noticed only where models
    are tiny and called for every token.
    """

    def __torch_function__(
        self,
        function: Callable[..., Result],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Result:
        host.cancel_if_asked()
        return function(*args, **(kwargs or {}))
