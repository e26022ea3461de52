"""Procedural scenes: repeatable, in range, and consistent between picture, segments, depth and boxes."""

import numpy as np
import pytest

from taming.data import SCENE_CLASSES, SEGMENT_NAMES, ClassPainter, render_dataset, render_scene
from taming.data.scenes.class_palettes import blend_palette

LABELS = range(len(SCENE_CLASSES))
SIGNATURES = {
    "alpine": ("mountain", "tree"),
    "sunset_sea": ("water",),
    "desert": ("ground", "sun_moon"),
    "pine_forest": ("tree", "ground"),
    "night": ("water", "tree"),
    "winter": ("tree", "ground"),
    "aurora": ("mountain", "ground"),
    "beach": ("water", "ground", "tree"),
    "city_night": ("building",),
    "autumn": ("tree", "ground"),
    "volcano": ("mountain", "ground"),
    "canyon": ("mountain", "ground"),
}


def share_of(scene, name):
    return float((scene.segmentation == SEGMENT_NAMES.index(name)).mean())


@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_same_seed_repeats_every_output_and_another_seed_does_not(label):
    first, again, other = (render_scene(label, seed, 64, num_objects=2) for seed in (5, 5, 6))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.segmentation.tobytes() == again.segmentation.tobytes()
    assert first.depth.tobytes() == again.depth.tobytes()
    assert first.boxes == again.boxes
    assert np.abs(first.image.astype(int) - other.image).mean() > 1.0


@pytest.mark.parametrize("size_px", [64, 128])
@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_every_class_renders_with_the_promised_types_and_ranges(label, size_px):
    scene = render_scene(label, 3, size_px)
    assert scene.label == label
    assert scene.image.shape == (size_px, size_px, 3) and scene.image.dtype == np.uint8
    assert scene.segmentation.shape == (size_px, size_px) and scene.segmentation.dtype == np.uint8
    assert scene.depth.shape == (size_px, size_px) and scene.depth.dtype == np.float32
    assert scene.segmentation.max() < len(SEGMENT_NAMES)
    assert scene.depth.min() >= 0.0 and scene.depth.max() <= 1.0
    assert scene.image.std() > 10.0
    assert scene.boxes == ()


@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_every_class_shows_its_signature_segments(label):
    for seed in range(6):
        scene = render_scene(label, seed, 64)
        for name in (*SIGNATURES[SCENE_CLASSES[label]], "sky"):
            assert share_of(scene, name) > 0.002, (seed, name)


@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_sky_is_farthest_and_everything_on_land_or_water_is_nearer(label):
    scene = render_scene(label, 11, 64, num_objects=3)
    heavenly = np.isin(scene.segmentation, [SEGMENT_NAMES.index(name) for name in ("sky", "sun_moon", "cloud")])
    assert (scene.depth[heavenly] == 1.0).all()
    assert (scene.depth[~heavenly] < 1.0).all()


@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_a_scene_keeps_its_layout_at_another_size(label):
    small, large = (render_scene(label, 21, size).image.astype(float) for size in (64, 128))
    halved = large.reshape(64, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 6.0


@pytest.mark.parametrize("label", LABELS, ids=SCENE_CLASSES)
def test_boxes_enclose_all_object_pixels_and_touch_them_on_every_side(label):
    found = 0
    for seed in range(4):
        scene = render_scene(label, seed, 64, num_objects=3)
        objects = scene.segmentation == SEGMENT_NAMES.index("object")
        enclosed = np.zeros_like(objects)
        for box in scene.boxes:
            assert 0.0 <= box.x0 < box.x1 <= 1.0 and 0.0 <= box.y0 < box.y1 <= 1.0
            x0, y0, x1, y1 = (round(edge * 64) for edge in (box.x0, box.y0, box.x1, box.y1))
            inside = objects[y0:y1, x0:x1]
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
            enclosed[y0:y1, x0:x1] = True
        assert not (objects & ~enclosed).any()
        assert len(scene.boxes) <= 3
        found += len(scene.boxes)
    assert found > 0


def test_objects_leave_the_scenery_far_from_them_unchanged():
    bare, inhabited = render_scene(0, 2, 64), render_scene(0, 2, 64, num_objects=2)
    changed = (bare.image != inhabited.image).any(2)
    assert 0.0 < changed.mean() < 0.4
    scenery = inhabited.segmentation != SEGMENT_NAMES.index("object")
    assert (bare.segmentation == inhabited.segmentation)[scenery].all()


def test_dataset_does_not_depend_on_the_number_of_workers(tmp_path):
    painter = ClassPainter(size_px=32, first_seed=40)
    render_dataset(tmp_path / "alone", painter, 70)
    render_dataset(tmp_path / "shared", painter, 70, num_workers=2)
    for name in ("images.npy", "notes.json"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "shared" / name).read_bytes()
    images = np.load(tmp_path / "alone" / "images.npy")
    assert images.shape == (70, 32, 32, 3)
    assert (images[66] == render_scene(66 % len(SCENE_CLASSES), 106, 32).image).all()
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"label": 12}, r"label 12.*0 \(alpine\) to 11 \(canyon\).*Choose"),
        ({"label": -1}, r"label -1.*Choose"),
        ({"size_px": 100}, r"100 px.*multiple of 16.*Try 96"),
        ({"size_px": 0}, r"0 px.*multiple of 16.*Try 32"),
        ({"seed": -3}, r"seed is -3.*Use 0 or more"),
        ({"num_objects": -1}, r"-1 objects.*Use 0 or more"),
    ],
)
def test_a_bad_request_says_what_was_found_and_what_to_do(request_, message):
    with pytest.raises(ValueError, match=message):
        render_scene(**{"label": 0, "seed": 0, **request_})


def test_an_empty_dataset_is_refused_before_any_file_is_written(tmp_path):
    with pytest.raises(ValueError, match="0 scenes from 1 workers"):
        render_dataset(tmp_path / "none", ClassPainter(), 0)
    assert not (tmp_path / "none").exists()


def test_a_dataset_of_an_impossible_size_leaves_no_images_behind(tmp_path):
    with pytest.raises(ValueError, match="multiple of 16"):
        render_dataset(tmp_path / "none", ClassPainter(size_px=50), 4)
    assert not list(tmp_path.rglob("*.npy*"))


def test_palettes_of_one_class_stay_closer_than_those_of_another():
    def sky(name, seed):
        palette = blend_palette(name, np.random.default_rng(seed))
        return np.stack([palette.zenith, palette.horizon])

    within = max(np.abs(sky("alpine", 0) - sky("alpine", seed)).mean() for seed in range(1, 20))
    across = min(np.abs(sky("alpine", 0) - sky("night", seed)).mean() for seed in range(20))
    assert within < across
