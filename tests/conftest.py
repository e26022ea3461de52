"""The real server, once for each pytest process that asks for it."""

import shutil
from collections.abc import Iterator

import pytest

from devtools import ROOT
from devtools.host import Host, get_host, make_base
from devtools.live_server import LiveServer
from workflow_models import write_models


@pytest.fixture(scope="session")
def comfyui() -> Host:
    """The ComfyUI that the tests run in."""
    return get_host()


@pytest.fixture(scope="session")
def server(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A running server with this pack and what its workflows load, and nothing else; tests leave its queue empty."""
    base = tmp_path_factory.mktemp("base")
    make_base(base, comfyui)
    write_models(base / "models")  # before the server starts, which keeps its lists of files
    shutil.copytree(ROOT / "web" / "examples", base / "input", dirs_exist_ok=True)
    live = LiveServer(comfyui, base)
    with live:
        yield live
