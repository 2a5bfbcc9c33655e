"""The contract that every data set keeps. A new file in train/data/datasets/ is tested by being there."""

import json
import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirrorgan.vocabulary import tokenize
from train.data.datasets import available_datasets, birds, coco, find_dataset, folder, needs_folder, shapes
from train.data.datasets.base import DataError, Listing, count_reasons, find_files, inside, read_text, share
from train.data.datasets.birds import read, read_name_list, write_example
from train.data.packed import load_packed
from train.data.packing import pack


@pytest.fixture(params=available_datasets())
def dataset(request):
    return find_dataset(request.param)


def all_examples(listing):
    return [example for examples in listing.splits.values() for example in examples]


def test_its_own_example_is_read_without_a_loss(dataset, tmp_path):
    dataset.write_example(tmp_path)
    listing = dataset.read(tmp_path)
    assert isinstance(listing, Listing) and not listing.left_out
    assert list(listing.splits) == ["train", "test"] and all(listing.splits.values())


def test_every_example_has_a_picture_and_captions(dataset, tmp_path):
    dataset.write_example(tmp_path)
    for example in all_examples(dataset.read(tmp_path)):
        if isinstance(example.image, Path):
            assert example.image.is_file()
        else:
            assert np.array_equal(np.asarray(example.image()), np.asarray(example.image()))
        assert example.captions and all(caption == caption.strip() != "" for caption in example.captions)
        assert example.group and example.place
        assert example.box is None or (len(example.box) == 4 and min(example.box[2:]) > 0)


def test_keys_are_unique_over_all_splits(dataset, tmp_path):
    dataset.write_example(tmp_path)
    keys = [example.key for example in all_examples(dataset.read(tmp_path))]
    assert len(set(keys)) == len(keys) and all(keys)


def test_no_picture_is_in_two_splits(dataset, tmp_path):
    dataset.write_example(tmp_path)
    splits = dataset.read(tmp_path).splits
    assert not {example.image for example in splits["train"]} & {example.image for example in splits["test"]}


def test_reading_twice_gives_the_same_order(dataset, tmp_path):
    dataset.write_example(tmp_path)
    assert dataset.read(tmp_path) == dataset.read(tmp_path)


def test_no_picture_is_opened_for_the_list(dataset, tmp_path):
    dataset.write_example(tmp_path)
    listing = dataset.read(tmp_path)
    for example in all_examples(listing):
        if isinstance(example.image, Path):
            example.image.write_bytes(b"no picture")
    assert dataset.read(tmp_path) == listing


def test_its_example_is_packed_and_loaded(dataset, tmp_path):
    dataset.write_example(tmp_path / "raw")
    listing = dataset.read(tmp_path / "raw")
    pack(dataset.read.__module__.rsplit(".", 1)[1], tmp_path / "raw", tmp_path / "packed", 32, 90, 1, strict=True)
    for name, examples in listing.splits.items():
        split = load_packed(tmp_path / "packed", name)
        assert split.keys == [example.key for example in examples]
        assert split.pictures(16).shape == (len(examples), 16, 16, 3)


def test_an_empty_folder_is_a_missing_data_set(dataset, tmp_path):
    with pytest.raises((FileNotFoundError, DataError), match=str(tmp_path)):
        dataset.read(tmp_path)
    with pytest.raises((FileNotFoundError, DataError), match="nowhere"):
        dataset.read(tmp_path / "nowhere")


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_files_are_found_whatever_the_case_of_their_names(tmp_path, change):
    for dataset, folders in ((birds, ("CUB_200_2011/images", "text")), (coco, ("train2017",))):
        dataset.write_example(tmp_path / dataset.__name__)
        expected = [(one.key, one.captions) for one in all_examples(dataset.read(tmp_path / dataset.__name__))]
        for where in folders:
            for path in [path for path in (tmp_path / dataset.__name__ / where).rglob("*") if path.is_file()]:
                path.rename(path.with_name(change(path.name)))
        listing = dataset.read(tmp_path / dataset.__name__)
        assert [(one.key, one.captions) for one in all_examples(listing)] == expected and not listing.left_out


def test_a_file_that_lies_elsewhere_is_said_to(tmp_path):
    birds.write_example(tmp_path)
    images = tmp_path / "CUB_200_2011/images"
    (images / f"{RED}.jpg").rename(images / Path(f"{RED}.jpg").name)
    (one,) = birds.read(tmp_path).left_out
    assert one.where == f"{images / RED}.jpg; {Path(RED).name}.jpg is there as {Path(RED).name}.jpg"


ODD = {
    "nothing": b"",
    "a list": b"[]",
    "a list of lists": b"[[[]], [1, null]]",
    "a number": b"1e308",
    "null": b"null",
    "an object": b'{"images": {}, "annotations": [], "train": [], "file": 3}',
    "nested brackets": b"[" * 50_000,
    "nested objects": b'{"a":' * 50_000,
    "thousands of digits": b'{"train": ' + b"9" * 5000 + b"}",
    "no text": bytes(range(256)) * 4,
    "half of UTF-16": b"\xff\xfea",
    "lines of numbers": b"1 nan 1e308 -inf 1e999\n" * 3,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("content", [*ODD, "a pipe", "a link to a device", "a folder"])
def test_whatever_a_file_holds_the_reading_ends_with_a_listing_or_a_sentence(dataset, tmp_path, content):
    dataset.write_example(tmp_path / "raw")
    for path in sorted(path for path in (tmp_path / "raw").rglob("*") if path.is_file()):
        before = path.read_bytes()
        path.unlink()
        if content == "a pipe":
            os.mkfifo(path)
        elif content == "a folder":
            path.mkdir()
        elif content == "a link to a device":
            path.symlink_to("/dev/zero")
        else:
            path.write_bytes(ODD[content])
        said = None
        try:
            listing = dataset.read(tmp_path / "raw")
        except (DataError, FileNotFoundError) as error:
            said = str(error)
        if said is None:
            assert all(isinstance(one.where, str) for one in listing.left_out)
        else:
            assert str(tmp_path / "raw") in said and len(said) < 2000
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        path.write_bytes(before)


def test_only_shapes_need_no_folder():
    assert [name for name in available_datasets() if not needs_folder(name)] == ["shapes"]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no data set 'cats'; there are: .*birds"):
        find_dataset("cats")


# ------------------------------------------------------------------------------------------------ what is shared


@pytest.mark.parametrize("name", ["../a.jpg", "b/../../a.jpg", "/etc/a.jpg", "", "  ", ".", "b/.."])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"table, line 3: .* is not a file inside"):
        inside(tmp_path, name, "table, line 3")


@pytest.mark.parametrize("name", ["a/b.jpg", "./a/b.jpg", "a//b.jpg", "c/../a/b.jpg", "ROOT/a/b.jpg"])
def test_a_path_is_known_by_one_name(tmp_path, name):
    assert inside(tmp_path, name.replace("ROOT", str(tmp_path)), "") == "a/b.jpg"


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\n" + "gr\u00fcn\n".encode("latin1"))
    with pytest.raises(DataError, match=r"a\.txt, line 3: byte 0xfc is not UTF-8"):
        read_text(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfmarked")
    assert read_text(tmp_path / "a.txt") == "marked"


def test_pictures_are_found_in_order_below_links_and_not_in_hidden_folders(tmp_path):
    for name in ("b/2.JPG", "a/1.png", "a/._1.png", ".trash/3.png", "a/note.txt", "__MACOSX/1.png"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/4.webp").touch()
    (tmp_path / "root/link").symlink_to(tmp_path / "other")
    (tmp_path / "root/a/circle").symlink_to(tmp_path / "root")
    assert find_files(tmp_path / "root") == ["a/1.png", "b/2.JPG", "link/4.webp"]


def test_shares_are_even_and_those_of_always():
    shares = np.array([share(f"key {n}") for n in range(2000)])
    assert abs((shares < 0.1).mean() - 0.1) < 0.02 and 0 <= shares.min() < shares.max() < 1
    assert share("a") == int("ca978112ca1bbdca", 16) / 2**64  # sha256 of "a", as sha256sum prints it


# ------------------------------------------------------------------------------------------------------- birds


@pytest.fixture
def root(tmp_path):
    write_example(tmp_path)
    return tmp_path


RED = "001.Red_Bird/Red_Bird_0001"


def test_what_is_left_out_is_counted_by_its_reason(root):
    (root / "text" / f"{RED}.txt").write_text("\n  \n", encoding="utf-8")
    (root / "CUB_200_2011/images/002.Blue_Bird/Blue_Bird_0001.jpg").unlink()
    names = read_name_list(root / "test/filenames.pickle")
    (root / "test/filenames.pickle").write_bytes(pickle.dumps([*names, "nobody/knows"], protocol=2))
    listing = read(root)
    assert listing.splits["train"] == []
    assert count_reasons(listing.left_out) == {"no caption": 1, "no picture file": 1, "not in images.txt": 1}


def test_the_first_ten_captions_that_say_anything_are_used(root):
    (root / "text" / f"{RED}.txt").write_text("\n".join(f"caption {n}\n" for n in range(14)), encoding="utf-8")
    captions = read(root).splits["train"][0].captions
    assert captions == tuple(f"caption {n}" for n in range(10))


def test_captions_need_not_be_utf8(root):
    (root / "text" / f"{RED}.txt").write_bytes(b"a red\xff\xfebird\n")
    assert len(read(root).splits["train"][0].captions) == 1


def test_boxes_and_classes_are_the_pictures_own(root):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("2 1.0 2.0 3.0 4.0\n1 5.5 6 7 8\n", encoding="utf-8")
    listing = read(root)
    assert [example.box for example in listing.splits["train"]] == [(5.5, 6.0, 7.0, 8.0), (1.0, 2.0, 3.0, 4.0)]
    assert listing.splits["test"][0].box is None
    assert [example.group for example in listing.splits["train"]] == ["001.Red_Bird", "002.Blue_Bird"]


def test_boxes_may_be_missing(root):
    (root / "CUB_200_2011/bounding_boxes.txt").unlink()
    assert all(example.box is None for example in read(root).splits["train"])


def test_a_table_with_a_wrong_line_is_named_with_the_line(root):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("1 2 3 4 5\n\n2 3 4\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bounding_boxes\.txt, line 3: 3 columns where 5 are expected"):
        read(root)
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("1 2 3 four 5\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"bounding_boxes\.txt, line 1: a box is .* found '2 3 four 5'"):
        read(root)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_a_list_of_names_is_read_from_any_protocol(tmp_path, protocol):
    (tmp_path / "names.pickle").write_bytes(pickle.dumps(["a/b", "c/d"], protocol=protocol))
    assert read_name_list(tmp_path / "names.pickle") == ["a/b", "c/d"]


def test_a_list_that_python_2_wrote_is_read(tmp_path):
    # Byte strings of Python 2, as in the files that go around: opcode U (SHORT_BINSTRING).
    (tmp_path / "names.pickle").write_bytes(b"\x80\x02]q\x00(U\x03a/bU\x03c/de.")
    assert read_name_list(tmp_path / "names.pickle") == ["a/b", "c/d"]


class Mischief:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    path = tmp_path / "names.pickle"
    path.write_bytes(pickle.dumps([Mischief(str(tmp_path / "made"))]))
    with pytest.raises(DataError, match="mkdir would run"):
        read_name_list(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [{"a": 1}, ["a", 3], "a/b", [["a"]]])
def test_anything_but_a_list_of_names_is_refused(tmp_path, content):
    (tmp_path / "names.pickle").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match="expected a list of names"):
        read_name_list(tmp_path / "names.pickle")


def test_a_damaged_list_is_named(tmp_path):
    (tmp_path / "names.pickle").write_bytes(pickle.dumps(["a/b"])[:-3])
    with pytest.raises(DataError, match=r"names\.pickle: not a pickled list"):
        read_name_list(tmp_path / "names.pickle")


def test_everything_that_is_missing_is_named_at_once(root):
    (root / "train/filenames.pickle").unlink()
    (root / "text").rename(root / "elsewhere")
    (root / "text.zip").touch()
    said = r"no text \(Reed et al\.'s captions; unpack text\.zip\), no train/filenames\.pickle \(a list of"
    with pytest.raises(FileNotFoundError, match=said):
        read(root)


def test_captions_may_be_in_reed_s_own_folder(root):
    before = read(root)
    (root / "text").rename(root / "text_c10")
    assert [e.captions for e in read(root).splits["train"]] == [e.captions for e in before.splits["train"]]


def test_a_lost_character_is_read_as_a_blank(root):
    (root / "text" / f"{RED}.txt").write_text("a bird\ufffd\ufffds red\ufffd\ufffdwings\n", encoding="utf-8")
    (caption,) = read(root).splits["train"][0].captions
    assert tokenize(caption) == ["a", "bird", "s", "red", "wings"]


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        ("bounding_boxes", "1 2 3 0 5\n", r"line 1: a box is x y width height.* above 0; found '2 3 0 5'"),
        ("bounding_boxes", "1 nan 3 4 5\n", r"line 1: a box is"),
        ("bounding_boxes", "1 2 3 1e308 5\n", r"line 1: a box is .* found '2 3 1e308 5'"),
        ("bounding_boxes", "9 2 3 4 5\n", r"line 1: a box for picture 9, which images\.txt does not list"),
        ("bounding_boxes", "1 2 3 4 5\n1 2 3 4 5\n", r"line 2: the second box of picture 1"),
        ("image_class_labels", "1 1\n2 4\n", r"line 2: class 4, which classes\.txt does not list"),
        ("image_class_labels", "7 1\n", r"line 1: a class for picture 7, which images\.txt does not list"),
        ("image_class_labels", "1 2\n", r"line 1: picture 1 is of class 002\.Blue_Bird, but its file is 001\.Red"),
        ("images", f"1 {RED}.jpg\n1 a/b.jpg\n", r"line 2: 1 a/b\.jpg is listed for the second time"),
        ("images", "1 ../../../a.jpg\n", r"line 1: '\.\./\.\./\.\./a\.jpg' is not a file inside"),
    ],
)
def test_tables_that_do_not_fit_are_named_with_the_line(root, table, content, said):
    (root / f"CUB_200_2011/{table}.txt").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{table}\.txt, {said}"):
        read(root)


# -------------------------------------------------------------------------------------------------------- coco


@pytest.fixture
def coco_root(tmp_path):
    coco.write_example(tmp_path)
    return tmp_path


def captions_of(root, change=None, name="train2017"):
    """Changes a file of captions in place."""
    path = root / f"annotations/captions_{name}.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if change:
        change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return content


def test_five_captions_are_used_each_picture_whole_and_a_group_of_its_own(coco_root):
    def add_captions(content):
        content["annotations"] += [{"image_id": 500, "id": n, "caption": f"more\n{n} "} for n in range(3)]

    captions_of(coco_root, add_captions)
    first = coco.read(coco_root).splits["train"][0]
    assert first.key == first.group == "train2017/000000000500" and first.box is None
    assert first.captions == tuple(f"A red wall, seen {n} times." for n in (4, 3, 2, 1, 0))


def test_pictures_of_coco_without_caption_or_file_are_passed_over(coco_root):
    def forget(content):
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 500]
        content["annotations"].append({"image_id": 500, "id": 1, "caption": "  "})
        content["annotations"].append({"image_id": 501, "id": 1, "caption": "  "})
        content["annotations"].append({"image_id": 77, "id": 2, "caption": "of whom?"})

    captions_of(coco_root, forget)
    (coco_root / "train2017/000000000502.jpg").unlink()
    Image.new("RGB", (20, 20)).save(coco_root / "val2017/000000000999.jpg")
    listing = coco.read(coco_root)
    assert [example.key for example in listing.splits["train"]] == ["train2017/000000000501"]
    assert [(one.reason, Path(one.where).name) for one in listing.left_out] == [
        ("caption of an unknown picture", "captions_train2017.json: annotations[12]: image_id 77"),
        ("empty caption", "captions_train2017.json: annotations[11]: 000000000501.jpg"),
        ("no caption", "000000000500.jpg"),
        ("no picture file", "000000000502.jpg"),
        ("no caption", "000000000999.jpg"),
    ]


def test_the_papers_year_is_read_where_both_are_there(coco_root):
    for name in ("train", "val"):
        (coco_root / f"{name}2014").symlink_to(coco_root / f"{name}2017")
        content = (coco_root / f"annotations/captions_{name}2017.json").read_text(encoding="utf-8")
        (coco_root / f"annotations/captions_{name}2014.json").write_text(content, encoding="utf-8")
    assert coco.read(coco_root).splits["train"][0].key.startswith("train2014/")
    (coco_root / "annotations/captions_val2014.json").unlink()
    assert coco.read(coco_root).splits["train"][0].key.startswith("train2017/")
    (coco_root / "annotations/captions_val2017.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no annotations/captions_val2014\.json; the layout is in"):
        coco.read(coco_root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{\n'images'", r"captions_train2017\.json, line 2: not JSON"),
        ("[]", r'it needs the lists "images" and "annotations"'),
        ('{"images": [{"id": "a", "file_name": "b"}], "annotations": []}', r"images\[0\]: it needs 'id' of type int"),
        ('{"images": [], "annotations": [3]}', r"annotations\[0\]: it needs 'image_id' of type int; found 3"),
        ('{"images": [{"id": 1, "file_name": "../b.jpg"}], "annotations": []}', r"images\[0\]: '\.\./b\.jpg' is not"),
        (json.dumps({"images": [{"id": 1, "file_name": "b"}] * 2, "annotations": []}), r"images\[1\]: the id 1 is"),
    ],
)
def test_captions_that_are_not_coco_s_are_named(coco_root, content, said):
    (coco_root / "annotations/captions_train2017.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        coco.read(coco_root)


def test_real_coco_is_read_and_packed(tmp_path):
    root = Path(__file__).parents[2].parent / "shared" / "data" / "coco-mini"
    if not root.is_dir():
        pytest.skip("no sample of COCO 2017 beside the project")
    listing = coco.read(root)
    assert [len(listing.splits[split]) for split in ("train", "test")] == [80, 79]
    assert count_reasons(listing.left_out) == {"no caption": 80}
    assert {len(example.captions) for example in all_examples(listing)} == {5}
    said = pack("coco", root, tmp_path, 64, 80, 1, strict=False)
    assert said["counts"] == {"train": 80, "test": 79} and said["left_out"] == {"no caption": 80}
    assert load_packed(tmp_path, "test").pictures(32).shape == (79, 32, 32, 3)


# ------------------------------------------------------------------------------------------------------ folder


def make_folder(root, *names):
    """Tiny pictures."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(root / name)
    return root


def by_key(listing):
    return {example.key: example for example in all_examples(listing)}


@pytest.fixture
def folder_root(tmp_path):
    return make_folder(tmp_path, "a.png", "b.png", "c/d.png")


ROWS = [
    {"file": "a.png", "caption": "a wall, red", "class": "wall", "box": [1, 2.5, 3, 4], "split": "test"},
    {"file": "c/d.png", "caption": "a \u00fcber wall", "class": "wall", "split": "train"},
    {"file": "a.png", "caption": "another  one"},
    {"file": "b.png", "caption": 'a "wall"', "class": "hall", "split": "train"},
]
CSV = (
    "\ufefffile,caption,class,box,split\r\n"
    'a.png,"a wall, red",wall,1 2.5 3 4,test\r\n'
    "c/d.png,a \u00fcber wall,wall,,train\r\n"
    "\r\n"
    "./a.png,another  one,,,\r\n"
    'b.png,"a ""wall""",hall,,train\r\n'
)


def test_the_same_rows_are_read_from_csv_and_from_jsonl(folder_root):
    (folder_root / "captions.csv").write_text(CSV, encoding="utf-8", newline="")
    from_csv = by_key(folder.read(folder_root))
    (folder_root / "captions.csv").unlink()
    (folder_root / "captions.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    from_jsonl = by_key(folder.read(folder_root))
    for found in (from_csv, from_jsonl):
        assert {key: example.captions for key, example in found.items()} == {
            "a.png": ("a wall, red", "another one"),
            "b.png": ('a "wall"',),
            "c/d.png": ("a \u00fcber wall",),
        }
        assert [found[key].group for key in ("a.png", "b.png", "c/d.png")] == ["wall", "hall", "wall"]
        assert found["a.png"].box == (1, 2.5, 3, 4) and found["b.png"].box is None
    assert from_csv["b.png"].listed.endswith("captions.csv, line 6")
    assert from_jsonl["b.png"].listed.endswith("captions.jsonl, line 4")
    splits = folder.read(folder_root).splits
    assert [[example.key for example in splits[name]] for name in splits] == [["c/d.png", "b.png"], ["a.png"]]


def test_captions_of_a_picture_may_be_a_list(folder_root):
    rows = [{"file": name, "caption": ["one", " ", "two"]} for name in ("a.png", "b.png", "c/d.png")]
    (folder_root / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    listing = folder.read(folder_root)
    assert {example.captions for example in all_examples(listing)} == {("one", "two")}
    assert count_reasons(listing.left_out) == {"empty caption": 3}


def test_what_cannot_be_used_is_left_out_with_its_line(folder_root):
    rows = "a.png,one\nb.png,one\nx.png,one\nc/d.png,\na.png,\na.png,one\n"
    (folder_root / "captions.csv").write_text("file,caption\n" + rows, encoding="utf-8")
    make_folder(folder_root, "e.png")
    listing = folder.read(folder_root)
    assert sorted(by_key(listing)) == ["a.png", "b.png"]
    table = f"{folder_root}/captions.csv, line"
    assert {(one.reason, one.where) for one in listing.left_out} == {
        ("no picture file", f"{table} 4: x.png"),
        ("no caption", f"{table} 5: c/d.png"),
        ("empty caption", f"{table} 6: a.png"),
        ("the same caption of a picture again", f"{table} 7: a.png"),
        ("no caption", f"{folder_root}/e.png"),
    }


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", r"captions\.csv: empty; its first line must name the columns: file, caption"),
        ("name,words\na.png,b\n", r"captions\.csv, line 1: the columns must be file and caption.*found: name,words"),
        ("file caption\na.png b\n", r"line 1: the columns must be .*with commas between them; found: file caption"),
        ("caption\nb\n", r"line 1: the columns must be"),
        ("file,caption,file\n", r"line 1: the columns must be"),
        ("file,caption\na.png,b\na.png,b, c\n", r"line 3: 3 columns where the header has 2; a caption with a comma"),
        ('file,caption\na.png,"b\nc"\na.png,"b\n', r"line 4: not a row of a table \(unexpected end of data\)"),
        ("file,caption\n../a.png,b\n", r"line 2: '\.\./a\.png' is not a file inside"),
        ("file,caption\n,b\n", r"line 2: '' is not a file inside"),
        ("file,caption,class\na.png,b,x\na.png,c,y\n", r"line 3: class 'y' of a\.png, but 'x' in line 2"),
        ("file,caption,split\na.png,b,most\nb.png,b,test\n", r"line 2: split 'most' of a\.png; it is train, val or"),
        ("file,caption,split\na.png,b,\nb.png,b,test\n", r"line 2: a\.png has no split, but others have"),
        ("file,caption,split\na.png,b,test\nb.png,b,test\n", r"no picture is of the split train"),
        ("file,caption,box\na.png,b,1 2 3\n", r"line 2: a box is x y width height.*found '1 2 3'"),
        ("file,caption,box\na.png,b,1 2 0 3\n", r"line 2: a box is .* width and height above 0"),
        ("file,caption,box\na.png,b,1 inf 2 3\n", r"line 2: a box is"),
        ("file,caption\na.png,b\n", r"1 pictures with a caption"),
    ],
)
def test_a_wrong_table_is_named_with_its_line(folder_root, table, said):
    (folder_root / "captions.csv").write_text(table, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        folder.read(folder_root)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'file'}", r"captions\.jsonl, line 2: not JSON"),
        ("[1]", r"line 2: one object a line is expected, found \[1\]"),
        ('{"name": "a.png", "text": "b"}', r"line 2: the fields must be .*found: name, text"),
        ('{"file": 3, "caption": "b"}', r"line 2: file cannot be 3"),
        ('{"file": "a.png", "caption": ["b", 3]}', r"line 2: caption must be a sentence or a list"),
        ('{"file": "a.png", "caption": "b", "box": 3}', r"line 2: a box is .*found 3"),
        ('{"file": "a.png", "caption": "b", "box": {"x": 1}}', r"line 2: a box is"),
    ],
)
def test_a_wrong_line_of_jsonl_is_named(folder_root, line, said):
    (folder_root / "captions.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=said):
        folder.read(folder_root)


def test_a_table_that_is_not_utf8_is_named_with_its_line(folder_root):
    (folder_root / "captions.csv").write_bytes("file,caption\na.png,gr\u00fcn\n".encode("latin1"))
    with pytest.raises(DataError, match=r"captions\.csv, line 2: byte 0xfc is not UTF-8"):
        folder.read(folder_root)


def test_two_tables_and_folders_without_pictures_or_captions_are_refused(folder_root, tmp_path):
    with pytest.raises(DataError, match=r"no captions: neither captions\.csv nor captions\.jsonl, nor a \.txt beside"):
        folder.read(folder_root)
    (folder_root / "captions.csv").touch()
    (folder_root / "captions.jsonl").touch()
    with pytest.raises(DataError, match=r"both captions\.csv and captions\.jsonl"):
        folder.read(folder_root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        folder.read(tmp_path / "empty")


def write_texts(root, **captions):
    for name, text in captions.items():
        (root / f"{name.replace('__', '/')}.txt").write_text(text, encoding="utf-8")


def test_captions_beside_their_pictures(folder_root):
    make_folder(folder_root, "e.png", "f.png")
    write_texts(folder_root, a="one\n\n two \none\n", b="three", c__d="four", g="nobody's", e=" \n")
    (folder_root / "f.txt").write_bytes(b"five\n\xff\n")
    listing = folder.read(folder_root)
    found = by_key(listing)
    assert {key: example.captions for key, example in found.items()} == {
        "a.png": ("one", "two"),
        "b.png": ("three",),
        "c/d.png": ("four",),
    }
    assert {(one.reason, one.where.removeprefix(f"{folder_root}/")) for one in listing.left_out} == {
        ("no caption", "e.txt: e.png"),
        ("captions that are not UTF-8", "f.txt, line 2: byte 0xff is not UTF-8; save the file as UTF-8"),
        ("captions without a picture", "g.txt"),
    }
    assert len({example.group for example in found.values()}) == 3  # one is in a folder, which makes no class


def test_two_pictures_with_one_text_are_refused(folder_root):
    make_folder(folder_root, "a.jpg")
    write_texts(folder_root, a="one", b="two")
    with pytest.raises(DataError, match=r"a\.txt: captions of both a\.jpg and a\.png; rename one"):
        folder.read(folder_root)


def test_folders_are_split_and_class(tmp_path):
    names = ["train/cat/1", "train/cat/2", "train/dog/1", "test/dog/2", "test/3"]
    make_folder(tmp_path, *(f"{name}.png" for name in names))
    write_texts(tmp_path, **{name.replace("/", "__"): "an animal" for name in names})
    splits = folder.read(tmp_path).splits
    assert [e.key for e in splits["train"]] == ["train/cat/1.png", "train/cat/2.png", "train/dog/1.png"]
    assert [e.group for e in splits["train"]] == ["cat", "cat", "dog"]
    assert [e.group for e in splits["test"]] == ["test/3.png", "dog"]


def test_one_class_for_all_is_none(folder_root):
    rows = "".join(f"{name},a wall,wall\n" for name in ("a.png", "b.png", "c/d.png"))
    (folder_root / "captions.csv").write_text("file,caption,class\n" + rows, encoding="utf-8")
    assert all(example.group == example.key for example in all_examples(folder.read(folder_root)))


@pytest.mark.parametrize(("count", "test"), [(2, 1), (3, 1), (7, 1), (8, 2), (30, 7), (31, 7), (32, 8), (60, 8)])
def test_few_pictures_are_divided_so_that_both_parts_can_be_used(count, test):
    for prefix in "abcdefghijklmnop":
        chosen = folder.choose_test([f"{prefix}{n}" for n in range(count)])
        assert test <= len(chosen) <= max(test, count // 2)


def test_more_pictures_do_not_move_earlier_ones():
    keys = [f"{n}.jpg" for n in range(3000)]
    some, all_of_them = folder.choose_test(keys[:1500]), folder.choose_test(keys)
    assert some == all_of_them & set(keys[:1500])
    assert abs(len(all_of_them) / 3000 - 0.1) < 0.02
    assert folder.choose_test(keys[::-1]) == all_of_them


# ------------------------------------------------------------------------------------------------------ shapes


MANY = {"pairs": 0.667, "grounds": list(shapes.COLOURS)}


@pytest.fixture(scope="module", params=[{}, MANY], ids=["one shape on white", "one or two on any colour"])
def drawn(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "shapes.json").write_text(json.dumps(request.param), encoding="utf-8")
    return shapes.read(folder)


def fits(caption, scene):
    """Whether all that a caption says is so; told from the words alone."""
    words = tokenize(caption)
    things = list(scene.things)
    nouns = [place for place, word in enumerate(words) if word in shapes.SHAPES]
    first_said = len(nouns) == 2 and ("below" in words or "with" in words)
    if len(nouns) != len(things):
        return False
    for noun, thing in zip(nouns, things[::-1] if first_said else things, strict=True):
        said = words[noun + 1 : words.index("on")] if words[0] == "this" else words[max(0, noun - 2) : noun]
        colours, sizes = [w for w in said if w in shapes.COLOURS], [w for w in said if w in shapes.RADII]
        if words[noun] != thing.shape or colours != [thing.colour] or sizes not in ([], [thing.size]):
            return False
    grounds = [words[place - 1] for place, word in enumerate(words) if word in ("background", "ground")]
    return grounds == [scene.background]


def test_captions_fit_their_picture_and_no_picture_of_another_group(drawn):
    examples = drawn.splits["train"][:40] + drawn.splits["test"][:40]
    for example in examples:
        assert len(set(example.captions)) == 5 and all(fits(caption, example.image) for caption in example.captions)
        for other in examples:
            if other.group != example.group:
                assert not any(fits(caption, other.image) for caption in example.captions)


def test_colours_are_drawn_where_captions_say(drawn):
    palette = np.array(list(shapes.COLOURS.values()), dtype=float)
    for example in drawn.splits["test"][:60]:
        picture = np.asarray(example.image(), dtype=float)
        assert picture.shape == (shapes.SIDE, shapes.SIDE, 3)
        nearest = np.linalg.norm(picture[:, :, None] - palette, axis=-1).argmin(axis=-1)
        names = np.array(list(shapes.COLOURS))[nearest]
        assert names[0, 0] == names[-1, -1] == example.image.background
        for thing in example.image.things:
            x, y = round(thing.x * shapes.SIDE), round(thing.y * shapes.SIDE)
            assert names[y, x] == thing.colour


def test_a_test_picture_asks_for_a_combination_that_training_never_shows(drawn):
    train, test = ({example.group for example in drawn.splits[split]} for split in ("train", "test"))
    assert not train & test
    assert any(" above " not in group for group in train) and any(" above " not in group for group in test)
    words = [{word for group in groups for word in group.split()} for groups in (train, test)]
    assert words[1] <= words[0]  # though not for anything that it never names


def test_there_are_captions_enough_of_other_groups_to_choose_among_a_hundred(drawn):
    for examples in drawn.splits.values():
        most = Counter(example.group for example in examples).most_common(1)[0][1]
        assert len(examples) - most >= 99


def test_shapes_stay_the_shapes_that_they_were():
    # A seed names a picture on every machine and in every later version.
    first = shapes.read().splits["train"][0]
    assert first.captions[0] == "a large green triangle on a white background"
    assert [round(float(value), 3) for value in (first.image.things[0].x, first.image.things[0].y)] == [0.5, 0.522]


def test_shapes_json_says_how_many_and_which(tmp_path):
    drawn = shapes.read()
    (tmp_path / "shapes.json").write_text('{"train": 3, "test": 2, "seed": 7}', encoding="utf-8")
    listing = shapes.read(tmp_path)
    assert [len(examples) for examples in listing.splits.values()] == [3, 2]
    assert listing.splits["train"] != drawn.splits["train"][:3]
    (tmp_path / "shapes.json").write_text('{"train": 3, "test": 1}', encoding="utf-8")
    assert shapes.read(tmp_path).splits == {name: drawn.splits[name][:n] for name, n in (("train", 3), ("test", 1))}


@pytest.mark.parametrize(("share", "things"), [(0, {1}), (1, {2}), (0.5, {1, 2})])
def test_shapes_json_says_how_many_pictures_show_two(tmp_path, share, things):
    (tmp_path / "shapes.json").write_text(json.dumps({"train": 30, "test": 4, "pairs": share}), encoding="utf-8")
    examples = shapes.read(tmp_path).splits["train"]
    assert {len(example.image.things) for example in examples} == things


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{\n"train"}', r"shapes\.json, line 2: not JSON"),
        ('{"pictures": 3}', r"it may say train, test, seed, pairs, grounds and nothing else"),
        ('{"train": 0}', r"train must be a whole number from 1, not 0"),
        ('{"pairs": 1.5}', r"pairs must be a share from 0 to 1, not 1\.5"),
        ('{"pairs": true}', r"pairs must be a share"),
        ('{"grounds": []}', r"grounds must be a list of red, .*, not \[\]"),
        ('{"grounds": ["pink"]}', r"grounds must be a list of red, .*, not \['pink'\]"),
        ('{"grounds": "white"}', r"grounds must be a list of red, .*, not 'white'"),
        ('{"seed": 1.5}', r"seed must be a whole number from 0, not 1\.5"),
        ("3", r"it may say"),
    ],
)
def test_other_settings_of_shapes_are_refused(tmp_path, content, said):
    (tmp_path / "shapes.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        shapes.read(tmp_path)


def test_parts_are_the_pictures_own(root):
    listing = read(root)
    assert listing.part_names == ("beak", "left eye", "right eye")
    assert all(example.parts == ((25.0, 20.0), (30.0, 15.0), None) for example in all_examples(listing))
    (root / "CUB_200_2011/parts/part_locs.txt").write_text("2 1 3.5 4 1\n2 2 0 0 0\n", encoding="utf-8")
    assert [example.parts for example in read(root).splits["train"]] == [(), ((3.5, 4.0), None, None)]


def test_parts_may_be_missing(root):
    (root / "CUB_200_2011/parts/part_locs.txt").unlink()
    listing = read(root)
    assert listing.part_names == () and all(example.parts == () for example in all_examples(listing))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("9 1 3 4 1", r"part_locs\.txt, line 1: a part of picture 9, which images\.txt does not list"),
        ("1 7 3 4 1", r"line 1: part 7, which parts\.txt does not list"),
        ("1 1 three 4 1", r"line 1: expected x, y and 0 or 1, found three 4 1"),
        ("1 1 nan 4 1", r"line 1: expected x, y and 0 or 1, found nan 4 1"),
        ("1 1 3 4 2", r"line 1: expected x, y and 0 or 1, found 3 4 2"),
        ("1 1 3 4", r"line 1: 4 columns where 5 are expected"),
    ],
)
def test_a_part_that_cannot_be_is_named_with_its_line(root, line, message):
    (root / "CUB_200_2011/parts/part_locs.txt").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(root)


def test_parts_of_photographs_that_were_cut_and_shrunk_are_followed_there(root):
    """A photograph of 300 x 200 with the box 100, 50, 80, 60 was cut to the square of 120 around it and halved."""
    cub = root / "CUB_200_2011"
    (cub / "parts/original_bounding_boxes.txt").write_text(
        "1 100 50 80 60\n2 100 50 80 60\n3 100 50 80 60\n", encoding="utf-8"
    )
    (cub / "bounding_boxes.txt").write_text("".join(f"{i} 10 15 40 30\n" for i in (1, 2, 3)), encoding="utf-8")
    (cub / "parts/part_locs.txt").write_text("1 1 100 50 1\n", encoding="utf-8")
    beak = read(root).splits["train"][0].parts[0]
    assert beak == (10.0, 15.0)  # the corner of the box before is the corner of the box after
    (cub / "parts/original_bounding_boxes.txt").write_text("2 100 50 80 60\n", encoding="utf-8")
    with pytest.raises(DataError, match="picture 1 was cut, but has no box before or after"):
        read(root)
