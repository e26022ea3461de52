"""Loaders in the running server: what is in memory already is not loaded again, and what was replaced is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import yaml

from devtools.live_server import LiveServer, Run
from prompts import DECODE, LOAD, SHOW, VQGAN, drawing, node, pixels, reconstruction
from published import net2net_weights, net2net_yaml, transformer_weights, vqgan_weights, vqgan_yaml

CODES: dict[str, Any] = {"n_embed": 2**16, "embed_dim": 512}
CODES_MIB = 128
MAPS = "embedded/scenes_segmentation_transformer.safetensors"
AGAIN = "is in memory already"


def write_vqgan(folder: Path, seed: int) -> Path:
    """A VQGAN with a large codebook, and its configuration beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "large.safetensors"
    safetensors.torch.save_file(vqgan_weights(seed, **CODES), folder / "unfinished")
    os.replace(folder / "unfinished", file)
    file.with_suffix(".yaml").write_text(yaml.safe_dump(vqgan_yaml(**CODES)), encoding="utf-8")
    return file


@pytest.fixture
def large(server: LiveServer) -> Iterator[Path]:
    """A VQGAN of more than 128 MiB in the server's folder; nothing is loaded yet."""
    server.watch(reconstruction())  # what every first run brings into memory
    free(server)
    file = write_vqgan(server.base / "models" / "vqgan", seed=0)
    yield file
    file.unlink()
    file.with_suffix(".yaml").unlink()
    free(server)


def free(server: LiveServer) -> None:
    """Unload everything and wait until it is done."""
    server.free()
    time.sleep(3)


def reconstruct(server: LiveServer, file: Path, **inputs: Any) -> np.ndarray:
    prompt = reconstruction(32, 32, vqgan_name=file.name)
    prompt[LOAD]["inputs"] |= inputs
    return picture(server.watch(prompt))


def picture(run: Run) -> np.ndarray:
    assert run.ending == "execution_success", run.error
    return pixels(run.images[SHOW][0])


def times_shared(server: LiveServer) -> int:
    return server.log.read_text(encoding="utf-8", errors="replace").count(AGAIN)


def test_a_second_loader_of_a_file_takes_no_memory_and_draws_the_same(server: LiveServer, large: Path):
    """A configuration named by hand is another input, so that the host asks the loader again."""
    before = server.rss_mib()
    first = reconstruct(server, large)
    loaded, shared = server.rss_mib(), times_shared(server)
    assert loaded - before > 0.9 * CODES_MIB
    again = reconstruct(server, large, config_name="large.yaml")
    assert server.rss_mib() - loaded < 0.3 * CODES_MIB
    assert times_shared(server) == shared + 1
    assert np.array_equal(first, again)


def test_a_replaced_file_is_loaded_anew_while_the_model_of_the_old_one_is_in_use(server: LiveServer, large: Path):
    first = reconstruct(server, large)
    shared = times_shared(server)
    write_vqgan(large.parent, seed=1)
    assert not np.array_equal(reconstruct(server, large), first)
    assert times_shared(server) == shared
    write_vqgan(large.parent, seed=0)
    assert np.array_equal(reconstruct(server, large), first)


def test_a_model_of_two_loaders_gives_its_memory_back(server: LiveServer, large: Path):
    before = server.rss_mib()
    reconstruct(server, large)
    reconstruct(server, large, config_name="large.yaml")
    assert server.rss_mib() - before > 0.9 * CODES_MIB
    server.free()
    deadline = time.monotonic() + 30
    while server.rss_mib() - before > 0.3 * CODES_MIB:
        assert time.monotonic() < deadline, f"{server.rss_mib() - before:.0f} MiB are still there"
        time.sleep(0.2)


def test_a_vqgan_alone_and_as_the_first_stage_of_two_transformers_is_one(server: LiveServer):
    """All three name the same file; each message still names what it was loaded as."""
    free(server)
    prompt = drawing()
    prompt["maps"] = node("TamingLoadTransformer", transformer_name=MAPS)
    prompt["vqgan"] = node("TamingLoadVQGAN", vqgan_name=VQGAN)
    for i, loader in enumerate([["maps", 1], ["vqgan", 0]]):
        prompt[f"decode {i}"] = node("TamingDecode", vqgan=loader, tokens=prompt[DECODE]["inputs"]["tokens"])
        prompt[f"show {i}"] = node("PreviewImage", images=[f"decode {i}", 0])
    shared = times_shared(server)
    run = server.watch(prompt)
    first = picture(run)
    assert all(np.array_equal(pixels(run.images[f"show {i}"][0]), first) for i in range(2))
    assert times_shared(server) == shared + 2


def test_the_stages_of_one_checkpoint_are_one_for_every_precision(server: LiveServer):
    folder = server.base / "models" / "taming_transformers"
    weights = net2net_weights(vqgan_weights(), transformer_weights())
    safetensors.torch.save_file(weights, folder / "whole.safetensors")
    (folder / "whole.yaml").write_text(yaml.safe_dump(net2net_yaml()), encoding="utf-8")
    shared = times_shared(server)
    for precision in ("fp32", "fp16", "int8"):
        load = node("TamingLoadTransformer", transformer_name="whole.safetensors", precision=precision)
        run = server.watch(
            {
                LOAD: load,
                "image": node("EmptyImage", width=32, height=32, batch_size=1, color=0),
                "encode": node("TamingEncode", vqgan=[LOAD, 1], image=["image", 0]),
                DECODE: node("TamingDecode", vqgan=[LOAD, 1], tokens=["encode", 0]),
                SHOW: node("PreviewImage", images=[DECODE, 0]),
            }
        )
        picture(run)
    for ending in (".safetensors", ".yaml"):
        (folder / f"whole{ending}").unlink()
    assert times_shared(server) == shared + 2
