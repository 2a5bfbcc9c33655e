"""The viewer's ES modules (`app/web/`) as one script, for pages that take no other file.

A browser takes the modules as they are. On the page they would be thirty requests, and a page that is saved must be one
file, so they are joined here: each becomes a function that returns what it exports, after those that it imports.
The rule that makes this simple, which `join` checks: an import is one line, `import {a, b as c} from './file.js';`;
an export stands before its declaration, `export const`, `export function`, `export async function` or `export class`;
and modules do not import each other in a circle.
"""

import graphlib
import re
from functools import cache
from pathlib import Path

WEB = Path(__file__).parent / "web"
IMPORT = re.compile(r"^import \{([\w, ]+)\} from '\./([\w-]+\.js)';$", re.MULTILINE)
EXPORT = re.compile(r"^export ((?:const|class|function|async function) (\w+))", re.MULTILINE)
COMMENT = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*(?:(?!\*/).)*\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
LEFT = re.compile(r"^\s*(import|export)\b.*$", re.MULTILINE)


@cache
def script(entry: str) -> str:
    """The module `entry` of `app/web/` with all that it imports, as one classic script that calls its `start()`."""
    return join({path.name: path.read_text(encoding="utf-8") for path in WEB.glob("*.js")}, entry)


def join(modules: dict[str, str], entry: str) -> str:
    """
    Args:
        modules: Text by file name.
        entry: The one whose `start()` is called; what it does not need is left out.

    Raises:
        ValueError: A module breaks the rule above.
    """
    needs: dict[str, list[str]] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in needs:
            if name not in modules:
                raise ValueError(
                    f"There is no module {name}. It is imported, or is the entry; the file may be misspelt."
                )
            needs[name] = [found[2] for found in IMPORT.finditer(modules[name])]
            waiting += needs[name]
    try:
        order = list(graphlib.TopologicalSorter(needs).static_order())
    except graphlib.CycleError as error:
        raise ValueError(f"Modules import each other in a circle: {' -> '.join(error.args[1])}. Break it.") from error
    parts = [_function(name, modules[name]) for name in order]
    text = "\n".join(["(() => {", "'use strict';", *parts, f"{_variable(entry)}.start();", "})();"])
    return text.replace("</script", "<\\/script")


def _function(name: str, text: str) -> str:
    text = COMMENT.sub("", text)  # those that stand on lines of their own: a third of the text
    exported = [found[2] for found in EXPORT.finditer(text)]
    text = IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = {_variable(found[2])};", text)
    text = EXPORT.sub(r"\1", text)
    if left := LEFT.search(text):
        raise ValueError(
            f"{name} has the line {left[0].strip()!r}; expected imports like \"import {{a}} from './b.js';\" and "
            "exports before const, function or class. Please write it so."
        )
    return f"const {_variable(name)} = (() => {{\n{text.rstrip()}\nreturn {{{', '.join(exported)}}};\n}})();"


def _variable(name: str) -> str:
    return "of_" + re.sub(r"\W", "_", name.removesuffix(".js"))
