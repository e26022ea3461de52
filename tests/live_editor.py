"""ComfyUI's editor as tests drive it: load a workflow, press Run, read back the prompt and every complaint."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import ConsoleMessage, Page

from devtools.server import Server

OUR_NODE = "TamingDecode"
READY = "type => window.LiteGraph?.registered_node_types[type] && window.app?.isGraphReady"
HOST_NOISE = ("/userdata", "/user.css", "graph accessed before initialization")  # from the host with no pack at all
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
        server.post("/settings", {"Comfy.VueNodes.Enabled": is_nodes2, "Comfy.TutorialCompleted": True})
        editor = cls(server, page)
        page.on("console", editor._note_message)
        page.on("pageerror", lambda error: editor.complaints.append(str(error)))
        page.goto(server.url)
        page.wait_for_function(READY, arg=node_type, timeout=90_000)
        page.evaluate("app.graph.clear()")
        return editor

    def load(self, workflow: dict[str, Any]) -> None:
        """Load a UI-format workflow as if its file was opened."""
        self.page.evaluate("workflow => app.loadGraphData(workflow)", workflow)

    def prompt(self) -> dict[str, Any]:
        """The API-format prompt that pressing Run would send."""
        return self.page.evaluate(TO_PROMPT)

    def save(self) -> dict[str, Any]:
        """The UI-format workflow that saving would write."""
        return self.page.evaluate("app.graph.serialize()")

    def _note_message(self, message: ConsoleMessage) -> None:
        text = f"{message.text} ({message.location['url']})"
        if message.type == "error" and not any(noise in text for noise in HOST_NOISE):
            self.complaints.append(text)
