"""The real server, once for each pytest process that asks for it."""

from collections.abc import Iterator

import pytest

from devtools.host import Host, get_host, make_base
from live_server import LiveServer


@pytest.fixture(scope="session")
def comfyui() -> Host:
    """The ComfyUI that the tests run in."""
    return get_host()


@pytest.fixture(scope="session")
def server(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server with this pack in it and nothing else; tests leave its queue empty."""
    base = tmp_path_factory.mktemp("base")
    make_base(base, comfyui)
    live = LiveServer(comfyui, base)
    with live:
        yield live
