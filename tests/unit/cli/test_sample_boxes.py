"""Drawing by boxes on the command line, and by what a transformer does not know."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from taming import load_vqgan
from taming.checkpoints import save_checkpoint
from taming.cli import main
from taming.conditioning import BoxCondition, BoxFormat
from taming.models import Transformer, TransformerConfig


@pytest.fixture
def box_transformer(tmp_path: Path, small_vqgan: Path) -> Path:
    """A transformer of 4x4 tokens that is told objects."""
    first_stage, path = tmp_path / "box_first_stage.safetensors", tmp_path / "box_transformer.safetensors"
    save_checkpoint(load_vqgan(small_vqgan), first_stage)
    boxes = BoxFormat(num_classes=3, num_tokens=24, max_objects=2)
    condition = BoxCondition(class_names=("cat", "dog", "fish"), boxes=boxes)
    sizes = {"vocab_size": 24, "block_size": 24, "n_layer": 1, "n_head": 2, "n_embd": 16, "grid": (4, 4)}
    transformer = Transformer(TransformerConfig(**sizes, condition=condition))
    transformer.init_weights(torch.Generator().manual_seed(0))
    save_checkpoint(transformer, path, first_stage=first_stage)
    return path


def test_boxes_come_from_a_file_with_labels_by_name_or_number(box_transformer, tmp_path):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(
        '[{"label": "dog", "x": 0.1, "y": 0.2, "width": 0.5, "height": 0.5},'
        ' {"label": 2.0, "x": 0.5, "y": 0, "width": 0.4, "height": 1}]',
        encoding="utf-8-sig",  # as editors of Windows write it
    )
    arguments = ["sample", "--transformer", str(box_transformer), "--boxes", str(boxes), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "not valid JSON"),
        ('{"label": 1}', "expected a list of objects"),
        ('[{"label": "dog"}]', "object 1: expected label, x, y, width, height"),
        ('[{"label": "bird", "x": 0, "y": 0, "width": 1, "height": 1}]', "no class 'bird'"),
        ('[{"label": null, "x": 0, "y": 0, "width": 1, "height": 1}]', "object 1: expected label"),
        ('[{"label": 1, "x": 3, "y": 0, "width": 1, "height": 1}]', "Box 1"),
        (f'[{{"label": 1, "x": 1{"0" * 400}, "y": 0, "width": 1, "height": 1}}]', "for x, y, width and height"),
        (f'[{{"label": 1{"0" * 400}, "x": 0, "y": 0, "width": 1, "height": 1}}]', "no class 1000"),
        ('[{"label": 1, "x": "left", "y": 0, "width": 1, "height": 1}]', "as numbers from 0 to 1"),
    ],
)
def test_wrong_boxes_are_refused_in_words(text, words, box_transformer, tmp_path, capsys):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(text)
    assert main(["sample", "--transformer", str(box_transformer), "--boxes", str(boxes), "--out", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err


def test_a_model_that_needs_boxes_asks_for_the_option_that_gives_them(box_transformer, tmp_path, capsys):
    """It asked for an argument of a Python function."""
    assert main(["sample", "--transformer", str(box_transformer), "--out", str(tmp_path)]) == 1
    assert "error: The model draws by boxes and was given none. Give it --boxes." in capsys.readouterr().err


def test_a_condition_of_the_wrong_kind_is_refused_in_words(scene, tmp_path, capsys):
    assert main(["sample", "--depth", str(scene), "--out", str(tmp_path)]) == 1
    assert "error:" in capsys.readouterr().err
