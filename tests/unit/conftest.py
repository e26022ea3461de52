"""One thread for all unit tests, and what those of training share: scenes, a tokenizer, and a folder for a run."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes import SIZE_PX, VQGAN
from short_runs import all_pixels
from taming.checkpoints import save_checkpoint
from taming.configs import config_from_dict
from taming.data import SCENE_CLASSES, ArrayDataset, Subset, render_scene
from taming.models import VQModel, VQModelConfig
from taming.modules.quantizers import EMAVectorQuantizer
from taming.training.datasets import Data
from taming.training.kmeans import kmeans

# Tiny models gain nothing from a second thread, and beside any other program they wait for it: five times as long.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # for the programs that tests start


@pytest.fixture(scope="module")
def scenes() -> Data:
    images = np.stack([render_scene(i % len(SCENE_CLASSES), i, SIZE_PX).image for i in range(12)])
    training = ArrayDataset(images, range(12), class_names=SCENE_CLASSES)
    return Data(training, Subset(training, range(8, 12)))


@pytest.fixture(scope="module")
def tokenizer(scenes: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved VQGAN with random weights whose codes lie among the latents, so that its tokens differ."""
    torch.manual_seed(0)
    vqgan = VQModel(config_from_dict(VQModelConfig, VQGAN, "model")).eval()
    with torch.no_grad():
        z = vqgan.encode_latents(all_pixels(scenes)[:4]).permute(0, 2, 3, 1).flatten(0, 2)  # (B*h*w, D)
    assert isinstance(vqgan.quantize, EMAVectorQuantizer)
    vqgan.quantize.start_at(kmeans(z, 16, torch.Generator().manual_seed(0)))
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.safetensors"
    save_checkpoint(vqgan, file)
    return file


@pytest.fixture
def run_folder(tokenizer: Path, tmp_path: Path) -> Path:
    """A folder for a run, with the tokenizer that a transformer names by its bare name."""
    shutil.copy(tokenizer, tmp_path)
    return tmp_path
