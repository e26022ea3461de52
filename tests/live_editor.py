"""ComfyUI's editor as tests drive it: load a workflow, press Run, read back the prompt and every complaint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page

from devtools.browser import OUR_NODE, open_editor
from devtools.server import Server

# From the host with no pack at all; the last is its own first workflow, whose models it may not look for.
HOST_NOISE = ("/userdata", "/user.css", "graph accessed before initialization", "/missingModel")
EARLIER = Path(__file__).parent / "web" / "earlier"  # workflows as older versions saved them
TO_PROMPT = "async () => (await app.graphToPrompt()).output"


class Editor:
    """One open page; make it with `Editor.open`."""

    def __init__(self, server: Server, page: Page) -> None:
        self.server = server
        self.page = page
        self.complaints: list[str] = []  # errors, logged or uncaught, that are not the host's own

    @classmethod
    def open(cls, server: Server, page: Page, *, is_nodes2: bool, node_type: str = OUR_NODE) -> Editor:
        """Open the editor with the chosen renderer and wait until it knows `node_type`."""
        editor = cls(server, page)
        page.on("console", editor._note_message)
        page.on("pageerror", lambda error: editor.complaints.append(str(error)))
        open_editor(server, page, is_nodes2=is_nodes2, node_type=node_type)
        return editor

    def load(self, workflow: dict[str, Any]) -> None:
        """Load a UI-format workflow as if its file was opened."""
        self.page.evaluate("workflow => app.loadGraphData(workflow)", workflow)

    def prompt(self) -> dict[str, Any]:
        """The API-format prompt that pressing Run would send, without the pack of each node, which new editors add."""
        prompt = self.page.evaluate(TO_PROMPT)
        for node in prompt.values():
            node["_meta"].pop("cnr_id", None)
        return prompt

    def save(self) -> dict[str, Any]:
        """The UI-format workflow that saving would write."""
        return self.page.evaluate("app.graph.serialize()")

    def _note_message(self, message: ConsoleMessage) -> None:
        text = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(noise in text for noise in HOST_NOISE):
            self.complaints.append(text)
