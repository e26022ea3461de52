"""Checkpoints as people's programs leave them: any prefix, raw and averaged weights, older formats, dated YAML."""

import argparse
import io
import logging
import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path

import pytest
import safetensors.torch
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hostile.forge import Call, torch_bytes
from published import net2net_weights, net2net_yaml, prefixed, transformer_weights, vqgan_weights, vqgan_yaml
from taming.checkpoints import convert_checkpoint, load_transformer, load_vqgan, plan_vqgan, read_checkpoint
from taming.checkpoints.parts import count_used, holds, take_part
from taming.checkpoints.read import Checkpoint
from taming.checkpoints.yaml_file import read_yaml
from taming.cli import main
from taming.errors import CheckpointError, ConfigError, TamingError, UnsupportedCheckpointError
from taming.training.recipe import read_recipe

VQGAN, AVERAGED = vqgan_weights(0), vqgan_weights(1)
NAMESPACE = argparse.Namespace(lr=1e-4, data_path="pictures", sizes=[256, 512])
PREFIXES = [
    *("module._orig_mod.", "_orig_mod.module.", "_orig_mod.", "module.", "vq_model.", "net.", "autoencoder."),
    *("first_stage_model.", "module.first_stage_model.", "model.vqgan._orig_mod.", "tokenizer.vqvae.model.", "a.b.c."),
    *("_forward_module.module.", "_fsdp_wrapped_module.vq.", "vq-"),
]


def save(path: Path, content: object, legacy: bool = False) -> Path:
    path.write_bytes(torch_bytes(content, legacy))
    return path


def assert_holds(model: torch.nn.Module | None, weights: dict[str, Tensor]) -> None:
    assert model is not None
    state = model.state_dict()
    assert state.keys() == weights.keys() and all(torch.equal(state[key], weights[key]) for key in state)


# Prefixes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", ["safetensors", "ckpt"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_whole_vqgan_is_found_under_any_prefix(prefix, container, tmp_path):
    path = tmp_path / f"model.{container}"
    weights = prefixed(prefix, VQGAN) | {"other.weight": torch.zeros(3)}
    safetensors.torch.save_file(weights, path) if container == "safetensors" else save(path, {"state_dict": weights})
    assert_holds(load_vqgan(path), VQGAN)


@pytest.mark.parametrize("prefix", PREFIXES[:-1])
def test_a_whole_transformer_and_its_stages_are_found_under_any_prefix(prefix, tmp_path):
    transformer, maps = transformer_weights(block_size=512), vqgan_weights(2)
    parts = net2net_weights(VQGAN, transformer) | prefixed("cond_stage_model.", maps)
    model, first_stage = load_transformer(save(tmp_path / "net2net.ckpt", {"state_dict": prefixed(prefix, parts)}))
    assert_holds(first_stage, VQGAN)
    assert_holds(model.cond_stage, maps)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="."), max_size=9), min_size=1, max_size=4))
def test_what_a_prefix_is_called_makes_no_difference(components):
    prefix = "".join(f"{component}." for component in components)
    checkpoint = Checkpoint(Path("x.ckpt"), prefixed(prefix, VQGAN) | {f"{prefix}z": torch.zeros(1)}, {})
    expected = {*VQGAN, "z"} if "cond_stage_model" not in components else None
    if expected is None:
        assert not holds(checkpoint, "vqgan")
    else:
        assert take_part(checkpoint, "vqgan").keys() == expected


def test_wrappers_inside_of_a_model_are_not_part_of_its_keys(tmp_path):
    """As modules are named that were compiled, distributed or checkpointed one by one."""
    weights = {key.replace(".", "._orig_mod.", 1): tensor for key, tensor in VQGAN.items()}
    assert_holds(load_vqgan(save(tmp_path / "x.pt", {"model": prefixed("module.", weights)})), VQGAN)


def test_a_model_inside_of_another_one_is_left_out(tmp_path):
    weights = VQGAN | prefixed("teacher.", AVERAGED) | prefixed("gpt.", transformer_weights())
    assert_holds(load_vqgan(save(tmp_path / "x.pt", weights)), VQGAN)


def test_parts_that_are_no_whole_model_do_not_hide_the_one_that_is(tmp_path):
    continuous = {key: tensor for key, tensor in AVERAGED.items() if not key.startswith("quantize")}
    weights = prefixed("model.", continuous) | prefixed("image_tokenizer.", VQGAN)
    assert_holds(load_vqgan(save(tmp_path / "x.pt", weights)), VQGAN)


def test_an_incomplete_model_under_an_unknown_prefix_is_told_what_it_lacks(tmp_path):
    weights = prefixed("net.", {key: tensor for key, tensor in VQGAN.items() if not key.startswith("decoder.conv_out")})
    with pytest.raises(UnsupportedCheckpointError, match=r"lacks the weight decoder.conv_out.weight"):
        load_vqgan(save(tmp_path / "x.pt", weights))


def test_two_models_of_unknown_names_are_a_question_that_its_advice_answers(tmp_path):
    path = save(tmp_path / "both.pt", prefixed("student.", VQGAN) | prefixed("teacher.", AVERAGED))
    with pytest.raises(UnsupportedCheckpointError, match=r"holds 2 VQGANs, under 'student.', 'teacher.'") as error:
        load_vqgan(path)
    assert "convert" in str(error.value) and "--part student." in str(error.value)
    for part, weights in (("student.", VQGAN), ("teacher.", AVERAGED)):
        out = tmp_path / f"{part}safetensors"
        assert main(["convert", str(path), "--part", part, "--out", str(out)]) == 0
        assert_holds(load_vqgan(out), weights)
    with pytest.raises(UnsupportedCheckpointError, match=r"no model under 'coach.'; found: 'student.', 'teacher.'"):
        convert_checkpoint(path, tmp_path / "out.safetensors", part="coach.")


def test_a_part_is_taken_with_the_other_models_of_the_file(tmp_path):
    transformer = transformer_weights()
    weights = prefixed("a.", VQGAN) | prefixed("b.", AVERAGED) | prefixed("gpt.", transformer)
    path, out = save(tmp_path / "three.pt", weights), tmp_path / "out.safetensors"
    path.with_suffix(".yaml").write_text(yaml.safe_dump(net2net_yaml()))
    with pytest.raises(UnsupportedCheckpointError, match="holds 2 VQGANs"):
        load_transformer(path)
    convert_checkpoint(path, out, part="b.")
    _, first_stage = load_transformer(out)
    assert_holds(first_stage, AVERAGED)


# Wrappers and running averages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrap",
    [
        lambda w: {"model_state_dict": w, "optimizer_state_dict": {"state": {0: {"m": torch.zeros(4)}}}, "epoch": 3},
        lambda w: {"generator": w, "discriminator": {"main.0.weight": torch.zeros(4)}},
        lambda w: {"vqvae": {"weights": w}, "step": torch.tensor(3), "rng": {"state": torch.zeros(5)}},
        lambda w: {"epoch": 3, "config": {"lr": 1.0}, "net": OrderedDict(prefixed("module.", w))},
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_model_is_found_whatever_its_mapping_is_called(wrap, legacy, tmp_path):
    assert_holds(load_vqgan(save(tmp_path / "x.pt", wrap(VQGAN), legacy)), VQGAN)


@pytest.mark.parametrize(
    ("raw", "averaged"),
    [("model", "ema"), ("state_dict", "state_dict_ema"), ("state_dict", "ema"), ("net", "model_ema"), ("g", "g_ema")],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_of_raw_and_averaged_weights_the_averages_are_taken_and_the_log_says_so(
    raw, averaged, legacy, tmp_path, caplog
):
    """As LlamaGen's programs do, whose files are of this kind, and timm's."""
    path = save(tmp_path / "x.pt", {raw: VQGAN, averaged: AVERAGED, "args": NAMESPACE, "steps": 9}, legacy)
    with caplog.at_level(logging.INFO):
        assert_holds(load_vqgan(path), AVERAGED)
    assert (
        f"x.pt: the running averages of the weights ({averaged}.*) are used, not the last ones ({raw}.*)."
        in caplog.text
    )


def test_what_has_no_running_average_is_as_it_was_last(tmp_path):
    used = torch.tensor([3, 5])
    content = {"model": VQGAN | {"quantize.used": used}, "ema": {"module": AVERAGED, "num_updates": torch.tensor(7)}}
    path = save(tmp_path / "x.pt", content)
    state = load_vqgan(path).state_dict()
    assert torch.equal(state.pop("quantize.used"), used)
    assert all(torch.equal(state[key], AVERAGED[key]) for key in state)
    assert load_vqgan(path, vqgan_yaml(remap="used.npy")).config.num_used == 2
    assert count_used(read_checkpoint(path)) == 2


def test_averages_are_taken_whatever_else_is_in_the_file(tmp_path):
    content = {"student": VQGAN, "teacher": vqgan_weights(2), "ema": AVERAGED}
    assert_holds(load_vqgan(save(tmp_path / "x.pt", content)), AVERAGED)


def test_a_transformer_of_ours_is_read_with_the_stage_of_its_maps_inside(tmp_path):
    """As `torch.save(transformer.state_dict(), path)` writes it."""
    maps = vqgan_weights(2)
    weights = transformer_weights(block_size=512) | prefixed("cond_stage.", maps)
    model, first_stage = load_transformer(save(tmp_path / "x.pt", weights))
    assert first_stage is None
    assert_holds(model.cond_stage, maps)


def test_averages_of_a_part_of_a_model_are_no_model(tmp_path):
    averages = {key: tensor for key, tensor in AVERAGED.items() if key.startswith("encoder.")}
    assert_holds(load_vqgan(save(tmp_path / "x.pt", {"model": VQGAN, "ema": averages})), VQGAN)


@pytest.mark.parametrize(("prefix", "expected"), [("", AVERAGED), ("net.", AVERAGED), ("first_stage_model.", VQGAN)])
def test_a_first_stage_has_the_weights_that_its_transformer_was_trained_on(prefix, expected, tmp_path, caplog):
    """latent-diffusion and IBQ keep averages inside of a model; a first stage is used by its last weights there."""
    averages = {f"model_ema.{key.replace('.', '')}": tensor for key, tensor in AVERAGED.items()}
    with caplog.at_level(logging.INFO):
        assert_holds(load_vqgan(save(tmp_path / "x.ckpt", prefixed(prefix, VQGAN | averages))), expected)
    assert "running averages" in caplog.text and "x.ckpt" in caplog.text


def test_an_inner_mapping_that_comes_again_and_again_is_looked_at_once(tmp_path):
    content: object = VQGAN
    for _ in range(3):
        content = {f"key {number}": content for number in range(2000)}
    assert_holds(load_vqgan(save(tmp_path / "x.pt", content)), VQGAN)


# Formats -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_file_with_an_argparse_namespace_is_read_without_it(protocol, legacy, tmp_path):
    """What PyTorch before 1.6 wrote was called truncated or damaged."""
    path, content = tmp_path / "vq_ds16.pt", {"args": NAMESPACE, "model": VQGAN, "step": 3}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    read = read_checkpoint(path).state_dict
    assert read.keys() == VQGAN.keys() and all(torch.equal(read[key], VQGAN[key]) for key in VQGAN)
    assert_holds(load_vqgan(path), VQGAN)


def test_every_dtype_shape_and_shared_storage_of_an_old_file_comes_out_as_it_went_in(tmp_path):
    base = torch.arange(24.0).view(4, 6)
    content = {"plain": base, "transposed": base.T, "slice": base[1:3, ::2], "scalar": torch.tensor(3.5)}
    content |= {"empty": torch.empty(0, 3), "parameter": torch.nn.Parameter(base.clone())}
    dtypes = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8)
    content |= {str(dtype): base.to(dtype) for dtype in (*dtypes, torch.uint8, torch.bool)}
    read = read_checkpoint(save(tmp_path / "x.pt", {"model": content, "args": NAMESPACE}, legacy=True)).state_dict
    assert read.keys() == content.keys()
    assert all(torch.equal(read[key], content[key]) and read[key].dtype == content[key].dtype for key in content)


def test_a_view_of_an_old_file_is_a_part_of_its_storage(tmp_path):
    """Versions before 1.0 shared storages so; the reference is (key, offset, number of values)."""
    content = bytearray(torch_bytes({"a": torch.arange(8.0), "args": NAMESPACE}, legacy=True))
    place = content.index(b"cpu") + len(b"cpu")
    end = content.index(b"t", place)  # of the reference: ..., 8, None
    assert content[end - 1 : end] == b"N"
    content[end - 1 : end] = b"(U\x01vK\x02K\x03t"
    size = content.index(b"_rebuild_tensor_v2")
    content[size:] = content[size:].replace(b"K\x08\x85", b"K\x03\x85", 1)
    path = tmp_path / "view.pt"
    path.write_bytes(bytes(content))
    assert read_checkpoint(path).state_dict["a"].tolist() == [2.0, 3.0, 4.0]


@pytest.mark.parametrize("stub_all", [False, True])
def test_an_old_file_runs_nothing(stub_all, tmp_path):
    canary = tmp_path / "canary"
    bomb = Call(os.system, f"touch {canary}")
    path = save(tmp_path / "x.pt", {"model": VQGAN, "args": NAMESPACE, "bomb": bomb}, legacy=True)
    if stub_all:
        assert read_checkpoint(path, stub_all=True).state_dict.keys() == VQGAN.keys()
    else:
        with pytest.raises(CheckpointError, match="contains code"):
            read_checkpoint(path)
    assert not canary.exists()


def legacy_parts(content: object) -> tuple[list[bytes], bytes]:
    """The five pickles of an old file, and what follows them."""
    stream, pickles = io.BytesIO(torch_bytes(content, legacy=True)), []
    for _ in range(5):
        start = stream.tell()
        assert list(pickletools.genops(stream))
        pickles.append(stream.getvalue()[start : stream.tell()])
    return pickles, stream.read()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, data: b"".join(p[:4]) + pickle.dumps(["0", "0"], 2) + data, "damaged"),
        (lambda p, data: b"".join(p[:4]) + pickle.dumps([["0"]], 2) + data, "damaged"),
        (lambda p, data: b"".join(p[:4]) + pickle.dumps(7, 2) + data, "damaged"),
        (lambda p, data: b"".join(p) + (2**62).to_bytes(8, "little") + data[8:], "does not lie where"),
        (lambda p, data: b"".join(p) + (-5).to_bytes(8, "little", signed=True) + data[8:], "does not lie where"),
        (lambda p, data: b"".join(p) + (3).to_bytes(8, "little") + data[8:], "has 12 bytes, not 8 values"),
        (lambda p, data: b"".join(p) + data[:-1], "does not lie where"),
        (lambda p, data: b"".join(p), "does not lie where"),
        (lambda p, data: b"".join(p[:4]), "damaged"),
        (lambda p, data: p[0] + pickle.dumps(1002, 2) + b"".join(p[2:]) + data, "header"),
        (lambda p, data: p[0] + p[1] + pickle.dumps({"little_endian": False}, 2) + b"".join(p[3:]) + data, "endian"),
        (lambda p, data: pickle.dumps({"w": 3}, 2) + b"".join(p[1:]) + data, "torch.save did not write"),
    ],
)
def test_an_old_file_that_is_made_to_fool_its_reader_is_refused(change, words, tmp_path):
    path = tmp_path / "fooled.pt"
    path.write_bytes(change(*legacy_parts({"a": torch.arange(8.0), "args": NAMESPACE})))
    with pytest.raises(CheckpointError, match=words) as error:
        read_checkpoint(path)
    assert "fooled.pt" in str(error.value) and len(str(error.value)) < 600


def test_an_old_file_cut_or_altered_anywhere_never_raises_anything_else(tmp_path):
    content = torch_bytes({"model": {"a": torch.arange(8.0)}, "args": NAMESPACE}, legacy=True)
    path, generator = tmp_path / "x.pt", torch.Generator().manual_seed(0)
    for _ in range(150):
        altered = bytearray(content)
        altered[int(torch.randint(len(content), (), generator=generator))] = int(
            torch.randint(256, (), generator=generator)
        )
        path.write_bytes(bytes(altered[: int(torch.randint(1, len(content) + 1, (), generator=generator))]))
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            assert "weights_only" not in str(error)


# Configurations ------------------------------------------------------------------------------------------------------

DATED = "2021-04-03T19-39-50-project.yaml"


def test_the_yaml_of_a_run_beside_its_last_checkpoint_is_named_and_works_under_the_name_that_is_said(tmp_path):
    path = save(tmp_path / "last.ckpt", {"state_dict": net2net_weights(VQGAN, transformer_weights())})
    with pytest.raises(ConfigError, match="Put its YAML configuration beside it, as last.yaml."):
        load_transformer(path)
    (tmp_path / "other.ckpt").write_bytes(b"")
    (tmp_path / "other.yaml").write_text("{}")
    (tmp_path / DATED).write_text(yaml.safe_dump(net2net_yaml()))
    with pytest.raises(ConfigError, match=f"If {DATED} is its YAML configuration, rename it to last.yaml.") as error:
        load_transformer(path)
    assert "other.yaml" not in str(error.value)
    (tmp_path / DATED).rename(tmp_path / "last.yaml")
    assert_holds(load_transformer(path)[1], VQGAN)


def test_the_yaml_in_the_folder_of_a_run_is_offered(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / DATED).write_text(yaml.safe_dump(net2net_yaml()))
    path = save(tmp_path / "checkpoints" / "last.ckpt", transformer_weights())
    with pytest.raises(ConfigError, match=f"configs.{DATED} is its YAML configuration, copy it here as last.yaml"):
        load_transformer(path)


def test_a_vqgan_that_loads_without_its_yaml_says_which_one_it_could_have(tmp_path, caplog):
    path = save(tmp_path / "last.ckpt", VQGAN)
    (tmp_path / DATED).write_text(yaml.safe_dump(vqgan_yaml()))
    with caplog.at_level(logging.INFO):
        plan_vqgan(path)
    assert f"If {DATED} is its YAML configuration, rename it to last.yaml, or choose it" in caplog.text


def test_what_does_not_fit_says_where_it_is_from(tmp_path):
    path = save(tmp_path / "last.ckpt", VQGAN)
    (tmp_path / "last.yaml").write_text(yaml.safe_dump(vqgan_yaml(n_embed=48)))
    with pytest.raises(ConfigError, match="Put the configuration that came with the weights in its place, or move it"):
        plan_vqgan(path)


def test_aliases_are_followed_as_every_dumper_writes_them(tmp_path):
    stage, path = vqgan_yaml()["model"], tmp_path / "model.yaml"
    values = net2net_yaml(first_stage_config=stage, cond_stage_config=stage)
    path.write_text(yaml.safe_dump(values))
    assert "*id001" in path.read_text()
    assert read_yaml(path) == values
    path.write_text("base: &base {n_embed: 24, ch_mult: &mult [1, 2]}\nmodel: {<<: *base, other: *mult}\n")
    assert read_yaml(path)["model"] == {"n_embed": 24, "ch_mult": [1, 2], "other": [1, 2]}


@pytest.mark.parametrize("write", [lambda t: t.encode("utf-8-sig"), lambda t: t.replace("\n", "\r\n").encode()])
def test_marks_and_line_ends_of_windows_are_understood(write, tmp_path):
    path = tmp_path / "model.yaml"
    path.write_bytes(write("# caf\u00e9\nn_embed: 24\n"))
    assert read_yaml(path) == {"n_embed": 24}


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("cp1252", "cp1252"), ("cp949", "older encoding"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16")],
)
def test_a_recipe_in_another_encoding_is_told_its_name_too(encoding, named, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(("task: vqgan\n# \u00e9" if encoding != "cp949" else "# \ud55c").encode(encoding))
    with pytest.raises(ConfigError, match=rf"mine.yaml is .*{named}.*Save it as UTF-8"):
        read_recipe(str(path))


def test_nothing_of_this_is_anything_but_an_error_of_ours(tmp_path):
    for number, content in enumerate([[VQGAN], {"a": 1}, NAMESPACE, torch.zeros(2), {"state_dict": [1, 2]}]):
        for legacy in (False, True):
            with pytest.raises(TamingError, match="holds no weights"):
                load_vqgan(save(tmp_path / f"{number}.pt", content, legacy))
