import sys

import gradio as gr
import pytest

from app import tools_tab as play
from app import zerogpu as lent
from app.callbacks import AppContext, Visitor
from app.limits import RateLimiter
from app.models import ModelRegistry
from mirrorgan.drawing import CaptionError

SPACES = """
lent = []

def GPU(task, duration):
    def elsewhere(*values):
        lent.append((values, duration))
        yield from task(*values)
    return elsewhere
"""


@pytest.fixture
def spaces(tmp_path, monkeypatch):
    """A package of the name that lends a GPU, and keeps what was asked of it."""
    (tmp_path / "spaces.py").write_text(SPACES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    import spaces

    yield spaces
    monkeypatch.delitem(sys.modules, "spaces")


def test_nothing_is_lent_where_the_space_or_the_package_lacks(monkeypatch, tmp_path):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not lent.available()
    (tmp_path / "spaces.py").write_text(SPACES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert not lent.available()
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    assert not lent.available()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    assert lent.available()


def test_only_the_way_uphill_borrows_and_loads_a_model_there(spaces, pipeline):
    there = []

    def load_there():
        there.append(type(pipeline)())
        return there[-1]

    model = lent.borrowing(lambda: pipeline, load_there)()
    assert model.info == pipeline.info and model.inside() == pipeline.inside()
    model.draw("a red bird", 3)
    list(model.grow("a red bird", 3, False))
    list(model.walk(("a red bird", 3), ("a blue bird", 3), 3))
    list(model.with_noise("a red bird", 3, (0, 1)))
    assert spaces.lent == [] and there == []
    for _ in range(2):
        assert len(list(model.refine("a red bird", 3, 4))) == 5
    assert spaces.lent == [(("a red bird", 3, 4), lent.SECONDS)] * 2
    assert len(there) == 1 and there[0].asked


def test_a_caption_that_cannot_be_drawn_borrows_nothing(spaces, pipeline):
    model = lent.borrowing(lambda: pipeline, lambda: pipeline)()
    with pytest.raises(CaptionError, match="None of these words"):
        next(model.refine("zzz", 3, 4))
    assert spaces.lent == []


def test_the_page_goes_uphill_with_what_is_lent(spaces, pipeline):
    registry = ModelRegistry({"fake": lent.borrowing(lambda: pipeline, lambda: pipeline)})
    registry["fake"].load()
    *_, board = play.refine(AppContext(registry, RateLimiter()), "a red bird", 3, "fake", Visitor("here", "me"))
    assert len(board["frames"]) == play.STEPS + 1 and len(spaces.lent) == 1


def test_what_the_lender_says_reaches_the_visitor(spaces, pipeline, monkeypatch):
    def none_left(task, duration):
        def elsewhere(*values):
            raise gr.Error("No GPU is left for you today.")
            yield

        return elsewhere

    monkeypatch.setattr(spaces, "GPU", none_left)
    registry = ModelRegistry({"fake": lent.borrowing(lambda: pipeline, lambda: pipeline)})
    registry["fake"].load()
    with pytest.raises(gr.Error, match="No GPU is left"):
        list(play.refine(AppContext(registry, RateLimiter()), "a red bird", 3, "fake", Visitor("here", "me")))
