"""The decode step that a GPU captures equals the plain one; captured itself if there is a GPU."""

import logging

import pytest
import torch

from taming.conditioning import ClassCondition, get_condition
from taming.models import Transformer, TransformerConfig
from taming.modules.fast.cuda_graph import MIN_STEPS, CUDAGraphStep, capture_step, unsupported_reason
from taming.sampling import SamplingOptions, decoder, generate

GRID = (5, 6)
WANTS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def build(**changes) -> Transformer:
    shape = {"vocab_size": 24, "block_size": 31, "n_layer": 3, "n_head": 4, "n_embd": 32, "grid": GRID}
    condition = ClassCondition(num_classes=6, null_label=6)
    model = Transformer(TransformerConfig(**(shape | changes), condition=condition)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def tokens_and_known(share_known: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(24, (2, *GRID), generator=generator), torch.rand(2, *GRID, generator=generator) < share_known


@pytest.mark.parametrize("n_unmasked", [0, 4])
@pytest.mark.parametrize("context_dim", [None, 12])
@torch.inference_mode()
def test_a_step_gives_the_logits_of_the_plain_forward(n_unmasked, context_dim):
    model = build(n_unmasked=n_unmasked, context_dim=context_dim)
    indices = torch.randint(24, (2, 31), generator=torch.Generator().manual_seed(1))
    context = None if context_dim is None else torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(2))
    expected, cache = model(indices, context), model.new_cache(31)
    model.decode(indices[:, :6], cache, context)
    step = CUDAGraphStep(model, cache, context)
    for place in range(6, 31):
        logits = step(indices[:, place : place + 1])
        torch.testing.assert_close(logits[:, 0], expected[:, place], rtol=0, atol=2e-5)


@pytest.mark.parametrize("options", [SamplingOptions(), SamplingOptions(0.8, 9, 0.9, guidance_scale=3.0)])
def test_grids_drawn_by_steps_equal_those_drawn_plainly(options, monkeypatch):
    """Known cells in between are read several at a time, so that steps and plain calls take turns over one cache."""
    condition = get_condition(build(), [0, 5])
    indices, known = tokens_and_known()
    expected = generate(condition, indices, known, options=options, seed=3)
    made = []

    def uncaptured(transformer, cache, context):
        made.append(CUDAGraphStep(transformer, cache, context))
        return made[-1]

    monkeypatch.setattr(decoder, "capture_step", uncaptured)
    assert torch.equal(generate(condition, indices, known, options=options, seed=3), expected)
    assert len(made) == 1


def test_what_is_not_a_gpu_is_named():
    with torch.device("meta"):
        assert unsupported_reason(build()) == "there are none on meta"


@WANTS_GPU
def test_a_few_cells_are_not_worth_a_capture():
    model = build().cuda()
    cache = model.new_cache(MIN_STEPS + 4)
    model.decode(torch.zeros(1, 5, dtype=torch.int64, device="cuda"), cache)
    assert capture_step(model, cache, None) is None


@WANTS_GPU
@pytest.mark.parametrize("context_dim", [None, 12])
@pytest.mark.parametrize("options", [SamplingOptions(), SamplingOptions(0.8, 9, 0.9, guidance_scale=3.0)])
def test_a_captured_step_samples_the_same_tokens(options, context_dim, monkeypatch, caplog):
    model = build(context_dim=context_dim).cuda()
    context = None if context_dim is None else torch.randn(2, 5, 12, device="cuda")
    condition = get_condition(model, [0, 5], context=context)
    indices, known = (each.cuda() for each in tokens_and_known())
    with caplog.at_level(logging.INFO):
        captured = generate(condition, indices, known, options=options, seed=3)
    assert "with a CUDA graph" in caplog.text
    monkeypatch.setattr(decoder, "capture_step", lambda *_: None)
    assert torch.equal(captured, generate(condition, indices, known, options=options, seed=3))


@WANTS_GPU
def test_weights_elsewhere_are_named():
    model = build().cuda()
    model.head.cpu()
    assert "not all of its weights" in unsupported_reason(model)
