"""The real reference code, for tests that compare with it.

`dev.py test` installs the published wheel into `.reference/`; TAMING_REFERENCE names another folder. Without either,
these tests are skipped. The wheel's `taming` and ours cannot both be imported under that name, so the reference is
imported for a moment in its place, and modules it imports but this comparison does not use are stubbed.
"""

import importlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from devtools.reference import find_reference, reference_imports

REFERENCE_NAMES = {
    "GPT": "taming.modules.transformer.mingpt",
    "sample_with_past": "taming.modules.transformer.mingpt",
    "Net2NetTransformer": "taming.models.cond_transformer",
    **dict.fromkeys(
        ("Identity", "Subsample", "ZCurve", "SpiralOut", "SpiralIn", "Random", "AlternateParsing"),
        "taming.modules.transformer.permuter",
    ),
    "CoordStage": "taming.modules.misc.coord",
    "Labelator": "taming.modules.util",
    "SOSProvider": "taming.modules.util",
    "VQModel": "taming.models.vqgan",
    "GumbelVQ": "taming.models.vqgan",
    "Encoder": "taming.modules.diffusionmodules.model",
    "Decoder": "taming.modules.diffusionmodules.model",
    "VectorQuantizer2": "taming.modules.vqvae.quantize",
    "GumbelQuantize": "taming.modules.vqvae.quantize",
}


def top_k_top_p_filtering(logits: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """What transformers 4.3.1, which the reference was pinned to, does under this name for these arguments."""
    if top_k > 0:
        top_k = min(max(top_k, 1), logits.size(-1))
        logits = logits.masked_fill(logits < torch.topk(logits, top_k)[0][..., -1, None], -float("inf"))
    if 0 <= top_p <= 1.0:
        sorted_logits, sorted_indices = torch.sort(logits, descending=True)
        cumulative_probs = sorted_logits.softmax(dim=-1).cumsum(dim=-1)
        sorted_remove = cumulative_probs > top_p
        sorted_remove[..., 1:] = sorted_remove[..., :-1].clone()
        sorted_remove[..., 0] = 0
        logits = logits.masked_fill(sorted_remove.scatter(1, sorted_indices, sorted_remove), -float("inf"))
    return logits


@pytest.fixture(scope="session")
def reference_filter() -> Callable[..., Tensor]:
    return top_k_top_p_filtering


@pytest.fixture(scope="session")
def reference() -> SimpleNamespace:
    """The reference's own classes and functions, by name."""
    folder = find_reference()
    if folder is None:
        pytest.skip("the reference package is not here; `python3 dev.py test` installs it")
    classes: dict[str, Any] = {"DummyLoss": nn.Identity}

    def instantiate_from_config(config: dict) -> object:
        return classes[config["target"].rpartition(".")[2]](**config.get("params", {}))

    stubs = {
        "pytorch_lightning": {"LightningModule": nn.Module},
        "transformers": {"top_k_top_p_filtering": top_k_top_p_filtering},
        "taming.main": {"instantiate_from_config": instantiate_from_config},
    }
    with reference_imports(folder, stubs):
        for name, module in REFERENCE_NAMES.items():
            classes[name] = getattr(importlib.import_module(module), name)
    return SimpleNamespace(**classes)
