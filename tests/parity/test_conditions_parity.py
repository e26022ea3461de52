"""Whole conditional models, saved as published, against the reference: conditions, logits, sliding windows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor

from taming.checkpoints import convert_checkpoint, load_transformer, save_checkpoint
from taming.conditioning import Window, get_condition
from taming.models import Transformer, VQModel
from taming.sampling import SamplingOptions, generate, sample_grid

CODES, LABELS, FACTOR = 48, 6, 2
GREEDY = SamplingOptions(temperature=0)
PERMUTERS = ("Subsample", "ZCurve", "SpiralOut", "SpiralIn", "Random", "AlternateParsing")


def vqgan_config(channels: int, side: int) -> dict[str, Any]:
    ddconfig = {
        **{"double_z": False, "z_channels": 8, "resolution": side * FACTOR, "in_channels": channels},
        **{"out_ch": channels, "ch": 32, "ch_mult": [1, 1], "num_res_blocks": 1, "attn_resolutions": [side]},
        **{"dropout": 0.0},
    }
    loss = {"target": "taming.modules.losses.vqperceptual.DummyLoss"}
    params = {"embed_dim": 8, "n_embed": CODES, "ddconfig": ddconfig, "lossconfig": loss}
    return {"target": "taming.models.vqgan.VQModel", "params": params}


def net2net_config(kind: str, side: int, permuter: str = "Identity", **params: Any) -> dict[str, Any]:
    """The configuration of a small model in the published form, of grids of `side` x `side` cells."""
    stages = {
        "segmentation": vqgan_config(LABELS, side),
        "depth": vqgan_config(1, side),
        "image": "__is_first_stage__",
        "coord": {
            "target": "taming.modules.misc.coord.CoordStage",
            "params": {"n_embed": CODES - 2, "down_factor": FACTOR},  # the last cell rounds up to n_embed
        },
        "unconditional": "__is_unconditional__",
    }
    cells = side * side
    block_size = cells if kind == "unconditional" else 2 * cells
    gpt = {"vocab_size": CODES, "block_size": block_size, "n_layer": 2, "n_head": 2, "n_embd": 32}
    order = {"target": f"taming.modules.transformer.permuter.{permuter}"}
    if permuter != "Identity":
        order["params"] = {"H": side, "W": side}  # type: ignore[assignment]
    return {
        "transformer_config": {"target": "taming.modules.transformer.mingpt.GPT", "params": gpt},
        "first_stage_config": vqgan_config(3, side),
        "cond_stage_config": stages[kind],
        "permuter_config": order,
        "cond_stage_key": kind,
        **params,
    }


def build(reference: SimpleNamespace, config: dict[str, Any], seed: int = 0) -> Any:
    """The reference's own model with random weights, that does not draw one token for ever."""
    torch.manual_seed(seed)
    net = reference.Net2NetTransformer(**config).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if parameter.is_floating_point():
                is_scale = parameter.dim() == 1 and name.endswith("weight")
                parameter.normal_(mean=float(is_scale), std=0.2 if parameter.dim() == 1 else 0.12)
        net.transformer.pos_emb.normal_()
        net.transformer.tok_emb.weight.normal_()
    return net


def save(net: Any, config: dict[str, Any], folder: Path, with_yaml: bool = True) -> Path:
    path = folder / "last.ckpt"
    state = {key: value for key, value in net.state_dict().items() if ".loss." not in key}
    torch.save({"epoch": 1, "global_step": 2, "state_dict": state, "optimizer_states": []}, path)
    if with_yaml:
        target = "taming.models.cond_transformer.Net2NetTransformer"
        path.with_suffix(".yaml").write_text(yaml.safe_dump({"model": {"target": target, "params": config}}))
    return path


def pictures(kind: str, batch: int, height: int, width: int) -> tuple[Tensor | None, dict[str, Any]]:
    """What the reference's stage is given, and what our `get_condition` is."""
    generator = torch.Generator().manual_seed(11)
    shape = (batch, height * FACTOR, width * FACTOR)
    if kind == "segmentation":
        labels = torch.randint(LABELS, shape, generator=generator)
        return F.one_hot(labels, LABELS).movedim(-1, 1).float(), {"segmentation": labels}
    if kind == "depth":
        depth = torch.rand(shape, generator=generator)
        low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
        return (2 * (depth - low) / (high - low) - 1).unsqueeze(1), {"depth": 7 + 3 * depth}
    if kind == "image":
        image = torch.rand(batch, 3, *shape[1:], generator=generator)
        return image * 2 - 1, {"image": image}
    if kind == "coord":
        count = shape[1] * shape[2]
        coordinates = torch.from_numpy(np.arange(count) / count).float()  # through float64, as taming/data/faceshq.py
        return coordinates.view(1, 1, *shape[1:]).expand(batch, -1, -1, -1), {"batch_size": batch}
    return None, {"batch_size": batch}


def whole(side: int) -> Window:
    return Window(0, 0, side, side, (side, side))


# A file without weights of a stage of its own does not say what it was conditioned on.
FORMS = [(kind, form) for kind in ("segmentation", "depth", "coord", "image") for form in ("with yaml", "converted")]
FORMS += [("segmentation", "without yaml"), ("depth", "without yaml")]


@pytest.mark.parametrize(("kind", "form"), FORMS)
def test_a_whole_conditional_checkpoint_agrees_with_the_reference(reference, kind, form, tmp_path):
    side = 8 if form != "without yaml" else 16
    config = net2net_config(kind, side)
    if form == "without yaml":
        config["transformer_config"]["params"]["n_head"] = 16  # what published models have is all that can be guessed
    net = build(reference, config)
    path = save(net, config, tmp_path, with_yaml=form != "without yaml")
    if form == "converted":
        convert_checkpoint(path, tmp_path / "converted.safetensors")
        path = tmp_path / "converted.safetensors"
    transformer, vqgan = load_transformer(path)
    assert isinstance(vqgan, VQModel)
    start = side * side - 50
    maps, given = pictures(kind, 2, side, side)
    condition = get_condition(transformer, **given)
    with torch.no_grad():
        c = net.encode_to_c(maps)[1].view(2, -1)
        assert torch.equal(condition.prefix.at(whole(side)), c)
        z = torch.randint(CODES, (2, side * side), generator=torch.Generator().manual_seed(1))
        sequence = torch.cat([c, z], dim=1)[:, :-1]
        torch.testing.assert_close(transformer(sequence), net.transformer(sequence)[0], rtol=0, atol=1e-4)
        expected = net.sample(z[:, :start], c, steps=side * side - start, sample=False)
        pixels = net.decode_to_img(expected, (2, 8, side, side))
    known = torch.arange(side * side).view(1, side, side).expand(2, side, side) < start
    drawn = generate(condition, z.view(2, side, side), known, options=GREEDY)
    assert torch.equal(drawn.flatten(1), expected) and expected.unique().numel() > 4
    with torch.no_grad():
        torch.testing.assert_close(vqgan.decode_indices(drawn), pixels, rtol=0, atol=3e-5 * pixels.abs().max().item())


@pytest.mark.parametrize("permuter", PERMUTERS)
@pytest.mark.parametrize("with_yaml", [True, False], ids=["yaml", "buffers only"])
def test_a_permuted_model_reads_its_grid_in_the_references_order(reference, permuter, with_yaml, tmp_path):
    side = 16 if not with_yaml else 8
    config = net2net_config("unconditional", side, permuter)
    config["transformer_config"]["params"]["n_head"] = 16
    if not with_yaml:
        config["transformer_config"]["params"]["vocab_size"] = 1024  # as the published unconditional models
    net = build(reference, config)
    path = save(net, config, tmp_path, with_yaml)
    transformer, vqgan = load_transformer(path)
    assert vqgan is not None
    with torch.no_grad():
        pixels = torch.rand(2, 3, side * FACTOR, side * FACTOR, generator=torch.Generator().manual_seed(3)) * 2 - 1
        z = net.encode_to_z(pixels)[1]
        expected = net.sample(z[:, :5], torch.zeros(2, 1, dtype=torch.int64), steps=side * side - 5, sample=False)
        indices = vqgan.encode(pixels).indices
    order = torch.tensor(transformer.config.order)
    assert torch.equal(indices.flatten(1)[:, order], z)
    known = torch.zeros(2, side * side, dtype=torch.bool)
    known[:, order[:5]] = True
    drawn = generate(get_condition(transformer, batch_size=2), indices, known.view_as(indices), options=GREEDY)
    assert torch.equal(drawn.flatten(1)[:, order], expected)


def test_a_map_is_scaled_as_downsample_cond_size_says(reference, tmp_path):
    config = net2net_config("segmentation", 8, downsample_cond_size=8)
    config["transformer_config"]["params"]["block_size"] = 16 + 64
    net = build(reference, config)
    transformer, _ = load_transformer(save(net, config, tmp_path))
    maps, given = pictures("segmentation", 2, 8, 8)
    condition = get_condition(transformer, **given)
    assert transformer.config.grid == (8, 8)
    with torch.no_grad():
        assert torch.equal(condition.prefix.at(whole(8)), net.encode_to_c(maps)[1].view(2, -1))
    assert sample_grid(condition, options=GREEDY).shape == (2, 8, 8)


@torch.no_grad()
def scripts_loop(net: Any, cidx: Tensor, height: int, width: int, start: int = 0, kept: Tensor | None = None) -> Tensor:
    """The loop of scripts/sample_conditional.py, greedy, with the reference's transformer; batch 1, window 16."""
    idx = torch.zeros(1, height, width, dtype=torch.int64) if kept is None else kept.clone()
    for i in range(start // width, height):
        local_i = i if i <= 8 else 16 - (height - i) if height - i < 8 else 8
        for j in range(start % width if i == start // width else 0, width):
            local_j = j if j <= 8 else 16 - (width - j) if width - j < 8 else 8
            rows, columns = slice(i - local_i, i - local_i + 16), slice(j - local_j, j - local_j + 16)
            patch = torch.cat([cidx[:, rows, columns].reshape(1, -1), idx[:, rows, columns].reshape(1, -1)], dim=1)
            logits = net.transformer(patch[:, :-1])[0][:, -256:]
            idx[:, i, j] = logits.view(1, 16, 16, -1)[:, local_i, local_j].argmax(-1)
    return idx


@pytest.mark.parametrize("grid", [(16, 16), (17, 16), (16, 25), (32, 48)])
@pytest.mark.parametrize("kind", ["segmentation", "depth", "coord"])
def test_a_sliding_window_draws_what_the_references_script_draws(reference, kind, grid, tmp_path):
    if grid == (32, 48) and kind == "depth":
        grid = (24, 31)  # the largest takes a quarter of a minute
    config = net2net_config(kind, 16)
    config["transformer_config"]["params"] |= {"n_layer": 1, "n_embd": 16}
    net = build(reference, config, seed=4)
    transformer, _ = load_transformer(save(net, config, tmp_path))
    maps, given = pictures(kind, 1, *grid)
    with torch.no_grad():
        cidx = net.encode_to_c(maps)[1].view(1, *grid)
    expected = scripts_loop(net, cidx, *grid)
    drawn = sample_grid(get_condition(transformer, **given), grid=grid, options=GREEDY)
    assert torch.equal(drawn, expected) and expected.unique().numel() > 4


def test_half_a_picture_is_completed_without_the_columns_that_the_script_skips(reference, tmp_path):
    """The script begins every row of the second half at the column of its first cell (facts 5.4)."""
    config = net2net_config("coord", 16)
    net = build(reference, config)
    transformer, _ = load_transformer(save(net, config, tmp_path))
    kept = torch.randint(CODES, (1, 17, 19), generator=torch.Generator().manual_seed(8))
    start = 17 * 19 // 2
    known = torch.arange(17 * 19).view(1, 17, 19) < start
    cidx = net.encode_to_c(pictures("coord", 1, 17, 19)[0])[1].view(1, 17, 19)
    expected = scripts_loop(net, cidx, 17, 19, start, kept * known)
    drawn = generate(get_condition(transformer), kept, known, options=GREEDY)
    assert torch.equal(drawn, expected) and torch.equal(drawn[known], kept[known])


def test_the_transformer_keeps_its_stage_when_it_is_saved(reference, tmp_path):
    config = net2net_config("segmentation", 8)
    transformer, _ = load_transformer(save(build(reference, config), config, tmp_path))
    save_checkpoint(transformer, tmp_path / "ours.safetensors", dtype=torch.float16)
    again, vqgan = load_transformer(tmp_path / "ours.safetensors")
    assert vqgan is None and isinstance(again.cond_stage, VQModel) and isinstance(again, Transformer)
    _, given = pictures("segmentation", 1, 8, 8)
    equal = get_condition(again, **given).prefix.at(whole(8)) == get_condition(transformer, **given).prefix.at(whole(8))
    assert equal.float().mean() > 0.9  # the stage was rounded to float16
