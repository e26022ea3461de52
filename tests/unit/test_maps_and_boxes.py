"""Pictures with maps and boxes from files: the right one for each, in step with every crop, clear words when amiss."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taming.data import BoxedPictures, CenterCrop, Compose, Flip, MappedPictures, PictureFolder, ResizeShorter
from taming.errors import TamingError

SIZE = (48, 40)  # width, height


def gradient(number: int) -> np.ndarray:
    """A map (H, W) uint8 of the labels 0 to 5, another one for every number."""
    columns = np.arange(SIZE[0]) // 8
    return np.tile((columns + number) % 6, (SIZE[1], 1)).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Four pictures, gray as their maps are; and maps of all but the last."""
    pictures, maps = tmp_path / "pictures", tmp_path / "maps"
    for number, name in enumerate(["b", "sub/a", "sub/c", "d"]):
        for folder in (pictures, maps):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.repeat(gradient(number)[..., None] * 40, 3, 2)).save(pictures / f"{name}.png")
        if name != "d":
            Image.fromarray(gradient(number)).save(maps / f"{name}.png")
    return pictures, maps


def test_every_picture_has_its_own_map_through_crops_and_flips(folders, caplog):
    data = MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation")
    assert len(data) == 3 and "1 pictures have no map" in caplog.text
    augment = Compose((CenterCrop(32), Flip(0.5)))
    for index in range(3):
        sample = augment(data[index], np.random.default_rng(index))
        assert sample.segmentation.shape == (32, 32) and (sample.segmentation * 40 == sample.image[..., 0]).all()


def test_maps_of_another_size_are_scaled_without_mixing_labels(folders):
    small = Image.open(folders[1] / "b.png").resize((24, 20), Image.Resampling.NEAREST)
    small.save(folders[1] / "b.png")
    sample = MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation")[0]
    assert sample.file == "b.png" and (sample.segmentation == gradient(0)).all()


def test_a_palette_image_holds_labels_and_16_bits_hold_depth(folders):
    image = Image.fromarray(gradient(0)).convert("P")
    image.putdata(gradient(0).flatten().tolist())
    image.save(folders[1] / "b.png")
    assert (MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation")[0].segmentation == gradient(0)).all()
    Image.fromarray(gradient(0).astype(np.uint16) * 9000).save(folders[1] / "b.png")
    depth = MappedPictures(PictureFolder(folders[0]), folders[1], "depth")[0].depth
    assert depth.dtype == np.float32 and (depth == gradient(0) * 9000.0).all()


def test_a_changed_map_changes_the_fingerprint(folders):
    before = MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation").fingerprint
    Image.fromarray(gradient(5)[:-1]).save(folders[1] / "b.png")
    after = MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation").fingerprint
    assert before != after
    assert after != MappedPictures(PictureFolder(folders[0]), folders[1], "depth").fingerprint


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda maps: [file.unlink() for file in maps.rglob("*.png")], "None of the 4 pictures has a map.*b.png"),
        (lambda maps: Image.new("RGB", SIZE).save(maps / "b.png"), "mode RGB.*one value for each pixel"),
        (lambda maps: (maps / "b.png").write_bytes(b"nothing"), "cannot be read"),
    ],
)
def test_maps_that_are_none_are_told_so(folders, harm, message):
    harm(folders[1])
    with pytest.raises(TamingError, match=message):
        MappedPictures(PictureFolder(folders[0]), folders[1], "segmentation")[0]


def annotations(folder: Path, **changes: object) -> Path:
    """Boxes for two pictures, with ids and categories as COCO has them: in no order, with gaps."""
    document = {
        "images": [
            {"id": 7, "file_name": "sub/a.png", "width": 96, "height": 80},
            {"id": 3, "file_name": "b.png", "width": 48, "height": 40},
        ],
        "annotations": [
            {"image_id": 7, "category_id": 40, "bbox": [24, 20, 48, 40]},
            {"image_id": 7, "category_id": 5, "bbox": [-10, 0, 34, 80]},
            {"image_id": 7, "category_id": 5, "bbox": [10, 10, 0, 5]},
        ],
        "categories": [{"id": 40, "name": "tent"}, {"id": 5, "name": "boat"}],
    } | changes
    file = folder / "instances.json"
    file.write_text(json.dumps(document))
    return file


def test_boxes_are_fractions_of_the_annotated_size_and_labels_count_up(folders, tmp_path):
    data = BoxedPictures(PictureFolder(folders[0]), annotations(tmp_path))
    assert data.box_names == ("boat", "tent") and len(data) == 2
    first, second = data[0], data[1]
    assert first.file == "b.png" and first.boxes == ()
    told = [(box.label, box.x, box.y, box.width, box.height) for box in second.boxes]
    assert told == [(1, 0.25, 0.25, 0.5, 0.5), (0, 0.0, 0.0, 0.25, 1.0)]
    cropped = Compose((ResizeShorter(20), CenterCrop(16)))(second, np.random.default_rng(0))
    assert cropped.boxes == second.boxes and cropped.crop != second.crop


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": []}, "not in the format of COCO"),
        ({"images": [{"id": 7, "file_name": "x.png", "width": 9, "height": 9}]}, "lists none of the 4 pictures.*x.png"),
        ({"annotations": [{"image_id": 7}]}, "not in the format of COCO.*bbox"),
        ({"images": []}, "not in the format of COCO"),
    ],
)
def test_annotations_that_are_none_are_told_so(folders, tmp_path, changes, message):
    with pytest.raises(TamingError, match=message):
        BoxedPictures(PictureFolder(folders[0]), annotations(tmp_path, **changes))


def test_a_file_that_is_not_json_is_told_so(folders, tmp_path):
    (tmp_path / "boxes.json").write_text("nothing")
    with pytest.raises(TamingError, match="not in the format of COCO"):
        BoxedPictures(PictureFolder(folders[0]), tmp_path / "boxes.json")
    with pytest.raises(TamingError, match="cannot be read"):
        BoxedPictures(PictureFolder(folders[0]), tmp_path / "none.json")
