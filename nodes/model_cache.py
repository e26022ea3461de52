"""Models that are in memory already: a file is not loaded again while what was made of it is in use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakValueDictionary

log = logging.getLogger(__name__)

Model = TypeVar("Model")

# It keeps nothing alive: who holds a model is the host, whose caches the user can empty.
in_use: WeakValueDictionary[Hashable, Any] = WeakValueDictionary()


def shared(key: Hashable, title: str, make: Callable[[], Model]) -> Model:
    """What was made for `key`, while anything holds it; else what `make` makes. The log calls it `title`.

    A key names the files that are read and their states, so that a replaced file is loaded anew.
    """
    model = in_use.get(key)
    if model is None:
        model = in_use[key] = make()
    else:
        log.info("%s is in memory already.", title)
    return model
