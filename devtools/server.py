"""ComfyUI's server as a subprocess, and the part of its HTTP interface that the demo and the tests use."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .host import Host
from .steps import SetupError

LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # past any proxy of the user
FRONTEND = "COMFYUI_FRONTEND"  # environment variable: the web root of another frontend than the host's own
START_SECONDS = 600.0  # 20 s on a free machine


class PromptError(Exception):
    """The server refused a prompt, or a node failed while it ran; the message is the server's."""


class Server:
    """A ComfyUI server on a free local port that reads and writes only below `base`; use it in a `with` block."""

    def __init__(
        self,
        host: Host,
        base: Path,
        *,
        port: int | None = None,
        options: Sequence[str] = ("--cpu",),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.host = host
        self.base = base
        self.port = port or _free_port()
        self.options = tuple(options)
        self.environment = dict(environment or {})  # beside that of this process
        self.log = base / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the editor and of every route, without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and return when it answers.

        Raises:
            SetupError: the port is taken, or it ended or stayed silent; the message has the last lines of its log.
        """
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise SetupError(f"port {self.port} is taken by another program. Choose one: dev.py serve --port N")
        command = [
            *(self.host.python, "main.py", "--port", self.port, "--base-directory", self.base),
            *("--database-url", "sqlite:///:memory:", "--disable-api-nodes", *self.options),
        ]
        if FRONTEND in os.environ:
            command += ["--front-end-root", os.environ[FRONTEND]]
        environment = dict(os.environ, PYTHONUNBUFFERED="1", **self.environment)
        if not self.host.is_ours:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.host.tree,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait_for_answer(self.process)
        except BaseException:  # Ctrl-C too: a `with` block that was not entered does not clean up
            self.stop()
            raise

    def stop(self) -> None:
        """End the server; safe to call twice."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Start a fresh process on the same port and base directory."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the server printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def get(self, route: str, **query: str) -> Any:
        """Return the JSON that a GET of `route` answers with."""
        return json.loads(self.get_bytes(route, **query))

    def get_bytes(self, route: str, **query: str) -> bytes:
        """Return the body that a GET of `route` answers with."""
        suffix = "?" + urllib.parse.urlencode(query) if query else ""
        with LOCAL.open(self.url + urllib.parse.quote(route) + suffix, timeout=60) as response:
            return response.read()

    def post(self, route: str, body: object, content_type: str = "application/json") -> Any:
        """POST `body` (JSON, or bytes as they are) and return the JSON of the answer, None when there is none."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + route, data, {"Content-Type": content_type})
        with LOCAL.open(request, timeout=60) as response:
            answer = response.read()
        return json.loads(answer) if answer else None

    def submit(self, prompt: dict[str, Any], **extra: Any) -> str:
        """Queue an API-format prompt and return its id.

        Raises:
            PromptError: the prompt does not validate.
        """
        try:
            return self.post("/prompt", {"prompt": prompt, **extra})["prompt_id"]
        except urllib.error.HTTPError as error:
            raise PromptError(error.read().decode(errors="replace")) from error

    def wait(self, prompt_id: str, timeout: float = 600) -> dict[str, Any]:
        """Return the history entry of a prompt once it is there, whether it succeeded, failed or was interrupted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is not None and self.process.poll() is not None:
                raise PromptError(f"the server ended while the prompt ran:\n{self.log_tail()}")
            history = self.get(f"/history/{prompt_id}")
            if prompt_id in history:
                return history[prompt_id]
            time.sleep(0.05)
        raise TimeoutError(f"prompt {prompt_id} did not finish in {timeout:.0f} s")

    def run(self, prompt: dict[str, Any], timeout: float = 600) -> dict[str, list[bytes]]:
        """Run an API-format prompt to its end and return the image files that each node put out, by node id.

        Raises:
            PromptError: it did not validate or a node failed.
        """
        entry = self.wait(self.submit(prompt), timeout)
        if entry["status"]["status_str"] != "success":
            failures = [body for kind, body in entry["status"]["messages"] if kind == "execution_error"]
            raise PromptError(failures[0]["exception_message"] if failures else "the prompt was interrupted")
        return self.images(entry)

    def images(self, entry: dict[str, Any]) -> dict[str, list[bytes]]:
        """Return the image files that a history entry lists, by node id."""
        files = {node: output.get("images", []) for node, output in entry["outputs"].items()}
        return {node: [self.get_bytes("/view", **file) for file in listed] for node, listed in files.items()}

    def upload(self, file: Path) -> str:
        """Put a picture into the server's input folder and return the name that Load Image knows it by."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{file.name}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        return self.post("/upload/image", body, f"multipart/form-data; boundary={boundary}")["name"]

    def interrupt(self) -> None:
        """Cancel whatever runs now."""
        self.post("/interrupt", {})

    def free(self) -> None:
        """Unload all models and empty the caches, once the current prompt is done."""
        self.post("/free", {"unload_models": True, "free_memory": True})

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SetupError(f"ComfyUI did not start. The end of {self.log}:\n{self.log_tail()}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            self.get("/system_stats")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
