"""Drawing in the running server: repeatable, cancelable, visible while it runs, and not done twice."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from devtools import ROOT
from devtools.live_server import LiveServer, Message, Run
from prompts import CELLS, DECODE, LABEL, LOAD, SAMPLE, SHOW, TRANSFORMER, VQGAN, drawing, node, pixels, reconstruction

ASSETS = ROOT / "taming" / "assets"
GRAY = 128


def picture(run: Run, item: int = 0) -> np.ndarray:
    assert run.ending == "execution_success", run.error
    return pixels(run.images[SHOW][item])


@pytest.fixture(scope="module")
def drawn(server: LiveServer) -> np.ndarray:
    """The picture of seed 0."""
    return picture(server.watch(drawing()))


def free(server: LiveServer) -> None:
    """Unload everything and wait until it is done."""
    server.free()
    time.sleep(2)


def test_a_seed_gives_the_same_picture_alone_and_first_in_a_batch(server: LiveServer, drawn: np.ndarray):
    run = server.watch(drawing(batch_size=4))
    assert np.array_equal(picture(run), drawn)
    assert all(not np.array_equal(picture(run, item), drawn) for item in (1, 2, 3))


def test_another_seed_gives_another_picture(server: LiveServer, drawn: np.ndarray):
    assert not np.array_equal(picture(server.watch(drawing(seed=1))), drawn)


def test_a_label_for_each_item_gives_what_each_label_gives_alone(server: LiveServer, drawn: np.ndarray):
    run = server.watch(drawing("alpine, beach", batch_size=2))
    assert np.array_equal(picture(run), drawn)


def test_a_seed_gives_the_same_picture_after_free_which_gives_the_memory_back(server: LiveServer, drawn: np.ndarray):
    server.watch(drawing(seed=2))
    free(server)
    before = server.rss_mib()
    run = server.watch(drawing())
    free(server)
    assert np.array_equal(picture(run), drawn)
    assert SAMPLE in run.executed
    assert server.rss_mib() < 1.1 * before


def test_a_seed_gives_the_same_picture_after_a_restart(server: LiveServer, drawn: np.ndarray):
    server.restart()
    assert np.array_equal(picture(server.watch(drawing())), drawn)


def test_guidance_changes_the_picture_and_a_scale_of_one_does_not(server: LiveServer, drawn: np.ndarray):
    assert np.array_equal(picture(server.watch(drawing(guidance_scale=1.0))), drawn)
    assert not np.array_equal(picture(server.watch(drawing(guidance_scale=3.0))), drawn)


def test_another_decoder_does_not_draw_again(server: LiveServer, drawn: np.ndarray):
    prompt = drawing(seed=3)
    first = server.watch(prompt)
    prompt["other"] = node("TamingLoadVQGAN", vqgan_name=VQGAN)
    prompt[DECODE]["inputs"]["vqgan"] = ["other", 0]
    second = server.watch(prompt)
    assert SAMPLE in first.executed
    assert SAMPLE not in second.executed and DECODE in second.executed
    assert np.array_equal(picture(second), picture(first))


def test_a_file_that_was_replaced_is_read_again(server: LiveServer):
    file = server.base / "models" / "vqgan" / "replaced.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    copy_vqgan(file, brightness=0.0)
    prompt = reconstruction(vqgan_name=file.name)
    first = picture(server.watch(prompt))
    assert LOAD not in server.watch(prompt).executed
    copy_vqgan(file, brightness=0.5)
    second = picture(server.watch(prompt))
    assert second.mean() > first.mean() + 20


def test_a_first_stage_that_a_transformer_names_is_read_again_when_it_was_replaced(server: LiveServer):
    folder = server.base / "models" / "taming_transformers"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ASSETS / Path(TRANSFORMER).name, folder / "mine.safetensors")
    copy_vqgan(folder / Path(VQGAN).name, brightness=0.0)
    prompt = drawing()
    prompt[LOAD]["inputs"]["transformer_name"] = "mine.safetensors"
    first = picture(server.watch(prompt))
    copy_vqgan(folder / Path(VQGAN).name, brightness=0.5)
    assert picture(server.watch(prompt)).mean() > first.mean() + 20


def copy_vqgan(target: Path, brightness: float) -> None:
    """Copy the embedded VQGAN with another bias in its last layer."""
    source = ASSETS / Path(VQGAN).name
    weights = load_file(source)
    weights["decoder.conv_out.bias"] = weights["decoder.conv_out.bias"] + brightness
    with safe_open(source, framework="pt") as opened:
        save_file(weights, target, opened.metadata())


def test_the_progress_bar_counts_every_token(server: LiveServer):
    progress = server.watch(drawing(seed=4)).progress(SAMPLE)
    assert progress[-1] == (CELLS, CELLS)
    assert progress == sorted(progress)


def test_the_terminal_counts_tokens_as_for_the_hosts_own_samplers(server: LiveServer):
    before = server.log.stat().st_size
    server.watch(drawing(seed=10))
    lines = server.log.read_bytes()[before:].decode().splitlines()  # a line that is written over ends with \r
    assert [line for line in lines if re.search(rf"100%.* {CELLS}/{CELLS} \[.*(it/s|s/it)\]", line)], lines


def preview_steps(run: Run) -> list[int]:
    """The step that each preview belongs to: the server sends it just before."""
    pairs = zip(run.messages, run.messages[1:], strict=False)
    return [following.data["value"] for message, following in pairs if message.kind == "preview"]


def test_previews_show_the_picture_grow_at_its_own_size_and_never_the_last_step(server: LiveServer):
    run = server.watch(drawing(seed=5, side=512, guidance_scale=3.0), preview_method="auto")  # takes some seconds
    steps = preview_steps(run)
    assert len(steps) >= 2 and steps == sorted(steps) and steps[-1] < 16 * CELLS
    shown = [pixels(preview.image) for preview in run.previews]
    assert all(image.shape == (512, 512, 3) for image in shown)
    gray = [(np.abs(image.astype(int) - GRAY).max(-1) <= 2).mean() for image in shown]
    assert 0 < gray[-1] < gray[0] < 1


def test_recommended_settings_take_the_place_of_the_numbers_and_the_log_says_them(server: LiveServer):
    numbers = {"temperature": 1.0, "top_k": 100, "top_p": 0.95, "guidance_scale": 3.0}
    recommended = picture(server.watch(drawing(seed=11, settings="recommended", top_k=1, temperature=5.0)))
    assert "temperature 1, top_k 100, top_p 0.95, guidance_scale 3" in server.log.read_text(encoding="utf-8")
    assert np.array_equal(recommended, picture(server.watch(drawing(seed=11, settings="as set", **numbers))))
    assert not np.array_equal(recommended, picture(server.watch(drawing(seed=11))))


def test_without_a_condition_nothing_is_recommended_to_move_away_from(server: LiveServer):
    prompt = drawing(seed=12, settings="recommended")
    del prompt[LABEL], prompt[SAMPLE]["inputs"]["condition"]
    assert server.watch(prompt).ending == "execution_success"
    assert "top_p 0.95, guidance_scale 1." in server.log.read_text(encoding="utf-8")


def test_no_preview_comes_where_previews_are_off_and_the_picture_is_the_same(server: LiveServer, drawn: np.ndarray):
    quiet = server.watch(drawing(seed=6))
    assert quiet.previews == []
    free(server)
    assert np.array_equal(picture(quiet), picture(server.watch(drawing(seed=6), preview_method="auto")))


def interrupt_at(server: LiveServer, when: Callable[[Message], bool]) -> Callable[[Message], None]:
    """A watcher that cancels once `when` says so; benchmarks/bench_server.py measures how long that takes."""
    is_asked = False

    def watcher(message: Message) -> None:
        nonlocal is_asked
        if not is_asked and when(message):
            is_asked = True
            server.interrupt()

    return watcher


def starts(name: str) -> Callable[[Message], bool]:
    return lambda message: message.kind == "executing" and message.data["node"] == name


def is_half_way(message: Message) -> bool:
    return message.kind == "progress" and message.data["value"] >= CELLS // 2


@pytest.mark.parametrize(
    ("prompt", "when"),
    [
        (drawing(seed=7, batch_size=4), starts(LOAD)),
        (drawing(seed=7, batch_size=4), starts(SAMPLE)),
        (drawing(seed=8, batch_size=4), is_half_way),
        (drawing(seed=9, batch_size=4), starts(DECODE)),
        (reconstruction(512, 512), starts("encode")),
        (reconstruction(512, 512, batch_size=2), starts(DECODE)),
    ],
    ids=["loading", "first token", "half way", "decoding", "encoding a large picture", "decoding a large picture"],
)
def test_cancel_ends_the_run_at_any_moment(server: LiveServer, drawn: np.ndarray, prompt: dict, when: Callable):
    free(server)
    run = server.watch(prompt, on_message=interrupt_at(server, when))
    assert run.ending == "execution_interrupted"
    assert np.array_equal(picture(server.watch(drawing())), drawn)


def test_planning_a_huge_grid_can_be_canceled(server: LiveServer):
    """It took minutes, before the first token and without a look at Cancel."""
    prompt = drawing(side=16384)
    asked: list[float] = []

    def cancel_soon(message: Message) -> None:
        if not asked and message.kind == "executing" and message.data["node"] == SAMPLE:
            time.sleep(3)
            server.interrupt()
            asked.append(time.monotonic())

    run = server.watch(prompt, on_message=cancel_soon)
    assert run.ending == "execution_interrupted"
    assert run.messages[-1].at - asked[0] < 5
