"""Inputs that a node cannot take are refused in words: the host passes on whatever comes over a link."""

from __future__ import annotations

import functools
import inspect
import operator
from typing import SupportsFloat, SupportsIndex

from comfy_api.latest import io

from ..taming.errors import TamingError
from ..taming.text import shorten


def check_inputs(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """Have `node` refuse, before it does anything, inputs it does not have and numbers out of their limits.

    The limits are those that its schema has for the editor; the host checks them where a number is typed in. An input
    that it does not have comes with a workflow of a later version, or a misspelled name in a prompt by API.
    """
    execute = node.execute.__func__  # of the class method
    signature = inspect.signature(execute)
    _, *known = signature.parameters

    @functools.cache  # a loader's schema lists files
    def numbers() -> list[io.Int.Input | io.Float.Input]:
        return [each for each in node.define_schema().inputs if isinstance(each, (io.Int.Input, io.Float.Input))]

    @functools.wraps(execute)
    def execute_checked(cls: type[io.ComfyNode], *args: object, **kwargs: object) -> io.NodeOutput:
        unknown = [name for name in kwargs if name not in known]
        if unknown:
            title = node.define_schema().display_name
            raise TamingError(
                f"{title} has no input {', '.join(unknown)}, but something is connected to it. Its inputs are "
                f"{', '.join(known)}. Correct the name, or update the pack if the workflow is of a later version."
            )
        given = signature.bind(cls, *args, **kwargs)
        for number in numbers():
            if number.id in given.arguments:
                given.arguments[number.id] = read_number(number, given.arguments[number.id])
        return execute(*given.args, **given.kwargs)

    node.execute = classmethod(execute_checked)
    return node


def read_number(number: io.Int.Input | io.Float.Input, value: object) -> float:
    """`value` as the number that the input takes.

    Raises: TamingError, naming the input, if it is none within its limits.
    """
    is_whole = isinstance(number, io.Int.Input)
    try:
        found = _whole(value) if is_whole else _real(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: of a tensor with several
        found = None
    if found is None or not number.min <= found <= number.max:  # NaN is not either
        allowed = f"a whole number from {number.min} to {number.max}"
        if not is_whole:
            allowed = f"a number from {number.min:g} to {number.max:g}"
        raise TamingError(f"{number.id} is {shorten(value)}; it must be {allowed}.")
    return found


def _whole(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, SupportsIndex):
        return operator.index(value)
    raise TypeError


def _real(value: object) -> float:
    if isinstance(value, SupportsFloat):  # a text is not
        return float(value)
    raise TypeError
