"""What the figures of benchmarks/bench_landscapes.py rest on: edges, corners, colors, and attributes of scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.attribute_classifier import AttributeClassifier, attribute_loss, recognize
from benchmarks.attributes import NONE, Answers, Attributes, answer, balanced_accuracies, find_facts, list_attributes
from benchmarks.color_patches import (
    CELL_PX,
    NUM_HUES,
    color_errors,
    crop_edges,
    cut_chart,
    draw_chart,
    measure_colors,
    saturated_colors,
    to_lab,
)
from benchmarks.image_statistics import CORNER_PX, compare_corners, deviation, gradient_energy, measure_corner_contrast
from benchmarks.landscapes import held_out_facts, list_facts, read_facts, write_prompt
from benchmarks.prompt_sheet import draw_prompts
from benchmarks.reconstruction import judge_reconstruction, scale
from taming.data.scenes.captions import SYNONYMS
from taming.data.scenes.composition import COLORS, Thing, draw_composition

ATTRIBUTES = Attributes(words=("balloon", "night", "sea"), colored=("balloon", "sky"))


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_gradient_energy_is_the_squares_of_the_steps_of_an_image():
    stripes = torch.tensor([0.0, 0.5]).repeat(4).expand(2, 3, 6, 8)  # 7 steps of 0.5 in each of 6 rows
    assert gradient_energy(stripes) == pytest.approx(3 * 6 * 7 * 0.25)
    assert gradient_energy(torch.full((1, 3, 8, 8), 0.3)) == 0


def test_a_reconstruction_that_is_blurred_has_less_gradient_energy():
    real = noise(2, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(real, 3, 1, 1, count_include_pad=False)
    figures = judge_reconstruction(real, blurred, torch.zeros(2, 4, 4, dtype=torch.int64), 16, None)
    assert figures["gradient_energy_percent"] < 50
    assert (
        judge_reconstruction(real, real, torch.zeros(1, dtype=torch.int64), 16, None)["gradient_energy_percent"] == 100
    )


def test_the_corner_that_stands_out_is_named_and_the_others_stay_as_they_are():
    real = noise(4, 3, 96, 96)
    made = real.clone()
    made[:, :, :CORNER_PX, -CORNER_PX:] = 0.5 + 3 * (real[:, :, :CORNER_PX, -CORNER_PX:] - 0.5)
    found = measure_corner_contrast(real, {"made": made})["made"]
    assert found["upper right"] > 2
    assert all(value == pytest.approx(1, abs=0.2) for name, value in found.items() if name != "upper right")
    assert all(value == pytest.approx(1, abs=0.1) for value in compare_corners(real, deviation).values())


def test_patches_come_off_the_chart_in_the_order_of_their_colors():
    colors = saturated_colors(NUM_HUES)
    patches = cut_chart(draw_chart(colors, 256))
    assert torch.equal(patches, colors[:, :, None, None].expand(-1, -1, CELL_PX, CELL_PX))


def test_a_tokenizer_that_keeps_colors_has_no_error_and_one_that_grays_them_has(capsys: pytest.CaptureFixture[str]):
    figures = measure_colors({"same": (lambda x: (x, x), 2), "gray": (lambda x: (x * 0 + 0.5, x), 2)}, 256)
    assert max(figures["same"].values()) == pytest.approx(0, abs=1e-3)
    assert figures["gray"]["flat, of 255"] > 100
    assert figures["gray"]["chart, of 255"] == pytest.approx(figures["gray"]["flat, of 255"])
    assert "chart" in capsys.readouterr().out


def test_noise_counts_in_the_error_of_pixels_and_not_in_that_of_the_mean_color():
    colors = torch.full((1, 3), 0.5)
    patches = 0.5 + 0.2 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(20, 20).expand(1, 3, -1, -1)
    errors = color_errors(crop_edges(patches), colors)
    assert errors["of 255"] == pytest.approx(51)
    assert errors["CIE76"] == pytest.approx(0, abs=1e-3)


def test_lab_has_the_published_values_of_white_and_red():
    lab = to_lab(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[100.0, 0.0, 0.0], [53.24, 80.09, 67.20], [0.0, 0.0, 0.0]])
    assert torch.allclose(lab, expected, atol=0.1)


def test_images_are_scaled_down_and_up_to_the_size_they_had():
    image = torch.full((1, 3, 64, 64), 0.25)
    assert scale(image, None) is image
    assert scale(image, 64) is image
    small = scale(image, 32)
    assert small.shape == (1, 3, 32, 32)
    assert torch.allclose(scale(small, 64), image, atol=1e-6)


def test_facts_are_read_as_they_were_listed():
    facts = (Thing("sea"), Thing("night"), Thing("sky", "purple"), Thing("boat", "red"))
    assert list_facts(facts) == "sea, night, purple sky, red boat"
    assert read_facts(list_facts(facts)) == facts


def test_a_prompt_says_its_facts_and_leaves_out_others_but_never_words_that_do_not_meet_in_training():
    num_left_out = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        composition = draw_composition(rng, held_out=True)
        prompt = write_prompt(composition, rng)
        num_left_out += len(composition.facts) - len(prompt.facts)
        assert set(held_out_facts(composition.facts)) <= set(prompt.facts) <= set(composition.facts)
        assert len(held_out_facts(prompt.facts)) >= 2
        for fact in prompt.facts:
            assert any(word in prompt.text for word in (fact.name, *SYNONYMS.get(fact.name, ())))
            assert fact.color is None or fact.color in prompt.text
    assert num_left_out > 40


def scenes() -> list[tuple[Thing, ...]]:
    red, blue = Thing("balloon", "red"), Thing("balloon", "blue")
    return [(Thing("sea"), Thing("night"), red, Thing("sky", "blue")), (Thing("sea"), blue, Thing("sky", "pink"))]


def test_what_varies_and_is_not_too_rare_becomes_an_attribute():
    found = list_attributes(
        50 * [*scenes(), (Thing("desert"), Thing("sky", "blue"))] + [(Thing("castle", "red"), Thing("sky", "blue"))]
    )
    assert found == Attributes(("balloon", "desert", "night", "sea"), ("balloon", "sky"))
    assert found.names[-2:] == ("color of balloon", "color of sky")
    assert found.kinds == ("thing", "place", "time", "place", "color", "sky color")


def test_answers_say_what_is_there_and_in_which_color():
    answers = answer(ATTRIBUTES, scenes())
    assert answers.words.tolist() == [[True, True, True], [True, False, True]]
    colors = [[COLORS.index(color) for color in row] for row in (("red", "blue"), ("blue", "pink"))]
    assert answers.colors.tolist() == colors


def test_accuracy_is_balanced_and_nothing_is_claimed_of_what_is_rare():
    truth = Answers(torch.zeros(100, 3, dtype=torch.bool), torch.full((100, 2), NONE))
    truth.words[:20, 0] = True
    truth.words[:2, 2] = True
    truth.colors[:20, 0] = torch.tensor([0, 1]).repeat(10)
    seen = Answers(truth.words.clone(), truth.colors.clone())
    seen.words[:10, 0] = False  # half of the balloons are not seen
    seen.colors[:20, 0] = 0  # all of them look red
    assert balanced_accuracies(ATTRIBUTES, truth, seen) == {"balloon": 75.0, "color of balloon": 50.0}


def test_only_what_is_asked_for_and_known_is_looked_for():
    wanted = [(Thing("sea"), Thing("balloon", "red")), (Thing("sea"), Thing("night"), Thing("sky", "pink"))]
    seen = answer(ATTRIBUTES, [(Thing("sea"), Thing("balloon", "blue")), (Thing("sea"), Thing("sky", "pink"))])
    found = find_facts(ATTRIBUTES, ATTRIBUTES.names, wanted, seen)
    assert found["all"] == pytest.approx(100 * 4 / 6)
    assert (found["color"], found["sky color"], found["time"], found["whole prompts"]) == (0, 100, 0, 0)
    assert find_facts(ATTRIBUTES, ("sea", "color of sky"), wanted, seen)["whole prompts"] == 100


def test_the_classifier_sees_a_color_only_where_it_sees_the_thing_and_learns_from_both():
    torch.manual_seed(0)
    classifier = AttributeClassifier(ATTRIBUTES).eval()
    images = noise(3, 3, 160, 160)
    assert classifier.features(images).shape == (3, 512)
    loss = attribute_loss(*classifier(images), answer(ATTRIBUTES, [*scenes(), ()]))
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in classifier.parameters())
    torch.nn.init.constant_(classifier.words.bias, -100)
    answers = recognize(classifier, images)
    assert not answers.words.any()
    assert (answers.colors[:, 0] == NONE).all() and (answers.colors[:, 1] != NONE).all()  # the sky is always there


def test_a_sheet_has_room_for_all_samples_of_all_prompts(tmp_path: Path):
    file = draw_prompts(["a sea", "a lake", "a city"], noise(3, 4, 3, 32, 32), tmp_path / "sheet.png")
    with Image.open(file) as sheet:
        assert sheet.width > 2 * 4 * 32 and sheet.height > 2 * 32
