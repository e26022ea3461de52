"""The state dicts inside of what a training program saved: its mappings, its wrappers around modules."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ..errors import CheckpointError
from ..text import shorten
from .keymaps import ANCHORS
from .places import MODULE_WRAPPERS, find_prefixes

# Keys under which training programs nest the weights of models that are not told by their keys, in order of preference.
WRAPPERS = ("state_dict", "model", "module", "ema")
MAX_NESTING = 4
RESAVE = "Save the model's weights with the program that wrote it: torch.save(model.state_dict(), path)."
ANCHOR_ENDINGS = tuple(ANCHORS.values())


def find_weights(content: object, name: str) -> dict[str, Tensor]:
    """The tensors of the models in `content` of the file `name`, without what training programs keep beside them.

    One model keeps its keys; several are told apart by the names of their mappings, as prefixes.

    Raises: CheckpointError if there are no tensors with names.
    """
    models = [
        (prefix, tensors)
        for prefix, tensors in _state_dicts(content)
        if any(key.endswith(ANCHOR_ENDINGS) for key in tensors)
    ]
    if not models:
        return _unwrap(content, name)
    if len(models) == 1:
        return models[0][1]
    return {prefix + key: tensor for prefix, tensors in models for key, tensor in tensors.items()}


def without_module_wrappers(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """`state_dict`; where parts of a model were wrapped one by one, with the keys that they had before."""
    bare = {MODULE_WRAPPERS.sub("", key): tensor for key, tensor in state_dict.items()}
    is_needed = any(
        find_prefixes(set(bare), family) and not find_prefixes(set(state_dict), family) for family in ANCHORS
    )
    return bare if is_needed and len(bare) == len(state_dict) else state_dict


def _state_dicts(content: object) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The mappings in `content` that hold tensors, with the names of those around them as a prefix; each once."""
    level: list[tuple[str, object]] = [("", content)]
    seen: set[int] = set()
    for _ in range(MAX_NESTING):
        inner: list[tuple[str, object]] = []
        for prefix, mapping in level:
            if id(mapping) in seen or not isinstance(mapping, dict):
                continue
            seen.add(id(mapping))
            tensors = _tensors_in(mapping)
            if tensors:
                yield prefix, tensors
            items = dict.items(mapping)
            inner += [(f"{prefix}{key}.", v) for key, v in items if isinstance(key, str) and isinstance(v, dict)]
        level = inner


def _tensors_in(mapping: dict) -> dict[str, Tensor]:
    # A pickle can give a mapping attributes of the names of its methods.
    items = ((key, value) for key, value in dict.items(mapping) if isinstance(key, str) and isinstance(value, Tensor))
    return {key: tensor.detach() for key, tensor in items}


def _unwrap(content: object, name: str) -> dict[str, Tensor]:
    """The tensors inside the wrappers, whatever they are."""
    for _ in range(MAX_NESTING):
        if not isinstance(content, dict):
            break
        nested = {key: value for key, value in dict.items(content) if isinstance(value, dict)}
        wrapper = next((key for key in WRAPPERS if key in nested), None)
        tensors = _tensors_in(content)
        if wrapper is None and tensors:
            return tensors
        if wrapper is None and len(nested) != 1:
            break
        content = nested[wrapper] if wrapper is not None else next(iter(nested.values()))
    if isinstance(content, dict):
        keys = [key for key in dict.keys(content) if isinstance(key, str)][:4]
        found = f"the keys {shorten(keys)}"
    else:
        found = f"a {type(content).__name__}"
    raise CheckpointError(f"{name} holds no weights: found {found} where named tensors were expected. {RESAVE}")
