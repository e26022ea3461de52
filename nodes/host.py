"""The only file that touches the host: weights and devices, memory, pictures, progress, previews, cancel, folders."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeAlias, TypeVar

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import folder_paths
import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.graph import ExecutionBlocker
from PIL import Image
from torch import Tensor, nn
from tqdm.auto import tqdm

from ..taming.checkpoints import TransformerPlan, VQGANPlan, embedded_models
from ..taming.configs import find_preset, preset_names
from ..taming.errors import TamingError
from ..taming.file_names import check_free, folder_below, path_below
from ..taming.models import Precision, Transformer, VQModel, prepare_for_sampling
from ..taming.training.run_folder import try_writing
from ..taming.user_text import user_path
from .host_folders import (
    CONFIG_SUFFIXES,
    RECIPE_FOLDER,
    TRANSFORMER_FOLDER,
    VQGAN_FOLDER,
    WEIGHTS_SUFFIXES,
    file_names,
    listed_path,
    paths_of,
)
from .host_memory import NotEnoughMemory, check_memory
from .presets import published_configs

log = logging.getLogger(__name__)

ModelPatcher: TypeAlias = comfy.model_patcher.ModelPatcher
Result = TypeVar("Result")

EMBEDDED = {VQGAN_FOLDER: embedded_models("vqgan"), TRANSFORMER_FOLDER: embedded_models("transformer")}
PUBLISHED = {VQGAN_FOLDER: published_configs("vqgan"), TRANSFORMER_FOLDER: published_configs("transformer")}
AUTO = "auto"

Canceled = comfy.model_management.InterruptProcessingException  # what ends a prompt that its user has canceled

LAYERS = ("Conv2d", "Linear", "GroupNorm", "LayerNorm", "Embedding")


class Carrier(Protocol):
    """What travels between nodes and owns weights; the host finds the patcher by this attribute."""

    @property
    def patcher(self) -> ModelPatcher: ...


def cancel_if_asked() -> None:
    """End the prompt here if its user has canceled it."""
    comfy.model_management.throw_exception_if_processing_interrupted()


# Weights -------------------------------------------------------------------------------------------------------------


@contextmanager
def loading() -> Iterator[None]:
    """Read files and build models in here: prompts run in inference mode, and weights made in it cannot be trained."""
    cancel_if_asked()
    with torch.inference_mode(False), torch.no_grad():
        yield
    cancel_if_asked()


def place_vqgan(plan: VQGANPlan) -> ModelPatcher:
    """Build a VQGAN under the host's management.

    It computes in float32 unless the user started the host with another VAE type: in 16 bits a latent between two
    codes would be given another token on every device.
    """
    device, offload_device = comfy.model_management.vae_device(), comfy.model_management.vae_offload_device()
    return _patcher(partial(VQModel, plan.config), plan.state_dict, device, offload_device, vqgan_dtype(device))


def place_transformer(plan: TransformerPlan, precision: Precision) -> ModelPatcher:
    """Build a transformer under the host's management; `auto` is bfloat16 where a GPU computes in it, else float32.

    On a CPU, where the host never moves it, its weights are laid out for sampling.
    """
    device = comfy.model_management.get_torch_device()
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    if device.type == "cpu":
        dtype = torch.float32
    elif dtype is None:
        num_weights = sum(weight.numel() for weight in plan.state_dict.values())
        dtype = _computing_dtype(device, num_weights)
        if precision == "int8":
            log.info("Load Token Transformer: int8 is for CPUs; on this device it is %s.", dtype)
    offload_device = comfy.model_management.unet_offload_device()
    to_pack = device.type == "cpu"
    patcher = _patcher(partial(Transformer, plan.config), plan.state_dict, device, offload_device, dtype, to_pack)
    if to_pack:
        log.info("Load Token Transformer: %s.", prepare_for_sampling(patcher.model, precision))
    return patcher


def _computing_dtype(device: torch.device, num_weights: int) -> torch.dtype:
    supported = [torch.bfloat16, torch.float32]
    dtype = comfy.model_management.unet_dtype(device, num_weights, supported)
    is_cast = comfy.model_management.unet_manual_cast(dtype, device, supported) is not None
    return torch.float32 if is_cast else dtype


def vqgan_dtype(device: torch.device) -> torch.dtype:
    """The type of what a VQGAN is given on `device`."""
    return comfy.model_management.vae_dtype(device, [])


def _patcher(
    build: Callable[[ModuleType], nn.Module],
    state_dict: dict[str, Tensor],
    device: torch.device,
    offload_device: torch.device,
    dtype: torch.dtype,
    to_pack: bool = False,
) -> ModelPatcher:
    """With `to_pack` the weights are those of the file, for `prepare_for_sampling` to take them from there."""
    model = build(_layers(dtype)).to(dtype).eval()
    comfy.model_management.archive_model_dtypes(model)
    patcher = comfy.model_patcher.CoreModelPatcher(model, load_device=device, offload_device=offload_device)
    if patcher.is_dynamic():  # the weights stay as assigned, and an embedding gives its output the type of its weight
        state_dict = {
            key: weight.to(dtype) if weight.is_floating_point() else weight for key, weight in state_dict.items()
        }
    if to_pack:
        patcher.model_size()  # the host's figure, which it adds up from tensors that are then gone
    model.load_state_dict(state_dict, strict=True, assign=to_pack or patcher.is_dynamic())
    state_dict.clear()  # what was not mapped would be there twice
    return patcher


def _layers(dtype: torch.dtype) -> ModuleType:
    """The host's layers, which it can move, cast and interrupt, as a namespace to build models of."""
    layers = ModuleType("layers")
    for name in LAYERS:
        setattr(layers, name, partial(getattr(comfy.ops.disable_weight_init, name), dtype=dtype))
    return layers


# Memory --------------------------------------------------------------------------------------------------------------


@contextmanager
def placed(carrier: Carrier, memory_required: int, companions: Sequence[Carrier] = ()) -> Iterator[torch.device]:
    """Have the carrier's model and those of `companions` ready on the device given, with `memory_required` bytes free.

    Raises: NotEnoughMemory on a CPU, where running out would end the host instead of failing an allocation.
    """
    device = carrier.patcher.load_device
    if device.type == "cpu":
        check_memory(memory_required)
    patchers = [carrier.patcher, *(companion.patcher for companion in companions)]
    comfy.model_management.load_models_gpu(patchers, memory_required=memory_required)
    with comfy.model_management.cuda_device_context(device), torch.inference_mode():
        yield device


@contextmanager
def training(memory_required: int) -> Iterator[torch.device]:
    """Train in here, on the device given: gradients are on, other models have made room for `memory_required` bytes.

    Random numbers drawn in here are not missed outside, and what is freed is given back to the device at the end.
    """
    device = comfy.model_management.get_torch_device()
    comfy.model_management.free_memory(memory_required, device)
    if device.type == "cpu":
        check_memory(memory_required // 4, "Use a smaller batch_size or size_px.")  # the least that was ever measured
    random_devices = [device] if device.type == "cuda" else []
    comfy.model_management.in_training = True
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            comfy.model_management.cuda_device_context(device),
            torch.random.fork_rng(random_devices),
        ):
            yield device
    finally:
        comfy.model_management.in_training = False
        gc.collect()  # a task and its optimizers refer to each other
        comfy.model_management.soft_empty_cache()


def unless_out_of_memory(run: Callable[[], Result]) -> Result | None:
    """The result of `run`, or None when memory ran out; what it had taken is free again then."""
    try:
        return run()
    except NotEnoughMemory:
        pass
    except RuntimeError as error:
        comfy.model_management.raise_non_oom(error)
    comfy.model_management.soft_empty_cache()  # after the handler: while it runs, the error keeps the tensors alive
    return None


# Pictures ------------------------------------------------------------------------------------------------------------


def to_pixels(image: Tensor, device: torch.device) -> Tensor:
    """The host's IMAGE, (B, H, W, C) in [0, 1], as pixels for a VQGAN on `device`, (B, C, H, W) in [-1, 1]."""
    return image.movedim(-1, 1).to(device, vqgan_dtype(device)).contiguous() * 2 - 1  # (B, C, H, W)


def to_image(pixels: Tensor) -> Tensor:
    """Pixels (B, C, H, W) in [-1, 1] as the host's IMAGE, (B, H, W, C) in [0, 1]."""
    image = pixels.float().clamp(-1, 1).add_(1).div_(2)
    device, dtype = comfy.model_management.intermediate_device(), comfy.model_management.intermediate_dtype()
    return image.movedim(1, -1).to(device, dtype)  # (B, H, W, C)


# Progress ------------------------------------------------------------------------------------------------------------


class Progress:
    """The progress bar of the running node; every step of it is a chance to cancel."""

    def __init__(self, total: int) -> None:
        self._bar = comfy.utils.ProgressBar(total)

    def update(self, done: int, picture: Image.Image | None = None, total: int | None = None) -> None:
        """Say that `done` steps are done, of `total` if that has changed, and show `picture` on the node."""
        cancel_if_asked()
        preview = None if picture is None else ("JPEG", picture, args.preview_size)
        self._bar.update_absolute(done, total, preview)


class SamplingProgress(Progress):
    """Likewise, with a line in the terminal as the host's own samplers have; a picture is shown at its own size."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._line = tqdm(total=total, disable=not comfy.utils.PROGRESS_BAR_ENABLED)

    def update(self, done: int, picture: Image.Image | None = None, total: int | None = None) -> None:
        cancel_if_asked()
        self._bar.update_absolute(done, total, None if picture is None else ("JPEG", picture, None))
        self._line.total = total or self._line.total
        self._line.update(done - self._line.n)

    def close(self) -> None:
        """End the line."""
        self._line.close()


def wants_previews() -> bool:
    """Whether the user has live previews on."""
    return args.preview_method is not LatentPreviewMethod.NoPreviews


def blocked(reason: str) -> ExecutionBlocker:
    """An output that stops whatever is connected to it and says why."""
    return ExecutionBlocker(reason)


# Folders -------------------------------------------------------------------------------------------------------------


def weights_names(folder: str) -> list[str]:
    """What a loader of `folder` offers: the embedded models first, then the user's files."""
    embedded = EMBEDDED[folder]
    return [*embedded, *(name for name in file_names(folder, WEIGHTS_SUFFIXES) if name not in embedded)]


def config_names(folder: str) -> list[str]:
    """What a loader of `folder` offers as configuration.

    To find out by itself comes first, then the published configurations, then the user's YAML files.
    """
    return list(dict.fromkeys([AUTO, *PUBLISHED[folder], *file_names(folder, CONFIG_SUFFIXES)]))


def weights_path(folder: str, name: str) -> Path:
    """The file behind an entry of `weights_names`.

    Raises: CheckpointError if it is none.
    """
    return EMBEDDED[folder].get(name) or listed_path(folder, name, weights_names(folder))


def config_path(folder: str, name: str) -> Path | None:
    """The file behind an entry of `config_names`; None for the first, which leaves it to the loader.

    A file of the user's hides a published configuration of the same name.

    Raises: CheckpointError if it is none.
    """
    if name == AUTO:
        return None
    users = file_names(folder, CONFIG_SUFFIXES)
    preset = PUBLISHED[folder].get(name)
    return preset if preset and name not in users else listed_path(folder, name, users)


def recipe_names() -> list[str]:
    """The training recipes to choose from: the presets, then the user's YAML files."""
    return [*preset_names(), *file_names(RECIPE_FOLDER, CONFIG_SUFFIXES)]


def recipe_path(name: str) -> Path:
    """The file behind an entry of `recipe_names`.

    Raises: CheckpointError if it is none.
    """
    return find_preset(name) if name in preset_names() else listed_path(RECIPE_FOLDER, name, recipe_names())


def file_state(file: Path) -> tuple[str, int, int]:
    """Name, time and size of a file, which tell whether it was replaced; zeros where there is none."""
    if not file.is_file():
        return file.name, 0, 0
    status = file.stat()
    return file.name, status.st_mtime_ns, status.st_size


def input_folder(name: str) -> Path:
    """A folder of pictures: an absolute path, one in the home folder (~), or one below the host's input folder.

    Raises: TamingError if it is not there.
    """
    folder = user_path(name, folder_paths.get_input_directory())
    if not folder.is_dir():
        raise TamingError(
            f"there is no folder {folder}. Give an absolute path, or the name of a folder in ComfyUI's input folder."
        )
    return folder


def output_folder(name: str) -> Path:
    """A folder below the host's output folder, which need not be there yet.

    Raises: TamingError if it is not below it, or has a name that some systems cannot have.
    """
    return folder_below(Path(folder_paths.get_output_directory()), name, "ComfyUI's output folder")


def numbered_path(folder: str, prefix: str, endings: Sequence[str]) -> list[Path]:
    """The next numbered path of `prefix` in the model folder `folder`, with each of `endings`; none of them is there.

    Raises: TamingError if they are not below that folder, have names that some systems cannot have, or nothing can
    be written there.
    """
    root = paths_of(folder)[0]
    parts = path_below(Path(root), prefix, f"models/{folder}").relative_to(root).parts
    try:
        dated = [folder_paths.get_save_image_path(part, root)[1] for part in parts]  # %year% and the like are filled in
        directory = Path(root, *dated[:-1])
        try_writing(directory)
    except OSError as error:
        raise TamingError(
            f"nothing can be saved in {root}: {error.strerror}. Make that folder writable, or name another one for "
            f"{folder} in extra_model_paths.yaml, with is_default: true."
        ) from error
    _, name, counter, _, _ = folder_paths.get_save_image_path(dated[-1], str(directory))
    paths = [directory / f"{name}_{counter:05}_{ending}" for ending in endings]
    check_free(paths, "Choose another name, or move it away.")
    return paths
