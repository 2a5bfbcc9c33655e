import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from PIL import Image

from app.limits import RefusedError, WaitingRoom
from app.models import EXAMPLE_SEED, REMEMBERED, ModelRegistry, ModelWorker
from mirrorgan.drawing import CaptionError, CheckpointError, Sketch


def refusing(error: Exception):
    def load():
        raise error

    return load


def test_examples_are_drawn_before_anybody_asks(model_worker, pipeline):
    assert model_worker.examples == pipeline.info.examples
    asked = list(pipeline.asked)
    assert asked == [(caption, EXAMPLE_SEED) for caption in pipeline.info.examples]
    drawing = model_worker.draw(pipeline.info.examples[1], EXAMPLE_SEED)
    assert drawing.caption == pipeline.info.examples[1]
    assert pipeline.asked == asked


def test_an_example_with_another_seed_is_drawn_anew(model_worker, pipeline):
    model_worker.draw(pipeline.info.examples[0], EXAMPLE_SEED + 1)
    assert pipeline.asked[-1] == (pipeline.info.examples[0], EXAMPLE_SEED + 1)


def test_before_the_model_is_there_the_visitor_is_told_so(pipeline):
    model_worker = ModelWorker(lambda: pipeline, patience=0.0)
    assert not model_worker.settled and model_worker.info is None
    with pytest.raises(RefusedError, match="still loading"):
        model_worker.draw("a bird", 0)


def test_who_draws_while_the_model_loads_waits_for_it(pipeline):
    ready = threading.Event()

    def load():
        ready.wait(60)
        return pipeline

    model_worker = ModelWorker(load)
    loading = model_worker.open()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(model_worker.draw, "a red bird", 3)
        assert not wait([asked], timeout=0.2).done
        ready.set()
        assert asked.result(timeout=60).caption == "a red bird"
    loading.join(timeout=60)


def test_loading_happens_in_the_background(pipeline):
    model_worker = ModelWorker(lambda: pipeline)
    model_worker.open().join(timeout=60)
    assert model_worker.settled and model_worker.info == pipeline.info


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CheckpointError("birds/config.json has no vocabulary"), "birds/config.json has no vocabulary"),
        (FileNotFoundError("checkpoints/birds is not there"), "checkpoints/birds is not there"),
        (RuntimeError("secret detail"), "could not be loaded"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_said_in_words(error, said):
    model_worker = ModelWorker(refusing(error))
    model_worker.load()
    assert model_worker.settled and model_worker.info is None
    assert said in model_worker.trouble
    assert "secret" not in model_worker.trouble
    with pytest.raises(RefusedError, match=said):
        model_worker.draw("a bird", 0)


def test_an_example_that_cannot_be_drawn_is_left_out(pipeline):
    class Picky:
        info = pipeline.info

        def draw(self, caption, seed):
            if caption == self.info.examples[0]:
                raise CaptionError("not this one")
            return pipeline.draw(caption, seed)

        def __getattr__(self, name):
            return getattr(pipeline, name)

    model_worker = ModelWorker(Picky)
    model_worker.load()
    assert model_worker.examples == pipeline.info.examples[1:]


def test_every_value_is_checked_before_the_model_is_asked(model_worker, pipeline):
    asked = list(pipeline.asked)
    for caption, seed in [("x" * 401, 0), ("a bird", -1), (None, 0), ("a bird", "1")]:
        with pytest.raises(RefusedError):
            model_worker.draw(caption, seed)
    assert pipeline.asked == asked


def test_a_full_room_is_refused_and_examples_still_answer(pipeline):
    room = WaitingRoom(places=1)
    model_worker = ModelWorker(lambda: pipeline, room)
    model_worker.load()
    with room.place():
        with pytest.raises(RefusedError, match="try again"):
            model_worker.draw("a red bird", 1)
        assert model_worker.draw(pipeline.info.examples[0], EXAMPLE_SEED).seed == EXAMPLE_SEED
    assert model_worker.draw("a red bird", 1).seed == 1


def test_what_was_drawn_lately_is_handed_out_again(model_worker, pipeline):
    drawing = model_worker.draw("a red bird", 1)
    asked = len(pipeline.asked)
    assert model_worker.draw("a red bird", 1) is drawing and len(pipeline.asked) == asked
    assert list(model_worker.grow("a red bird", 1, read_back=False)) == [drawing]
    for seed in range(2, REMEMBERED + 2):
        model_worker.draw("a red bird", seed)
    assert model_worker.draw("a red bird", 1) is not drawing
    asked = len(pipeline.asked)
    model_worker.draw(pipeline.info.examples[0], EXAMPLE_SEED)
    assert len(pipeline.asked) == asked


def test_a_drawing_grows_and_a_sketch_is_not_read_back(model_worker):
    assert [len(sketch.stages) for sketch in model_worker.grow("a red bird", 5)] == [1, 2, 3, 3]
    assert [type(sketch) for sketch in model_worker.grow("a red bird", 6, read_back=False)] == [Sketch] * 3


def test_others_come_in_between_and_who_goes_away_blocks_nobody(pipeline):
    room = WaitingRoom(places=2)
    model_worker = ModelWorker(lambda: pipeline, room)
    model_worker.load()
    half = model_worker.grow("a red bird", 5)
    next(half)
    assert model_worker.draw("a blue bird", 6).seed == 6
    half.close()
    with room.place(), room.place():
        pass


def test_reading_walking_and_climbing_check_their_values(model_worker):
    picture = Image.new("RGB", (40, 40), "red")
    assert model_worker.read(picture, "").words == () and model_worker.read(picture, "a red bird").scores
    assert len(list(model_worker.walk(("a red bird", 0), ("a blue bird", 1.0), 4))) == 4
    assert [refinement.step for refinement in model_worker.refine("a red bird", 0, 3)] == [0, 1, 2, 3]
    assert len(list(model_worker.with_noise("a red bird", 0.0, (0, 1)))) == 2
    for call in (
        lambda: model_worker.read(picture, "x" * 401),
        lambda: list(model_worker.walk(("a red bird", 0), ("a blue bird", -1), 4)),
        lambda: list(model_worker.walk(("", 0), ("a blue bird", 1), 4)),
        lambda: list(model_worker.refine("a red bird", 0.5, 3)),
        lambda: list(model_worker.with_noise("", 0, (0, 1))),
        lambda: list(model_worker.with_noise("a red bird", "x", (0, 1))),
    ):
        with pytest.raises(RefusedError):
            call()


def test_only_the_checkpoint_that_is_asked_for_is_loaded(pipeline):
    loaded = []

    def load(name):
        loaded.append(name)
        return pipeline

    registry = ModelRegistry({"one": lambda: load("one"), "two": lambda: load("two")})
    assert registry.keys == ("one", "two") and registry.first == "one" and loaded == []
    assert registry["two"].draw("a red bird", 3).seed == 3
    assert loaded == ["two"]
    registry["two"].open().join()
    assert loaded == ["two"]


@pytest.mark.parametrize("key", ["three", "", None, 0, "../one", ["one"], {"one": 1}])
def test_a_checkpoint_is_one_of_the_table_and_never_a_path(pipeline, key):
    registry = ModelRegistry({"one": lambda: pipeline, "two": lambda: pipeline})
    with pytest.raises(RefusedError, match="There is no such model here; there is: one, two"):
        registry[key]


def test_all_models_work_in_one_thread_in_the_order_of_asking(pipeline):
    seen = []

    class Watched(type(pipeline)):
        def _draw(self, caption, seed):
            seen.append((threading.current_thread().name, seed))
            return super()._draw(caption, seed)

    registry = ModelRegistry({"one": Watched, "two": Watched})
    for key in registry.keys:
        registry[key].load()
    del seen[:]
    walks = [
        registry[key].walk(("a red bird", seed), ("a blue bird", seed), 3) for seed, key in enumerate(registry.keys)
    ]
    with ThreadPoolExecutor(4) as pool:
        for seed in (10, 11):
            wait([pool.submit(next, walk) for walk in walks])
            assert pool.submit(registry["one"].draw, "a red bird", seed).result(timeout=60).seed == seed
    assert len({thread for thread, _ in seen}) == 1
    assert [seed for _, seed in seen if seed >= 10] == [10, 11]


def test_who_asks_is_known_where_the_model_works(pipeline, monkeypatch):
    asking = contextvars.ContextVar("asking")
    heard = []
    model_worker = ModelWorker(lambda: pipeline)
    model_worker.load()
    grow = pipeline.grow

    def listen(*asked):
        heard.append(asking.get())
        yield from grow(*asked)

    monkeypatch.setattr(pipeline, "grow", listen)
    asking.set("me")
    model_worker.draw("a red bird", 9)
    assert heard == ["me"]
