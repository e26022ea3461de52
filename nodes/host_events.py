"""What the editor is told beside results, over the host's socket: the pack's warnings, a line of text on a node."""

from __future__ import annotations

import logging

from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..taming.text import printable

WARNING_EVENT = "taming.warning"  # web/js/warnings.js shows it


class EditorWarnings(logging.Handler):
    """Passes warnings of a running node on to the editor that runs it; they are in the log all the same."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Send the message of `record`, unless nobody has the editor open, or no node is running."""
        context, server = get_executing_context(), _server()
        if context is not None and server is not None and server.client_id is not None:
            data = {"prompt_id": context.prompt_id, "node": context.node_id, "message": record.getMessage()}
            server.send_sync(WARNING_EVENT, data, server.client_id)


def report_warnings(package: str) -> None:
    """Let the editor show the warnings that any module of `package` logs while a node runs."""
    logging.getLogger(package).addHandler(EditorWarnings())


def show_text(text: str) -> None:
    """Show `text` on the running node."""
    context, server = get_executing_context(), _server()
    if context is not None and server is not None and server.client_id is not None:
        server.send_progress_text(printable(text), context.node_id, server.client_id)


def _server() -> PromptServer | None:
    return getattr(PromptServer, "instance", None)  # none where nodes are called without a server
