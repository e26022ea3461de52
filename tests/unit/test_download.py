"""Downloads, from a real server on this machine that resumes, hangs up, lies and says no."""

from __future__ import annotations

import hashlib
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from taming.errors import TamingError
from taming.zoo import ZooModel, find_model
from taming.zoo.download import CHUNK_BYTES, download

CONTENT = random.Random(0).randbytes(2 * CHUNK_BYTES + 12_345)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behavior:
    """What the server serves, and how badly."""

    content: bytes = CONTENT
    status: int = 200
    content_type: str = "application/octet-stream"
    resumes: bool = True
    hang_up_after: int | None = None  # bytes of an answer
    says_length: bool = True
    range_shift: int = 0  # bytes by which a partial answer is not the one asked for
    ranges: list[str | None] = field(default_factory=list)  # asked for, one per request


class Handler(BaseHTTPRequestHandler):
    behavior: Behavior

    def do_GET(self) -> None:
        behavior, asked = self.behavior, self.headers.get("Range")
        behavior.ranges.append(asked)
        start, size = 0, len(behavior.content)
        if asked is not None and behavior.resumes:
            start = int(asked.removeprefix("bytes=").removesuffix("-")) + behavior.range_shift
            if start >= size:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                self.end_headers()
                return
        self.send_response(206 if start else behavior.status)
        self.send_header("Content-Type", behavior.content_type)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        if behavior.says_length:
            self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with suppress(ConnectionError):  # of a client that has seen enough
            self.wfile.write(behavior.content[start:][: behavior.hang_up_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def behavior() -> Behavior:
    return Behavior()


@pytest.fixture
def model(behavior: Behavior) -> Iterator[ZooModel]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"behavior": behavior}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/last.ckpt"
    yield replace(find_model("sflckr"), url=address, file="test.ckpt", size=f"{len(CONTENT):,} bytes", sha256=SHA256)
    server.shutdown()
    server.server_close()
    thread.join()


def part_of(folder: Path) -> Path:
    return folder / "test.ckpt.part"


def interrupted(folder: Path, size: int = CHUNK_BYTES + 7) -> Path:
    """What a download leaves that ended after `size` bytes."""
    part_of(folder).write_bytes(CONTENT[:size])
    return part_of(folder)


def test_a_download_puts_the_published_file_in_place_and_leaves_nothing_else(model: ZooModel, tmp_path: Path):
    path = download(model, tmp_path / "models" / "vqgan")
    assert path == tmp_path / "models" / "vqgan" / "test.ckpt"
    assert path.read_bytes() == CONTENT
    assert list(path.parent.iterdir()) == [path]


def test_progress_counts_up_to_the_whole_file(model: ZooModel, tmp_path: Path):
    reports: list[tuple[int, int | None]] = []
    download(model, tmp_path, lambda done, total: reports.append((done, total)))
    assert [done for done, _ in reports] == sorted({done for done, _ in reports})
    assert reports[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_there_already_is_checked_and_not_fetched(model: ZooModel, behavior: Behavior, tmp_path: Path):
    (tmp_path / "test.ckpt").write_bytes(CONTENT)
    assert download(model, tmp_path).read_bytes() == CONTENT
    assert behavior.ranges == []


def test_another_file_of_that_name_is_kept_and_refused(model: ZooModel, tmp_path: Path):
    (tmp_path / "test.ckpt").write_bytes(b"mine")
    with pytest.raises(TamingError, match=r"test\.ckpt has 4 bytes.*Move it away"):
        download(model, tmp_path)
    assert (tmp_path / "test.ckpt").read_bytes() == b"mine"


def test_an_interrupted_download_goes_on_where_it_stopped(model: ZooModel, behavior: Behavior, tmp_path: Path):
    have = interrupted(tmp_path).stat().st_size
    reports: list[int] = []
    assert download(model, tmp_path, lambda done, _: reports.append(done)).read_bytes() == CONTENT
    assert behavior.ranges == [f"bytes={have}-"]
    assert min(reports) > have


def test_a_connection_that_is_cut_leaves_what_came_and_the_next_run_needs_only_the_rest(
    model: ZooModel, behavior: Behavior, tmp_path: Path
):
    behavior.hang_up_after = 1_000_000
    with pytest.raises(TamingError, match=r"closed the connection after 1,000,000 of .* goes on where it stopped"):
        download(model, tmp_path)
    assert part_of(tmp_path).read_bytes() == CONTENT[:1_000_000]
    behavior.hang_up_after = None
    assert download(model, tmp_path).read_bytes() == CONTENT
    assert behavior.ranges == [None, "bytes=1000000-"]


def test_a_callback_that_raises_ends_the_download_and_what_came_is_kept(model: ZooModel, tmp_path: Path):
    def stop(_done: int, _total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(model, tmp_path, stop)
    assert CONTENT.startswith(part_of(tmp_path).read_bytes()) and part_of(tmp_path).stat().st_size > 0
    assert download(model, tmp_path).read_bytes() == CONTENT


def test_a_server_that_cannot_resume_sends_everything_again(model: ZooModel, behavior: Behavior, tmp_path: Path):
    interrupted(tmp_path)
    behavior.resumes = False
    assert download(model, tmp_path).read_bytes() == CONTENT


def test_a_partial_answer_to_another_question_is_not_patched_in(model: ZooModel, behavior: Behavior, tmp_path: Path):
    part = interrupted(tmp_path)
    before = part.read_bytes()
    behavior.range_shift = 5
    with pytest.raises(TamingError, match="another part of the file"):
        download(model, tmp_path)
    assert part.read_bytes() == before


def test_a_finished_part_is_only_checked_and_moved(model: ZooModel, behavior: Behavior, tmp_path: Path):
    interrupted(tmp_path, len(CONTENT))
    assert download(model, tmp_path).read_bytes() == CONTENT
    assert behavior.ranges == []


def test_a_part_longer_than_the_file_is_fetched_anew(model: ZooModel, behavior: Behavior, tmp_path: Path):
    part_of(tmp_path).write_bytes(CONTENT + b"more")
    assert download(model, tmp_path).read_bytes() == CONTENT
    assert behavior.ranges == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_server_that_does_not_say_the_size_is_believed_where_the_hash_fits(
    model: ZooModel, behavior: Behavior, tmp_path: Path
):
    behavior.says_length = False
    assert download(replace(model, size=None), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("known", [{"size": None}, {"sha256": None}, {"size": None, "sha256": None}])
def test_what_is_not_known_is_not_asked_for(model: ZooModel, tmp_path: Path, known: dict[str, None]):
    assert download(replace(model, **known), tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_and_the_bytes_are_gone(model: ZooModel, behavior: Behavior, tmp_path: Path):
    behavior.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(TamingError, match=f"SHA-256 is [0-9a-f]{{64}}, the published one is {SHA256}"):
        download(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_does_not_survive_its_hash(model: ZooModel, tmp_path: Path):
    part_of(tmp_path).write_bytes(b"x" * 1000)
    with pytest.raises(TamingError, match="SHA-256"):
        download(model, tmp_path)
    assert download(model, tmp_path).read_bytes() == CONTENT


def test_a_file_of_another_size_is_refused_before_it_is_fetched(model: ZooModel, behavior: Behavior, tmp_path: Path):
    behavior.content = CONTENT[:1000]
    reports: list[int] = []
    with pytest.raises(TamingError, match=r"1,000 bytes, but the published one has 2,109,497"):
        download(model, tmp_path, lambda done, _: reports.append(done))
    assert reports == [] and list(tmp_path.iterdir()) == []


def test_a_web_page_is_refused(model: ZooModel, behavior: Behavior, tmp_path: Path):
    behavior.content_type = "text/html; charset=utf-8"
    with pytest.raises(TamingError, match=f"sent a web page instead of test.ckpt.*{re.escape(model.source)}"):
        download(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"\n <!DOCTYPE html><title>Log in</title>", b"<HTML>no", b""])
def test_a_web_page_or_nothing_that_claims_to_be_weights_is_refused(
    model: ZooModel, behavior: Behavior, tmp_path: Path, content: bytes
):
    behavior.content = content
    with pytest.raises(TamingError, match="is (a web page|empty), not weights"):
        download(replace(model, size=None, sha256=None), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_of_the_server_is_told_with_the_page_to_look_at(
    model: ZooModel, behavior: Behavior, tmp_path: Path, status: int
):
    behavior.status = status
    with pytest.raises(TamingError, match=f"127.0.0.1 answered {status} .*{re.escape(model.source)}"):
        download(model, tmp_path)


def test_a_refusal_leaves_an_interrupted_download_as_it_is(model: ZooModel, behavior: Behavior, tmp_path: Path):
    before = interrupted(tmp_path).read_bytes()
    behavior.status, behavior.resumes = 404, False
    with pytest.raises(TamingError, match="answered 404"):
        download(model, tmp_path)
    assert part_of(tmp_path).read_bytes() == before


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "url", [lambda: f"http://127.0.0.1:{free_port()}/", lambda: "http://no-such-host.invalid/"], ids=["port", "host"]
)
def test_no_connection_is_told_in_one_sentence(model: ZooModel, tmp_path: Path, url: Callable[[], str]):
    with pytest.raises(TamingError, match=r"test\.ckpt could not be downloaded from .*Check the connection"):
        download(replace(model, url=url()), tmp_path)


def test_a_model_without_an_address_says_where_to_get_it_and_where_to_put_it(tmp_path: Path):
    model = find_model("ldm_vq_f4")
    with pytest.raises(TamingError) as caught:
        download(model, tmp_path)
    for expected in (model.source, str(tmp_path / model.file), "zip archive"):
        assert expected in str(caught.value)


def test_a_disk_that_is_too_full_is_found_before_anything_is_written(
    model: ZooModel, behavior: Behavior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    usage = type("Usage", (), {"free": 1_000_000})
    monkeypatch.setattr("taming.zoo.download.shutil.disk_usage", lambda _: usage)
    with pytest.raises(TamingError, match=r"1,000,000 bytes free, and 2,109,497 more are needed"):
        download(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
    interrupted(tmp_path, len(CONTENT) - 999_999)
    assert download(model, tmp_path).read_bytes() == CONTENT, "only the rest needs room"


def test_importing_the_zoo_reaches_no_network():
    """The address is opened in `download` and nowhere else."""
    sources = Path(__file__).resolve().parents[2].joinpath("taming").rglob("*.py")
    users = [path.name for path in sources if re.search(r"urlopen|urlretrieve|requests", path.read_text("utf-8"))]
    assert users == ["download.py"]
