"""Against a small server on this machine that answers as the Hub does; nothing here uses the network."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants

from mirrorgan import CheckpointError, MirrorGAN
from mirrorgan.__main__ import main as draw
from train import export as export_command
from train.publishing.export import export
from train.publishing.hub import HubError, check_name, contents, describe, push

COMMIT = "0123456789" * 4


class Hub(ThreadingHTTPServer):
    """Keeps one repository in memory."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories = {}
        self.private = {}
        self.status = 200
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, hub = urlsplit(self.path).path, self.server
        hub.asked.append(path)
        if hub.status != 200:
            return self.send({"error": "refused"}, hub.status)
        assert self.headers["Authorization"] == "Bearer hf_secret"
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            hub.private.setdefault(name, asked.get("private") is True or asked.get("visibility") == "private")
            if name in hub.repositories:
                return self.send({"url": f"{hub.address}/{name}"}, 409)
            hub.repositories[name] = {}
            return self.send({"url": f"{hub.address}/{name}"})
        if path == "/api/validate-yaml":
            return self.send({"errors": [], "warnings": []})
        _, _, _, user, name, verb, *_ = path.split("/")
        files = hub.repositories[f"{user}/{name}"]
        if verb == "preupload":
            given = json.loads(body)["files"]
            return self.send(
                {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in given]}
            )
        assert verb == "commit"
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del files[line["value"]["path"]]
        return self.send({"commitUrl": f"{hub.address}/{user}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    def do_GET(self):
        parts, hub = unquote(urlsplit(self.path).path).strip("/").split("/"), self.server
        if parts[0] == "api":
            files = hub.repositories.get("/".join(parts[2:4]))
            if files is None:
                return self.send({"error": "Repository not found"}, 404, X_Error_Code="RepoNotFound")
            if "tree" in parts:
                listed = [{"type": "file", "path": p, "size": len(c), "oid": git_hash(c)} for p, c in files.items()]
                return self.send(listed)
            about = {"id": "/".join(parts[2:4]), "sha": COMMIT, "siblings": [{"rfilename": path} for path in files]}
            return self.send(about)
        files = hub.repositories.get("/".join(parts[:2]), {})
        content = files["/".join(parts[4:])]
        return self.send(content, ETag=f'"{git_hash(content)}"')

    do_HEAD = do_GET  # noqa: N815 -- the name that http.server looks for


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "train.publishing.export.write_previews", lambda model, out, log: (out / "sheet.jpg").write_bytes(b"sheet")
    )
    return export(tmp_path / "mine", runs, "four colours", ["a small red bird", "a blue bird"])


def test_what_is_sent_is_loaded_by_its_name_and_draws_the_same(hub, folder, monkeypatch, tmp_path, capsys):
    (folder / "notes.txt").write_text("not for everybody", encoding="utf-8")
    assert push(folder, "somebody/birds", private=True) == f"{hub.address}/somebody/birds"
    sent = hub.repositories["somebody/birds"]
    assert sent == {path.name: path.read_bytes() for path in contents(folder)}
    assert {"README.md", "sheet.jpg", "checkpoint.json", "generator.safetensors"} <= sent.keys()
    assert "notes.txt" not in sent and hub.private["somebody/birds"] is True

    monkeypatch.chdir(tmp_path)
    model = MirrorGAN.load("somebody/birds")
    here = MirrorGAN.load(folder)
    assert model.info == here.info
    first, second = (m.draw("a small red bird", 3) for m in (model, here))
    assert first.image.tobytes() == second.image.tobytes()
    monkeypatch.setattr("sys.argv", ["mirrorgan", "a red bird", "--checkpoint", "somebody/birds", "--out", "drawn"])
    draw()
    assert "read back" in capsys.readouterr().out


def test_sending_again_takes_away_what_the_checkpoint_no_longer_has(hub, folder):
    push(folder, "somebody/birds")
    hub.repositories["somebody/birds"]["backbone.old.safetensors"] = b"old"
    hub.repositories["somebody/birds"]["LICENSE"] = b"mine"
    push(folder, "somebody/birds")
    sent = hub.repositories["somebody/birds"]
    assert "backbone.old.safetensors" not in sent and sent["LICENSE"] == b"mine"
    assert sent["generator.safetensors"] == (folder / "generator.safetensors").read_bytes()


def test_a_repository_that_is_not_there_is_told_in_words(hub):
    with pytest.raises(FileNotFoundError, match="somebody/nothing: no such folder, and not to be had from the Hub"):
        MirrorGAN.load("somebody/nothing")


def test_a_checkpoint_damaged_on_its_way_is_not_loaded(hub, folder):
    push(folder, "somebody/birds")
    hub.repositories["somebody/birds"]["generator.safetensors"] += b"x"
    with pytest.raises(CheckpointError, match=r"generator\.safetensors: its sha256"):
        MirrorGAN.load("somebody/birds")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (401, "does not know this token"),
        (403, "may not write to somebody/"),
        (404, "knows no somebody"),
        (418, "refused somebody/birds .status 418"),
    ],
)
def test_a_refusal_is_told_in_words(hub, folder, status, sentence):
    hub.status = status
    with pytest.raises(HubError, match=sentence):
        push(folder, "somebody/birds")
    assert not hub.repositories


def test_without_a_token_nothing_is_asked(hub, folder, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    with pytest.raises(HubError, match="set HF_TOKEN, or log in once"):
        push(folder, "somebody/birds")
    assert not hub.asked


def test_without_network_there_is_a_sentence(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(HubError, match="cannot be reached"):
        push(folder, "somebody/birds")


@pytest.mark.parametrize(
    "name", ["birds", "a/b/c", "some body/birds", "somebody/-birds", "somebody/birds.git", "/birds", ""]
)
def test_a_wrong_name_is_refused(name):
    with pytest.raises(HubError, match="no name of a repository"):
        check_name(name)


def test_a_damaged_checkpoint_is_not_sent(hub, folder):
    (folder / "generator.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="its sha256"):
        push(folder, "somebody/birds")
    assert not hub.asked


def test_the_description_names_every_file_and_a_missing_licence(folder):
    said = describe(folder, "somebody/birds")
    assert all(path.name in said for path in contents(folder))
    assert "to the model repository somebody/birds" in said and "names no licence" in said


def test_the_command_exports_and_sends(hub, runs, folder, monkeypatch, capsys):
    arguments = ["--generator", runs.generator, "--encoders", runs.encoders, "--captioner", runs.captioner]
    line = ["export", str(folder), *map(str, arguments), "--summary", "x", "--examples", "a small red bird"]
    monkeypatch.setattr("sys.argv", [*line, "--push", "somebody/birds", "--dry-run"])
    export_command.main()
    assert "nothing was sent" in capsys.readouterr().out and not hub.asked
    monkeypatch.setattr("sys.argv", [*line, "--push", "somebody/birds"])
    export_command.main()
    assert f"sent: {hub.address}/somebody/birds" in capsys.readouterr().out
    assert "checkpoint.json" in hub.repositories["somebody/birds"]
    before = (folder / "checkpoint.json").read_bytes()
    monkeypatch.setattr("sys.argv", [*line[:-1], "a blue bird", "--push", "birds"])
    with pytest.raises(SystemExit, match="it must be user/name"):
        export_command.main()
    assert (folder / "checkpoint.json").read_bytes() == before  # said before minutes of exporting
    monkeypatch.setattr("sys.argv", [*line, "--dry-run"])
    with pytest.raises(SystemExit):
        export_command.main()
    assert "go with --push" in capsys.readouterr().err
