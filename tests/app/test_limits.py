import threading

import pytest

from app.limits import (
    MAX_SEED,
    RateLimiter,
    RefusedError,
    TokenBuckets,
    WaitingRoom,
    address_of,
    caption_from,
    seed_from,
)


@pytest.mark.parametrize("caption", ["a bird", "x" * 400, "<b>${1}</b>", "птица", " a\tbird "])
def test_a_caption_passes_as_it_was_sent(caption):
    assert caption_from(caption) == caption


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "Type a caption first"),
        ("", "Type a caption first"),
        (" \n\t", "Type a caption first"),
        ("x" * 401, "401 characters"),
        ("x" * 10_000, "10,000 characters. Please use 400 or fewer"),
        (7, "must be text"),
        (["a bird"], "must be text"),
        ({"caption": "a bird"}, "must be text"),
        ("a \ud800 bird", "half a character"),
    ],
)
def test_a_caption_is_refused_in_words(value, reason):
    with pytest.raises(RefusedError, match=reason):
        caption_from(value)


@pytest.mark.parametrize(("value", "seed"), [(0, 0), (7.0, 7), (MAX_SEED, 4294967295)])
def test_a_seed_is_a_whole_number(value, seed):
    assert seed_from(value) == seed
    assert isinstance(seed_from(value), int)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "Type a seed"),
        (-1, "below 0"),
        (MAX_SEED + 1, "too large"),
        (10**400, "too large"),
        (1.5, "without a fraction"),
        (float("nan"), "no number"),
        (float("inf"), "no number"),
        (True, "no number"),
        ("3", "no number"),
        ([3], "no number"),
    ],
)
def test_a_seed_is_refused_in_words(value, reason):
    with pytest.raises(RefusedError, match=reason):
        seed_from(value)


def test_a_full_waiting_room_turns_the_next_one_away():
    room = WaitingRoom(places=2)
    with room.place(), room.place(), pytest.raises(RefusedError, match="try again"), room.place():
        pytest.fail("A third one was let in.")
    with room.place(), room.place():
        pass


def test_a_place_is_free_again_after_an_error():
    room = WaitingRoom(places=1)
    with pytest.raises(ZeroDivisionError), room.place():
        raise ZeroDivisionError
    with room.place():
        pass


def test_a_flood_is_capped_however_many_come_at_once():
    room = WaitingRoom(places=3)
    everyone_asked, refused = threading.Barrier(11), []

    def visit() -> None:
        try:
            with room.place():
                everyone_asked.wait(timeout=60)
        except RefusedError as error:
            refused.append(str(error))
            everyone_asked.wait(timeout=60)

    threads = [threading.Thread(target=visit) for _ in range(10)]
    for thread in threads:
        thread.start()
    everyone_asked.wait(timeout=60)
    for thread in threads:
        thread.join()
    assert len(refused) == 7


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_an_allowance_is_spent_and_comes_back():
    clock = Clock()
    rate_limiter = RateLimiter(most=10, each_second=2, clock=clock)
    for _ in range(10):
        rate_limiter.spend("here", "me", 1)
    with pytest.raises(RefusedError, match=r"Please wait 2 seconds\."):
        rate_limiter.spend("here", "me", 4)
    clock.now += 2
    rate_limiter.spend("here", "me", 4)
    with pytest.raises(RefusedError, match=r"Please wait 1 second\."):
        rate_limiter.spend("here", "me", 1)
    clock.now += 1000
    rate_limiter.spend("here", "me", 10)
    with pytest.raises(RefusedError):
        rate_limiter.spend("here", "me", 1)


def test_what_is_refused_costs_nothing():
    rate_limiter = RateLimiter(most=10, each_second=0.001, clock=Clock())
    with pytest.raises(RefusedError):
        rate_limiter.spend("here", "me", 11)
    rate_limiter.spend("here", "me", 10)


def test_one_visitor_takes_nothing_from_another_but_an_address_has_its_end():
    rate_limiter = RateLimiter(most=10, each_second=1, address_factor=3, clock=Clock())
    for session in ("a", "b", "c"):
        rate_limiter.spend("here", session, 10)
    with pytest.raises(RefusedError):
        rate_limiter.spend("here", "d", 1)
    rate_limiter.spend("there", "d", 10)


def test_visitors_are_forgotten_before_they_fill_the_memory():
    buckets = TokenBuckets(most=10, each_second=1, clock=Clock(), remembered=50)
    for number in range(500):
        assert buckets.take(f"address {number}", 1) == 0
    assert len(buckets) == 50


def test_a_bucket_says_how_long_to_wait_and_takes_nothing_meanwhile():
    clock = Clock()
    buckets = TokenBuckets(most=10, each_second=4, clock=clock)
    assert buckets.take("me", 9) == 0
    assert buckets.take("me", 3) == buckets.wait("me", 3) == pytest.approx(0.5)
    clock.now += 0.5
    assert buckets.wait("me", 3) == 0 and buckets.take("me", 3) == 0
    assert buckets.wait("me", 1) == pytest.approx(0.25)
    clock.now += 10**6
    assert buckets.wait("me", 10) == 0 and buckets.wait("me", 10.5) > 0


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("testclient", "testclient"),
        (None, "None"),
        ("x" * 1000, "x" * 64),
    ],
)
def test_one_client_is_one_key_whatever_addresses_it_can_take(host, key):
    assert address_of(host) == key
