"""The viewer's modules: joined into one script, free of gradio, and tested by node without a browser."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.render import COLOURS, colour_tables
from app.scripts import WEB, join, script

ROOT = Path(__file__).parents[2]
MODULES = {path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}
TYPES = WEB / "node_modules/.bin/tsc"


def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("There is no node on this machine.")
    return found


def run(*command: str | Path, **options) -> str:
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=200, **options)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return done.stdout


def test_what_needs_no_page_does_what_its_tests_say():
    tests = sorted((ROOT / "tests/app/web").glob("*.test.mjs"))
    assert tests
    run(node(), "--test", *tests)


def test_types_are_right():
    if not TYPES.exists():
        pytest.skip("TypeScript is not installed here: npm ci --prefix app/web")
    run(node(), TYPES, "--project", WEB)


def evaluate(modules: dict[str, str], entry: str = "main.js") -> str:
    return run(node(), "--eval", join(modules, entry)).strip()


def test_joined_modules_keep_their_names_apart():
    modules = {
        "main.js": "// Says.\n/** Many\n * lines. */\nimport {a as mine, Twice} from './a.js';\n"
        "import {b} from './b-c.js';\nconst hidden = 3;\n"
        "export async function start() {\n  console.log(mine, b(hidden), new Twice().value);\n}\n",
        "a.js": "const hidden = 1;\nexport const a = hidden;\nexport class Twice { value = 2 * hidden; }\n",
        "b-c.js": "import {a} from './a.js';\nconst hidden = 10;\nexport function b(c) { return c + hidden + a; }\n",
        "unused.js": "export const broken = ;\n",
    }
    assert evaluate(modules) == "1 14 2"


@pytest.mark.parametrize(
    ("modules", "sentence"),
    [
        ({"main.js": "import {a} from './a.js';\n"}, "There is no module a.js"),
        ({"main.js": "import a from './a.js';\n"}, "main.js has the line \"import a from './a.js';\""),
        ({"main.js": "export default 3;\n"}, "main.js has the line 'export default 3;'"),
        ({"main.js": "export let a = 3;\n"}, "main.js has the line 'export let a = 3;'"),
        (
            {"main.js": "import {a} from './a.js';\n", "a.js": "import {start} from './main.js';\n"},
            "import each other in a circle",
        ),
    ],
    ids=["absent", "default import", "default export", "changing export", "circle"],
)
def test_a_module_that_cannot_be_joined_is_named(modules, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        join(modules, "main.js")


@pytest.mark.parametrize("entry", ["gradio.js", "alone.js"])
def test_the_scripts_of_the_pages_are_whole(entry):
    text = script(entry)
    assert "</script" not in text and "@@" not in text
    run(node(), "--check", "-", input=text)


def test_every_module_is_on_a_page():
    joined = script("gradio.js") + script("alone.js")
    assert [name for name in MODULES if f"const of_{name.removesuffix('.js')} =" not in joined] == []


def test_one_module_knows_gradio():
    assert [name for name, text in MODULES.items() if re.search("gradio", text.lower())] == ["gradio.js"]
    assert "of_gradio" not in script("alone.js")


@pytest.mark.parametrize("name", MODULES)
def test_text_enters_the_page_as_text(name):
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in MODULES[name]


def test_nothing_is_fetched():
    for name, text in MODULES.items():
        assert not re.search(
            r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|https?://(?!www\.w3\.org/2000/svg)", text
        ), name


def test_the_colours_are_matplotlib_s():
    tables = dict(re.findall(r"^  (\w+): '([\w+/=]+)',$", MODULES["tables.js"], re.MULTILINE))
    assert tables == colour_tables() and list(tables) == list(COLOURS)
