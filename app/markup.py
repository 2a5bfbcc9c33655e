"""The few parts of the page that are HTML made here. Everything that shows a drawing is the viewer's.

Whatever a visitor typed or a checkpoint says goes through `escape` before it is placed.
"""

import html

from mirrorgan.drawing import CheckpointInfo

_TEMPLATE_CHARACTERS = {ord(character): f"&#{ord(character)};" for character in "$`{}\\"}


def escape(text: object) -> str:
    """Text that HTML, its attributes and JavaScript templates all take as text."""
    return html.escape(str(text), quote=True).translate(_TEMPLATE_CHARACTERS)


UNDER = (
    '<p class="mg-place" role="status"></p><p class="mg-live" role="status"></p>'
    '<p class="mg-count" aria-hidden="true"></p><p class="mg-offline" role="status"></p>'
)
"""Lines under the caption that the page's script writes: the place in the queue, what was drawn for who does not see
it, the characters that are left, and that the server cannot be reached."""


def status(info: CheckpointInfo | None, trouble: str | None) -> str:
    """Whether the model is there, which one it is, and whether it has learnt anything."""
    if trouble:
        return f'<div class="mg-banner mg-bad" role="alert"><strong>No model.</strong> {escape(trouble)}</div>'
    if info is None:
        return (
            '<p class="mg-status" role="status"><span class="mg-turning"></span> The model is loading. '
            "What you type is drawn as soon as it is there.</p>"
        )
    line = (
        f'<p class="mg-status" role="status">Model <strong>{escape(info.name)}</strong> '
        f'<span title="first digits of the SHA-256 of its weights">{escape(info.sha256[:8])}</span>'
        f" · {escape(info.summary)}</p>"
    )
    if info.trained:
        return line
    return (
        '<div class="mg-banner mg-warn" role="alert"><strong>Untrained weights.</strong> '
        f"The model {escape(info.name)} has learnt nothing yet: "
        "pictures, maps and sentences are noise.</div>" + line
    )


def hint(text: str, box: str = "caption") -> str:
    """A quiet line under the box that it belongs to, "caption" or "seed"; nothing if there is nothing to say."""
    return f'<p class="mg-hint" role="status" data-box="{box}">{escape(text)}</p>' if text else ""


def explanation(text: str) -> str:
    return f'<p class="mg-explain">{escape(text)}</p>'
