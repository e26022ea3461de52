"""Run by test_memory.py in the host's interpreter, in its tree: emulates devices that are not there, prints JSON."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(Path.cwd()))
sys.argv[1:] = ["--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.memory_management  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.ops  # noqa: E402
import folder_paths  # noqa: E402

from published import net2net_weights, prefixed, transformer_weights, vqgan_weights  # noqa: E402

PACK = "taming_pack"
META = torch.device("meta")
NAMES = ("scenes_vqgan.safetensors", "scenes_class_transformer.safetensors")
LABELS = 7  # of the segmentation model
MODELS = tempfile.TemporaryDirectory()


def load_pack() -> None:
    """Import the pack as the host does: by its path, under a name of the host's choice."""
    spec = importlib.util.spec_from_file_location(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    sys.modules[PACK] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[PACK])


load_pack()

from canceled import canceled  # noqa: E402
from preview_time import preview_time  # noqa: E402
from short_of_memory import no_room, out_of_memory, small_cpu, small_for_a_batch  # noqa: E402
from taming_pack.nodes import codec, host, host_folders, maps, memory_estimates, model_cache, tiles  # noqa: E402
from taming_pack.nodes.loaders import TamingLoadTransformer, TamingLoadVQGAN  # noqa: E402
from taming_pack.nodes.sample import TamingSample  # noqa: E402
from taming_pack.nodes.types import Condition, Tokens, TransformerHandle, VQGANHandle  # noqa: E402
from taming_pack.taming.data import render_scene  # noqa: E402
from taming_pack.taming.errors import CheckpointError  # noqa: E402


def leave_as_on_a_gpu(transformer: nn.Module, precision: str) -> str:
    """In place of `prepare_for_sampling`: what is packed for a CPU cannot be moved to an emulated device."""
    transformer.float()  # the file may hold 16 bits
    return f"weights as they are, not in {precision}"


host.prepare_for_sampling = leave_as_on_a_gpu


def load() -> tuple[TransformerHandle, VQGANHandle]:
    """The embedded models, as the loader node makes them; never shared: each scene moves or breaks its own."""
    model_cache.in_use.clear()
    host_folders.register_folders()
    with torch.inference_mode():
        output = TamingLoadTransformer.execute("embedded/" + NAMES[1])
    return output.args[0], output.args[1]


def load_segmentation() -> TransformerHandle:
    """A small model that draws by segmentation maps, through the same node."""
    weights = net2net_weights(vqgan_weights(), transformer_weights(vocab_size=24, block_size=512))
    weights |= prefixed("cond_stage_model.", vqgan_weights(seed=1, channels=LABELS, n_embed=20))
    torch.save({"state_dict": weights}, Path(MODELS.name) / "maps.ckpt")
    folder_paths.add_model_folder_path(host.TRANSFORMER_FOLDER, MODELS.name)
    with torch.inference_mode():
        return TamingLoadTransformer.execute("maps.ckpt").args[0]


def encode_labels(transformer: TransformerHandle, side: int) -> Tensor:
    """Tokens of a label image of stripes, (1, side / 2, side / 2)."""
    stripes = (torch.arange(side) % LABELS / 255).expand(1, side, side)
    stage = maps.cond_stage_of(transformer)
    config = transformer.config.condition
    return maps.encode_maps(config, stage, stripes[..., None].expand(-1, -1, -1, 3), host.AUTO).indices


def blank(vqgan: VQGANHandle, batch: int) -> Tokens:
    indices = torch.zeros(batch, 16, 16, dtype=torch.int64)
    return Tokens(indices, torch.zeros_like(indices, dtype=torch.bool), vqgan.tokenizer)


def sample(transformer: TransformerHandle, tokens: Tokens, guidance_scale: float = 1.0) -> Tokens:
    condition = Condition("alpine", transformer.name, transformer.config.condition)
    return TamingSample.execute(transformer, tokens, 0, 1.0, 0, 1.0, condition, guidance_scale).args[0]


# Partial loading ------------------------------------------------------------------------------------------------------


class OneDevice(TorchDispatchMode):
    """Notes every operation that mixes the meta device with another one, other than to copy between them."""

    def __init__(self) -> None:
        super().__init__()
        self.strays: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = torch.utils._pytree.tree_leaves((args, kwargs or {}))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()}
        if len(devices) > 1 and "copy" not in function.__name__:
            self.strays.append(function.__name__)
        return function(*args, **(kwargs or {}))


def move_partly(model: nn.Module, share: float) -> None:
    """Move a share of the weights to the meta device, as the host does when memory is short."""
    patcher = comfy.model_patcher.ModelPatcher(model, load_device=META, offload_device=torch.device("cpu"))
    patcher.partially_load(META, share * patcher.model_size() + 0.1)


def partial_loading(share: float) -> dict[str, Any]:
    """Compute on the meta device with a share of the weights there."""
    transformer, vqgan = load()
    stage = maps.cond_stage_of(load_segmentation())
    for model in (transformer.model, vqgan.model, stage.model):
        move_partly(model, share)
    mode = OneDevice()
    with torch.inference_mode(), mode:
        grid = vqgan.model.encode(torch.zeros(1, 3, 64, 64, device=META)).indices
        stage.model.encode(torch.zeros(1, LABELS, 32, 32, device=META))
        picture = vqgan.model.decode_indices(torch.zeros(1, 8, 8, dtype=torch.int64, device=META))
        cache = transformer.model.new_cache(5)
        prefix = torch.zeros(2, 4, dtype=torch.int64, device=META)
        transformer.model.decode(prefix, cache)
        logits = transformer.model.decode(prefix[:, :1], cache)
    return {
        "strays": mode.strays,
        "grid": list(grid.shape),
        "picture": list(picture.shape),
        "logits": list(logits.shape),
    }


def strays_of_plain_layers() -> list[str]:
    """What the check above finds in layers that the host cannot move: it must find something."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    move_partly(model, 0.0)
    mode = OneDevice()
    with torch.inference_mode(), mode, contextlib.suppress(RuntimeError):
        model(torch.zeros(1, 4, device=META))
    return mode.strays


# Dynamic VRAM ---------------------------------------------------------------------------------------------------------


class EmulatedDynamic(comfy.model_patcher.ModelPatcher):
    """A patcher that says it is dynamic; its weights stay those of the file."""

    def is_dynamic(self) -> bool:
        return True


@contextmanager
def dynamic_vram() -> Iterator[None]:
    """Have layers own no weights until they are loaded, as with --enable-dynamic-vram on an NVIDIA card."""
    comfy.memory_management.aimdo_enabled = True
    usual, comfy.model_patcher.CoreModelPatcher = comfy.model_patcher.CoreModelPatcher, EmulatedDynamic
    try:
        yield
    finally:
        comfy.memory_management.aimdo_enabled = False
        comfy.model_patcher.CoreModelPatcher = usual


def as_loaded_dynamically(model: nn.Module) -> nn.Module:
    """What the dynamic loader does to every layer: it casts its weights at each use."""
    for module in model.modules():
        if hasattr(module, "comfy_cast_weights"):
            module.comfy_cast_weights = True
    return model


def dynamic(image: Tensor) -> dict[str, Any]:
    transformer, vqgan = load()
    segmentation = load_segmentation()
    with dynamic_vram():
        other_transformer, other_vqgan = load()
        other_segmentation = load_segmentation()
        without = host._layers(torch.float32).Linear(2, 2).weight is None
    vqgan_model, transformer_model = (as_loaded_dynamically(x.model) for x in (other_vqgan, other_transformer))
    other_stage = maps.cond_stage_of(other_segmentation)
    as_loaded_dynamically(other_stage.model)
    with torch.inference_mode():
        quantized = vqgan.model.encode(image)
        other = vqgan_model.encode(image)
        prefix = torch.arange(20)[None]
        return {
            "is_dynamic": all(x.is_dynamic() for x in (other_vqgan, other_transformer, other_stage)),
            "started_without_weights": without,
            "same_tokens": torch.equal(quantized.indices, other.indices)
            and torch.equal(encode_labels(segmentation, 32), encode_labels(other_segmentation, 32)),
            "same_picture": torch.equal(
                vqgan.model.decode_indices(quantized.indices), vqgan_model.decode_indices(quantized.indices)
            ),
            "same_sample": torch.equal(transformer.model(prefix), transformer_model(prefix)),
        }


# Memory ---------------------------------------------------------------------------------------------------------------


def peak_bytes(run: Callable[[], object]) -> int:
    """The most memory that tensors made in `run` took at one time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        run()
    live = peak = 0
    for event in sorted(recorded.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    return peak


def asked_and_used(transformer: TransformerHandle, vqgan: VQGANHandle) -> dict[str, tuple[int, int]]:
    """Bytes asked for and bytes used, by call."""
    grid, image = torch.zeros(1, 32, 32, dtype=torch.int64), torch.rand(1, 256, 256, 3)
    tokens = blank(vqgan, 2)
    segmentation = load_segmentation()
    stage = maps.cond_stage_of(segmentation)
    calls: dict[str, tuple[int, Callable[[], object]]] = {
        "decode": (memory_estimates.decode_bytes(vqgan.config, 32, 32), lambda: codec.decode(vqgan, grid)),
        "encode": (memory_estimates.encode_bytes(vqgan.config, 256, 256), lambda: codec.encode(vqgan, image)),
        "maps": (memory_estimates.encode_bytes(stage.config, 128, 128), lambda: encode_labels(segmentation, 128)),
        "sample": (
            memory_estimates.sample_bytes(transformer.config, 2, True, 1),
            lambda: sample(transformer, tokens, 2.0),
        ),
    }
    return {name: (asked, peak_bytes(run)) for name, (asked, run) in calls.items()}


def cache(transformer: TransformerHandle) -> dict[str, int]:
    return {
        "cache_bytes": transformer.model.cache_bytes(3, transformer.config.block_size, torch.float32),
        "asked": memory_estimates.sample_bytes(transformer.config, 3, False, 1),
        "asked_guided": memory_estimates.sample_bytes(transformer.config, 3, True, 1),
    }


def seams() -> float:
    """Largest error of tiling a decoder for which tiles are exact."""
    indices = torch.randint(0, 255, (1, 23, 40), generator=torch.Generator().manual_seed(0))

    def decode(cells: Tensor) -> Tensor:
        return cells[:, None].repeat_interleave(4, 2).repeat_interleave(4, 3) / 255

    tiled = [tiles.decode_tiles(decode, indices, tile, 4) for tile in (8, 9, 64)]
    return max((pixels - decode(indices)).abs().max().item() for pixels in tiled)


def scenes(side: int) -> Tensor:
    """Two landscapes that were not trained on, (2, 3, side, side) in [-1, 1]."""
    images = [render_scene(label, 2_000_000, side).image for label in (0, 7)]
    return torch.stack([torch.from_numpy(image) for image in images]).movedim(-1, 1) / 127.5 - 1


def names_refused() -> list[str]:
    """What the loader says to names that a link brings past the host's own check of the list."""
    said = []
    for name in ("../secret.safetensors", "/etc/passwd", "embedded/../../secret.safetensors", "C:\\secret.safetensors"):
        try:
            TamingLoadVQGAN.execute(name)
        except CheckpointError as error:
            said.append(str(error))
    return said


def counted(transformer: TransformerHandle) -> list[int]:
    """How many patchers the host sees: one stage, two, and one that is both."""
    two = load_segmentation()
    shared = TransformerHandle(two.patcher, two.config, two.name, two.first_stage, two.first_stage)
    return [len(handle.get_models()) for handle in (transformer, two, shared)]


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    transformer, vqgan = load()
    assert counted(transformer) == [2, 3, 2]
    image = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    with torch.inference_mode():
        indices = vqgan.model.encode(scenes(256)).indices
    five = blank(vqgan, 5)
    facts = {
        "partial": {str(share): partial_loading(share) for share in (0.0, 0.3, 0.7, 1.0)},
        "plain_layers": strays_of_plain_layers(),
        "dynamic": dynamic(image),
        "trainable": not any(weight.is_inference() for weight in vqgan.model.parameters()),
        "asked_and_used": asked_and_used(transformer, vqgan),
        "cache": cache(transformer),
        "out_of_memory": out_of_memory(vqgan, indices),
        "small_cpu": small_cpu(vqgan, indices),
        "no_room": no_room(vqgan, indices),
        "small_for_a_batch": small_for_a_batch(transformer, five, lambda: sample(transformer, five)),
        "seams": seams(),
        "preview_time": preview_time(transformer, five),
        "names_refused": names_refused(),
        "canceled": canceled(vqgan),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
