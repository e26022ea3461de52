"""ComfyUI's editor in a real Chromium, with the classic renderer and with Nodes 2.0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from devtools.browser import chromium
from devtools.live_server import LiveServer
from live_editor import Editor


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["classic", "nodes2"])
def editor(request: pytest.FixtureRequest, server: LiveServer, browser: Browser) -> Iterator[Editor]:
    """The editor, open on an empty graph, once with each renderer."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    yield Editor.open(server, context.new_page(), is_nodes2=request.param == "nodes2")
    context.close()
