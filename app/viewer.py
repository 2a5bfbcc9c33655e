"""The viewer as a component of the page: a fixed template, one script for all, and values that are plain JSON."""

import json
from pathlib import Path
from typing import Any

import gradio as gr

from app.render import colour_tables

HERE = Path(__file__).parent
SCRIPTS = [
    (HERE / "viewer.js").read_text(encoding="utf-8"),
    f"MirrorGAN.tables = {json.dumps(colour_tables())};",
    (HERE / "board.js").read_text(encoding="utf-8"),
]
HEAD = f"<script>{''.join(SCRIPTS)}</script>"
"""What the page's head needs; see `launch`."""

SEND = "const send = (what, details) => trigger({keep: 'download', recall: 'select', open: 'select'}[what], details);"
MOUNT = """
const start = () => {
  @@SEND@@
  const typed = () => ({
    caption: document.querySelector('#caption textarea, #caption input')?.value,
    seed: document.querySelector('#seed input')?.value,
  });
  const mirror = MirrorGAN.mount(element.querySelector('.mv-root'), {send, typed});
  const show = (value) => {
    const caption = typed().caption?.trim();
    if (!value?.offered || !caption || caption === value.caption) mirror.show(value);
  };
  show(props.value);
  watch('value', () => show(props.value));
  window.dispatchEvent(new Event('mirrorgan-mounted'));
};
if (window.MirrorGAN?.board) start();
else window.addEventListener('mirrorgan', start, {once: true});
"""
MOUNT_BOARD = """
const start = () => {
  @@SEND@@
  const board = MirrorGAN.@@KIND@@(element.querySelector('.mv-root'), {send});
  board.show(props.value);
  watch('value', () => board.show(props.value));
};
if (window.MirrorGAN?.board) start();
else window.addEventListener('mirrorgan', start, {once: true});
"""


def viewer(**options: Any) -> gr.HTML:
    """The viewer. Its value is what `app.payload.payload` makes, or None. One that is `offered` comes for an empty box;
    if somebody has typed meanwhile, it is not shown.

    Events: `select` with caption, seed and model when a drawing of before is shown again; `download` with kind too
    when a file of it is wanted.
    """
    return _mounted(MOUNT, **options)


def board(**options: Any) -> gr.HTML:
    """What a tab beside the viewer shows. Its value is what the callbacks of `app.tools_tab` yield, or None.

    Event: `select` with caption, seed and model when a card is opened.
    """
    return _mounted(MOUNT_BOARD.replace("@@KIND@@", "board"), **options)


def examples(**options: Any) -> gr.HTML:
    """The row of examples. Its value is what `app.callbacks.about` makes, or None.

    Event: `select` with the place of an example, counted from 0, when it is clicked.
    """
    return _mounted(MOUNT_BOARD.replace("@@KIND@@", "examples"), **options)


def inside(**options: Any) -> gr.HTML:
    """The inside of the model. Its value is what `app.inside.inside_of` makes, or None."""
    return _mounted(MOUNT_BOARD.replace("@@KIND@@", "inside"), **options)


def _mounted(script: str, **options: Any) -> gr.HTML:
    return gr.HTML(
        html_template='<div class="mv-root"></div>',  # no placeholder: what a visitor typed never enters a template
        js_on_load=script.replace("@@SEND@@", SEND),
        apply_default_css=False,
        **options,
    )
