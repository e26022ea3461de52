"""The table of every published checkpoint: each row is checked here, and docs/checkpoints.md is what came out.

The files are not here. A row stands for its published configuration: at full size without memory (parameters, what
the shapes tell), and as a replica of the same structure with narrow layers and random weights, saved as published.
"""

import copy
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from parity import test_conditions_parity as conditions
from parity import test_first_stages_parity as first_stages
from taming.checkpoints import convert_checkpoint, load_transformer, load_vqgan
from taming.checkpoints.detect_transformer import detect_transformer
from taming.checkpoints.metadata import config_to_dict
from taming.checkpoints.upstream_transformer import Net2NetConfig, net2net_config
from taming.checkpoints.upstream_vqgan import vqgan_config
from taming.checkpoints.yaml_file import read_yaml
from taming.conditioning import (
    Box,
    BoxCondition,
    ClassCondition,
    CoordinateCondition,
    DepthCondition,
    SegmentationCondition,
    get_condition,
)
from taming.configs import PUBLISHED, preset_names
from taming.errors import TamingError
from taming.models import Transformer, TransformerConfig, VQModel
from taming.sampling import SamplingOptions, generate
from taming.zoo import find_model, read_zoo

PAGE = Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md"
GREEDY = SamplingOptions(temperature=0)
LAST = 12  # cells that a replica draws
NARROW = {"ch": 32, "num_res_blocks": 1, "dropout": 0.0}
CODES = 96
FAILED = "NO: "
BOXES = [Box(3, 0.1, 0.2, 0.5, 0.4), Box(20, 0.4, 0.3, 0.3, 0.6, is_group_of=True), Box(7, 0.0, 0.0, 1.0, 0.3)]

F16 = {"ch_mult": [1, 1, 2, 2, 4], "attn_resolutions": [16], "num_res_blocks": 2, "z_channels": 256, "ch": 128}
SHORT = {"embed_dim": 8, "n_embed": 16384, "quantizer": "cosine", "resolution": 256}
IBQ = {**F16, "num_res_blocks": 4, "embed_dim": 256, "quantizer": "dot", "resolution": 256}
PLAIN = {**F16, "embed_dim": 256, "resolution": 256}
LLAMAGEN_TEST = first_stages.test_llamagen_and_janus_are_their_own_definition
IBQ_TEST = first_stages.test_ibq_is_its_own_definition_with_the_averaged_weights
DIFFUSERS_TEST = first_stages.test_a_diffusers_model_is_that_of_the_package
PUBLISHED_TEST = first_stages.test_a_published_kind_is_the_references_in_every_container
# Zoo name: our fields at full size, and the test that compares a replica with the family's own definition.
DESCENDANTS: dict[str, tuple[dict[str, Any] | None, Callable[..., None]]] = {
    "llamagen_vq16_c2i": ({**F16, **SHORT}, LLAMAGEN_TEST),
    "llamagen_vq16_t2i": ({**F16, **SHORT}, LLAMAGEN_TEST),
    "llamagen_vq8": ({**F16, **SHORT, "ch_mult": [1, 2, 2, 4], "attn_resolutions": [32]}, LLAMAGEN_TEST),
    "janus_vq16": ({**F16, **SHORT}, LLAMAGEN_TEST),
    "janus_pro_vq16": ({**F16, **SHORT}, LLAMAGEN_TEST),
    **{f"ibq_{codes}": ({**IBQ, "n_embed": codes}, IBQ_TEST) for codes in (1024, 8192, 16384, 262144)},
    "mindalle_vqgan": ({**PLAIN, "n_embed": 16384}, PUBLISHED_TEST),
    "diffusers_taming_f16_1024": ({**PLAIN, "n_embed": 1024}, DIFFUSERS_TEST),
    "diffusers_taming_f16_16384": ({**PLAIN, "n_embed": 16384}, DIFFUSERS_TEST),
    "diffusers_ldm_vq_f16": ({**PLAIN, "n_embed": 16384, "embed_dim": 8, "z_channels": 8}, DIFFUSERS_TEST),
    "amused_vqvae": (None, DIFFUSERS_TEST),
    "meissonic_vqvae": (None, DIFFUSERS_TEST),
}
# What is told apart and refused: a telling key, beside those of a plain VQGAN.
REFUSED = {
    "VAR": "quantize.quant_resi.qresi_ls.0.weight",
    "RQ-VAE": "quantizer.codebooks.0.weight",
    "MoVQ (Kandinsky, Emu3)": "decoder.mid.block_1.norm1.conv_y.weight",
    "Open-MAGVIT2": "encoder.mid_block.0.norm1.weight",
    "Show-o (MAGVIT-v2)": "encoder.quant_conv.weight",
}
NOT_CHECKED = {
    "open_images_scene_125m": "its sizes are published nowhere but in its archive; loads with the YAML from there",
    "dalle-mini, min-dalle": "Flax (.msgpack) or a decoder without an encoder: not read",
}


@dataclasses.dataclass
class Row:
    """The cells of one line of the table."""

    name: str
    parameters: str = ""
    with_yaml: str = ""
    without: str = ""
    elsewhere: str = ""  # nested in a larger file, or converted
    equal: str = ""  # to the reference or to the family's own definition

    def cells(self) -> tuple[str, ...]:
        return dataclasses.astuple(self)


def attempt(check: Callable[[], str]) -> str:
    """What `check` says, or why it failed, in one line."""
    try:
        return check()
    except (AssertionError, TamingError, RuntimeError) as error:
        return FAILED + (str(error).strip().splitlines() or [type(error).__name__])[0]


def count(model: torch.nn.Module, name: str) -> str:
    """The parameters of a model on the meta device, which are to be the published ones."""
    number, published = sum(parameter.numel() for parameter in model.parameters()), find_model(name).parameters
    if published is None:
        return f"{number:,} (not published)"
    assert number == published, f"{number:,} parameters, {published:,} published"
    return f"{number:,}"


def is_transformer(values: dict[str, Any]) -> bool:
    return "transformer_config" in values["model"]["params"]


def narrow_stage(node: dict[str, Any]) -> dict[str, Any]:
    """The published VQGAN with narrow layers and few codes; its channels, levels, attention and quantizer stay."""
    params = copy.deepcopy(node["params"])
    width = 16 if params["embed_dim"] == 256 else params["embed_dim"]
    params["ddconfig"] |= NARROW | {"z_channels": width}
    params |= {"embed_dim": width, "n_embed": CODES, "lossconfig": {"target": "DummyLoss"}}
    return {**node, "params": params}


# --- first stages


def first_stage_row(reference: Any, name: str, values: dict[str, Any], folder: Path) -> Row:
    """The row but for its number of parameters."""
    row, node = Row(name), narrow_stage(values["model"])
    theirs, indices, pixels = small_theirs(reference, node)
    results = {}
    for container in first_stages.CONTAINERS:
        for described in (True, False):

            def check(container: Any = container, described: bool = described) -> str:
                weights, config = container(theirs.state_dict(), node)
                path = first_stages.save(folder, weights, config if described else None)
                compare_tokenizer(load_vqgan(path), indices, pixels)
                return "yes"

            results[container.__name__, described] = attempt(check)
            (folder / "last.yaml").unlink(missing_ok=True)
    row.with_yaml, row.without = results["bare", True], results["bare", False]
    nested = {result for (container, _), result in results.items() if container != "bare"}
    row.elsewhere = "yes" if nested == {"yes"} else "; ".join(sorted(nested - {"yes"}))
    row.equal = "tokens, pixels" if set(results.values()) == {"yes"} else "not in every container"
    return row


@torch.no_grad()
def small_theirs(reference: Any, node: dict[str, Any]) -> tuple[Any, Tensor, Tensor]:
    """The reference's model, its tokens of a picture and its pixels of those."""
    kind, params = node["target"].rpartition(".")[2], dict(node["params"])
    params = {key: value for key, value in params.items() if key not in ("lossconfig", "temperature_scheduler_config")}
    torch.manual_seed(0)
    theirs = first_stages.build_theirs(reference, kind, **params)
    first_stages.shake(theirs)
    x = picture(params["ddconfig"]["in_channels"])
    z = theirs.quant_conv(theirs.encoder(x))
    if kind == "GumbelVQ":
        indices = theirs.quantize.proj(z).argmax(1)
    else:
        first_stages.spread_codes(theirs.quantize.embedding.weight, z)
        indices = theirs.encode(x)[2][2].view(2, *z.shape[2:])
    return theirs, indices, first_stages.decode_theirs(theirs, indices)


def picture(channels: int) -> Tensor:
    return first_stages.picture(channels, 64, 96)


@torch.no_grad()
def compare_tokenizer(ours: VQModel, indices: Tensor, pixels: Tensor) -> None:
    first_stages.assert_tokens_equal(ours.encode(picture(ours.config.in_channels)).indices, indices)
    first_stages.assert_pixels_close(ours.decode_indices(indices), pixels)


# --- transformers


def transformer_row(reference: Any, name: str, values: dict[str, Any], folder: Path) -> Row:
    """The row but for its number of parameters."""
    row, described = Row(name), net2net_config(values, name)
    row.without = attempt(lambda: detected_at_full_size(described, name))
    replica = narrow_transformer(values)
    net = conditions.build(reference, theirs_of(replica["model"]["params"]))
    path = folder / "last.ckpt"
    state = {key: value for key, value in net.state_dict().items() if ".loss." not in key}
    torch.save({"epoch": 1, "global_step": 2, "state_dict": state, "optimizer_states": []}, path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(replica))
    expected: dict[str, Tensor] = {}

    def check(file: Path) -> str:
        compare_transformer(net, *load_transformer(file), expected)
        return "yes"

    def check_converted() -> str:
        convert_checkpoint(path, folder / "converted.safetensors")
        return check(folder / "converted.safetensors")

    row.with_yaml, row.elsewhere = attempt(lambda: check(path)), attempt(check_converted)
    right = row.with_yaml == row.elsewhere == "yes"
    row.equal = "condition, logits, greedy tokens, pixels" if right else "not in every container"
    return row


def detected_at_full_size(described: Net2NetConfig, name: str) -> str:
    """What the published shapes alone tell, beside the published configuration."""
    with torch.device("meta"):
        weights = Transformer(described.transformer).state_dict()
    found = config_to_dict(detect_transformer(weights, name, described.cond_stage))
    wanted = config_to_dict(described.transformer)
    different = [key for key in wanted if found[key] != wanted[key] and not key.endswith("pdrop")]
    if not different:
        return "yes"
    assert different == ["condition"], f"the shapes say another {', '.join(different)}"
    other = [key for key in wanted["condition"] if found["condition"][key] != wanted["condition"][key]]
    return f"needs its YAML: {' and '.join(other)} taken for those of another model of these shapes"


def narrow_transformer(values: dict[str, Any]) -> dict[str, Any]:
    """The published configuration with two narrow layers and narrow stages; tokens, positions and heads stay."""
    values = copy.deepcopy(values)
    params = values["model"]["params"]
    gpt = params["transformer_config"]["params"]
    gpt |= {"n_layer": 2, "n_embd": 4 * gpt["n_head"]}
    params["first_stage_config"] = narrow_stage(params["first_stage_config"])
    if "ddconfig" in (stage_params(params) or {}):
        params["cond_stage_config"] = narrow_stage(params["cond_stage_config"])
    return values


def stage_params(params: dict[str, Any]) -> dict[str, Any] | None:
    stage = params["cond_stage_config"]
    return stage.get("params") if isinstance(stage, dict) else None


def theirs_of(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters that build the reference's model; its stage for boxes, which passes tokens on, is left out."""
    params = copy.deepcopy(params)
    if "conditional_key" in (stage_params(params) or {}):
        params["cond_stage_config"] = "__is_unconditional__"
    params["permuter_config"] = {"target": "taming.modules.transformer.permuter.Identity"}
    return params


@torch.no_grad()
def compare_transformer(net: Any, ours: Transformer, vqgan: VQModel | None, expected: dict[str, Tensor]) -> None:
    """Condition tokens, logits, greedy tokens and pixels; `expected` keeps those of the reference between calls."""
    assert vqgan is not None, "the first stage was not loaded"
    c = condition_tokens(net, ours)
    condition = get_condition(ours, **given_to(ours.config))
    assert torch.equal(condition.prefix.at(conditions.whole(16)), c), "the condition has other tokens"
    z = torch.randint(CODES, (1, 256), generator=torch.Generator().manual_seed(1))
    sequence = torch.cat([c, z], dim=1)[:, :-1]
    if not expected:
        drawn = net.sample(z[:, :-LAST], c, steps=LAST, sample=False)
        drawn_codes = drawn.clamp(max=CODES - 1)  # a replica of few codes, and a transformer of many
        assert drawn.unique().numel() > 3, "too few tokens are drawn to tell anything"
        expected["logits"], expected["drawn"] = net.transformer(sequence)[0], drawn
        expected["pixels"] = net.decode_to_img(drawn_codes, (1, vqgan.config.embed_dim, 16, 16))
    torch.testing.assert_close(ours(sequence), expected["logits"], rtol=0, atol=1e-4)
    known = torch.arange(256).view(1, 16, 16) < 256 - LAST
    tokens = generate(condition, z.view(1, 16, 16), known, options=GREEDY)
    assert torch.equal(tokens.flatten(1), expected["drawn"]), "other tokens are drawn"
    first_stages.assert_pixels_close(vqgan.decode_indices(tokens.clamp(max=CODES - 1)), expected["pixels"])


def given_to(config: TransformerConfig) -> dict[str, Any]:
    """What `get_condition` is given for a picture of 256 px."""
    generator = torch.Generator().manual_seed(5)
    match config.condition:
        case SegmentationCondition(num_classes=num_classes):
            return {"segmentation": torch.randint(num_classes, (1, 256, 256), generator=generator)}
        case DepthCondition():
            return {"depth": torch.rand(1, 256, 256, generator=generator)}
        case ClassCondition():
            return {"label": 207}
        case BoxCondition():
            return {"boxes": BOXES}
    return {}


def condition_tokens(net: Any, ours: Transformer) -> Tensor:
    """What the reference's own stage makes of the same, (1, L)."""
    config, given = ours.config, given_to(ours.config)
    match config.condition:
        case SegmentationCondition(num_classes=num_classes):
            maps = torch.nn.functional.one_hot(given["segmentation"], num_classes)
            return net.encode_to_c(maps.movedim(-1, 1).float())[1].view(1, -1)
        case DepthCondition():
            low, high = given["depth"].min(), given["depth"].max()
            return net.encode_to_c((2 * (given["depth"] - low) / (high - low) - 1)[None])[1].view(1, -1)
        case CoordinateCondition():
            return net.encode_to_c((torch.arange(65536) / 65536).view(1, 1, 256, 256))[1].view(1, -1)
        case ClassCondition():
            return net.encode_to_c(torch.tensor([given["label"]]))[1].view(1, -1)
        case BoxCondition():  # compared with the reference's builder in test_boxes_parity
            return get_condition(ours, **given).prefix.at(conditions.whole(16))
    return torch.zeros(1, 1, dtype=torch.int64)


# --- the other rows


def descendant_row(name: str) -> Row:
    fields, test = DESCENDANTS[name]
    row = Row(name, parameters="not published")
    if fields is not None:
        with torch.device("meta"):
            row.parameters = attempt(lambda: count(VQModel(vqgan_config(fields, name)), name))
    row.with_yaml = "yes" if test in (IBQ_TEST, DIFFUSERS_TEST, PUBLISHED_TEST) else "has none"
    row.without, row.equal = "yes", f"tokens, pixels: `{test.__name__}`"
    row.elsewhere = "yes" if name.startswith(("janus", "mindalle")) else "not published so"
    return row


def refused_row(name: str, key: str, folder: Path) -> Row:
    weights = {"encoder.conv_in.weight": torch.zeros(32, 3, 3, 3), key: torch.zeros(1)}
    path = first_stages.save(folder, weights)
    with pytest.raises(TamingError) as error:
        load_vqgan(path)
    reason = str(error.value)
    assert "this version cannot use it" in reason
    return Row(name, without="refused: " + reason.removeprefix(f"{path.name} holds ").partition(":")[0])


@pytest.fixture(scope="module")
def rows(reference: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """Every row, in sections; a few seconds for each."""
    sections: dict[str, list[Row]] = {"First stages": [], "Transformers": []}
    known: dict[str, Row] = {}  # several checkpoints have the same replica
    for name in preset_names(PUBLISHED):
        values, folder = read_yaml(PUBLISHED / f"{name}.yaml"), tmp_path_factory.mktemp("row")
        described = is_transformer(values)
        structure = yaml.safe_dump(values if described else narrow_stage(values["model"]))
        if structure not in known:
            known[structure] = (transformer_row if described else first_stage_row)(reference, name, values, folder)
        with torch.device("meta"):
            model = Transformer(net2net_config(values, name).transformer) if described else None
            parameters = attempt(lambda: count(model or VQModel(vqgan_config(values, name)), name))  # noqa: B023
        row = dataclasses.replace(known[structure], name=name, parameters=parameters)
        sections["Transformers" if described else "First stages"].append(row)
    sections["Descendants"] = [descendant_row(name) for name in DESCENDANTS]
    folder = tmp_path_factory.mktemp("refused")
    sections["Not loaded"] = [refused_row(name, key, folder) for name, key in REFUSED.items()]
    sections["Not loaded"] += [Row(name, without="not checked: " + reason) for name, reason in NOT_CHECKED.items()]
    return sections


INTRODUCTION = """\
# What is known to load

Every published checkpoint with its tests, written by `tests/parity/test_published_rows.py`: do not edit it by hand. The
files themselves were not at hand. *Parameters* are those of the full published configuration, equal to the published
number. The other columns are of a replica of the same structure (channels, levels, attention, quantizer, condition,
heads, positions) with narrow layers and random weights, made by the reference's own classes and saved as published:

- *with YAML*: loads strictly with its configuration beside it; *without*: from the shapes alone (of transformers, at
  full size, whether the shapes tell the published configuration);
- *elsewhere*: a first stage inside a whole transformer and inside a latent-diffusion checkpoint; a transformer after
  `convert`, in one safetensors file with its stages;
- *equal*: what is the same as the reference's (tokens, all of them; pixels and logits within 3e-5 and 1e-4).
"""
HEADER = "| checkpoint | parameters | with YAML | without | elsewhere | equal |\n|---|--:|---|---|---|---|"


def page(sections: dict[str, list[Row]]) -> str:
    parts = [INTRODUCTION]
    for title, members in sections.items():
        lines = "\n".join("| " + " | ".join(row.cells()) + " |" for row in members)
        parts.append(f"## {title}\n\n{HEADER}\n{lines}\n")
    return "\n".join(parts)


def test_every_row_holds_what_the_table_promises(rows):
    failures = [f"{row.name}: {cell}" for part in rows.values() for row in part for cell in row.cells()]
    failures = [failure for failure in failures if re.search(rf": {FAILED}|not in every container", failure)]
    assert failures == []


def test_every_model_of_the_zoo_is_a_row(rows):
    named = {row.name for part in rows.values() for row in part}
    assert {model.name for model in read_zoo()} <= named


def test_the_committed_table_is_what_came_out(rows, tmp_path):
    """Broken by any change of a result; copying the file that the message names mends it."""
    new = tmp_path / PAGE.name
    new.write_text(page(rows), encoding="utf-8")
    assert PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page(rows), f"copy {new} to docs/{PAGE.name}"
