"""What a link to the page shows where it is posted: a title with its caption, a sentence and a card.

The card is one shipped picture for all links. One for each caption would need a drawing for every crawler that follows
a link, and crawlers neither wait nor take turns.
"""

import html
import re
from urllib.parse import parse_qs

from app.gate import App, Message, Receive, Scope, Send
from app.stills import CARD, CARD_SIZE
from mirrorgan.inputs import MAX_CHARACTERS

NAME = "MirrorGAN"
SAYS = "Describe a bird. A small GAN paints it in three passes, then looks at its own painting and says what it sees."
CARD_PATH = "/card.jpg"
LONGEST = 70
"""Characters of a caption in a title."""
OTHERS = re.compile(rb'<meta\s+(?:property|name)="(?:og:|twitter:|description)[^>]*>|<title>.*?</title>', re.DOTALL)


def title_of(caption: str) -> str:
    """The page's title for a caption, which may be empty and may be cut."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in caption).split())
    if not words:
        return NAME
    return f"{words if len(words) <= LONGEST else words[: LONGEST - 1].rstrip() + '…'} - {NAME}"


class Preview:
    """ASGI middleware: answers `/card.jpg`, and writes title, sentence and card into the head of the page. It belongs
    behind `app.gate.Gate`, which counts its requests like all others."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._card = CARD.read_bytes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        elif scope["path"] == CARD_PATH:
            await self._send_card(scope, send)
        elif scope["path"] in ("/", ""):
            await self._send_page(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _send_card(self, scope: Scope, send: Send) -> None:
        headers = [
            (b"content-type", b"image/jpeg"),
            (b"content-length", str(len(self._card)).encode()),
            (b"cache-control", b"public, max-age=86400"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self._card})

    async def _send_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The page with another head. Answers that are no page pass as they are."""
        start: Message | None = None
        parts: list[bytes] = []

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                kinds = dict(message.get("headers", ()))
                if message["status"] == 200 and kinds.get(b"content-type", b"").startswith(b"text/html"):
                    start = message
                    return
            if start is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            body = with_head(b"".join(parts), scope)
            length = (b"content-length", str(len(body)).encode())
            kept = [header for header in start["headers"] if header[0] != b"content-length"]
            if scope["method"] == "HEAD":
                kept, length, body = list(start["headers"]), (b"vary", b"accept-encoding"), b""
            await send({**start, "headers": [*kept, length]})
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, rewrite)


def with_head(page: bytes, scope: Scope) -> bytes:
    """The page with a title, a sentence and a card for its link; `scope` has the address that was asked for."""
    query = parse_qs(scope.get("query_string", b"")[: 16 * MAX_CHARACTERS].decode("latin-1"))
    title = title_of(query.get("caption", [""])[0])
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    card = f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}{CARD_PATH}"
    tags = {
        "og:type": "website",
        "og:site_name": NAME,
        "og:title": title,
        "og:description": SAYS,
        "og:image": card,
        "og:image:width": str(CARD_SIZE[0]),
        "og:image:height": str(CARD_SIZE[1]),
        "og:image:alt": "A drawing with its caption and the sentence that the model read back from it",
    }
    lines = [f"<title>{html.escape(title)}</title>", f'<meta name="description" content="{html.escape(SAYS)}">']
    lines += [f'<meta property="{name}" content="{html.escape(value)}">' for name, value in tags.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image">')
    head, mark, rest = page.partition(b"</head>")
    head = OTHERS.sub(b"", head).replace(b"<head>", b"<head>" + "".join(lines).encode(), 1)
    return head + mark + rest
