"""ComfyUI's editor in a headless Chromium. Needs Playwright, so only tests and tools import it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from .environment import CHROMIUM
from .server import Server

OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
OUR_NODE = "TamingDecode"
# The editor ends its start with the host's own first workflow, which would take the place of what was opened before.
READY = """type => window.LiteGraph?.registered_node_types[type] && window.app?.isGraphReady
  && app.graph.nodes.length > 0"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium for the time of the `with` block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


def open_editor(server: Server, page: Page, *, is_nodes2: bool, node_type: str = OUR_NODE) -> None:
    """Open the editor on an empty graph with the chosen renderer, once it knows `node_type`."""
    server.post("/settings", {"Comfy.VueNodes.Enabled": is_nodes2, "Comfy.TutorialCompleted": True})
    page.goto(server.url)
    page.wait_for_function(READY, arg=node_type, timeout=90_000)
    page.evaluate("app.graph.clear()")
