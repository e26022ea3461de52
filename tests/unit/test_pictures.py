"""Pictures as training data: every kind of file decodes as it looks, and a user's bad day is told, never fatal."""

from __future__ import annotations

import io
import os
import random
import sys
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from taming.data import (
    OBJECT_NAMES,
    SCENE_CLASSES,
    ArrayDataset,
    PictureCache,
    PictureFolder,
    PictureList,
    SceneDataset,
    read_shards,
    render_dataset,
    render_scene,
)
from taming.data.decode import UNREADABLE_PICTURE, decode_picture
from taming.data.picture_scan import natural_key
from taming.data.scene_objects import INHABITANTS
from taming.errors import TamingError

FORMATS = ("png", "jpeg", "webp", "bmp", "tiff", "gif")


def photo(value=0, size=(48, 40)):
    """A picture whose mean color tells `value`, 0 to 999."""
    width, height = size
    pixels = np.full((height, width, 3), (value % 10 * 25, value // 10 % 10 * 25, value // 100 * 25), np.uint8)
    return Image.fromarray(pixels)


def told(image):
    """The value that `photo` was given."""
    red, green, blue = (round(float(mean) / 25) for mean in image.reshape(-1, 3).mean(0))
    return red + 10 * green + 100 * blue


def save(folder, names, start=0):
    for value, name in enumerate(names, start):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        photo(value).save(folder / name)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@contextmanager
def an_ordinary_user():
    """Root may read everything, so under root this goes on as somebody who may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)


@pytest.fixture
def open_folder():
    """A folder that every user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


# Folders


def test_nested_folders_are_read_in_the_order_that_people_count_in(tmp_path):
    save(tmp_path, ["a/2.png", "a/10.png", "a/b/1.jpg", "B/1.PNG", "c 1/x y.webp", "z.bmp", "1.tif", "1.gif"])
    (tmp_path / "notes.md").write_text("not a picture")
    (tmp_path / "._2.png").write_text("left by macOS")
    pictures = PictureFolder(tmp_path)
    assert [told(sample.image) for sample in pictures] == [7, 6, 0, 1, 2, 3, 4, 5]
    assert pictures.skipped == () and pictures.class_names == ()
    assert pictures[-1].image.tobytes() == pictures[7].image.tobytes()
    with pytest.raises(IndexError):
        pictures[8]


def test_natural_order_counts_numbers_and_is_total():
    names = ["img10", "img2", "IMG1", "img01", "img1", "a"]
    assert sorted(names, key=natural_key) == ["a", "IMG1", "img01", "img1", "img2", "img10"]


def test_labels_come_from_the_top_folders_and_captions_from_text_files_beside(tmp_path):
    save(tmp_path, ["dog/a.png", "cat/deep/b.png", "loose.png"])
    (tmp_path / "dog/a.txt").write_text("\ufeff a d\u00f6g, asleep \n", encoding="utf-8")
    pictures = PictureFolder(tmp_path, labels="folders")
    assert pictures.class_names == ("cat", "dog")
    assert [(told(s.image), s.label, s.caption) for s in pictures] == [(1, 0, None), (0, 1, "a d\u00f6g, asleep")]
    assert [(skipped.path, skipped.reason) for skipped in pictures.skipped] == [("loose.png", "it has no label")]
    assert [sample.label for sample in PictureFolder(tmp_path)] == [None] * 3


def test_a_table_gives_labels_and_what_it_does_not_fit_is_listed(tmp_path):
    names = ["a b.png", "sub/b.png", "caf\u00e9.png", "unlabeled.png", "blank.png", "torn.png"]
    save(tmp_path, names)
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufefffile, label ,note\r\na b.png,10,x\r\nsub\\b.png,2\r\ncafe\u0301.png,2\r\nblank.png,\r\n"
        "gone.png,2\r\ntorn.png,2\r\ntorn.png,10\r\n\r\nalone\r\n",
        encoding="utf-8",
    )
    pictures = PictureFolder(tmp_path, labels=table)
    assert pictures.class_names == ("2", "10")
    assert [(told(sample.image), sample.label) for sample in pictures] == [(0, 1), (2, 0), (1, 0)]
    reasons = {skipped.path: skipped.reason for skipped in reversed(pictures.skipped)}
    assert set(reasons) == {"unlabeled.png", "blank.png", "gone.png", "torn.png", "alone"}
    assert "no label" in reasons["unlabeled.png"] and "no such picture" in reasons["gone.png"]
    assert any("'2' and '10'" in skipped.reason for skipped in pictures.skipped)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file.*file,label"),
        (b"picture;class\na.png;1\n", "picture;class.*separated by commas"),
        (b"file,label\n\xff\xfe,1\n", "cannot be read.*UTF-8"),
        (None, "cannot be read.*file,label"),
    ],
)
def test_a_table_that_is_none_says_what_it_should_be(tmp_path, content, message):
    save(tmp_path, ["a.png"])
    if content is not None:
        (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(TamingError, match=message):
        PictureFolder(tmp_path, labels=tmp_path / "labels.csv")


def test_a_table_without_any_fitting_row_says_so(tmp_path):
    save(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("file,label\nb.png,1\n")
    with pytest.raises(TamingError, match=r"None of the 1 pictures.*a\.png: it has no label"):
        PictureFolder(tmp_path, labels=tmp_path / "labels.csv")


def test_an_empty_or_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(TamingError, match="holds no pictures .png jpg.*Put some there"):
        PictureFolder(tmp_path)
    with pytest.raises(TamingError, match="is not a folder"):
        PictureFolder(tmp_path / "nowhere")
    (tmp_path / "IMG_1.HEIC").write_bytes(b"from a telephone")
    with pytest.raises(TamingError, match="IMG_1.HEIC: .heic files are not read; save it as JPEG"):
        PictureFolder(tmp_path)


def test_class_folders_asked_for_where_there_are_none_are_explained(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    with pytest.raises(TamingError, match="None of the 2 pictures.*each class into a folder of its own"):
        PictureFolder(tmp_path, labels="folders")


def test_one_picture_is_a_data_set(tmp_path):
    save(tmp_path, ["only.png"])
    assert [told(sample.image) for sample in PictureFolder(tmp_path)] == [0]


def test_a_thousand_pictures_with_three_percent_broken_give_the_others_and_a_list(tmp_path):
    data = [encoded(photo(value), "png") for value in range(1000)]
    rng = random.Random(0)
    broken = sorted(rng.sample(range(1000), 30))
    for value, content in enumerate(data):
        if value in broken:
            content = [b"", b"not a picture at all", encoded(photo(value, (20, 60)), "png")][value % 3]
        (tmp_path / f"{value:04}.png").write_bytes(content)
    pictures = PictureFolder(tmp_path)
    assert [int(skipped.path[:4]) for skipped in pictures.skipped] == broken
    assert {skipped.reason for skipped in pictures.skipped} == {
        "the file is empty",
        "it is not a picture, or damaged from the start",
        "20x60 px is smaller than 32 px",
    }
    assert [told(sample.image) for sample in pictures] == [value for value in range(1000) if value not in broken]


def test_a_file_cut_short_is_found_when_it_is_used_and_its_neighbor_takes_its_place(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for kind in ("png", "jpeg", "webp"):
        whole = encoded(noise, kind)
        (tmp_path / f"1.{kind}").write_bytes(whole[: len(whole) // 2])
    save(tmp_path, ["0.png", "2.png"])
    pictures = PictureFolder(tmp_path)
    assert len(pictures) >= 4
    assert [told(sample.image) for sample in pictures] == [0, *[1] * (len(pictures) - 1)]
    found = {entry.path for entry in (*pictures.broken, *pictures.skipped)}
    assert found == {"1.png", "1.jpeg", "1.webp"}


def test_a_file_that_vanishes_is_replaced_by_the_next_with_its_label_and_counted_once(tmp_path):
    save(tmp_path, ["a/1.png", "a/2.png", "b/3.png"])
    pictures = PictureFolder(tmp_path, labels="folders")
    before = pictures.fingerprint
    (tmp_path / "b/3.png").unlink()
    (tmp_path / "a/2.png").unlink()
    for _ in range(3):
        assert [(told(sample.image), sample.label) for sample in pictures] == [(0, 0)] * 3
    assert [(entry.path, entry.reason) for entry in pictures.broken] == [
        ("a/2.png", "it is not there"),
        ("b/3.png", "it is not there"),
    ]
    assert pictures.fingerprint == before
    (tmp_path / "a/1.png").unlink()
    with pytest.raises(TamingError, match=r"None of the 3 pictures can be read any more.*drive"):
        pictures[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_folder_or_file_without_permission_is_listed_and_the_rest_is_used(open_folder):
    save(open_folder, ["a/1.png", "b/2.png", "3.png"])
    os.chmod(open_folder / "a", 0)
    os.chmod(open_folder / "3.png", 0)
    with an_ordinary_user():
        pictures = PictureFolder(open_folder)
        assert [told(sample.image) for sample in pictures] == [1]
    os.chmod(open_folder / "a", 0o755)
    assert {entry.path: entry.reason for entry in pictures.skipped} == {
        "a": "there is no permission to read it",
        "3.png": "there is no permission to read it",
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_data_folder_that_may_not_be_entered_says_so(open_folder):
    save(open_folder, ["in/1.png"])
    os.chmod(open_folder / "in", 0)
    with an_ordinary_user(), pytest.raises(TamingError, match="no permission"):
        PictureFolder(open_folder / "in")
    os.chmod(open_folder / "in", 0o755)


@pytest.mark.skipif(os.name == "nt", reason="names on Windows are always text")
def test_names_of_any_letters_or_none_are_read_and_can_be_printed(tmp_path):
    save(tmp_path, ["with space.png", "\u9ce5 \u00e9t\u00e9.png"])
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    Path(os.fsdecode(raw)).write_bytes(b"broken")
    pictures = PictureFolder(tmp_path)
    assert len(pictures) == 2
    assert pictures.skipped[0].path.encode("utf-8").startswith(b"\\udcff")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_linked_folders_are_followed_and_a_link_back_does_not_go_round_for_ever(tmp_path):
    save(tmp_path, ["data/1.png", "elsewhere/2.png"])
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/back").symlink_to(tmp_path / "data")
    assert sorted(told(sample.image) for sample in PictureFolder(tmp_path / "data")) == [0, 1]


def test_a_caption_that_is_no_text_is_listed_and_its_picture_used(tmp_path):
    save(tmp_path, ["a.png", "b.png"])
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "b.txt").write_text("  \n")
    pictures = PictureFolder(tmp_path)
    assert [sample.caption for sample in pictures] == [None, None]
    assert [skipped.path for skipped in pictures.skipped] == ["a.txt"]


def test_the_fingerprint_follows_what_training_sees_and_not_where_it_lies(tmp_path):
    save(tmp_path / "one", ["a/1.png", "b/2.png"])
    first = PictureFolder(tmp_path / "one")
    labeled = PictureFolder(tmp_path / "one", labels="folders")
    (tmp_path / "one").rename(tmp_path / "moved")
    assert PictureFolder(tmp_path / "moved").fingerprint == first.fingerprint != labeled.fingerprint
    (tmp_path / "moved/a/1.txt").write_text("a caption")
    captioned = PictureFolder(tmp_path / "moved").fingerprint
    os.utime(tmp_path / "moved/b/2.png", (1, 1))
    touched = PictureFolder(tmp_path / "moved").fingerprint
    assert len({first.fingerprint, captioned, touched}) == 3


def test_many_threads_read_the_same_pictures_as_one(tmp_path):
    save(tmp_path, [f"{number}.png" for number in range(30)])
    pictures = PictureFolder(tmp_path)
    (tmp_path / "7.png").unlink()
    order = [number % 30 for number in range(300)]
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda number: told(pictures[number].image), order))
    assert values == [8 if number == 7 else number for number in order]
    assert [entry.path for entry in pictures.broken] == ["7.png"]


# Lists


def test_a_list_keeps_its_order_and_its_paths_may_be_relative_or_absolute(tmp_path):
    save(tmp_path, ["a.png", "sub/b.png", "c.png"])
    (tmp_path / "c.txt").write_text("the third")
    (tmp_path / "train.list").write_text(f"c.png\n\n{tmp_path / 'a.png'}\nsub/b.png\nc.png\ngone.png\n")
    pictures = PictureList(tmp_path / "train.list")
    assert [told(sample.image) for sample in pictures] == [2, 0, 1, 2]
    assert pictures[0].caption == "the third"
    assert [(entry.path, entry.reason) for entry in pictures.skipped] == [("gone.png", "it is not there")]


def test_a_list_that_is_missing_or_empty_says_what_to_do(tmp_path):
    with pytest.raises(TamingError, match="one path per line"):
        PictureList(tmp_path / "none.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(TamingError, match="holds no pictures"):
        PictureList(tmp_path / "empty.txt")


# Decoding


def decoded(image, kind="png", **options):
    return decode_picture(io.BytesIO(encoded(image, kind, **options)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_their_camera_was_held(orientation):
    pixels = np.zeros((48, 40, 3), np.uint8)
    pixels[:24, :20] = 255  # white at the upper left, as it should look
    upright = Image.fromarray(pixels)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    stored = upright
    for step in undo.get(orientation, []):
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decoded(stored, "png", exif=exif) == pixels).all()


def test_sixteen_bits_keep_their_shades_instead_of_turning_white():
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    expected = np.repeat((levels >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert (decoded(Image.fromarray(levels)) == expected).all()
    assert (decoded(Image.fromarray(levels), "tiff") == expected).all()
    assert (decoded(Image.fromarray(levels.astype(np.int32)), "tiff") == expected).all()


def test_palettes_gray_bits_and_inks_look_like_the_picture_that_was_saved():
    picture = photo(248)
    expected = np.array(picture)
    for kind, mode, slack in (("png", "P", 0), ("gif", "P", 0), ("jpeg", "CMYK", 6), ("tiff", "CMYK", 1)):
        converted = picture.quantize(16) if mode == "P" else picture.convert(mode)
        assert np.abs(decoded(converted, kind).astype(int) - expected).max() <= slack, (kind, mode)
    gray = np.arange(200, dtype=np.uint8).repeat(10).reshape(40, 50)
    assert (decoded(Image.fromarray(gray)) == gray[..., None]).all()
    assert set(np.unique(decoded(Image.fromarray(gray > 99)))) == {0, 255}


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_white_whatever_color_lies_beneath(mode):
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    picture.paste((200, 200, 200, 255), (0, 0, 20, 40))
    if mode == "P":
        data = io.BytesIO()
        picture.save(data, "gif", transparency=0)
        pixels = decode_picture(io.BytesIO(data.getvalue()))
    else:
        pixels = decoded(picture.convert(mode))
    assert np.abs(pixels[:, :20].astype(int) - 200).max() <= 8
    assert (pixels[:, 20:] == 255).all()


def test_of_an_animation_the_first_frame_is_taken():
    frames = [photo(value) for value in (111, 555, 999)]
    for kind in ("gif", "webp", "tiff", "png"):
        pixels = decoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert told(pixels) == 111, kind


def test_pixels_of_unknown_range_are_refused_with_a_reason(tmp_path):
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "depth.tif")
    Image.fromarray(np.full((40, 40), 10**6, np.int32)).save(tmp_path / "wide.tif")
    save(tmp_path, ["z.png"])
    pictures = PictureFolder(tmp_path)
    assert [told(sample.image) for sample in pictures] == [0, 0, 0]
    reasons = {entry.path: entry.reason for entry in pictures.broken}
    assert "unknown range" in reasons["depth.tif"] and "more than 16 bits" in reasons["wide.tif"]


@pytest.mark.filterwarnings("ignore")  # Pillow warns of much that it then refuses, and of some that it reads
@pytest.mark.parametrize("kind", FORMATS)
def test_damage_anywhere_in_a_file_raises_nothing_but_what_is_caught(kind):
    rng = random.Random(kind)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (33, 35, 3), np.uint8))
    whole = encoded(noise, kind)
    failures = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(min(len(data), rng.choice([64, 512, len(data)])))] = rng.randrange(256)
        data = data[: rng.choice([len(data), rng.randrange(len(data))])]
        try:
            pixels = decode_picture(io.BytesIO(bytes(data)))
            assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
        except UNREADABLE_PICTURE:
            failures += 1
    assert failures


# Kept on disk


def test_pictures_kept_on_disk_are_those_of_the_files_at_their_size(tmp_path):
    for number, size in enumerate([(64, 40), (40, 90), (33, 33)]):
        (tmp_path / "in").mkdir(exist_ok=True)
        photo(number, size).save(tmp_path / f"in/{number}.png")
    (tmp_path / "in/1.txt").write_text("second")
    cache = PictureCache(tmp_path / "cache", 32)
    pictures = PictureFolder(tmp_path / "in", cache=cache)
    assert [sample.image.shape for sample in pictures] == [(32, 51, 3), (72, 32, 3), (32, 32, 3)]
    assert [(told(sample.image), sample.caption) for sample in pictures] == [(0, None), (1, "second"), (2, None)]
    for file in (tmp_path / "in").glob("*.png"):
        content = file.stat()
        file.write_bytes(b"x" * content.st_size)
        os.utime(file, ns=(content.st_atime_ns, content.st_mtime_ns))
    assert len(list((tmp_path / "cache").iterdir())) == 2
    with pytest.raises(TamingError):  # the files are gone, so what came before came from the cache alone
        PictureFolder(tmp_path / "in", cache=cache)
    assert [told(sample.image) for sample in pictures] == [0, 1, 2]


def test_kept_pictures_are_used_again_until_something_changes(tmp_path):
    save(tmp_path / "in", ["0.png", "1.png", "2.png"])
    cache = PictureCache(tmp_path / "cache", 32)
    PictureFolder(tmp_path / "in", cache=cache)
    (data,) = (tmp_path / "cache").glob("*.bin")
    made = data.stat().st_mtime_ns
    PictureFolder(tmp_path / "in", cache=cache)
    assert data.stat().st_mtime_ns == made
    photo(7).save(tmp_path / "in/1.png")
    assert [told(sample.image) for sample in PictureFolder(tmp_path / "in", cache=cache)] == [0, 7, 2]
    PictureFolder(tmp_path / "in", cache=PictureCache(tmp_path / "cache", 36))
    assert len(list((tmp_path / "cache").glob("*.bin"))) == 3


@pytest.mark.parametrize("harm", ["flip a bit", "cut", "no index", "garbage index"])
def test_kept_pictures_that_are_damaged_are_made_again(tmp_path, harm):
    save(tmp_path / "in", ["0.png", "1.png"])
    cache = PictureCache(tmp_path / "cache", 32)
    PictureFolder(tmp_path / "in", cache=cache)
    (data,) = (tmp_path / "cache").glob("*.bin")
    content = bytearray(data.read_bytes())
    if harm == "flip a bit":
        content[100] ^= 64
        data.write_bytes(content)
    elif harm == "cut":
        data.write_bytes(content[:-5])
    elif harm == "no index":
        data.with_suffix(".json").unlink()
    else:
        data.with_suffix(".json").write_text('{"crc32": 0, "index": [[1]]')
    pictures = PictureFolder(tmp_path / "in", cache=cache)
    assert [told(sample.image) for sample in pictures] == [0, 1]
    assert data.read_bytes() == b"".join(sample.image.tobytes() for sample in pictures)


def test_a_replaced_picture_stays_replaced_and_noted_when_the_cache_is_opened_again(tmp_path):
    save(tmp_path / "in", ["a/0.png", "b/1.png"])
    content = (tmp_path / "in/a/0.png").read_bytes()
    (tmp_path / "in/a/0.png").write_bytes(content[: len(content) - 30])
    for _ in range(2):
        pictures = PictureFolder(tmp_path / "in", labels="folders", cache=PictureCache(tmp_path / "cache", 32))
        assert [(told(sample.image), sample.label) for sample in pictures] == [(1, 1), (1, 1)]
        assert [entry.path for entry in pictures.broken] == ["a/0.png"]


def test_a_cache_folder_that_cannot_be_written_says_so(tmp_path):
    save(tmp_path / "in", ["0.png"])
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(TamingError, match="cannot be stored.*another folder"):
        PictureFolder(tmp_path / "in", cache=PictureCache(tmp_path / "taken", 32))


# Arrays and scenes


def test_arrays_of_one_or_many_sizes_are_data():
    stack = np.stack([np.array(photo(value)) for value in range(3)])
    several = [np.array(photo(3)), np.array(photo(4, (90, 33)))]
    data = ArrayDataset(stack, labels=[1, 0, 1], captions=["x", "y", "z"], class_names=("no", "yes"))
    assert [(told(s.image), s.label, s.caption) for s in data] == [(0, 1, "x"), (1, 0, "y"), (2, 1, "z")]
    assert [sample.image.shape for sample in ArrayDataset(several)] == [(40, 48, 3), (33, 90, 3)]


def test_the_fingerprint_of_arrays_is_their_content():
    def stack():
        return np.stack([np.array(photo(value)) for value in range(3)])

    changed = stack()
    changed[2, 39, 47, 2] += 1
    same = ArrayDataset(stack()).fingerprint
    assert ArrayDataset(list(stack())).fingerprint == same
    others = [
        ArrayDataset(changed),
        ArrayDataset(stack().reshape(3, 48, 40, 3)),
        ArrayDataset(stack(), labels=[0, 0, 0]),
        ArrayDataset(stack(), captions=["a", "b", "\u00e9"]),
    ]
    assert len({same, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": []}, "no pictures"),
        ({"images": np.zeros((2, 8, 8, 3), np.float32)}, "float32.*uint8"),
        ({"images": [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8)]}, r"Picture 2.*\(8, 8\)"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [1]}, "2 pictures and 1 labels"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "captions": ["a"] * 3}, "2 pictures and 3 captions"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [0, 2], "class_names": ("a", "b")}, "0 to 2.*2 class"),
        ({"images": np.zeros((2, 8, 8, 3), np.uint8), "labels": [0, -1]}, "-1 to 0"),
    ],
)
def test_arrays_that_are_no_pictures_are_refused(arguments, message):
    with pytest.raises(TamingError, match=message):
        ArrayDataset(**arguments)


def test_scenes_from_disk_come_with_the_maps_and_boxes_of_their_pictures(tmp_path):
    render_dataset(tmp_path, 14, size_px=32, first_seed=40, num_objects=3)
    data = SceneDataset(tmp_path, first_seed=40, num_objects=3, has_maps=True)
    assert len(data) == 14 and data.class_names == SCENE_CLASSES
    num_boxes = 0
    for index, sample in enumerate(data):
        scene = render_scene(index % len(SCENE_CLASSES), 40 + index, 32, num_objects=3)
        assert sample.label == scene.label
        assert (sample.image == scene.image).all()
        assert (sample.segmentation == scene.segmentation).all() and (sample.depth == scene.depth).all()
        for box, known in zip(sample.boxes, scene.boxes, strict=True):
            assert OBJECT_NAMES[box.label] == known.name
            assert (box.x, box.y) == (known.x0, known.y0)
            assert (box.x + box.width, box.y + box.height) == pytest.approx((known.x1, known.y1))
            num_boxes += 1
    assert num_boxes
    plain = SceneDataset(tmp_path, first_seed=40, num_objects=3)[5]
    assert (plain.image == data[5].image).all() and plain.segmentation is None and plain.boxes == ()


def test_scenes_of_another_seed_or_number_of_objects_are_not_taken_for_their_own(tmp_path):
    render_dataset(tmp_path, 13, size_px=32, first_seed=40)
    SceneDataset(tmp_path, first_seed=40)
    for other in ({"first_seed": 0}, {"first_seed": 40, "num_objects": 4}):
        with pytest.raises(TamingError, match="not those from seed"):
            SceneDataset(tmp_path, **other)
    with pytest.raises(TamingError, match="render_dataset"):
        SceneDataset(tmp_path / "none")


def test_every_object_of_a_scene_has_a_label():
    assert set(OBJECT_NAMES) == {name for names in INHABITANTS.values() for name in names}


# Shards


def shard(path, values, extra=()):
    """A tar file as WebDataset lays them out."""
    members = [(f"{value:03}.png", encoded(photo(value), "png")) for value in values]
    members += [(f"{value:03}.cls", str(value % 3).encode()) for value in values]
    members += [(f"{value:03}.txt", f"number {value}\n".encode()) for value in values]
    with tarfile.open(path, "w") as tar:
        for name, content in (*sorted(members), *extra):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_shards_give_every_picture_once_in_an_order_that_follows_the_seed(tmp_path):
    pytest.importorskip("webdataset")
    shards = [shard(tmp_path / f"{part}.tar", range(part * 10, part * 10 + 10)) for part in range(3)]
    orders = []
    for seed in (1, 1, 2):
        samples = list(read_shards(shards, np.random.default_rng(seed)))
        assert all(s.label == told(s.image) % 3 and s.caption == f"number {told(s.image)}" for s in samples)
        orders.append([told(sample.image) for sample in samples])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(30)) != orders[0]


def test_damage_in_a_shard_costs_what_is_damaged_only(tmp_path):
    pytest.importorskip("webdataset")
    good = shard(tmp_path / "good.tar", [1], [("005.png", b"broken"), ("006.txt", b"no picture"), ("007.cls", b"x")])
    cut = shard(tmp_path / "cut.tar", range(20, 30))
    cut.write_bytes(cut.read_bytes()[:4000])
    (tmp_path / "none.tar").write_bytes(b"not a tar file")
    samples = read_shards([good, cut, tmp_path / "none.tar"], np.random.default_rng(0))
    values = {told(sample.image) for sample in samples}
    assert 1 in values and values <= {1, *range(20, 30)}
    assert 20 in values


def test_a_shard_that_would_be_a_command_or_an_address_is_refused():
    pytest.importorskip("webdataset")
    for name in ("pipe:echo", "https://example.org/0.tar", "missing.tar"):
        with pytest.raises(TamingError, match="not a file on this machine"):
            next(read_shards([Path(name)], np.random.default_rng(0)))


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(TamingError, match="pip install webdataset"):
        next(read_shards([], np.random.default_rng(0)))
