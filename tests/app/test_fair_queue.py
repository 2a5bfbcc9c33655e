"""Turns in the queue, with events that are only an address and a name."""

import asyncio
import threading
from concurrent.futures import wait
from types import SimpleNamespace

import pytest

from app.fair_queue import UNFETCHED, FairQueue, FairWorker, TurnsList, address_of_event


def event(address, name=""):
    client = SimpleNamespace(host=address)
    return SimpleNamespace(request=SimpleNamespace(client=client), session_hash=name, _id=name, concurrency_id="draw")


def turns(order):
    waiting = TurnsList(key=lambda name: name[0])
    for name in order.split():
        waiting.append(name)
    return " ".join(waiting)


@pytest.mark.parametrize(
    ("came", "served"),
    [
        ("a1 a2 a3", "a1 a2 a3"),
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
        ("a1 b1 a2 b2", "a1 b1 a2 b2"),
        ("a1 a2 a3 a4 b1 b2 b3 b4", "a1 b1 a2 b2 a3 b3 a4 b4"),
        ("c1 b1 a1 a2 b2 c2", "c1 b1 a1 a2 b2 c2"),
    ],
)
def test_addresses_take_turns_and_within_a_turn_the_first_is_first(came, served):
    assert turns(came) == served


@pytest.mark.parametrize("flood", [1, 5, 12, 100])
def test_nobody_waits_longer_because_somebody_else_asked_often(flood):
    waiting = TurnsList(key=lambda name: name[0])
    for number in range(flood):
        waiting.append(f"a{number}")
    waiting.append("b")
    assert waiting.index("b") == 1
    for number in range(flood):
        waiting.append(f"a{flood + number}")
    assert waiting.index("b") == 1
    waiting.remove("a0")
    assert waiting[0] == "b"


def test_the_address_of_an_event_is_that_of_its_client():
    assert address_of_event(event("2001:db8::7")) == "2001:db8::/64"
    assert address_of_event(SimpleNamespace(request=None)) == "None"


class Lanes:
    """As much of gradio's queue as is looked at."""

    def __init__(self):
        self.event_queue_per_concurrency_id = {}
        self.active_jobs = [None, [event("192.0.2.1")], None]
        self.event_ids_to_events = {}
        self.pending_messages_per_session = {}
        self.pending_event_ids_session = {}
        self.cleaned = []

    def create_event_queue_for_fn(self, name):
        self.event_queue_per_concurrency_id[name] = SimpleNamespace(queue=[])

    async def clean_events(self, session_hash):
        self.cleaned.append(session_hash)


def test_one_address_does_not_hold_every_place_of_a_lane():
    lanes = Lanes()
    lanes.active_jobs = [None] * 4
    fair = FairQueue(lanes, ["draw"])
    lane = lanes.event_queue_per_concurrency_id["draw"]
    lane.concurrency_limit, lane.current_concurrency = 2, 0

    def begin():
        found = lanes.get_events()
        if found is None:
            return None
        (event,), batch, name = found
        assert not batch and name == "draw"
        lanes.active_jobs[lane.current_concurrency] = [event]
        lane.current_concurrency += 1
        return event._id

    for name in ("a1", "a2", "a3"):
        lane.queue.append(event("192.0.2.1", name))
    assert begin() == "a1" and begin() is None, "a place is left for somebody else"
    lane.queue.append(event("192.0.2.2", "b1"))
    assert begin() == "b1" and begin() is None and len(lane.queue) == 2
    lane.current_concurrency, lanes.active_jobs = 0, [None] * 4
    lane.concurrency_limit = 1
    assert begin() == "a2" and begin() is None, "a lane of one is for everybody"
    assert fair.held_by("192.0.2.1") == 2


def test_the_worker_lets_addresses_take_turns_and_hands_on_errors():
    asking, done, go = ["a"], [], threading.Event()
    worker = FairWorker(lambda: asking[0])

    def piece(name):
        go.wait(60)
        done.append(name)
        if name == "b2":
            raise ValueError("the second one")
        return name

    given = []
    for name in ("a1", "a2", "a3", "a4", "b1", "b2", "a5"):
        asking[0] = name[0]
        given.append(worker.submit(piece, name))
    go.set()
    wait(given, 60)
    assert done == ["a1", "b1", "a2", "b2", "a3", "a4", "a5"]
    assert [one.result() for one in given if one.exception() is None] == ["a1", "a2", "a3", "a4", "b1", "a5"]
    with pytest.raises(ValueError, match="the second one"):
        given[5].result()


def test_what_an_address_holds_is_what_waits_and_what_runs():
    lanes = Lanes()
    fair = FairQueue(lanes, ["draw", "play"])
    for lane, address in (("draw", "192.0.2.1"), ("play", "192.0.2.1"), ("play", "192.0.2.2")):
        lanes.event_queue_per_concurrency_id[lane].queue.append(event(address))
    assert [fair.held_by(f"192.0.2.{end}") for end in (1, 2, 3)] == [3, 1, 0]
    lanes.event_ids_to_events["e1"] = event("192.0.2.1", "mine")
    assert fair.session_of("e1") == "mine" and fair.session_of("gone") == "gone"


def test_answers_that_nobody_fetches_are_forgotten_and_those_of_others_stay():
    async def ask():
        lanes = Lanes()
        fair = FairQueue(lanes, ["draw"])
        names = [f"s{number}" for number in range(UNFETCHED + 10)]
        for name in ("theirs", *names):
            lanes.pending_messages_per_session[name] = ["a large answer"]
            lanes.pending_event_ids_session[name] = {"event"}
        await fair.joined("192.0.2.2", "theirs")
        with fair.listening("s0"), fair.listening("s0"):
            for name in names:
                await fair.joined("192.0.2.1", name)
        return lanes, names

    lanes, names = asyncio.run(ask())
    kept = ["theirs", "s0", *names[-UNFETCHED:]]
    assert list(lanes.pending_messages_per_session) == list(lanes.pending_event_ids_session) == kept
    assert lanes.cleaned == names[1:10]


def test_the_queue_of_the_page_takes_turns(pipeline):
    from app.interface import build_demo
    from app.models import ModelRegistry

    demo = build_demo(ModelRegistry({"fake": lambda: pipeline}))
    FairQueue(demo._queue, list(demo.fns.values()))
    lanes = demo._queue.event_queue_per_concurrency_id
    assert {"model", "typing", "play", "files", "view"} <= set(lanes)
    assert all(isinstance(lane.queue, TurnsList) for lane in lanes.values())
    assert lanes["files"].concurrency_limit == lanes["model"].concurrency_limit == 2
    for fn in demo.fns.values():  # gradio does so for every event that joins
        demo._queue.create_event_queue_for_fn(fn)
    assert all(isinstance(lane.queue, TurnsList) for lane in lanes.values()) and len(demo._queue) == 0
