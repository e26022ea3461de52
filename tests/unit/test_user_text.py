"""What people type and paste: quotes, home folders and lists; and paths in files from any editor and system."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from photos import save, told
from taming.data import BoxedPictures, MappedPictures, PictureFolder, PictureList, PictureShards, open_pictures
from taming.errors import TamingError
from taming.user_text import split_list, unquote, user_path

# Names that a file system may have: of a list, each has a line of its own.
FILE_NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=30
).filter(lambda name: name not in (".", ".."))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder, with another one to work in."""
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("text", "bare"),
    [('"a b"', "a b"), ("'a'", "a"), ("\u201ca\u201d", "a"), ("\"a'", "\"a'"), ('"', '"'), ('""', ""), ("", "")],
)
def test_one_pair_of_quotes_is_left_out(text: str, bare: str):
    assert unquote(text) == bare


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("cats, dogs", ["cats", "dogs"]),
        ("cats,dogs,", ["cats", "dogs"]),
        ("cats,,dogs , ,", ["cats", "", "dogs"]),
        (" cats\r\n\r\ndogs,\rbirds\n", ["cats", "dogs", "birds"]),
        ("\"tench, Tinca tinca\", 'cats' ,dogs", ["tench, Tinca tinca", "cats", "dogs"]),
        ("rock 'n' roll, dog's, 5\" disk", ["rock 'n' roll", "dog's", '5" disk']),
        ("'open, dogs", ["'open", "dogs"]),
        ('"", cats', ["", "cats"]),
        ("", []),
        (" ,\n,", []),
    ],
)
def test_a_list_is_parted_by_commas_and_line_breaks(text: str, pieces: list[str]):
    assert split_list(text) == pieces


def test_a_path_may_be_in_quotes_in_the_home_folder_or_from_windows(home: Path):
    save(home / "pics", ["sub/a.png"])
    for text in ("~/pics", '"~/pics"', f'"{home / "pics"}"', f" {home}/pics ", "~\\pics", "'~/pics/'"):
        assert user_path(text) == home / "pics"
        assert len(open_pictures(text)) == 1
    assert user_path("pics", home) == user_path('"pics"', home) == user_path(" pics ", home) == home / "pics"
    assert user_path('"~/new"') == home / "new" and user_path("new ") == Path("new ")
    assert user_path("~nobody-of-this-name/x") == Path("~nobody-of-this-name/x")


@settings(max_examples=60, deadline=None)
@given(name=FILE_NAMES)
def test_a_folder_that_is_there_is_opened_by_its_very_name(name: str, tmp_path_factory: pytest.TempPathFactory):
    below = tmp_path_factory.mktemp("pictures")
    try:
        (below / name).mkdir()
    except OSError:  # too long for the file system, or a name that Windows keeps to itself
        return
    for decoy in {unquote(name), name.strip(), name.replace("\\", "")} - {name, ""}:
        (below / decoy).mkdir(exist_ok=True)
    assert user_path(name, below) == below / name
    assert user_path(os.path.join(below, name)) == below / name


@settings(max_examples=30, deadline=None)
@given(names=st.lists(FILE_NAMES, min_size=1, max_size=5, unique=True))
def test_a_list_names_any_files(names: list[str], tmp_path_factory: pytest.TempPathFactory):
    """Lines were cut at signs that only Python takes for line ends, and blanks around names were lost."""
    folder = tmp_path_factory.mktemp("list")
    there = [name for name in names if written(folder / f"{name}.png")]
    (folder / "list.txt").write_text("".join(f"{name}.png\n" for name in there), encoding="utf-8", newline="\r\n")
    if there:
        assert len(PictureList(folder / "list.txt")) == len(there)


def written(path: Path) -> bool:
    try:
        save(path.parent, [path.name])
    except OSError:
        return False
    return True


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_may_have_comments_quotes_backslashes_and_come_from_any_editor(home: Path, encoding: str):
    save(home, [f"caf\u00e9/{number}.png" for number in range(5)])
    save(home, ["#6.png", "a;b.png", "c #1.png"], start=6)
    lines = ["# mine", "", '"caf\u00e9/0.png"', "~/caf\u00e9/1.png", "caf\u00e9\\2.png", f"'{home}/caf\u00e9/3.png'"]
    lines += [
        "c #1.png",
        " caf\u00e9/4.png\t",
        "#6.png",
        "a;b.png",
        '"caf\u00e9/0.png",',
        "caf\u00e9/1.png;",
        "a;b.png # again",
    ]
    (home / "list.txt").write_text("\r\n".join(lines), encoding=encoding, newline="")
    pictures = open_pictures('"~/list.txt"')
    assert [told(sample.image) for sample in pictures] == [0, 1, 2, 3, 8, 4, 6, 7, 0, 1, 7]
    assert pictures.skipped == ()


TABLES = {
    "semicolons": "file;label\na.png;cat\nb, c.png;dog\n",
    "tabs": "file\tlabel\na.png\tcat\nb, c.png\tdog\n",
    "quotes": '"file","label"\n"a.png","cat"\n"b, c.png","dog"\n',
    "blanks before quotes": 'file, label\n"a.png", "cat"\n"b, c.png", "dog"\n',
    "headers in any case": "Note;LABEL; File\nx;cat;a.png\ny;dog;b, c.png\n",
    "what Excel writes first": "sep=;\nfile;label\na.png;cat\nb, c.png;dog\n",
    "comments": '# mine\nfile;label\n\n# "birds;1\na.png;cat\nb, c.png;dog\n',
    "old line ends": "file;label\ra.png;cat\rb, c.png;dog\r",
    "lone blanks": "file;label\n a.png ; cat \nb, c.png;dog\n;\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_a_table_is_read_as_any_spreadsheet_writes_it(tmp_path: Path, text: str, encoding: str):
    save(tmp_path, ["a.png", "b, c.png"])
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    pictures = PictureFolder(tmp_path, labels=f'"{tmp_path / "labels.csv"}"')
    assert [(sample.file, pictures.class_names[sample.label or 0]) for sample in pictures] == [
        ("a.png", "cat"),
        ("b, c.png", "dog"),
    ]
    assert pictures.skipped == ()


def test_a_table_names_files_exactly_first_then_as_any_system_writes_them(home: Path):
    save(home, ["sub/a.png", "b.png", " b.png", "#1.png", "'c'.png", "d.png"])
    rows = ["file,label", f"{home}/sub/a.png,1", "b.png,2", " b.png,3", "#1.png,4", "'c'.png,5", '"~/d.png",6']
    (home / "labels.csv").write_text("\n".join([*rows, "#2.png,7", "gone.png,8"]))
    pictures = PictureFolder(home, labels="~/labels.csv")
    found = {sample.file: pictures.class_names[sample.label or 0] for sample in pictures}
    assert found == {"sub/a.png": "1", "b.png": "2", " b.png": "3", "#1.png": "4", "'c'.png": "5", "d.png": "6"}
    assert [entry.path for entry in pictures.skipped] == ["gone.png"]
    assert "row 9 of labels.csv" in pictures.skipped[0].reason


def test_a_table_with_other_columns_says_which_it_needs(tmp_path: Path):
    save(tmp_path, ["a.png"])
    (tmp_path / "labels.csv").write_text("# pictures\nName;Class\na.png;1\n")
    with pytest.raises(TamingError, match=r"columns name;class. .*file,label, separated by commas, semicolons or tabs"):
        PictureFolder(tmp_path, labels=tmp_path / "labels.csv")


def test_maps_and_boxes_are_found_in_the_home_folder_and_by_names_from_windows(home: Path):
    save(home / "pics", ["sub/a.png", "b.png"])
    save(home / "maps", ["sub/a.png"])
    (home / "maps/sub/a.png").unlink()
    Image.new("L", (48, 40), 3).save(home / "maps/sub/a.png")
    mapped = MappedPictures(PictureFolder("~/pics"), '"~/maps"', "segmentation")
    assert len(mapped) == 1 and (mapped[0].segmentation == 3).all()
    box = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 24, 40]}
    images = [{"id": 1, "file_name": "sub\\a.png", "width": 48, "height": 40}]
    document = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "cat"}]}
    (home / "boxes.json").write_text(json.dumps(document), encoding="utf-8-sig")
    boxed = BoxedPictures(PictureFolder("~/pics"), "~/boxes.json")
    assert len(boxed) == 1 and boxed[0].boxes[0].width == 0.5


def test_shards_with_brackets_in_their_names_are_found(home: Path):
    save(home, ["0.png"])
    for name in ("[best] 1.tar", "[best] 2.tar", "b 1.tar"):
        with tarfile.open(home / name, "w") as tar:
            tar.add(home / "0.png", "0.png")
    assert len(PictureShards(f"{home}/[best] 1.tar")) == 1
    assert len(PictureShards('"~/[best] *.tar"')) == 2
    assert len(PictureShards(f"{home}/? [0-9].tar")) == 1


@pytest.mark.parametrize("name", ["cats.txt", "cats.tar"])
def test_a_folder_is_a_folder_whatever_its_name_ends_with(tmp_path: Path, name: str):
    save(tmp_path / name, ["0.png"])
    assert len(open_pictures(tmp_path / name)) == 1


def test_a_caption_from_an_editor_of_windows_is_read(tmp_path: Path):
    save(tmp_path, ["0.png", "1.png"])
    (tmp_path / "0.txt").write_text("a cat,\r\nasleep", encoding="utf-16", newline="")
    (tmp_path / "1.txt").write_text("a dog\r\n", encoding="utf-8-sig", newline="")
    assert [sample.caption for sample in PictureFolder(tmp_path)] == ["a cat,\nasleep", "a dog"]
