"""The step that a GPU records equals the plain forward; recorded itself, where there is a GPU."""

import logging

import pytest
import torch

from taming.conditioning import get_condition
from taming.models import ConditionConfig, Transformer, TransformerConfig
from taming.sampling import SamplingOptions, generate, reader
from taming.sampling.replay import MIN_STEPS, Replay, why_not

GRID = (5, 6)
WANTS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def build(**changes) -> Transformer:
    shape = {"vocab_size": 24, "block_size": 31, "n_layer": 3, "n_head": 4, "n_embd": 32, "grid": GRID}
    condition = ConditionConfig("class", num_classes=6, null_label=6)
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
    model(indices[:, :6], context, cache)
    for place in range(6, 31):
        logits = model.step(indices[:, place : place + 1], torch.tensor([place]), cache, context)
        torch.testing.assert_close(logits[:, 0], expected[:, place], rtol=0, atol=2e-5)


@pytest.mark.parametrize("options", [SamplingOptions(), SamplingOptions(0.8, 9, 0.9, guidance_scale=3.0)])
def test_grids_drawn_by_steps_equal_those_drawn_plainly(options, monkeypatch):
    """Known cells in between are read several at a time, so that steps and plain calls take turns over one cache."""
    condition = get_condition(build(), [0, 5])
    indices, known = tokens_and_known()
    expected = generate(condition, indices, known, options=options, seed=3)
    made = []

    def unrecorded(transformer, cache, context):
        made.append(Replay(transformer, cache, context))
        return made[-1]

    monkeypatch.setattr(reader, "record", unrecorded)
    assert torch.equal(generate(condition, indices, known, options=options, seed=3), expected)
    assert len(made) == 1


def test_a_few_cells_are_not_worth_a_recording(monkeypatch):
    condition = get_condition(build(), [0, 5])
    indices, known = tokens_and_known(0.0)
    known.view(2, -1)[:, MIN_STEPS - 1 :] = True
    monkeypatch.setattr(reader, "record", lambda *_: pytest.fail("recorded"))
    generate(condition, indices, known)


def test_what_is_not_a_gpu_is_named():
    with torch.device("meta"):
        assert why_not(build()) == "there are none on meta"


@WANTS_GPU
@pytest.mark.parametrize("context_dim", [None, 12])
@pytest.mark.parametrize("options", [SamplingOptions(), SamplingOptions(0.8, 9, 0.9, guidance_scale=3.0)])
def test_a_recorded_step_draws_the_same_tokens(options, context_dim, monkeypatch, caplog):
    model = build(context_dim=context_dim).cuda()
    context = None if context_dim is None else torch.randn(2, 5, 12, device="cuda")
    condition = get_condition(model, [0, 5], context=context)
    indices, known = (each.cuda() for each in tokens_and_known())
    with caplog.at_level(logging.INFO):
        recorded = generate(condition, indices, known, options=options, seed=3)
    assert "with a CUDA graph" in caplog.text
    monkeypatch.setattr(reader, "record", lambda *_: None)
    assert torch.equal(recorded, generate(condition, indices, known, options=options, seed=3))


@WANTS_GPU
def test_weights_elsewhere_are_named():
    model = build().cuda()
    model.head.cpu()
    assert "not all of its weights" in why_not(model)
