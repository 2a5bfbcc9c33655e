import sys

import pytest

from mirrorgan.plugins import Registry


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """Plug-ins that define `WINGS`, but for one that has forgotten it."""
    folder = tmp_path / "some_birds"
    folder.mkdir()
    for name, text in {"__init__": "", "base": "", "wren": "WINGS = 2", "kiwi": "WINGS = 0", "egg": ""}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("some_birds", "bird", lambda file: int(file.WINGS))
    for module in [name for name in sys.modules if name.startswith("some_birds")]:
        del sys.modules[module]


def test_a_file_is_a_plug_in_by_its_name_and_the_base_is_none(birds):
    assert birds.names() == ["egg", "kiwi", "wren"]
    assert {name: birds.find(name) for name in ("kiwi", "wren")} == {"kiwi": 0, "wren": 2}


@pytest.mark.parametrize("name", ["base", "dodo", "", "some_birds.wren", "../wren"])
def test_an_unknown_name_lists_the_known_ones(birds, name):
    with pytest.raises(ValueError, match=f"no bird {name!r}; there are: egg, kiwi, wren"):
        birds.find(name)


def test_a_file_that_lacks_what_its_kind_defines_is_named(birds):
    with pytest.raises(AttributeError, match=r"some_birds\.egg.*WINGS"):
        birds.find("egg")
