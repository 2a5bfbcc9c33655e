"""In which files captions come, and what is said of those that cannot be read."""

import csv
import io
import json
import os
import socket
import tarfile
import unicodedata

import numpy as np
import pytest
from PIL import Image

from train.data import caption_files
from train.data.datasets import coco, folder
from train.data.datasets.base import DataError, Names, count_reasons, parse_json, split_in
from train.data.packed import load_packed
from train.data.packing import pack


def touch(root, *names):
    """Files of the names of pictures; reading a folder opens none of them."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def write(root, **files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(content, encoding="utf-8")


def captions_of(root):
    """Captions by key, of all splits."""
    listing = folder.read(root)
    return {example.key: example.captions for some in listing.splits.values() for example in some}


def splits_of(root):
    """Keys by split."""
    return {split: sorted(one.key for one in some) for split, some in folder.read(root).splits.items()}


# ------------------------------------------------------------------------------------------------------ formats

BOTH = {"a.png": ("a red, bright wall",), "b.png": ("a blue wall", "the same")}
ROWS = [("a.png", "a red, bright wall"), ("b.png", "a blue wall"), ("b.png", "the same")]


def table(header, rows, delimiter=",", quoting=csv.QUOTE_MINIMAL, end="\n"):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([header, *rows])
    return text.getvalue()


def lines(*rows):
    return "\n".join(json.dumps(row) for row in rows)


TABLES = {
    "Hugging Face, CSV": ("metadata.csv", table(("file_name", "text"), ROWS)),
    "Hugging Face, JSON lines": (
        "metadata.jsonl",
        lines(*({"file_name": name, "text": text, "extra": [1, {"a": None}]} for name, text in ROWS)),
    ),
    "Kaggle's Flickr8k": ("captions.txt", table(("image", "caption"), ROWS, end="\r\n")),
    "Kaggle's Flickr30k": (
        "captions.txt",
        table(("image_name", "comment_number", "comment"), [(name, 0, text) for name, text in ROWS]),
    ),
    "a byte order mark": ("captions.csv", "\ufeff" + table(("file", "caption"), ROWS, quoting=csv.QUOTE_ALL)),
    "UTF-16, tabs": ("captions.csv", table(("Image", "Caption"), ROWS, "\t").encode("utf-16")),
    "semicolons": ("captions.csv", table(("file", "caption"), ROWS, ";")),
    "tabs": ("train_captions.tsv", table(("file", "caption"), ROWS, "\t")),
    "tabs and no header": ("captions.txt", "".join(f"{name}\t{text}\n" for name, text in ROWS)),
    "commas and no header": ("list.csv", "".join(f'{name},"{text}"\n' for name, text in ROWS)),
    "pipes": (
        "results.csv",
        "image_name| comment_number| comment\n" + "".join(f"{name}| 0| {text}\n" for name, text in ROWS),
    ),
    "Flickr8k.token": (
        "Flickr8k.token.txt",
        "".join(f"{name}#{n}\t{text} \r\n" for n, (name, text) in enumerate(ROWS)),
    ),
    "a JSON list": ("data.json", json.dumps([{"image": name, "caption": text} for name, text in ROWS])),
    "a JSON list in an object": (
        "all.json",
        json.dumps({"info": "mine", "annotations": [{"image": name, "caption": text} for name, text in ROWS]}),
    ),
    "JSON by name": ("data.json", json.dumps({"a.png": BOTH["a.png"][0], "b.png": list(BOTH["b.png"])})),
    "JSON by name, with objects": (
        "data.json",
        json.dumps({name: {"caption": list(texts), "tags": "x"} for name, texts in BOTH.items()}),
    ),
    "JSON lines in a .json": ("captions.json", lines(*({"file": name, "caption": text} for name, text in ROWS))),
    "a caption a column": (
        "captions.csv",
        table(("file", "caption_1", "caption_2"), [("a.png", *BOTH["a.png"], ""), ("b.png", *BOTH["b.png"])]),
    ),
    "COCO": (
        "own.json",
        json.dumps(
            {
                "images": [{"id": "x", "file_name": "a.png"}, {"id": 7, "file_name": "b.png"}],
                "annotations": [{"image_id": i, "caption": t} for i, (_, t) in zip(("x", 7, 7), ROWS, strict=True)],
            }
        ),
    ),
    "Karpathy": (
        "dataset_flickr8k.json",
        json.dumps(
            {
                "dataset": "flickr8k",
                "images": [
                    {"filename": name, "sentences": [{"raw": text, "tokens": text.split()} for text in texts]}
                    for name, texts in BOTH.items()
                ],
            }
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("below", ["", "pictures/"])
def test_the_same_captions_are_read_from_every_table(tmp_path, name, below):
    touch(tmp_path, f"{below}a.png", f"{below}b.png")
    file, content = TABLES[name]
    write(tmp_path, **{file: content})
    assert captions_of(tmp_path) == {below + key: texts for key, texts in BOTH.items()}
    assert not folder.read(tmp_path).left_out


def test_quotes_around_a_whole_cell_are_none_of_a_caption_s(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"captions.tsv": 'file\tcaption\na.png\t"a ""red"" wall"\nb.png\t"a" and "b"\n'})
    assert captions_of(tmp_path) == {"a.png": ('a "red" wall',), "b.png": ('"a" and "b"',)}


@pytest.mark.parametrize("suffix", [".txt", ".caption", ".json"])
@pytest.mark.parametrize(
    ("pictures", "texts"), [("", ""), ("images/", "text/"), ("x/img/", "x/captions/"), ("images/c/", "text/c/")]
)
def test_files_of_captions_stand_beside_pictures_or_beside_their_folder(tmp_path, suffix, pictures, texts):
    touch(tmp_path, f"{pictures}a.JPG", f"{pictures}b.png")
    for name, captions in BOTH.items():
        content = json.dumps({"caption": list(captions), "url": "x"}) if suffix == ".json" else "\n".join(captions)
        write(tmp_path, **{f"{texts}{name[0]}{suffix}": "\ufeff" + content})
    assert captions_of(tmp_path) == {f"{pictures}a.JPG": BOTH["a.png"], f"{pictures}b.png": BOTH["b.png"]}
    assert not folder.read(tmp_path).left_out


def test_two_files_of_captions_of_one_picture_are_refused(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"a.txt": "one", "a.caption": "two", "b.txt": "three"})
    with pytest.raises(DataError, match=r"captions in both a\.caption and a\.txt; keep one"):
        folder.read(tmp_path)


def test_a_json_beside_a_text_is_not_read(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{name: text for stem in "ab" for name, text in ((f"{stem}.txt", stem), (f"{stem}.json", "[3"))})
    assert captions_of(tmp_path) == {"a.png": ("a",), "b.png": ("b",)}


def test_every_format_is_in_the_help():
    said = caption_files.describe_formats()
    assert all(one.name in said for one in caption_files.FORMATS) and len(caption_files.FORMATS) >= 10
    assert max(map(len, said.splitlines())) <= 100


def test_a_line_of_flickr30k_without_its_pipe_is_left_out_and_named(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(
        tmp_path,
        **{"results.csv": 'image_name| comment_number| comment\na.png| 0| a "red" | wall\nb.png| 0| b\nb.png| 4   c\n'},
    )
    listing = folder.read(tmp_path)
    assert captions_of(tmp_path) == {"a.png": ('a "red"|wall',), "b.png": ("b",)}
    assert [one.reason for one in listing.left_out] == ["a line with too few columns"]
    assert "results.csv, line 4" in listing.left_out[0].where


def test_further_columns_are_said_not_to_be_used(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"metadata.csv": "file_name,text,caption,url\n" + "".join(f"{n},t,c,u\n" for n in BOTH)})
    assert captions_of(tmp_path) == {"a.png": ("c",), "b.png": ("c",)}
    assert any("file_name, caption; not used: 'text', 'url'" in line for line in folder.read(tmp_path).understood)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("data.parquet", b"PAR1", r"data\.parquet \(a Parquet table; save its pictures as files"),
        ("captions.xlsx", b"PK", r"captions\.xlsx \(an Excel table; save it as captions\.csv"),
        ("captions.pickle", b"x", r"captions\.pickle \(a pickle, which may run code"),
        ("shard.tar.gz", b"x", r"shard\.tar\.gz \(a compressed file; unpack it"),
        ("words.csv", b"price,colour\n1,red\n", r"words\.csv \(its first line is 'price,colour'\)"),
        ("notes.json", b'{"a": 1}', r"notes\.json \(its first line is"),
    ],
)
def test_what_is_not_read_is_named_with_what_to_do(tmp_path, name, content, said):
    touch(tmp_path, "a.png")
    write(tmp_path, **{name: content})
    with pytest.raises(DataError, match=rf"no captions: .*--help lists them\); found, but not read: {said}"):
        folder.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["captions.csv", "metadata.csv", "metadata.jsonl", "captions.txt", "dataset_coco.json"]
)
def test_letters_of_latin_1_are_named_and_not_garbled(tmp_path, name):
    touch(tmp_path, "a.png", "b.png")
    content = next(text for file, text in TABLES.values() if file.split(".")[-1] == name.split(".")[-1])
    write(tmp_path, **{name: content.encode().replace(b"bright", "gr\u00fcn".encode("latin1"))})
    with pytest.raises(DataError, match=rf"{name}, line \d: byte 0xfc is not UTF-8; save the file as UTF-8"):
        folder.read(tmp_path)


def test_tables_that_hold_the_same_pictures_in_one_folder_are_refused(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    for name in ("Kaggle's Flickr8k", "Flickr8k.token"):
        write(tmp_path, **dict([TABLES[name]]))
    with pytest.raises(DataError, match=r"both Flickr8k\.token\.txt and captions\.txt hold captions; keep one"):
        folder.read(tmp_path)


# ------------------------------------------------------------------------------------------------------- splits


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAINING train2017 train_images images-train trainImages TrainSet trainval restval trn"),
        ("val", "val VAL valid Validation val2014 dev Dev_Set development captions_val2017 validation-split"),
        ("test", "test TEST testing test_images testSet eval Evaluation held-out HeldOut holdout test-dev"),
        (None, "trains contest latest developer detest train_test_split images 2017 valley testament"),
    ],
)
def test_names_of_splits_are_known_in_any_case(split, names):
    for name in names.split():
        assert split_in(name)[0] == split, name
        assert split is None or not split_in(name)[1], name


def test_other_words_make_it_doubtful():
    assert split_in("test_tube") == ("test", ("tube",)) and split_in("steam train") == ("train", ("steam",))


LAYOUTS = [  # folders of train, val and test, and what stands beside them
    ("train/", "val/", "test/", ()),
    ("Train/cat/", "Validation/cat/", "Testing/cat/", ("logo.png",)),
    ("data/training/a/b/", "data/valid/a/b/", "data/eval/a/b/", ("data/extra/x.png", "data/y.png")),
    ("images/train2017/", "images/val2017/", "images/test2017/", ("docs/z.png",)),
    ("cat/train/", "cat/dev/", "cat/test/", ("cat/z.png",)),
    ("dogs_train/", "dogs_val/", "dogs_test/", ("dogs/z.png",)),
    ("trainA/", "valA/", "testA/", ("all/z.png",)),
]


@pytest.mark.parametrize("by", ["text", "table", "caption"])
@pytest.mark.parametrize(("train", "val", "test", "others"), LAYOUTS)
def test_a_picture_below_test_is_never_trained_on(tmp_path, by, train, val, test, others):
    names = {
        split: [f"{where}{n}.png" for n in range(4)]
        for split, where in zip(("train", "val", "test"), (train, val, test), strict=True)
    }
    every = [name for some in (*names.values(), others) for name in some]
    touch(tmp_path, *every)
    if by == "table":
        write(tmp_path, **{"captions.csv": table(("file", "caption"), [(name, "a wall") for name in every])})
    else:
        write(tmp_path, **{name.replace(".png", ".txt" if by == "text" else ".caption"): "a wall" for name in every})
    assert splits_of(tmp_path) == names
    listing = folder.read(tmp_path)
    assert sum("in no split" in one.reason for one in listing.left_out) == len(others)
    assert any("split: from folders; 4 train, 4 val, 4 test (val is kept apart" in line for line in listing.understood)


def test_without_a_test_val_is_the_test(tmp_path):
    write(tmp_path, **{f"{split}/{n}.txt": "a wall" for split in ("train", "valid") for n in range(3)})
    touch(tmp_path, *(f"{split}/{n}.png" for split in ("train", "valid") for n in range(3)))
    assert splits_of(tmp_path)["test"] == ["valid/0.png", "valid/1.png", "valid/2.png"]


def test_a_table_in_each_split_s_folder_names_files_beside_it(tmp_path):
    for split in ("train", "validation", "test"):
        touch(tmp_path, f"{split}/a.png", f"{split}/b.png")
        write(tmp_path, **{f"{split}/metadata.jsonl": lines(*({"file_name": f"{n}.png", "text": split} for n in "ab"))})
    assert splits_of(tmp_path) == {
        "train": ["train/a.png", "train/b.png"],
        "val": ["validation/a.png", "validation/b.png"],
        "test": ["test/a.png", "test/b.png"],
    }
    assert captions_of(tmp_path)["train/a.png"] == ("train",)


def test_one_folder_of_train_is_divided(tmp_path):
    touch(tmp_path, *(f"train/{n}.png" for n in range(8)))
    write(tmp_path, **{"train/metadata.csv": table(("file_name", "text"), [(f"{n}.png", "a") for n in range(8)])})
    assert [len(names) for names in splits_of(tmp_path).values()] == [6, 2]


def test_the_names_of_tables_say_the_split(tmp_path):
    touch(tmp_path, *(f"images/{n}.png" for n in range(6)))
    for name, rows in {"train.csv": "0123", "captions_test.csv": "45"}.items():
        write(tmp_path, **{name: table(("image", "caption"), [(f"images/{n}.png", "a") for n in rows])})
    assert splits_of(tmp_path)["test"] == ["images/4.png", "images/5.png"]


@pytest.mark.parametrize("column", ["split", "Subset", "partition"])
def test_a_column_of_splits_is_one_whatever_it_is_called(tmp_path, column):
    touch(tmp_path, *(f"{n}.png" for n in range(6)))
    rows = [(f"{n}.png", "a", "Training" if n < 4 else "TEST") for n in range(6)]
    write(tmp_path, **{"captions.csv": table(("file", "caption", column), rows)})
    assert splits_of(tmp_path)["test"] == ["4.png", "5.png"]


def test_names_of_pictures_that_all_begin_with_a_split_say_it(tmp_path):
    names = [*(f"train_{n}.png" for n in range(4)), "test_0.png", "test_1.png"]
    touch(tmp_path, *names)
    write(tmp_path, **{name.replace("png", "txt"): "a" for name in names})
    assert splits_of(tmp_path)["test"] == ["test_0.png", "test_1.png"]


def test_karpathy_s_restval_is_trained_on_whatever_its_folder(tmp_path):
    splits = {"0": "train", "1": "restval", "2": "val", "3": "test"}
    touch(tmp_path, *(f"images/val2014/{n}.jpg" for n in splits))
    images = [
        {"filepath": "val2014", "filename": f"{n}.jpg", "sentences": [{"raw": "a"}], "split": split}
        for n, split in splits.items()
    ]
    write(tmp_path, **{"dataset_coco.json": json.dumps({"images": images})})
    assert {split: [name[-5] for name in names] for split, names in splits_of(tmp_path).items()} == {
        "train": ["0", "1"],
        "val": ["2"],
        "test": ["3"],
    }


def test_the_lists_beside_flickr8k_are_its_splits(tmp_path):
    touch(tmp_path, *(f"Flicker8k_Dataset/{n}.jpg" for n in range(5)))
    write(
        tmp_path,
        **{"Flickr8k_text/Flickr8k.token.txt": "".join(f"{n}.jpg#{k}\ta {k}\n" for n in range(5) for k in range(5))},
    )
    write(tmp_path, **{"Flickr8k_text/Flickr8k.lemma.token.txt": "".join(f"{n}.jpg#0\tb\n" for n in range(5))})
    for split, names in {"train": "01", "dev": "2", "test": "3"}.items():
        write(tmp_path, **{f"Flickr8k_text/Flickr_8k.{split}Images.txt": "".join(f"{n}.jpg\n" for n in names)})
    assert {split: [name[-5] for name in names] for split, names in splits_of(tmp_path).items()} == {
        "train": ["0", "1"],
        "val": ["2"],
        "test": ["3"],
    }
    assert all(len(captions) == 5 for captions in captions_of(tmp_path).values())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["test/a", "images/b", "images/c"], "no picture is of the split train"),
        (["val/a", "test/b"], "no picture is of the split train"),
        (["train/a", "bus/b", "car/c"], r"is train the split, or a class\?"),
        (["train/test/a", "test/b", "train/c"], r"below folders of two splits \(train, test\)"),
        (["test_dogs/a", "dogs/b", "dogs/c"], "'test_dogs' may be a split or a class"),
    ],
)
def test_what_cannot_be_told_apart_stops_with_a_sentence(tmp_path, names, said):
    touch(tmp_path, *(f"{name}.png" for name in names))
    write(tmp_path, **{f"{name}.txt": "a" for name in names})
    with pytest.raises(DataError, match=said):
        folder.read(tmp_path)


def test_a_table_that_trains_on_a_folder_of_test_is_refused(tmp_path):
    touch(tmp_path, "test/a.png", "test/b.png", "train/c.png")
    rows = [("test/a.png", "x", "train"), ("test/b.png", "x", "test"), ("train/c.png", "x", "train")]
    write(tmp_path, **{"captions.csv": table(("file", "caption", "split"), rows)})
    with pytest.raises(
        DataError, match=r"line 2: split 'train' of test/a\.png, but it is in a folder of the test split"
    ):
        folder.read(tmp_path)


def test_classes_are_the_folders_without_the_split(tmp_path):
    names = ["train/cat/tabby/a", "train/dog/b", "test/cat/tabby/c", "Test/dog/d"]
    touch(tmp_path, *(f"{name}.png" for name in names))
    write(tmp_path, **{f"{name}.txt": "a" for name in names})
    listing = folder.read(tmp_path)
    groups = {one.key: one.group for some in listing.splits.values() for one in some}
    assert sorted(groups.values()) == ["cat/tabby", "cat/tabby", "dog", "dog"]
    assert any("; 2 classes" in line for line in listing.understood)


# -------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("Images/A.JPG", "images/a.jpg"),
        ("images/a.jpg", "images\\a.jpg"),
        ("images/a.jpg", ".\\Images\\A.jpg"),
        ("gr\u00fcn.png", unicodedata.normalize("NFD", "gr\u00fcn.png")),
        (unicodedata.normalize("NFD", "\u00c9t\u00e9.png"), "\u00e9t\u00e9.PNG"),
        ("a.png", " a.png "),
    ],
)
def test_names_are_matched_as_people_write_them(tmp_path, file, said, need_file_names):
    need_file_names(file)
    touch(tmp_path, file, "other.png")
    write(tmp_path, **{"captions.jsonl": lines({"file": said, "caption": "a"}, {"file": "other.png", "caption": "b"})})
    assert captions_of(tmp_path)[file] == ("a",)


def test_of_two_files_that_differ_by_case_the_exact_one_is_meant():
    names = Names(["a.png", "A.png", "b.png"])
    assert names.find("A.png") == "A.png" and names.find("a.PNG") is None and names.find("B.PNG") == "b.png"
    assert names.hint("a.PNG") == "; a.png is there as a.png and 1 more"


def test_where_nothing_is_used_the_reasons_come_first(tmp_path):
    touch(tmp_path, *(f"Images/{n:04}.png" for n in range(8)), "here.png")
    rows = [(f"pictures/{n:04}.jpg", "a") for n in range(8)]
    write(tmp_path, **{"captions.csv": table(("file", "caption"), rows)})
    with pytest.raises(DataError) as caught:
        folder.read(tmp_path)
    first, *more = str(caught.value).splitlines()
    assert first == "left out 9 x no caption" and more[-1].endswith("one to train on and one to test")
    assert any("captions.csv, line 2: pictures/0000.jpg; 0000.png is there as Images/0000.png" in line for line in more)


def test_a_name_without_a_picture_says_where_one_of_that_name_is(tmp_path):
    touch(tmp_path, "a.png", "b.png", "Images/0001.jpg")
    write(tmp_path, **{"captions.csv": table(("file", "caption"), [("a.png", "a"), ("b.png", "b"), ("0001.jpg", "c")])})
    (missing,) = (one for one in folder.read(tmp_path).left_out if one.reason == "no picture file")
    assert missing.where.endswith("captions.csv, line 4: 0001.jpg; 0001.jpg is there as Images/0001.jpg")


# ------------------------------------------------------------------------------------------- what is no plain file


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(os.path.relpath(path))  # a path of a socket is short
    listening.close()


def make_device(path):
    path.symlink_to("/dev/zero")


def make_circle(path):
    path.symlink_to(path.name)


def make_broken(path):
    path.symlink_to("nowhere")


STRANGE = {
    "a pipe (FIFO)": make_fifo,
    "a socket": make_socket,
    "a device": make_device,
    "a link that leads in a circle": make_circle,
    "a link that leads nowhere": make_broken,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["x.png", "x.txt", "x.csv", "captions.csv", "metadata.jsonl", "x.tar", "x.caption"])
@pytest.mark.parametrize("kind", STRANGE)
def test_only_regular_files_are_read(tmp_path, kind, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"a.txt": "a", "b.txt": "b"})
    STRANGE[kind](tmp_path / name)
    listing = folder.read(tmp_path)
    assert [(one.reason, one.where) for one in listing.left_out] == [("no regular file", f"{tmp_path / name}: {kind}")]


def test_folders_that_contain_themselves_are_read_once(tmp_path):
    touch(tmp_path, "c/a.png", "c/b.png")
    write(tmp_path, **{"c/a.txt": "a", "c/b.txt": "b"})
    (tmp_path / "c/again").symlink_to(tmp_path)
    assert set(captions_of(tmp_path)) == {"c/a.png", "c/b.png"}


def test_a_folder_that_is_called_like_a_picture_is_a_folder(tmp_path):
    touch(tmp_path, "x.png/a.png", "x.png/b.png")
    write(tmp_path, **{"captions.csv": "file,caption\nx.png,a\nx.png/a.png,b\nx.png/b.png,c\n"})
    assert set(captions_of(tmp_path)) == {"x.png/a.png", "x.png/b.png"}
    assert count_reasons(folder.read(tmp_path).left_out) == {"no picture file": 1}


def test_names_that_are_not_utf8_are_left_out_and_shown(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"a.txt": "a", "b.txt": "b"})
    with (tmp_path / os.fsdecode(b"gr\xfcn.png")).open("wb"):
        pass
    (one,) = folder.read(tmp_path).left_out
    assert one.reason == "a file name that is not UTF-8; rename it" and one.where == rf"{tmp_path}/gr\xfcn.png"


# --------------------------------------------------------------------------------------------- what is no content

DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize("text", [DEEP, '{"a":' * 50_000, "9" * 5000, "{", "", '{"a": nul}', "\x00"])
def test_json_that_cannot_be_is_an_error_with_the_file_s_name(text):
    with pytest.raises(DataError, match=r"^some\.json"):
        parse_json(text, "some.json")


@pytest.mark.parametrize("name", ["captions.json", "captions.jsonl", "metadata.jsonl", "dataset_coco.json"])
def test_brackets_that_are_nested_too_deep_are_named_with_their_file(tmp_path, name):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{name: DEEP})
    with pytest.raises(DataError, match=rf"{name}.*nested too deep"):
        folder.read(tmp_path)


@pytest.mark.parametrize("box", ["1e308", "-1e308", "nan", "inf", "1e999", "-1", "0", "x", "9" * 400])
@pytest.mark.parametrize("place", range(4))
def test_a_box_that_cannot_be_is_named_with_its_line(tmp_path, box, place):
    touch(tmp_path, "a.png", "b.png")
    values = ["1", "2", "3", "4"]
    values[place] = box
    write(tmp_path, **{"captions.csv": f"file,caption,box\na.png,b,{' '.join(values)}\nb.png,b,\n"})
    if place < 2 and box in ("-1", "0"):  # a box may begin outside
        assert len(captions_of(tmp_path)) == 2
    else:
        with pytest.raises(DataError, match=r"captions\.csv, line 2: a box is x y width height"):
            folder.read(tmp_path)


@pytest.mark.parametrize(
    "row",
    [
        '{"file": ["a.png"], "caption": "b"}',
        '{"file": {"a": 1}, "caption": "b"}',
        '{"file": "a.png", "caption": {"x": 3}}',
        '{"file": "a.png", "caption": [["b"]]}',
        '{"file": "a.png", "caption": 3}',
        '{"file": "a.png", "caption": "b", "class": ["x"]}',
        '{"file": "a.png", "caption": "b", "class": true}',
        '{"file": "a.png", "caption": "b", "split": 3}',
        '{"file": "a.png", "caption": "b", "box": [1, 2, 3, 1' + "0" * 400 + "]}",
        '{"file": "a.png", "caption": "b", "box": "1 2 3 4"}',
        '{"file": "a.png", "caption": "b", "box": [1, 2, 3, NaN]}',
        '{"file": "a\\u0000.png/../../../x", "caption": "b"}',
    ],
)
def test_a_value_of_another_kind_is_named_with_its_line(tmp_path, row):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{"captions.jsonl": '{"file": "b.png", "caption": "b"}\n' + row})
    with pytest.raises(DataError, match=r"captions\.jsonl, line 2: "):
        folder.read(tmp_path)


@pytest.mark.parametrize("name", ["a\\u0000.png", "\\ud800.png", "x" * 5000 + ".png", "c:\\\\x\\\\a.gif", "~/a.gif"])
def test_names_of_no_file_are_left_out(tmp_path, name):
    touch(tmp_path, "a.png", "b.png")
    rows = [f'{{"file": "{file}", "caption": "half a letter: \\udc00"}}' for file in ("a.png", "b.png", name)]
    write(tmp_path, **{"captions.jsonl": "\n".join(rows)})
    assert captions_of(tmp_path) == dict.fromkeys(("a.png", "b.png"), ("half a letter: ?",))
    assert count_reasons(folder.read(tmp_path).left_out) == {"no picture file": 1}


@pytest.mark.parametrize("content", ["[]", "3", '"a"', "null", '[1, "a"]', '{"images": 3, "annotations": {}}', "[[]]"])
@pytest.mark.parametrize("name", ["captions.json", "own.json"])
def test_json_of_another_shape_is_refused_in_words(tmp_path, content, name):
    touch(tmp_path, "a.png", "b.png")
    write(tmp_path, **{name: content})
    with pytest.raises(DataError, match=name):
        folder.read(tmp_path)


# ----------------------------------------------------------------------------------------------------- archives


def picture(colour="red", kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", (40, 30), colour).save(content, kind)
    return content.getvalue()


def make_tar(path, members):
    """An archive of (name, content) or of ready TarInfo objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_shards_are_packed_without_being_unpacked(tmp_path):
    colours = {"red": 0, "lime": 1, "blue": 2}
    for split, count in (("train", 3), ("test", 2)):
        members = []
        for number, colour in list(enumerate(colours))[:count]:
            members.append((f"{number:04}.png", picture(colour)))
            told = (
                (".txt", f"a {colour} wall") if number % 2 else (".json", json.dumps({"caption": f"a {colour} wall"}))
            )
            members += [(f"{number:04}{told[0]}", told[1].encode()), (f"{number:04}.cls", str(number).encode())]
        make_tar(tmp_path / f"raw/{split}-000000.tar", members)
    pack("folder", tmp_path / "raw", tmp_path / "packed", 32, 90, 48, strict=True)
    for name, count in (("train", 3), ("test", 2)):
        split = load_packed(tmp_path / "packed", name)
        assert split.keys == [f"{name}-000000.tar/{number:04}.png" for number in range(count)]
        assert split.group_names == tuple("012"[:count])
        for row, pixels in enumerate(split.pictures(16)):
            assert split.vocabulary.decode(split.caption(row, 0)) == ["a", list(colours)[row], "wall"]
            assert int(np.argmax(pixels.mean(axis=(0, 1)))) == row
    assert sorted(path.name for path in tmp_path.rglob("*.png")) == []


def hostile(kind, name="x.png"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("../x.png", "a name that leads out of its archive"),
        ("/x.png", "a name that leads out of its archive"),
        ("a/../../x.png", "a name that leads out of its archive"),
        ("..\\x.png", "a name that leads out of its archive"),
        ("C:\\x.png", "a name that leads out of its archive"),
        (hostile(tarfile.SYMTYPE), "no regular file in an archive"),
        (hostile(tarfile.LNKTYPE), "no regular file in an archive"),
        (hostile(tarfile.FIFOTYPE), "no regular file in an archive"),
        (hostile(tarfile.CHRTYPE), "no regular file in an archive"),
        ("lonely.txt", "captions without a picture"),
        ("silent.png", "no caption"),
        ("0.png", "the same name in an archive again"),
    ],
)
def test_members_that_cannot_be_used_are_left_out(tmp_path, member, reason):
    good = [(f"{n}{suffix}", text) for n in range(3) for suffix, text in ((".png", picture()), (".txt", b"a wall"))]
    make_tar(tmp_path / "a.tar", [*good, (member, b"")])
    listing = folder.read(tmp_path)
    assert sum(len(some) for some in listing.splits.values()) == 3
    assert count_reasons(listing.left_out) == {reason: 1} and "a.tar" in listing.left_out[0].where


@pytest.mark.parametrize("damage", ["cut", "garbage", "text"])
def test_of_a_damaged_archive_the_whole_part_is_read(tmp_path, damage):
    good = [(f"{n}{suffix}", text) for n in range(4) for suffix, text in ((".txt", b"a wall"), (".png", picture()))]
    make_tar(tmp_path / "a.tar", good)
    content = bytearray((tmp_path / "a.tar").read_bytes())
    third = 2 * 2 * 1024  # two pictures and two texts, each a header and a block
    if damage == "cut":
        content = content[: third + 700]
    elif damage == "garbage":
        content[third : third + 512] = b"x" * 512
    else:
        content = bytearray(b"not a tar at all" * 100)
    (tmp_path / "a.tar").write_bytes(content)
    if damage == "text":
        with pytest.raises(
            DataError, match=r"left out 1 x an archive that cannot be read\n.*a\.tar: not a tar archive"
        ):
            folder.read(tmp_path)
    else:
        assert len(captions_of(tmp_path)) == 2
        assert "an archive that is damaged or cut short" in count_reasons(folder.read(tmp_path).left_out)


# --------------------------------------------------------------------------------------------------------- COCO


def test_coco_s_pictures_may_be_in_a_folder_of_images(tmp_path):
    coco.write_example(tmp_path)
    keys = [one.key for some in coco.read(tmp_path).splits.values() for one in some]
    (tmp_path / "images").mkdir()
    for name in ("train2017", "val2017"):
        (tmp_path / name).rename(tmp_path / "images" / name)
    listing = coco.read(tmp_path)
    assert [one.key for some in listing.splits.values() for one in some] == keys and not listing.left_out
    assert all(one.image.is_file() for some in listing.splits.values() for one in some)


@pytest.mark.timeout(20)
def test_pipes_among_coco_s_pictures_are_left_out(tmp_path):
    coco.write_example(tmp_path)
    path = next((tmp_path / "train2017").iterdir())
    path.unlink()
    os.mkfifo(path)
    assert count_reasons(coco.read(tmp_path).left_out) == {"no regular file": 1, "no picture file": 1}
