"""The running server as tests and benchmarks see it: a prompt together with everything the server said about it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil
import websocket

from .server import Server

PREVIEW_WITH_METADATA = 4  # event numbers of the server's binary messages
FEATURES = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}
ENDINGS = ("execution_error", "execution_interrupted")


@dataclass(frozen=True)
class Message:
    """One websocket message about a prompt."""

    kind: str  # the server's event name; "preview" for a live preview
    data: dict[str, Any]  # the event's data, or a preview's metadata
    at: float  # time.monotonic() when it arrived
    image: bytes = b""  # the picture of a preview


@dataclass
class Run:
    """One prompt from its submission to its entry in the history."""

    prompt_id: str
    submitted_at: float  # time.monotonic()
    messages: list[Message] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)
    images: dict[str, list[bytes]] = field(default_factory=dict)  # image files by node id

    @property
    def ending(self) -> str:
        """Name of the last event: `execution_success`, `execution_error` or `execution_interrupted`."""
        return self.history["status"]["messages"][-1][0]

    @property
    def error(self) -> str:
        """What the failing node said, empty when none failed."""
        return next((message.data["exception_message"] for message in self.of("execution_error")), "")

    @property
    def executed(self) -> list[str]:
        """Ids of the nodes that ran, in order; those answered from the cache are not among them."""
        return [message.data["node"] for message in self.of("executing") if message.data["node"] is not None]

    @property
    def previews(self) -> list[Message]:
        """The live previews, in order."""
        return self.of("preview")

    def progress(self, node: str) -> list[tuple[int, int]]:
        """(value, maximum) of each progress message of one node, in order."""
        return [(m.data["value"], m.data["max"]) for m in self.of("progress") if m.data["node"] == node]

    def of(self, kind: str) -> list[Message]:
        """The messages of one kind, in order."""
        return [message for message in self.messages if message.kind == kind]


class LiveServer(Server):
    """`Server` that listens to the websocket while a prompt runs, and knows its own memory."""

    def watch(
        self,
        prompt: dict[str, Any],
        *,
        on_message: Callable[[Message], None] | None = None,
        preview_method: str = "none",
        timeout: float = 300,
    ) -> Run:
        """Run an API-format prompt to whatever end it has.

        `on_message` sees each message as it arrives, so that a test can act in the middle of a run.
        `preview_method` is the user's setting for live previews: "none", "auto", "latent2rgb" or "taesd".

        Raises:
            PromptError: the prompt does not validate.
        """
        client_id = uuid.uuid4().hex
        socket = websocket.create_connection(f"ws://127.0.0.1:{self.port}/ws?clientId={client_id}", timeout=timeout)
        try:
            socket.send(json.dumps(FEATURES))
            submitted_at = time.monotonic()
            extra_data = {"preview_method": preview_method}
            run = Run(self.submit(prompt, client_id=client_id, extra_data=extra_data), submitted_at)
            while not _is_last(run):
                message = _decode(socket.recv())
                if message.kind == "preview" or message.data.get("prompt_id") == run.prompt_id:
                    run.messages.append(message)
                    if on_message:
                        on_message(message)
        finally:
            socket.close()
        run.history = self.wait(run.prompt_id)
        run.images = self.images(run.history)
        return run

    def rss_mib(self) -> float:
        """Resident memory of the server's process in MiB."""
        assert self.process is not None, "the server is not running"
        return psutil.Process(self.process.pid).memory_info().rss / 2**20


def _is_last(run: Run) -> bool:
    if not run.messages:
        return False
    last = run.messages[-1]
    return last.kind in ENDINGS or (last.kind == "executing" and last.data["node"] is None)


def _decode(received: str | bytes) -> Message:
    now = time.monotonic()
    if isinstance(received, str):
        message = json.loads(received)
        return Message(message["type"], message["data"], now)
    event, body = int.from_bytes(received[:4], "big"), received[4:]
    if event != PREVIEW_WITH_METADATA:
        return Message(f"binary {event}", {}, now, body)
    length = int.from_bytes(body[:4], "big")
    return Message("preview", json.loads(body[4 : 4 + length]), now, body[4 + length :])
