"""Inputs that a node does not have: the host passes links to them on, which would end in an error of Python's own."""

from __future__ import annotations

import functools
import inspect

from comfy_api.latest import io

from ..taming.errors import TamingError


def refuse_unknown(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The same `node`, which from now on says in words that it does not have an input.

    Such a link comes with a workflow of a later version, or a misspelled name in a prompt by API.
    """
    execute = node.execute.__func__  # of the class method
    known = list(inspect.signature(node.execute).parameters)

    @functools.wraps(execute)
    def checked(cls: type[io.ComfyNode], *values: object, **inputs: object) -> io.NodeOutput:
        unknown = [name for name in inputs if name not in known]
        if unknown:
            title = node.define_schema().display_name
            raise TamingError(
                f"{title} has no input {', '.join(unknown)}, but something is connected to it. Its inputs are "
                f"{', '.join(known)}. Correct the name, or update the pack if the workflow is of a later version."
            )
        return execute(cls, *values, **inputs)

    node.execute = classmethod(checked)
    return node
