import socket
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.benchmarks import load as visitors
from app.benchmarks.load import Fairness, Page, SimulatedUser, Tally, flood, invite, main, memory_of, quantiles
from app.interface import build_demo, launch
from app.limits import RateLimiter
from app.models import ModelRegistry


def test_visitors_type_draw_and_read_and_are_told_apart(url, monkeypatch):
    monkeypatch.setattr(visitors, "LOOKS", (0.0, 0.0))
    monkeypatch.setattr(visitors, "LETTERS_A_SECOND", 1000.0)
    tally = Tally()
    page = Page(url)
    first, second = (SimulatedUser(page, number, tally) for number in (0, 1))
    assert first.session != second.session and first.caption() != second.caption()
    assert first.http.headers["X-Forwarded-For"] != second.http.headers["X-Forwarded-For"]
    first.type("a red bird", float("inf"))
    for act in visitors.ACTS:
        first.do(act)
    assert tally.errors == {}
    waited = {what for what, waits in tally.waits.items() if waits}
    assert {"typing: first", "Enter: first", "Enter: all", "new noise: all", "six seeds: all"} <= waited
    assert "read a picture: all" in waited and len(tally.waits["typing: all"]) >= 1
    for guest in (first, second):
        guest.http.close()


def test_a_short_visit_of_two_is_reported(url, capsys):
    main([url, "--visitors", "2", "--minutes", "0.02"])
    said = capsys.readouterr().out
    assert "2 visitors" in said and "the page opens: all" in said and "no errors" in said
    assert "memory of the server: " in said


def test_one_client_floods_with_all_it_has_and_another_is_drawn_for(pipeline):
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    try:
        flooding, fairness = flood(address, len(visitors.FLOODS), 1.5)
    finally:
        demo.close()
    assert {key.rpartition(" ")[0] for key in flooding.answers} == set(visitors.FLOODS)
    assert flooding.answers["large requests 413"] and not flooding.answers["large requests 200"]
    assert fairness.errors == {} and fairness.alone and fairness.beside
    assert "flood of pages: " in flooding.report() and "Enter beside the flood: " in fairness.report()


@pytest.mark.parametrize(
    ("alone", "beside", "errors", "bound", "kept"),
    [
        ([0.5, 0.6], [1.0, 7.9], {}, 8.0, True),
        ([0.5, 0.6], [1.0, 8.1], {}, 8.0, False),
        ([2.0, 2.0, 9.0], [15.9], {}, 16.0, True),
        ([0.5], [0.5], {"Enter: 503": 1}, 8.0, False),
        ([0.5], [], {}, 8.0, False),
        ([], [], {"Enter: 503": 9}, 8.0, False),
    ],
)
def test_fairness_is_a_bound_for_every_wait_and_no_refusal(alone, beside, errors, bound, kept):
    fairness = Fairness(alone, beside, Counter(errors))
    assert fairness.bound == bound and fairness.kept is kept
    assert fairness.report().endswith(f"bound {bound:.1f} s: {'kept' if kept else 'not kept'}")


def test_what_goes_wrong_is_counted_by_kind_and_fairness_apart(pipeline):
    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    demo = build_demo(registry, RateLimiter(most=1, each_second=1e-6))
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    try:
        tally = Tally()
        guest = SimulatedUser(Page(address), 0, tally)
        guest.values["caption"] = "zzz"
        guest.ask("caption", "submit", "Enter")
        guest.values["caption"] = "a red bird"
        for _ in range(2):
            guest.ask("caption", "submit", "Enter")
        guest.http.close()
    finally:
        demo.close()
    report = tally.report()
    assert "told to wait for fairness: 2" in report
    assert "error, 1 times: Enter: None of these words is known" in report


def test_quantiles_are_values_that_were_met():
    values = [float(number) for number in range(1, 101)]
    assert quantiles(values, 0.5, 0.95) == [50.0, 95.0]
    assert quantiles([3.0], 0.5, 0.95) == [3.0, 3.0]


def test_the_memory_of_a_server_is_that_of_the_process_that_listens(tmp_path):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        held = memory_of(listening.getsockname()[1])
    if Path("/proc/net/tcp").exists():
        assert held is not None and held > 10 * 2**20
    assert memory_of(1, tmp_path) is None


@pytest.mark.parametrize(
    "arguments", [["http://127.0.0.1:9", "--minutes", "0.01"], ["http://127.0.0.1:9", "--visitors", "0"]]
)
def test_no_page_and_no_visitors_are_said_in_words(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    said = capsys.readouterr().err
    assert "no visit to http://127.0.0.1:9" in said or "at least one visitor" in said


def test_another_page_is_not_visited(url, monkeypatch):
    def answer(address, timeout):
        config = {"components": [{"id": 1, "props": {"elem_id": "other"}}], "dependencies": []}
        return httpx.Response(200, json=config, request=httpx.Request("GET", address))

    monkeypatch.setattr(httpx, "get", answer)
    with pytest.raises(ValueError, match="is this the page of this project"):
        invite(f"http://127.0.0.1:{urlsplit(url).port}", 1, 0.1)
