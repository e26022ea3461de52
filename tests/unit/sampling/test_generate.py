"""The sampling loop: fast equals slow, seeds repeat, known cells stay, and wrong grids are named."""

import sys
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from taming import load_transformer
from taming.conditioning import ClassCondition, ConditionConfig, Unconditional, Window, get_condition
from taming.errors import ConditionError, TamingError, TokensError
from taming.models import Transformer, TransformerConfig, VQModel, VQModelConfig
from taming.sampling import (
    SamplingOptions,
    choose_cells,
    generate,
    generate_image,
    item_seed,
    sample_next,
    transform_image,
)
from taming.sampling.seeds import CellNoise

GRID = (4, 5)
WHOLE = Window(0, 0, *GRID, GRID)
PLAIN = SamplingOptions()
GREEDY = SamplingOptions(temperature=0)
CLASSES = ClassCondition(num_classes=6, null_label=6)


def build(seed: int = 0, condition: ConditionConfig = CLASSES, **changes) -> Transformer:
    shape = {"vocab_size": 32, "block_size": 20, "n_layer": 2, "n_head": 2, "n_embd": 32, "grid": GRID}
    model = Transformer(TransformerConfig(**(shape | changes), condition=condition)).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return model


def random_tokens(batch: int, share_known: float = 0.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    indices = torch.randint(32, (batch, *GRID), generator=generator)
    return indices, torch.rand(batch, *GRID, generator=generator) < share_known


@torch.no_grad()
def oracle(condition, indices, known, options=PLAIN, seed=0):
    """The same algorithm without a cache: the whole sequence so far, anew for every cell of every item."""
    drawn = indices.flatten(1).clone()
    noise = CellNoise(seed, range(len(drawn)), GRID[1], condition.transformer.config.vocab_size, drawn.device)
    for item in range(len(drawn)):
        context = None if condition.context is None else condition.context[item : item + 1]
        for cell in (~known.flatten(1)[item]).nonzero()[:, 0].tolist():
            past = drawn[item : item + 1, :cell]
            model = condition.transformer
            logits = model(torch.cat([condition.prefix.at(WHOLE)[item : item + 1], past], dim=1), context)[:, -1]
            if options.guidance_scale != 1:
                null = model(torch.cat([condition.null_prefix.at(WHOLE)[item : item + 1], past], dim=1), context)[:, -1]
                logits = null + options.guidance_scale * (logits - null)
            drawn[item, cell] = sample_next(logits[0], options, noise.at([cell])[item, 0])
    return drawn.view_as(indices)


@pytest.mark.parametrize(
    "options", [GREEDY, SamplingOptions(), SamplingOptions(0.8, 9, 0.9, 0.01), SamplingOptions(guidance_scale=3.0)]
)
@pytest.mark.parametrize("share_known", [0.0, 0.5, 0.9])
def test_the_cached_loop_equals_the_uncached_one(options, share_known):
    condition = get_condition(build(), [0, 5, 2])
    indices, known = random_tokens(3, share_known)
    expected = oracle(condition, indices, known, options, seed=3)
    assert torch.equal(generate(condition, indices, known, options=options, seed=3), expected)
    assert expected.unique().numel() > 4


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_a_context_is_attended_to_in_every_step(guidance_scale):
    context = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(5))
    condition = get_condition(build(context_dim=7), [1, 4], context=context)
    indices, known = random_tokens(2, 0.3)
    options = SamplingOptions(guidance_scale=guidance_scale)
    assert torch.equal(generate(condition, indices, known, options=options), oracle(condition, indices, known, options))


def test_known_cells_stay_and_unknown_ones_are_drawn_whatever_they_held():
    condition = get_condition(build(), 1)
    indices, known = random_tokens(4)
    drawn = generate(condition, indices, known)
    assert torch.equal(drawn[known], indices[known])
    assert torch.equal(drawn, generate(condition, indices.masked_fill(~known, -99), known))


def test_a_known_grid_comes_back_without_a_look_at_the_transformer():
    transformer = build()
    transformer.tok_emb.register_forward_hook(lambda *_: pytest.fail("the transformer was called"))
    indices, known = random_tokens(2)
    drawn = generate(get_condition(transformer, 1), indices, torch.ones_like(known))
    assert torch.equal(drawn, indices) and drawn.data_ptr() != indices.data_ptr()


def test_runs_of_known_cells_take_one_forward():
    transformer = build()
    lengths = []
    transformer.tok_emb.register_forward_pre_hook(lambda _, inputs: lengths.append(inputs[0].shape[1]))
    indices, known = random_tokens(2)
    known = ((torch.arange(20) % 20 < 13) | (torch.arange(20) == 17)).view(1, *GRID).expand(2, *GRID)
    generate(get_condition(transformer, 1), indices, known)
    assert lengths == [14, 1, 1, 1, 2, 1]


def test_a_seed_repeats_and_another_differs():
    condition = get_condition(build(), 1)
    indices, known = random_tokens(1, 0.0)
    first, again, other = (generate(condition, indices, known, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_an_item_is_the_same_at_any_batch_size(seed):
    condition = get_condition(build(), 1)
    indices, known = random_tokens(4, 0.0)
    batch = generate(condition, indices, known, seed=seed)
    for size in (1, 2, 3):
        assert torch.equal(generate(condition, indices[:size], known[:size], seed=seed), batch[:size])
    assert torch.equal(generate(condition, indices[:1], known[:1], seed=item_seed(seed, 2)), batch[2:3])
    assert batch.unique(dim=0).shape[0] == 4


def test_item_seeds_are_distinct_and_valid():
    seeds = [item_seed(seed, item) for seed in (0, 1, 2**64 - 1) for item in range(1, 500)]
    assert len(set(seeds)) == len(seeds) and all(0 <= seed < 2**63 for seed in seeds)
    assert item_seed(123, 0) == 123


def test_the_state_of_the_global_generator_neither_matters_nor_changes():
    condition = get_condition(build(), 1)
    indices, known = random_tokens(2)
    state = torch.get_rng_state()
    first = generate(condition, indices, known)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(generate(condition, indices, known), first)


def test_guidance_of_one_is_no_guidance_and_zero_is_the_null_condition():
    transformer = build()
    indices, known = random_tokens(2, 0.0)
    condition = get_condition(transformer, 1)
    plain = generate(condition, indices, known)
    assert torch.equal(generate(replace(condition, null_prefix=None), indices, known), plain)
    untold = generate(condition, indices, known, options=SamplingOptions(guidance_scale=0))
    assert torch.equal(untold, generate(get_condition(transformer), indices, known))


def test_the_callback_sees_each_step_and_can_stop():
    class Interrupt(BaseException):
        pass

    condition = get_condition(build(), 1)
    indices, known = random_tokens(2)
    steps = int((~known).any(0).sum())
    seen = []
    drawn = generate(condition, indices, known, callback=lambda *step: seen.append(step))
    assert [(done, total) for done, total, *_ in seen] == [(done, steps) for done in range(1, steps + 1)]
    assert torch.equal(seen[-1][2], drawn) and torch.equal(seen[0][2][known], indices[known])
    assert all(
        torch.equal(after[2][before[3]], before[2][before[3]]) for before, after in zip(seen, seen[1:], strict=False)
    )
    assert not seen[0][3].all() and seen[-1][3].all()

    def stop(done: int, total: int, grid: Tensor, drawn: Tensor) -> None:
        if done == 3:
            raise Interrupt

    with pytest.raises(Interrupt):
        generate(condition, indices, known, callback=stop)


def test_sample_draws_a_grid_or_its_first_tokens():
    transformer = build()
    condition = get_condition(transformer, [0, 3])
    grid = transformer.sample(condition, seed=4)
    assert grid.shape == (2, *GRID)
    assert torch.equal(transformer.sample(condition, num_steps=7, seed=4), grid.flatten(1)[:, :7])
    assert transformer.sample(condition, num_steps=0).shape == (2, 0)
    with pytest.raises(TokensError, match="21 tokens"):
        transformer.sample(condition, num_steps=21)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.enable_grad])
def test_the_grad_mode_of_the_caller_does_not_matter(mode):
    condition = get_condition(build(), 1)
    indices, known = random_tokens(1)
    expected = generate(condition, indices, known)
    with mode():
        assert torch.equal(generate(condition, indices, known), expected)
    assert not expected.is_inference()


def test_wrong_grids_and_conditions_are_named():
    condition = get_condition(build(), 1)
    indices, known = random_tokens(2)
    with pytest.raises(TokensError, match="mask"):
        generate(condition, indices, known[:1])
    with pytest.raises(TokensError, match="index (3[2-9]|[45].|6[0-2]), .* 0 to 31.*tokenizer"):
        generate(condition, indices.clamp(max=30) + 32, known)
    with pytest.raises(TokensError, match="both directions"):
        generate(get_condition(build(n_unmasked=9), 1), indices, known)
    unguided = get_condition(build(condition=Unconditional()))
    with pytest.raises(ConditionError, match="guidance_scale to 1"):
        generate(unguided, indices, known, options=SamplingOptions(guidance_scale=2))


def test_weights_that_give_no_numbers_are_an_error_and_no_picture():
    broken_from_the_start, broken_on_the_way = build(), build()
    nn.init.constant_(broken_from_the_start.ln_f.weight, float("nan"))
    nn.init.constant_(broken_on_the_way.pos_emb[:, 9], float("nan"))
    for transformer in (broken_from_the_start, broken_on_the_way):
        with pytest.raises(TamingError, match="not finite"):
            transformer.sample(get_condition(transformer, 1))


def test_a_higher_strength_forgets_the_same_cells_and_more():
    shape = (3, *GRID)
    masks = [choose_cells(shape, strength, seed=9) for strength in (0.0, 0.25, 0.5, 1.0)]
    assert [mask.flatten(1).sum(1).tolist() for mask in masks] == [[0] * 3, [5] * 3, [10] * 3, [20] * 3]
    for less, more in zip(masks, masks[1:], strict=False):
        assert not (less & ~more).any()
    assert masks[2].flatten(1).unique(dim=0).shape[0] == 3
    assert torch.equal(choose_cells((1, *GRID), 0.5, seed=9), masks[2][:1])
    with pytest.raises(TokensError, match="strength is 1.5"):
        choose_cells(shape, 1.5)


def test_the_cells_chosen_say_nothing_about_what_is_drawn_in_them():
    """Both once came from one stream, and the cells forgotten were those with a small random number."""
    noise = CellNoise(0, range(1), 64, 1, torch.device("cpu")).at(range(4096))[0, :, 0]
    chosen = choose_cells((1, 64, 64), 0.5, seed=0).flatten()
    assert abs(noise[chosen].mean() - noise.mean()) < 0.08  # its standard deviation is 1.28


def test_the_noise_of_cells_items_and_codes_is_independent():
    noise = CellNoise(3, range(2), 8, 16, torch.device("cpu")).at(range(64)).flatten(2)  # (2, 64, 16)
    rows = noise.flatten(0, 1)  # (128, 16)
    assert rows.unique(dim=0).shape[0] == 128
    assert abs(noise.mean() - 0.5772) < 0.1 and abs(noise.std() - 1.2825) < 0.1  # those of a Gumbel distribution
    assert torch.equal(CellNoise(3, range(1, 2), 8, 16, torch.device("cpu")).at([40, 9]), noise[1:, [40, 9]])


@pytest.fixture(scope="module")
def vqgan() -> VQModel:
    config = VQModelConfig(
        n_embed=32,
        embed_dim=8,
        ch=32,
        ch_mult=(1, 1),
        num_res_blocks=1,
        attn_resolutions=(),
        resolution=8,
        z_channels=8,
    )
    return VQModel(config).eval()


def test_an_image_is_drawn_in_range_and_from_its_seed(vqgan):
    transformer = build()
    condition = get_condition(transformer, [1, 2])
    image = generate_image(vqgan, transformer, condition, seed=3)
    assert image.shape == (2, 3, 8, 10) and image.min() >= 0 and image.max() <= 1
    assert torch.equal(image, generate_image(vqgan, transformer, condition, seed=3))
    assert torch.equal(
        generate_image(vqgan, transformer), generate_image(vqgan, transformer, get_condition(transformer))
    )


def test_models_that_do_not_belong_together_are_named(vqgan):
    transformer, other = build(vocab_size=40), build(vocab_size=40)
    with pytest.raises(TokensError, match="40 codes .* 32"):
        generate_image(vqgan, transformer, get_condition(transformer, 1))
    with pytest.raises(ConditionError, match="another transformer"):
        generate_image(vqgan, transformer, get_condition(other, 1))


def test_transforming_keeps_more_at_a_lower_strength(vqgan):
    condition = get_condition(build(), 1)
    image = torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = (vqgan.decode_indices(vqgan.encode(image * 2 - 1).indices).clamp(-1, 1) + 1) / 2
    assert torch.equal(transform_image(vqgan, image, condition, strength=0), plain)
    changes = [(transform_image(vqgan, image, condition, strength) - plain).abs().mean() for strength in (0.1, 0.9)]
    assert 0 < changes[0] < changes[1]


@pytest.mark.parametrize(
    "options", [GREEDY, SamplingOptions(), SamplingOptions(0.8, 9, 0.9, 0.01), SamplingOptions(guidance_scale=3.0)]
)
@pytest.mark.parametrize("share_known", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("order", [(), (*range(0, 20, 2), *range(1, 20, 2))])
def test_guesses_change_nothing_but_the_number_of_calls(options, share_known, order, monkeypatch):
    transformer = build(order=order)
    calls = []
    transformer.tok_emb.register_forward_pre_hook(lambda *_: calls.append(1))
    condition = get_condition(transformer, [3])
    indices, known = random_tokens(1, share_known)
    known = known.view(1, *GRID)
    steps: list[tuple] = []
    given = {"options": options, "seed": 3, "callback": lambda *step: steps.append(step)}
    generate(condition, indices, known, **given)
    ahead, num_ahead = list(steps), len(calls)
    steps.clear()
    calls.clear()
    monkeypatch.setattr(sys.modules["taming.sampling.generate"], "can_draft", lambda *_: False)
    generate(condition, indices, known, **given)
    assert num_ahead <= len(calls) == len(steps)
    for guessed, alone in zip(ahead, steps, strict=True):
        assert guessed[:2] == alone[:2] and all(map(torch.equal, guessed[2:], alone[2:]))


def test_a_trained_model_needs_fewer_calls_than_cells():
    transformer, _ = load_transformer("embedded/scenes_class_transformer.safetensors")
    calls = []
    transformer.tok_emb.register_forward_pre_hook(lambda *_: calls.append(1))
    transformer.sample(get_condition(transformer, "alpine"), seed=0)
    assert 50 < len(calls) < 256 / 1.5
