"""The page over HTTP, on this machine only."""

import base64
import io
import json
import os
import re
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import gradio as gr
import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image

from app import gate
from app.gate import PLACES
from app.interface import LAUNCH, QUEUE, build_demo, launch
from app.limits import MAX_WAITING
from app.models import EXAMPLE_SEED, ModelRegistry

HOSTILE = [
    "<img src=x onerror=alert(1)> bird",
    "<script>alert(1)</script> a bird",
    "${alert(1)} {{constructor}} `bird`",
    "a \u202ebird\u202c \x00\x07 \u200b",
    "🐦 a bird 🐦",
    "'; DROP TABLE birds; -- bird",
    "../../etc/passwd bird",
]


@pytest.fixture(scope="module")
def client(url):
    client = Client(url, verbose=False, analytics_enabled=False)
    yield client
    client.close()


def ask(url: str, data: list, name: str = "draw") -> tuple[str, object]:
    """Calls an endpoint with raw JSON, NaN included. Returns the last event and its value."""
    data = data if len(data) == 3 else [*data, "fake"]
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
        joined = http.post(f"gradio_api/call/{name}", content=json.dumps({"data": data}))
        assert joined.status_code == 200, joined.text
        stream = http.get(f"gradio_api/call/{name}/{joined.json()['event_id']}").text
    event, value = re.findall(r"event: (\w+)\ndata: (.*)\n", stream)[-1]
    return event, json.loads(value)


def test_a_program_can_draw(client):
    answer = client.predict("a small yellow bird", 5, api_name="/draw")
    sizes = []
    for address in answer["images"]:
        kind, data = address.split(",", 1)
        assert kind == "data:image/png;base64"
        sizes.append(Image.open(io.BytesIO(base64.b64decode(data))).size)
    assert sizes == [(32, 32), (64, 64), (128, 128)]
    assert answer["caption"] == "a small yellow bird" and answer["seed"] == 5
    assert answer["redescription"] == "this yellow bird and a short beak"
    assert [word["word"] for word in answer["words"]] == answer["redescription"].split()
    assert answer["scores"]["BLEU"] == 0.71 and answer["checkpoint"].startswith("fake")


def test_a_program_gets_every_stage_of_a_model_of_five(client):
    answer = client.predict("a small yellow bird", 5, "five", api_name="/draw")
    images = [Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))) for address in answer["images"]]
    assert [image.size for image in images] == [(size, size) for size in (16, 32, 64, 128, 256)]


def test_the_same_caption_and_seed_give_the_same_answer(client):
    first, second, other = (client.predict("a red bird", seed, api_name="/draw") for seed in (3, 3, 4))
    assert first == second
    assert first["images"] != other["images"]


def test_only_two_calls_are_public_and_their_values_have_types(client):
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert list(endpoints) == ["/draw", "/read", "/closeup", "/readings"]
    assert [value["type"]["type"] for value in endpoints["/read"]["parameters"]] == ["string"] * 3
    caption, seed, model = endpoints["/draw"]["parameters"]
    assert model["parameter_name"] == "model" and model["parameter_default"] == "fake"
    assert caption["parameter_name"] == "caption" and caption["type"]["type"] == "string"
    assert seed["parameter_name"] == "seed" and seed["type"]["type"] == "integer"
    assert seed["parameter_has_default"] and seed["parameter_default"] == EXAMPLE_SEED


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (["", 0], "Type a caption first"),
        (["x" * 10_000, 0], "10,000 characters"),
        (["a bird", -1], "below 0"),
        (["a bird", 2**32], "too large"),
        (["a bird", 0.5], "without a fraction"),
        (["a bird", "3"], "no number"),
        (["a bird", float("nan")], "no number"),
        (["a bird", float("inf")], "no number"),
        (["a bird", None], "Type a seed"),
        ([None, 0], "Type a caption first"),
        ([["a bird"], 0], "must be text"),
        ([{"a": "bird"}, 0], "must be text"),
        (["a bird", 0, "nobody"], "no such model"),
        (["a bird", 0, "../../etc"], "no such model"),
        (["a bird", 0, {"path": "/etc/passwd"}], "no such model"),
        (["a \ud800 bird", 0], "half a character"),
    ],
)
def test_raw_requests_are_refused_in_words(url, data, sentence):
    event, value = ask(url, data)
    assert event == "error"
    assert sentence in str(value) and "Traceback" not in str(value)


def test_a_program_can_have_a_picture_read(client):
    file = io.BytesIO()
    Image.new("RGB", (60, 40), (196, 58, 46)).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    for content in (data, "data:image/png;base64," + data):
        answer = client.predict(content, "a red zzz bird", api_name="/read")
        assert answer["redescription"] == "this red bird" and answer["unknown_words"] == ["zzz"]
        assert answer["scores"] == {"match": 0.4}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("/etc/passwd", "base64"),
        ("file:///etc/passwd", "base64"),
        ("http://127.0.0.1/bird.png", "base64"),
        ("", "Please use one of"),
        (base64.b64encode(b"<svg onload='alert(1)'/>").decode(), "Please use one of"),
        ("A" * 5_700_000, "4.1 MB. Please use 4 MB or less"),
        (None, "base64"),
        ({"path": "/etc/passwd"}, "base64"),
    ],
)
def test_nothing_but_a_picture_is_read(url, content, sentence):
    event, value = ask(url, [content, "a bird"], "read")
    assert event == "error" and sentence in str(value)


@pytest.mark.parametrize("caption", HOSTILE)
def test_hostile_captions_are_drawn_like_others(url, caption):
    event, (answer,) = ask(url, [caption, 0])
    assert event == "complete"
    assert len(answer["images"]) == 3
    assert all(address.startswith("data:image/png;base64,") for address in answer["images"])
    assert "bird" in answer["redescription"]


def test_a_client_gets_the_sentence_too(client):
    with pytest.raises(AppError, match="None of these words is known"):
        client.predict("zzz", 0, api_name="/draw")


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        "<b>",
        -1,
        {"path": "/etc/passwd"},
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        ["a"] * 30,
    ],
)
def test_nonsense_to_the_private_events_tells_nothing_and_breaks_nothing(url, nonsense):
    with httpx.Client(base_url=url, timeout=60) as http:
        for event in http.get("config").json()["dependencies"]:
            session = uuid.uuid4().hex
            call = {"fn_index": event["id"], "data": [nonsense] * len(event["inputs"]), "session_hash": session}
            assert http.post("gradio_api/queue/join", json=call).status_code == 200
            with http.stream("GET", f"gradio_api/queue/data?session_hash={session}") as stream:
                answer = next(line for line in stream.iter_lines() if "process_completed" in line)
            assert "Traceback" not in answer and "root:" not in answer
    assert ask(url, ["a bird", 0])[0] == "complete"


def test_the_queue_cannot_be_skipped(url):
    for path in ("gradio_api/run/draw", "gradio_api/run/predict", "gradio_api/api/draw"):
        answer = httpx.post(url + path, json={"data": ["a bird", 0], "fn_index": 0})
        assert answer.status_code >= 400, path


@pytest.mark.parametrize("path", ["/etc/passwd", "app.py", "../app.py", "http://169.254.169.254/latest"])
def test_files_of_the_server_are_not_given(url, path):
    assert httpx.get(f"{url}gradio_api/file={path}").status_code in (403, 404)


def test_nobody_can_watch_the_others(url):
    assert httpx.get(url + "monitoring/summary").status_code in (403, 404)
    assert httpx.get(url + "gradio_api/monitoring/summary").status_code in (403, 404)


def test_large_uploads_are_refused(url):
    answer = httpx.post(url + "gradio_api/upload", files={"files": ("a.png", b"0" * 5_000_000)})
    assert answer.status_code == 413


def test_foreign_pages_are_not_let_in(url):
    origin = {"Origin": "https://example.com"}
    answer = httpx.get(url + "config", headers=origin)
    assert "access-control-allow-origin" not in answer.headers
    call = {"fn_index": 0, "data": [], "session_hash": "x"}
    joined = httpx.post(url + "gradio_api/queue/join", json=call, headers=origin)
    brought = httpx.post(url + "gradio_api/upload", files={"files": ("a.png", b"0")}, headers=origin)
    assert joined.status_code == brought.status_code == 403
    assert "https://example.com" in joined.json()["detail"] and "https://example.com" in brought.text


def test_an_uploaded_picture_is_for_who_brought_it(url):
    (path,) = httpx.post(url + "gradio_api/upload", files={"files": ("a.png", b"0" * 500)}).json()
    assert httpx.get(f"{url}gradio_api/file={path}").content == b"0" * 500
    elsewhere = {"X-Forwarded-For": "198.51.100.77"}
    assert httpx.get(f"{url}gradio_api/file={path}", headers=elsewhere).status_code == 403


@pytest.mark.parametrize(
    "path", ["", "config", "theme.css", "gradio_api/info", "nowhere", "gradio_api/file=/etc/passwd"]
)
def test_every_answer_has_the_headers_of_a_public_page(url, path):
    headers = httpx.get(url + path).headers
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]


def test_preflights_and_faults_have_them_too(url, monkeypatch):
    asked = {"Origin": url.rstrip("/"), "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(url + "gradio_api/queue/join", headers=asked)
    monkeypatch.setattr("gradio.routes.route_utils.update_root_in_config", None)  # the next request ends in a fault
    fault = httpx.get(url + "config")
    assert preflight.status_code == 200 and fault.status_code == 500
    for answer in (preflight, fault):
        assert answer.headers["x-content-type-options"] == "nosniff" and "content-security-policy" in answer.headers


def test_a_body_has_an_end_with_and_without_a_length(url):
    def endless():
        for _ in range(40):
            yield b"[" * 2**18

    for content in (b"A" * 7_000_000, endless()):
        answer = httpx.post(url + "gradio_api/call/draw", content=content, timeout=60)
        assert answer.status_code == 413 and "at most 6.0 MB" in answer.json()["detail"]


def test_a_flood_is_refused_in_words_and_somebody_else_is_drawn_for(pipeline, monkeypatch):
    hold, here = threading.Event(), threading.Event()

    def wait(caption, seed):
        if seed == 2:
            here.set()
        assert hold.wait(60)
        return type(pipeline).draw(pipeline, caption, seed)

    registry = ModelRegistry({"fake": lambda: pipeline})
    registry["fake"].load()
    monkeypatch.setattr(registry["fake"], "draw", wait)
    monkeypatch.setattr(gate, "DELAY", 0)
    demo = build_demo(registry)
    _, address, _ = launch(demo, prevent_thread_lock=True, quiet=True)
    try:
        call = {"data": ["a red bird", 1, "fake"]}
        flooding = {"X-Forwarded-For": "198.51.100.1"}
        with httpx.Client(base_url=address, timeout=60) as http:
            answers = [http.post("gradio_api/call/draw", json=call, headers=flooding) for _ in range(PLACES + 6)]
            assert [answer.status_code for answer in answers] == [200] * PLACES + [429] * 6
            assert "Please wait until one of them is answered" in answers[-1].json()["detail"]
            theirs = {"data": ["a red bird", 2, "fake"]}
            other = http.post("gradio_api/call/draw", json=theirs, headers={"X-Forwarded-For": "198.51.100.2"})
            assert other.status_code == 200 and here.wait(60), "it runs while the others still wait"
            assert len(demo._queue) == PLACES - 1
            hold.set()
            assert "event: complete" in http.get(f"gradio_api/call/draw/{other.json()['event_id']}").text
    finally:
        hold.set()
        demo.close()


def test_the_page_names_no_other_host(url):
    page = httpx.get(url).text
    hosts = set(re.findall(r'(?:src|href)="https?://([^/"]+)', page))
    assert all(host.startswith("127.0.0.1") for host in hosts), hosts


def test_the_page_is_served_as_a_public_page_must_be():
    wanted = {"share": False, "show_error": False, "enable_monitoring": False, "allowed_paths": []}
    assert wanted.items() <= LAUNCH.items()
    assert LAUNCH["strict_cors"] and not LAUNCH["run_history"] and LAUNCH["max_file_size"] == "4mb"


def test_the_page_can_be_built_before_the_model_is_there(pipeline):
    demo = build_demo(ModelRegistry({"fake": lambda: pipeline}))
    assert demo._queue.max_size == QUEUE >= 4 * PLACES
    assert demo.api_open is False
    assert pipeline.asked == []


def test_the_command_starts_anywhere_with_the_checkpoint_beside_it_even_where_letters_are_ascii(tmp_path):
    root = Path(__file__).parents[2]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "COLUMNS": "400"}
    answer = subprocess.run(
        [sys.executable, root / "app.py", "--help"], cwd=tmp_path, env=os.environ | ascii_only, capture_output=True
    )
    assert answer.returncode == 0, answer.stderr.decode()
    assert "--checkpoint" in answer.stdout.decode() and str(root / "checkpoints/birds") in answer.stdout.decode()


def test_two_at_a_time_draw_two_type_and_two_play(pipeline):
    demo = build_demo(ModelRegistry({"fake": lambda: pipeline}))
    limits = {event.concurrency_id: event.concurrency_limit for event in demo.fns.values() if event.concurrency_id}
    assert limits["model"] == limits["typing"] == limits["play"] == limits["files"] == 2
    lanes = ("model", "typing", "play", "files", "view")
    assert sum(limits[lane] for lane in lanes) <= MAX_WAITING, "who has a turn finds a place to work"


def test_no_template_holds_a_placeholder_and_no_value_reaches_one(pipeline):
    # Templates of gr.HTML are run as JavaScript; what visitors type goes in by textContent only.
    demo = build_demo(ModelRegistry({"fake": lambda: pipeline}))
    for block in demo.blocks.values():
        if isinstance(block, gr.HTML):
            template = block.html_template
            assert template == "${value}" or not set("${}`") & set(template), template


def test_the_ten_lines_of_the_documentation_draw(url, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
    (block,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "gradio_client" in code)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.replace("http://127.0.0.1:7860", url), "docs/api.md", "exec"), {})
    assert Image.open(tmp_path / "bird.png").size == (128, 128)
