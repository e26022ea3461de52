"""Model folders: where models are saved and which of two is loaded, with extra_model_paths and another pack."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import yaml

from devtools import ROOT
from devtools.host import Host, make_base
from devtools.live_server import LiveServer, Run
from prompts import DECODE, LOAD, SHOW, VQGAN, Prompt, node, pixels, reconstruction
from published import vqgan_weights
from taming.checkpoints import save_checkpoint
from taming.models import Transformer, TransformerConfig

# A pack that takes our folder for its own, with other kinds of files, when its node runs.
OTHER_PACK = """
import os
import folder_paths

HERE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "weights")
folder_paths.add_model_folder_path("vqgan", HERE)
folder_paths.folder_names_and_paths["vqgan"][1].update({".onnx", ".md"})


class TakeOver:
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"suffix": ("STRING", {"default": ".onnx"})}}

    def run(self, suffix):
        folder_paths.folder_names_and_paths["vqgan"] = ([HERE], {suffix})
        return {}


NODE_CLASS_MAPPINGS = {"TakeOver": TakeOver}
"""


def write_vqgan(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(vqgan_weights(seed), path)
    return path


def write_transformer(path: Path, tokenizer: Path) -> None:
    """A transformer at `path` that was trained on `tokenizer`, which does not lie beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = Transformer(TransformerConfig(vocab_size=1024, block_size=256, n_layer=1, n_head=1, n_embd=8))
    beside = path.with_name(tokenizer.name)
    shutil.copy(tokenizer, beside)
    save_checkpoint(model, path, first_stage=beside)
    beside.unlink()


def serve(comfyui: Host, base: Path, paths: dict[str, object]) -> LiveServer:
    """A server that reads `paths` as the user's extra_model_paths, and has another pack beside ours."""
    make_base(base, comfyui)
    other = base / "custom_nodes" / "another_pack"
    (other / "weights").mkdir(parents=True)
    (other / "__init__.py").write_text(OTHER_PACK)
    config = base / "paths.yaml"
    config.write_text(yaml.safe_dump(paths))
    return LiveServer(comfyui, base, options=("--cpu", "--extra-model-paths-config", str(config)))


@pytest.fixture(scope="module")
def shared(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """With a share that is not the default: `share` below the base folder."""
    base = tmp_path_factory.mktemp("shared")
    section = {"base_path": str(base / "share"), "vqgan": "vq", "taming_transformers": "tt", "taming_recipes": "rec"}
    server = serve(comfyui, base, {"mine": section})
    write_vqgan(base / "share" / "vq" / "on_share.safetensors", 1)
    (base / "share" / "vq" / "same.safetensors").write_bytes(b"<html>")
    write_vqgan(base / "models" / "vqgan" / "same.safetensors", 0)
    (base / "models" / "vqgan" / "gone.safetensors").symlink_to(base / "nowhere")
    weights = base / "custom_nodes" / "another_pack" / "weights"
    write_vqgan(weights / "theirs.safetensors", 2)
    for name in ("theirs.onnx", "README.md"):
        (weights / name).write_text("no weights that we read")
    (base / "share" / "rec").mkdir(parents=True)
    shutil.copy(ROOT / "taming" / "configs" / "pictures_vqgan_small.yaml", base / "share" / "rec" / "of_the_share.yaml")
    with server:
        yield server


def listed(server: LiveServer, name: str, node_id: str = "TamingLoadVQGAN", input_name: str = "vqgan_name") -> bool:
    kind, details = server.get(f"/object_info/{node_id}")[node_id]["input"]["required"][input_name]
    return name in (details["options"] if kind == "COMBO" else kind)


def succeed(run: Run) -> Run:
    assert run.ending == "execution_success", run.error
    return run


def saving(name: str) -> Prompt:
    return {
        LOAD: node("TamingLoadVQGAN", vqgan_name=VQGAN),
        "save": node("TamingSaveVQGAN", vqgan=[LOAD, 0], filename_prefix=name),
    }


def test_models_are_saved_into_the_hosts_own_folder_and_not_into_a_share(shared: LiveServer):
    """Two of three saves went into the share, which is often read-only."""
    succeed(shared.watch(saving("new/mine")))
    assert (shared.base / "models" / "vqgan" / "new" / "mine_00001_.safetensors").is_file()
    assert not (shared.base / "share" / "vq" / "new").exists()
    assert listed(shared, "new/mine_00001_.safetensors")


def test_a_file_of_the_same_name_elsewhere_does_not_hide_the_users_own(shared: LiveServer):
    succeed(shared.watch(reconstruction(32, 32, vqgan_name="same.safetensors")))


@pytest.mark.parametrize("name", ["on_share.safetensors", "theirs.safetensors"])
def test_files_on_a_share_and_of_another_pack_are_listed_and_load(shared: LiveServer, name: str):
    assert listed(shared, name)
    succeed(shared.watch(reconstruction(32, 32, vqgan_name=name)))


@pytest.mark.parametrize("name", ["theirs.onnx", "README.md"])
def test_what_no_loader_of_ours_reads_is_not_listed(shared: LiveServer, name: str):
    """The other pack registered its own kinds of files under the same folder."""
    assert not listed(shared, name)


def test_a_recipe_on_a_share_is_listed(shared: LiveServer):
    assert listed(shared, "of_the_share.yaml", "TamingRecipe", "preset")


def test_a_link_that_leads_nowhere_is_told_as_such(shared: LiveServer):
    error = shared.watch(reconstruction(32, 32, vqgan_name="gone.safetensors")).error
    assert error.startswith("vqgan_name: 'gone.safetensors' in models/vqgan is a link that leads nowhere")


@pytest.mark.parametrize("place", ["models/vqgan/inner", "share/vq", "models/taming_transformers", "share/tt/inner"])
def test_a_tokenizer_is_found_in_any_of_the_folders(shared: LiveServer, place: str):
    """It had to lie beside its transformer, and people sort files by kind."""
    name = f"{place.replace('/', '_')}.safetensors"
    tokenizer = write_vqgan(shared.base / place / f"for_{name}", 3)
    write_transformer(shared.base / "share" / "tt" / "deep" / name, tokenizer)
    prompt = reconstruction(32, 32)
    prompt[LOAD] = node("TamingLoadTransformer", transformer_name=f"deep/{name}")
    for key in ("encode", DECODE):
        prompt[key]["inputs"]["vqgan"] = [LOAD, 1]
    assert pixels(succeed(shared.watch(prompt)).images[SHOW][0]).shape == (32, 32, 3)


def test_what_another_pack_takes_over_is_ours_again_at_once(shared: LiveServer):
    """It leaves its own folder and its own kinds of files: nothing of ours was listed, or nothing that was loaded."""
    for suffix in (".onnx", ""):
        succeed(shared.watch({"take": node("TakeOver", suffix=suffix)}))
        assert listed(shared, "same.safetensors") and listed(shared, "theirs.safetensors")
        assert not listed(shared, "theirs.onnx")
        succeed(shared.watch(reconstruction(32, 32, vqgan_name="theirs.safetensors")))
        succeed(shared.watch(saving(f"after{suffix}")))
        assert (shared.base / "models" / "vqgan" / f"after{suffix}_00001_.safetensors").is_file()


@pytest.fixture(scope="module")
def default(comfyui: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """With a folder that is the default, whose transformers cannot be written; beside one that is not."""
    base = tmp_path_factory.mktemp("default")
    sections = {
        "share": {"base_path": str(base / "share"), "vqgan": "vq"},
        "mine": {"base_path": "mine", "is_default": True, "vqgan": "vq", "taming_transformers": "blocked/tt"},
    }
    server = serve(comfyui, base, sections)
    (base / "mine").mkdir()
    (base / "mine" / "blocked").write_text("a file, where no folder can be made")
    write_vqgan(base / "mine" / "vq" / "same.safetensors", 0)
    for place in ("share/vq", "models/vqgan"):
        (base / place).mkdir(parents=True, exist_ok=True)
        (base / place / "same.safetensors").write_bytes(b"<html>")
    with server:
        yield server


def test_a_folder_that_is_marked_as_default_comes_first_as_for_the_hosts_own(default: LiveServer):
    succeed(default.watch(reconstruction(32, 32, vqgan_name="same.safetensors")))
    succeed(default.watch(saving("mine")))
    assert (default.base / "mine" / "vq" / "mine_00001_.safetensors").is_file()


def test_a_folder_that_cannot_be_written_is_told_in_words_before_anything_is_saved(default: LiveServer):
    prompt = {
        LOAD: node("TamingLoadTransformer", transformer_name="embedded/scenes_class_transformer.safetensors"),
        "save": node("TamingSaveTransformer", transformer=[LOAD, 0], filename_prefix="mine"),
    }
    error = default.watch(prompt).error
    root = default.base / "mine" / "blocked" / "tt"
    assert error.startswith(f"filename_prefix: nothing can be saved in {root}: Not a directory. Make that folder")
    assert "is_default: true" in error
