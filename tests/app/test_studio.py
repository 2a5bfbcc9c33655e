import threading
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from app.limits import RefusedError, WaitingRoom
from app.studio import EXAMPLE_SEED, Studio
from mirrorgan.drawing import CaptionError, CheckpointError


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
