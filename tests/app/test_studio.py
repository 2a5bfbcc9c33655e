import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from PIL import Image

from app.limits import RefusedError, WaitingRoom
from app.studio import EXAMPLE_SEED, REMEMBERED, Shelf, Studio
from mirrorgan.drawing import CaptionError, CheckpointError, Sketch


def refusing(error: Exception):
    def load():
        raise error

    return load


def test_examples_are_drawn_before_anybody_asks(studio, pipeline):
    assert studio.examples == pipeline.info.examples
    asked = list(pipeline.asked)
    assert asked == [(caption, EXAMPLE_SEED) for caption in pipeline.info.examples]
    drawing = studio.draw(pipeline.info.examples[1], EXAMPLE_SEED)
    assert drawing.caption == pipeline.info.examples[1]
    assert pipeline.asked == asked


def test_an_example_with_another_seed_is_drawn_anew(studio, pipeline):
    studio.draw(pipeline.info.examples[0], EXAMPLE_SEED + 1)
    assert pipeline.asked[-1] == (pipeline.info.examples[0], EXAMPLE_SEED + 1)


def test_before_the_model_is_there_the_visitor_is_told_so(pipeline):
    studio = Studio(lambda: pipeline, patience=0.0)
    assert not studio.settled and studio.info is None
    with pytest.raises(RefusedError, match="still loading"):
        studio.draw("a bird", 0)


def test_who_draws_while_the_model_loads_waits_for_it(pipeline):
    ready = threading.Event()

    def load():
        ready.wait(60)
        return pipeline

    studio = Studio(load)
    loading = studio.open()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(studio.draw, "a red bird", 3)
        assert not wait([asked], timeout=0.2).done
        ready.set()
        assert asked.result(timeout=60).caption == "a red bird"
    loading.join(timeout=60)


def test_loading_happens_in_the_background(pipeline):
    studio = Studio(lambda: pipeline)
    studio.open().join(timeout=60)
    assert studio.settled and studio.info == pipeline.info


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CheckpointError("birds/config.json has no vocabulary"), "birds/config.json has no vocabulary"),
        (FileNotFoundError("checkpoints/birds is not there"), "checkpoints/birds is not there"),
        (RuntimeError("secret detail"), "could not be loaded"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_said_in_words(error, said):
    studio = Studio(refusing(error))
    studio.load()
    assert studio.settled and studio.info is None
    assert said in studio.trouble
    assert "secret" not in studio.trouble
    with pytest.raises(RefusedError, match=said):
        studio.draw("a bird", 0)


def test_an_example_that_cannot_be_drawn_is_left_out(pipeline):
    class Picky:
        info = pipeline.info

        def draw(self, caption, seed):
            if caption == self.info.examples[0]:
                raise CaptionError("not this one")
            return pipeline.draw(caption, seed)

        def __getattr__(self, name):
            return getattr(pipeline, name)

    studio = Studio(Picky)
    studio.load()
    assert studio.examples == pipeline.info.examples[1:]


def test_every_value_is_checked_before_the_model_is_asked(studio, pipeline):
    asked = list(pipeline.asked)
    for caption, seed in [("x" * 201, 0), ("a bird", -1), (None, 0), ("a bird", "1")]:
        with pytest.raises(RefusedError):
            studio.draw(caption, seed)
    assert pipeline.asked == asked


def test_a_full_room_is_refused_and_examples_still_answer(pipeline):
    room = WaitingRoom(places=1)
    studio = Studio(lambda: pipeline, room)
    studio.load()
    with room.place():
        with pytest.raises(RefusedError, match="try again"):
            studio.draw("a red bird", 1)
        assert studio.draw(pipeline.info.examples[0], EXAMPLE_SEED).seed == EXAMPLE_SEED
    assert studio.draw("a red bird", 1).seed == 1


def test_what_was_drawn_lately_is_handed_out_again(studio, pipeline):
    drawing = studio.draw("a red bird", 1)
    asked = len(pipeline.asked)
    assert studio.draw("a red bird", 1) is drawing and len(pipeline.asked) == asked
    assert list(studio.grow("a red bird", 1, read_back=False)) == [drawing]
    for seed in range(2, REMEMBERED + 2):
        studio.draw("a red bird", seed)
    assert studio.draw("a red bird", 1) is not drawing
    asked = len(pipeline.asked)
    studio.draw(pipeline.info.examples[0], EXAMPLE_SEED)
    assert len(pipeline.asked) == asked


def test_a_drawing_grows_and_a_sketch_is_not_read_back(studio):
    assert [len(sketch.stages) for sketch in studio.grow("a red bird", 5)] == [1, 2, 3, 3]
    assert [type(sketch) for sketch in studio.grow("a red bird", 6, read_back=False)] == [Sketch] * 3


def test_others_come_in_between_and_who_goes_away_blocks_nobody(pipeline):
    room = WaitingRoom(places=2)
    studio = Studio(lambda: pipeline, room)
    studio.load()
    half = studio.grow("a red bird", 5)
    next(half)
    assert studio.draw("a blue bird", 6).seed == 6
    half.close()
    with room.place(), room.place():
        pass


def test_reading_walking_and_climbing_check_their_values(studio):
    picture = Image.new("RGB", (40, 40), "red")
    assert studio.read(picture, "").words == () and studio.read(picture, "a red bird").scores
    assert len(list(studio.walk(("a red bird", 0), ("a blue bird", 1.0), 4))) == 4
    assert [refinement.step for refinement in studio.refine("a red bird", 0, 3)] == [0, 1, 2, 3]
    assert len(list(studio.with_noise("a red bird", 0.0, (0, 1)))) == 2
    for call in (
        lambda: studio.read(picture, "x" * 201),
        lambda: list(studio.walk(("a red bird", 0), ("a blue bird", -1), 4)),
        lambda: list(studio.walk(("", 0), ("a blue bird", 1), 4)),
        lambda: list(studio.refine("a red bird", 0.5, 3)),
        lambda: list(studio.with_noise("", 0, (0, 1))),
        lambda: list(studio.with_noise("a red bird", "x", (0, 1))),
    ):
        with pytest.raises(RefusedError):
            call()


def test_only_the_checkpoint_that_is_asked_for_is_loaded(pipeline):
    loaded = []

    def load(name):
        loaded.append(name)
        return pipeline

    shelf = Shelf({"one": lambda: load("one"), "two": lambda: load("two")})
    assert shelf.keys == ("one", "two") and shelf.first == "one" and loaded == []
    assert shelf["two"].draw("a red bird", 3).seed == 3
    assert loaded == ["two"]
    shelf["two"].open().join()
    assert loaded == ["two"]


@pytest.mark.parametrize("key", ["three", "", None, 0, "../one", ["one"], {"one": 1}])
def test_a_checkpoint_is_one_of_the_table_and_never_a_path(pipeline, key):
    shelf = Shelf({"one": lambda: pipeline, "two": lambda: pipeline})
    with pytest.raises(RefusedError, match="There is no such model here; there is: one, two"):
        shelf[key]


def test_all_models_work_in_one_thread_in_the_order_of_asking(pipeline):
    seen = []

    class Watched(type(pipeline)):
        def _draw(self, caption, seed):
            seen.append((threading.current_thread().name, seed))
            return super()._draw(caption, seed)

    shelf = Shelf({"one": Watched, "two": Watched})
    for key in shelf.keys:
        shelf[key].load()
    del seen[:]
    walks = [shelf[key].walk(("a red bird", seed), ("a blue bird", seed), 3) for seed, key in enumerate(shelf.keys)]
    with ThreadPoolExecutor(4) as pool:
        for seed in (10, 11):
            wait([pool.submit(next, walk) for walk in walks])
            assert pool.submit(shelf["one"].draw, "a red bird", seed).result(timeout=60).seed == seed
    assert len({thread for thread, _ in seen}) == 1
    assert [seed for _, seed in seen if seed >= 10] == [10, 11]


def test_who_asks_is_known_where_the_model_works(pipeline, monkeypatch):
    asking = contextvars.ContextVar("asking")
    heard = []
    studio = Studio(lambda: pipeline)
    studio.load()
    grow = pipeline.grow

    def listen(*asked):
        heard.append(asking.get())
        yield from grow(*asked)

    monkeypatch.setattr(pipeline, "grow", listen)
    asking.set("me")
    studio.draw("a red bird", 9)
    assert heard == ["me"]
