"""The viewer as a component of the page: a fixed template, one script for all, and values that are plain JSON."""

from typing import Any

import gradio as gr

from app.scripts import script

HEAD = f"<script>{script('gradio.js')}</script>"
"""What the page's head needs; see `launch`."""

MOUNT = """
const mount = () => MirrorGAN.mount('@@KIND@@', {element, props, trigger, watch});
if (window.MirrorGAN) mount();
else window.addEventListener('mirrorgan', mount, {once: true});
"""


def viewer(value: Any = None, **options: Any) -> gr.HTML:
    """The viewer. Its value is what `app.payload.payload` makes, or None. One that is `offered` comes for an empty box;
    if somebody has typed meanwhile, it is not shown. One that is a `still` is shown until a model is there.

    Events: `select` with caption, seed and model when a drawing of before is shown again; `submit` with the same when
    it has to be drawn again, because the page was reloaded since; `download` with kind too when a file of it is
    wanted.
    """
    return _mounted("viewer", value=value, **options)


def gallery(value: Any, **options: Any) -> gr.HTML:
    """Drawings that are shipped with the page. Its value is what `app.stills.failures` reads.

    Event: `select` with caption, seed and model when one is opened.
    """
    return _mounted("gallery", value=value, **options)


def board(**options: Any) -> gr.HTML:
    """What a tab beside the viewer shows. Its value is what the callbacks of `app.tools_tab` yield, or None.

    Event: `select` with caption, seed and model when a card is opened.
    """
    return _mounted("board", **options)


def examples(**options: Any) -> gr.HTML:
    """The row of examples. Its value is what `app.callbacks.about` makes, or None.

    Event: `select` with the place of an example, counted from 0, when it is clicked.
    """
    return _mounted("examples", **options)


def inside(**options: Any) -> gr.HTML:
    """The inside of the model. Its value is what `app.inside.inside_of` makes, or None."""
    return _mounted("inside", **options)


def _mounted(kind: str, **options: Any) -> gr.HTML:
    return gr.HTML(
        html_template='<div class="mv-root"></div>',  # no placeholder: what a visitor typed never enters a template
        js_on_load=MOUNT.replace("@@KIND@@", kind),
        apply_default_css=False,
        **options,
    )
