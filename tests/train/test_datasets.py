"""The contract that every data set keeps. A new file in train/datasets/ is tested by being there."""

import os
import pickle

import pytest

from train.datasets import available_datasets, find_dataset
from train.datasets.base import DataError
from train.datasets.birds import read, read_name_list, write_example


@pytest.fixture(params=available_datasets())
def dataset(request):
    return find_dataset(request.param)


def test_its_own_example_is_read_without_a_loss(dataset, tmp_path):
    dataset.write_example(tmp_path)
    listing = dataset.read(tmp_path)
    assert not listing.left_out
    assert "train" in listing.splits and all(listing.splits.values())


def test_every_example_has_a_picture_and_captions(dataset, tmp_path):
    dataset.write_example(tmp_path)
    for examples in dataset.read(tmp_path).splits.values():
        for example in examples:
            assert example.image.is_file()
            assert example.captions and all(caption == caption.strip() != "" for caption in example.captions)
            assert example.group
            assert example.box is None or (len(example.box) == 4 and min(example.box[2:]) > 0)


def test_keys_are_unique_over_all_splits(dataset, tmp_path):
    dataset.write_example(tmp_path)
    keys = [example.key for examples in dataset.read(tmp_path).splits.values() for example in examples]
    assert len(set(keys)) == len(keys)


def test_reading_twice_gives_the_same_order(dataset, tmp_path):
    dataset.write_example(tmp_path)
    assert dataset.read(tmp_path) == dataset.read(tmp_path)


def test_no_picture_is_opened_for_the_list(dataset, tmp_path):
    dataset.write_example(tmp_path)
    for examples in dataset.read(tmp_path).splits.values():
        for example in examples:
            example.image.write_bytes(b"no picture")
    assert sum(map(len, dataset.read(tmp_path).splits.values())) > 0


def test_an_empty_folder_is_a_missing_data_set(dataset, tmp_path):
    with pytest.raises((FileNotFoundError, DataError)):
        dataset.read(tmp_path)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no data set 'cats'; there are: .*birds"):
        find_dataset("cats")


# ------------------------------------------------------------------------------------------------------- birds


@pytest.fixture
def root(tmp_path):
    write_example(tmp_path)
    return tmp_path


RED = "001.Red_Bird/Red_Bird_0001"


def test_what_is_left_out_is_counted_by_its_reason(root):
    (root / "text" / f"{RED}.txt").write_text("\n  \n")
    (root / "CUB_200_2011/images/002.Blue_Bird/Blue_Bird_0001.jpg").unlink()
    names = read_name_list(root / "test/filenames.pickle")
    (root / "test/filenames.pickle").write_bytes(pickle.dumps([*names, "nobody/knows"], protocol=2))
    listing = read(root)
    assert listing.splits["train"] == []
    assert listing.left_out == {"no caption": 1, "no picture file": 1, "not in images.txt": 1}


def test_the_first_ten_captions_that_say_anything_are_used(root):
    (root / "text" / f"{RED}.txt").write_text("\n".join(f"caption {n}\n" for n in range(14)))
    captions = read(root).splits["train"][0].captions
    assert captions == tuple(f"caption {n}" for n in range(10))


def test_captions_need_not_be_utf8(root):
    (root / "text" / f"{RED}.txt").write_bytes(b"a red\xff\xfebird\n")
    assert len(read(root).splits["train"][0].captions) == 1


def test_boxes_and_classes_are_the_pictures_own(root):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("2 1.0 2.0 3.0 4.0\n1 5.5 6 7 8\n")
    listing = read(root)
    assert [example.box for example in listing.splits["train"]] == [(5.5, 6.0, 7.0, 8.0), (1.0, 2.0, 3.0, 4.0)]
    assert listing.splits["test"][0].box is None
    assert [example.group for example in listing.splits["train"]] == ["001.Red_Bird", "002.Blue_Bird"]


def test_boxes_may_be_missing(root):
    (root / "CUB_200_2011/bounding_boxes.txt").unlink()
    assert all(example.box is None for example in read(root).splits["train"])


def test_a_table_with_a_wrong_line_is_named_with_the_line(root):
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("1 2 3 4 5\n\n2 3 4\n")
    with pytest.raises(DataError, match=r"bounding_boxes\.txt, line 3: 3 columns where 5 are expected"):
        read(root)
    (root / "CUB_200_2011/bounding_boxes.txt").write_text("1 2 3 four 5\n")
    with pytest.raises(DataError, match=r"not a box of four numbers: 2 3 four 5"):
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
    with pytest.raises(DataError, match="mkdir, which a list of names never needs"):
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
