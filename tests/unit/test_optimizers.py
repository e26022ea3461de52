"""Weight decay: for the weights of layers, never for codes, norms and biases."""

import pytest
import torch
from torch import nn

from recipes import VQGAN
from taming.configs import config_from_dict
from taming.models import VQModel, VQModelConfig
from taming.training.losses.discriminator import NLayerDiscriminator
from taming.training.optim import adamw
from taming.training.recipe import Optimizer


def build(name: str) -> nn.Module:
    if name == "discriminator":
        return NLayerDiscriminator(ndf=8, n_layers=1)
    return VQModel(config_from_dict(VQModelConfig, {**VQGAN, "quantizer": name}, "model"))


@pytest.mark.parametrize("name", ["vq", "ema", "cosine", "discriminator"])
def test_weight_decay_shrinks_the_weights_of_layers_and_nothing_else(name):
    module = build(name)
    optimizer = adamw(module, Optimizer(lr=0.1, weight_decay=0.5))
    before = {key: value.clone() for key, value in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {key for key, value in module.named_parameters() if not torch.equal(value, before[key])}
    layers = [key for key, part in module.named_modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert shrunk == {f"{key}.weight" for key in layers}
    assert not any("embedding" in key for key in shrunk)


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_what_is_frozen_is_left_out_and_all_else_is_taken_once(weight_decay):
    module = build("vq")
    module.encoder.requires_grad_(False)
    groups = adamw(module, Optimizer(lr=0.1, weight_decay=weight_decay)).param_groups
    taken = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(taken) == sorted(id(p) for p in module.parameters() if p.requires_grad)


def test_without_weight_decay_parameters_have_the_order_that_older_states_have():
    module = build("ema")
    (group,) = adamw(module, Optimizer(lr=0.1)).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in module.parameters() if p.requires_grad]
