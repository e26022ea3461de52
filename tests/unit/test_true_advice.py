"""What error messages advise is true: commands run as they are printed, and what is named is there under that name."""

import argparse
import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from command_line import VQGAN, refusal
from hostile.forge import Call, torch_bytes
from published import prefixed, vqgan_weights
from repository import ROOT
from taming.checkpoints import load_vqgan
from taming.cli import COMMANDS, main
from taming.errors import CheckpointError, ConfigError
from taming.models import TransformerConfig, VQModelConfig
from taming.training.recipe import ConditionSettings, DataSettings, Optimizer
from taming.training.tasks.transformer import TransformerLoss
from taming.training.tasks.vqgan import VQGANLoss
from taming.zoo import find_model

FOREIGN = Call(os.path.basename, "an object of somebody's program")
COMMAND = re.compile(r"[`'](python -m taming .*)[`']")
SOURCES = [file for folder in ("taming", "nodes") for file in sorted((ROOT / folder).rglob("*.py"))]
CORE_NODES = {"Load VAE", "Load Checkpoint"}
CORE_OPTIONS = {"--fp32-vae"}  # of ComfyUI itself


def command_in(error: object) -> str:
    found = COMMAND.search(str(error))
    assert found, str(error)
    return found[1]


def run(command: str) -> int:
    program, *arguments = shlex.split(command)
    assert (program, arguments[:2]) == ("python", ["-m", "taming"])
    return main(arguments[2:])


# Commands ------------------------------------------------------------------------------------------------------------

NAMES = ["last.ckpt", "my model (1).pt", "it's.ckpt", "$HOME.pt", "a`b.pt", "r\u00e9seau.ckpt", "pickled.safetensors"]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_command_that_takes_weights_out_of_a_file_with_code_works_as_printed(name, legacy, tmp_path):
    """It lacked --out, and a folder to find the file in."""
    weights, path = vqgan_weights(), tmp_path / name
    path.write_bytes(torch_bytes({"state_dict": weights, "owner": FOREIGN}, legacy))
    with pytest.raises(CheckpointError, match="contains code") as error:
        load_vqgan(path)
    before = set(tmp_path.iterdir())
    assert run(command_in(error.value)) == 0
    (made,) = set(tmp_path.iterdir()) - before
    state = load_vqgan(made).state_dict()
    assert all(torch.equal(state[key], weights[key]) for key in weights)


@pytest.mark.skipif(os.name == "nt", reason="the shell of POSIX systems")
def test_a_shell_takes_the_command_as_printed(tmp_path):
    path = tmp_path / 'it\'s a "$(model)" & `more`.ckpt'
    path.write_bytes(torch_bytes({"state_dict": vqgan_weights(), "owner": FOREIGN}))
    with pytest.raises(CheckpointError) as error:
        load_vqgan(path)
    command = command_in(error.value).replace("python", shlex.quote(sys.executable), 1)
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_file()


def test_the_command_that_takes_one_of_two_models_works_as_printed(tmp_path):
    path = tmp_path / "both.pt"
    path.write_bytes(torch_bytes(prefixed("student.", vqgan_weights()) | prefixed("the teacher.", vqgan_weights(1))))
    with pytest.raises(CheckpointError, match="2 VQGANs") as error:
        load_vqgan(path)
    assert run(command_in(error.value)) == 0
    load_vqgan(tmp_path / "both_student.safetensors")


def test_the_command_that_lists_the_zoo_works_as_printed(capsys):
    with pytest.raises(ConfigError) as error:
        find_model("zzzzzz")
    assert run(command_in(error.value)) == 0
    assert "sflckr" in capsys.readouterr().out


def test_every_text_that_advises_a_command_is_tested_above():
    users = {
        file.relative_to(ROOT).as_posix() for file in SOURCES for text in texts(file) if "python -m taming" in text
    }
    assert users - {"taming/cli/__init__.py", "taming/zoo/page.py"} == {
        "taming/checkpoints/advice.py",
        "taming/zoo/__init__.py",
    }


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("content", [torch.nn.Linear(2, 2), {"owner": FOREIGN}, {"owner": FOREIGN, "a": torch.ones(1)}])
def test_converting_is_not_advised_where_it_would_find_no_model(content, legacy, tmp_path):
    """Above all not for `torch.save(model)`."""
    path = tmp_path / "whole.pt"
    path.write_bytes(torch_bytes(content, legacy))
    with pytest.raises(CheckpointError) as error:
        load_vqgan(path)
    assert main(["convert", str(path), "--out", str(tmp_path / "out.safetensors")]) == 1
    assert "convert" not in str(error.value)


# Reasons -------------------------------------------------------------------------------------------------------------


def write_picture(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, format="PNG")


WRONG_TOKENS = {
    "picture.png": write_picture,
    "picture.npz": write_picture,
    "array.npy": lambda path: np.save(path, np.zeros(3)),
    "objects.npy": lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    "objects.npz": lambda path: np.savez(
        path, indices=np.array([{}], dtype=object), known=np.zeros(1), codebook=np.zeros(1)
    ),
    "other.npz": lambda path: np.savez(path, a=np.zeros(3)),
    "empty.npz": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_what_is_no_file_of_tokens_is_said_so_without_a_word_on_pickles(name, tmp_path, capsys):
    path = tmp_path / name
    WRONG_TOKENS[name](path)
    message = refusal(["decode", str(path), "--vqgan", VQGAN, "--out", str(tmp_path / "out")], capsys)
    assert f"{name} is not a file that `encode` wrote" in message and "pickle" not in message


def test_a_missing_file_is_missing_in_a_folder_that_has_a_name(tmp_path, monkeypatch, capsys):
    """It was said to be missing in `..`, the full stop being the second dot."""
    monkeypatch.chdir(tmp_path)
    message = refusal(["inspect", "gone.ckpt"], capsys)
    assert message == f"error: gone.ckpt does not exist in {tmp_path}.\n"


def test_no_message_of_torch_that_advises_reading_unsafely_is_passed_on(tmp_path):
    """Where its safe reader gives up, torch says how to load the file all the same."""
    generator, path = np.random.default_rng(0), tmp_path / "x.ckpt"
    for _ in range(30):
        path.write_bytes(torch_bytes({"a": torch.ones(3)}, legacy=True)[:100] + generator.bytes(50))
        with pytest.raises(CheckpointError) as error:
            load_vqgan(path)
        assert "weights_only" not in str(error.value) and "torch.load" not in str(error.value)


# Names ---------------------------------------------------------------------------------------------------------------


def texts(file: Path) -> Iterator[str]:
    """Every text in a source file but docstrings, with {} in place of what is formatted."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    skipped |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def messages(file: Path) -> Iterator[str]:
    """The texts of what a source file raises and logs, and of the constants that it has for that."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    is_log = lambda node: isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("log.", "_log."))  # noqa: E731
    constants = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    for part in [node for node in ast.walk(tree) if isinstance(node, ast.Raise) or is_log(node)] + constants:
        for node in ast.walk(part):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(p.value) if isinstance(p, ast.Constant) else "{}" for p in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def schema_values(name: str) -> set[str]:
    """What the schemas of all nodes give as `name`, a keyword of theirs."""
    constants: dict[str, str] = {}
    found: set[str] = set()
    for file in sorted((ROOT / "nodes").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign):
                names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
                values = [v.value for v in ast.walk(node.value) if isinstance(v, ast.Constant)]
                constants |= dict(zip(names, map(str, values), strict=False))
            if isinstance(node, ast.keyword) and node.arg == name:
                found.add(ast.unparse(node.value))
    return {constants.get(value, value.strip("'")) for value in found}


def sockets_of_nodes() -> set[str]:
    """The ids of all inputs and outputs: the first argument of every `Input` and `Output`."""
    found = set()
    for file in sorted((ROOT / "nodes").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("Input", "Output")) and node.args:
                found.add(ast.unparse(node.args[0]).strip("'"))
    return found


NODE_NAMES = schema_values("display_name") | CORE_NODES
NODE_NAME = re.compile(
    r"\b(?:Load|Save|Train|Sample|Draw|Empty|Encode to|Decode|Forget|Pad|Boxes to|Transformer|Training|"
    r"Class|Prompt|Text|Image|Box)(?: [A-Z]\w+)+(?: \(Taming\))?"
)


def test_the_names_of_nodes_are_found():
    assert {"Load VQGAN", "Sample Tokens", "Class Condition (Taming)", "Train Token Transformer"} <= NODE_NAMES
    assert {"vqgan_name", "label", "recipe", "overrides"} <= sockets_of_nodes()


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_node_that_a_message_names_has_that_name(file):
    named = {name for text in messages(file) for name in NODE_NAME.findall(text)}
    assert named <= NODE_NAMES


def test_every_input_that_a_message_names_is_one():
    known = sockets_of_nodes()
    for file in sorted((ROOT / "nodes").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "blaming"
                and isinstance(node.args[0], ast.Constant)
            ):
                assert node.args[0].value in known, file.name
        for text in messages(file):
            named = re.match(r"([a-z_]+): ", text)
            assert named is None or named[1] in known, (file.name, text)


def test_every_option_that_a_message_names_is_one():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    for command in COMMANDS:
        command.add(commands)
    options = {option for each in commands.choices.values() for option in each._option_string_actions}
    named = {name for file in SOURCES for text in messages(file) for name in re.findall(r"--[a-z][a-z0-9-]+", text)}
    assert {"--vqgan", "--palette", "--overwrite"} <= named <= options | CORE_OPTIONS


def test_every_setting_of_a_recipe_that_a_message_names_is_one():
    sections = {
        "data": [DataSettings],
        "condition": [ConditionSettings],
        "optimizer": [Optimizer],
        "model": [VQModelConfig, TransformerConfig],
        "loss": [VQGANLoss, TransformerLoss],
    }
    known = {f"{name}.{field.name}" for name, kinds in sections.items() for kind in kinds for field in fields(kind)}
    pattern = re.compile(rf"(?<![\w.])(?:{'|'.join(sections)})\.[a-z]\w*(?![\w(./])")
    texts_of_training = [
        t for file in SOURCES if "training" in file.parts or "nodes" in file.parts for t in texts(file)
    ]
    named = {name for text in texts_of_training for name in pattern.findall(text)}
    assert {"optimizer.lr", "loss.peaks", "model.n_embed"} <= named
    assert named - known - {"model.safetensors"} == set()
