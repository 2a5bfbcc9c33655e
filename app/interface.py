"""The page: its components in reading order, then which callback each event calls."""

from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from starlette.middleware import Middleware

from app import callbacks, markup, stills
from app import tools_tab as playing
from app.callbacks import Answer, AppContext, Visitor
from app.connections import end_idle_connections
from app.fair_queue import FairQueue
from app.gate import Gate, PublicHeaders, trust_the_proxy_of_spaces
from app.limits import RateLimiter, address_of
from app.models import EXAMPLE_SEED, ModelRegistry
from app.preview import NAME, SAYS, Preview
from app.stills import ICON
from app.theme import build_theme
from app.tools_tab import TOGETHER, ReadAnswer
from app.uploads import KEPT_SECONDS, UploadStore
from app.viewer import HEAD, board, gallery, viewer
from app.viewer import examples as examples_view
from app.viewer import inside as inside_view

TITLE = f"""
<header class="mg-title"><h1>MirrorGAN</h1><p>{SAYS}</p></header>
"""
TAKE_OFFER = """
(offer, caption, seed, model) => offer && !caption.trim() ? offer : [caption, seed, model]
"""
SAVE = "(file) => { if (file) MirrorGAN.download(file.href, file.name); }"
HERE = Path(__file__).parent
LAUNCH: dict[str, Any] = {
    "share": False,
    "show_error": False,
    "max_file_size": "4mb",
    "enable_monitoring": False,
    "allowed_paths": [],
    "strict_cors": True,
    "run_history": False,
    "ssr_mode": False,  # works, but nothing here is seen without scripts: it only adds requests and a second process
    "footer_links": ["api"],
    "favicon_path": str(ICON),
    "state_session_capacity": 200,
    "css_paths": [HERE / "viewer.css", HERE / "page.css"],
    "head": HEAD,
}
"""How the page is served; see `launch`."""
QUEUE = 64
"""Events that may wait, of all addresses together; of one see `app.gate.PLACES`."""


def build_demo(
    registry: ModelRegistry, rate_limiter: RateLimiter | None = None, still: dict[str, Any] | None = None
) -> gr.Blocks:
    """
    Args:
        still: What the viewer shows until the first model is there, see `app.stills.first`.
    """
    context = AppContext(registry, rate_limiter or RateLimiter())
    demo = gr.Blocks(title=NAME, analytics_enabled=False, delete_cache=(60, KEPT_SECONDS))
    with demo:
        offer = gr.JSON(visible=False)  # caption, seed and model for the boxes, unless somebody types meanwhile
        file = gr.JSON(visible=False)
        timer = gr.Timer(1.0)

        with gr.Row(elem_classes="mg-ask", equal_height=False):
            gr.HTML(TITLE, elem_id="title")
            caption = gr.Textbox(
                label="Caption",
                show_label=False,
                placeholder="a small yellow bird with black wings",
                lines=1,
                max_lines=2,
                scale=6,
                min_width=160,
                autofocus=True,
                elem_id="caption",
            )
            draw = gr.Button("Draw", variant="primary", scale=0, min_width=84, elem_id="draw")
        with gr.Row(elem_classes="mg-under"):  # one line of a fixed height, so that what it says moves nothing
            hint = gr.HTML(elem_id="hint")
            gr.HTML(markup.UNDER, elem_id="place")  # web/page.js writes it
        examples = examples_view(elem_id="examples")
        status = gr.HTML(markup.status(None, None), elem_id="status")

        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Draw", id="draw"):
                mirror = viewer(still, elem_id="mirror")
                with gr.Row(elem_classes="mg-controls", equal_height=False, elem_id="controls"):  # under the picture
                    seed = gr.Number(
                        EXAMPLE_SEED,
                        label="Seed",
                        scale=0,
                        min_width=90,
                        elem_id="seed",
                    )
                    model = gr.Dropdown(
                        list(registry.keys),
                        value=registry.first,
                        label="Model",
                        scale=0,
                        min_width=110,
                        visible=len(registry.keys) > 1,
                        elem_id="model",
                    )
                    again = gr.Button("Another bird (new seed)", scale=0, min_width=180, elem_id="new-noise")
                wall = gallery(stills.failures(registry.first), elem_id="gallery")
            with gr.Tab("Play", id="play") as play_tab:
                plays = _build_plays(registry)
            with gr.Tab("Read a picture", id="read"):
                gr.HTML(
                    markup.explanation(
                        "Bring a picture of your own: STREAM says what it sees, and a caption is matched with it. "
                        "The middle square is looked at. The model knows what it was trained on and little else."
                    )
                )
                with gr.Row(equal_height=False, elem_classes="mg-reading"):
                    upload = gr.File(
                        label="Picture: PNG, JPEG, WebP, GIF or BMP, at most 4 MB",
                        file_types=[".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"],
                        type="binary",
                        height=150,
                        elem_id="upload",
                    )
                    with gr.Column():
                        fits = gr.Textbox(label="Does this caption fit? (may stay empty)", elem_id="fits")
                        look = gr.Button("Read it", variant="primary", elem_id="read-it")
                reading = board(elem_id="reading")
            with gr.Tab("Inside", id="inside") as inside_tab:
                inside = inside_view(elem_id="inside")

        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        work: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 2}
        typing: dict[str, Any] = {"concurrency_id": "typing", "concurrency_limit": 2}  # nobody's Enter waits for it
        files: dict[str, Any] = {"concurrency_id": "files", "concurrency_limit": 2}  # made without the model, mostly
        waiting: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "show_progress_on": hint}
        view: dict[str, Any] = {**quiet, "concurrency_id": "view", "concurrency_limit": 4}
        latest: dict[str, Any] = {"trigger_mode": "always_last"}
        asked = [caption, seed, model]

        ask = _for_visitor(partial(callbacks.draw, context))
        gr.on([caption.submit, draw.click], ask, asked, [mirror, hint], **waiting, **work, **latest)
        again.click(callbacks.new_seed, None, seed, **view).then(ask, asked, [mirror, hint], **waiting, **work)
        gr.on(
            [caption.change, seed.input],  # a text's `input` is its key presses only: no pasting, no deleting
            _for_visitor(partial(callbacks.live, context)), asked, [mirror, hint],
            **waiting, **typing, **latest,
        )  # fmt: skip
        model.input(
            _for_visitor(partial(callbacks.choose_model, context)), asked, [status, examples, mirror, hint],
            **waiting, **work, **latest,
        )  # fmt: skip

        def take_example(event: gr.EventData, model: Any) -> tuple[Any, ...]:
            return callbacks.take_example(context, _details(event), model)

        examples.select(take_example, model, [caption, seed, mirror, hint], **view)

        def recall(event: gr.EventData) -> tuple[Any, ...]:
            return callbacks.recall(_details(event))

        def keep(event: gr.EventData, request: gr.Request) -> dict[str, str]:
            return callbacks.keep_file(context, _details(event), _visitor(request))

        mirror.select(recall, None, asked, **view)
        for opening in (mirror.submit, wall.select):
            opening(recall, None, asked, **view).then(ask, asked, [mirror, hint], **waiting, **work)

        others = [plays["change"].inputs[0], plays["walk"].inputs[0]]
        play_tab.select(playing.suggest, [caption, *others], others, **view)
        play: dict[str, Any] = {"concurrency_id": "play", "concurrency_limit": 2}
        for name, callback in PLAYS.items():
            part = plays[name]
            part.run.click(
                _on_board(_for_visitor(partial(callback, context))),
                [*asked, *part.inputs],
                part.board,
                **waiting,
                **play,
            )
            opened = part.board.select(recall, None, asked, **view)
            opened = opened.then(lambda: gr.Tabs(selected="draw"), None, tabs, **view)
            opened.then(ask, asked, [mirror, hint], **waiting, **work)

        def read_upload(request: gr.Request, picture: Any, caption: Any, model: Any) -> Iterator[dict[str, Any]]:
            yield playing.read_picture(context, picture, caption, model, _visitor(request))

        gr.on(
            [look.click, fits.submit, upload.upload],
            _on_board(read_upload),
            [upload, fits, model],
            reading,
            **waiting,
            **play,
        )
        gr.on([inside_tab.select, model.input], partial(callbacks.show_inside, context), model, inside, **view)
        mirror.download(keep, None, file, **waiting, **files).then(None, file, None, js=SAVE, **quiet)

        def arrive(request: gr.Request, caption: Any, seed: Any, model: Any, shown: Any) -> tuple[Any, ...]:
            link = dict(request.query_params)
            return callbacks.arrive(context, link, caption, seed, model, shown, _visitor(request))

        gr.on(
            [demo.load, timer.tick],
            arrive, [*asked, mirror], [status, examples, timer, offer, mirror, hint], **view,
        ).then(None, [offer, *asked], asked, js=TAKE_OFFER, **quiet)  # fmt: skip

        def draw_caption(
            caption: str, seed: int = EXAMPLE_SEED, model: str = registry.first, request: gr.Request | None = None
        ) -> Answer:
            """Draws a caption and reads the picture back.

            Args:
                caption: English words, at most 400 characters.
                seed: 0 to 4294967295; the same seed always gives the same picture.
                model: One of the checkpoints of this page.

            Returns:
                The stages as PNG data addresses, the sentence read back with its words' probabilities, the words that
                are not in the vocabulary, those after as many known ones as the model takes, and the scores.
            """
            return callbacks.draw_for_programs(context, caption, seed, model, _visitor(request))

        def read_picture(
            picture: str, caption: str = "", model: str = registry.first, request: gr.Request | None = None
        ) -> ReadAnswer:
            """Describes a picture, and says how well a caption fits it.

            Args:
                picture: A PNG, JPEG, WebP, GIF or BMP file in base64, at most 4 MB, with or without "data:...,".
                caption: May stay empty.
                model: One of the checkpoints of this page.

            Returns:
                The sentence with its words' probabilities, and the scores of the caption.
            """
            return playing.read_for_programs(context, picture, caption, model, _visitor(request))

        def look_closer(
            caption: str,
            seed: int,
            size: int,
            row: int,
            column: int,
            model: str = registry.first,
            request: gr.Request | None = None,
        ) -> dict[str, Any]:
            """The numbers that word and sentence attention compute at one place of a drawing.

            Args:
                caption: English words, at most 400 characters.
                seed: 0 to 4294967295.
                size: Pixels of a stage with attention.
                row: Of its map, whose sides are half of that, from 0 at the top.
                column: The same, from 0 at the left.
                model: One of the checkpoints of this page.

            Returns:
                Query, keys, scores, weights and mix of both attentions.
            """
            details = {"caption": caption, "seed": seed, "size": size, "row": row, "column": column, "model": model}
            return callbacks.look_closer(context, details, _visitor(request))

        def read_again(
            caption: str, seed: int = EXAMPLE_SEED, model: str = registry.first, request: gr.Request | None = None
        ) -> dict[str, Any]:
            """Reads the picture of a caption in three ways, and shows step by step how the first was read.

            Args:
                caption: English words, at most 400 characters.
                seed: 0 to 4294967295.
                model: One of the checkpoints of this page.

            Returns:
                The readings, best first, and the steps of the first.
            """
            return callbacks.read_again(context, {"caption": caption, "seed": seed, "model": model}, _visitor(request))

        gr.api(draw_caption, api_name="draw", **work)
        gr.api(read_picture, api_name="read", **play)
        gr.api(look_closer, api_name="closeup", **work)
        gr.api(read_again, api_name="readings", **work)

    demo.queue(max_size=QUEUE, api_open=False, default_concurrency_limit=1)
    return demo


class Part(NamedTuple):
    """One way to play: what it asks beside caption, seed and model, its button and what shows the result."""

    inputs: list[Any]
    run: gr.Button
    board: gr.HTML


PLAYS: dict[str, Callable[..., Any]] = {
    "change": playing.change_caption,
    "seeds": playing.six_seeds,
    "best": playing.best_of,
    "walk": playing.walk,
    "noise": playing.less_noise,
    "uphill": playing.refine,
    "models": playing.compare_models,
}


def _build_plays(registry: ModelRegistry) -> dict[str, Part]:
    """A tab for each way to play with the caption and the seed above."""

    def part(name: str, title: str, says: str, button: str, *fields: Callable[[], Any], visible: bool = True) -> Part:
        with gr.Tab(title, id=name, visible=visible):
            gr.HTML(markup.explanation(says))
            with gr.Row(elem_classes="mg-inputs", equal_height=False):
                inputs = [field() for field in fields]
                run = gr.Button(button, variant="primary", min_width=160, scale=0, elem_id=f"run-{name}")
            return Part(inputs, run, board(elem_id=f"board-{name}"))

    def other_caption(name: str, label: str) -> Callable[[], Any]:
        return lambda: gr.Textbox(label=label, scale=4, min_width=240, elem_id=f"other-{name}")

    with gr.Tabs(elem_id="plays", overflow_behavior="wrap"):
        return {
            "change": part(
                "change", "Change a word",
                "The caption above and another one, drawn from the same noise: what changed in the picture, and which "
                "words listen elsewhere now. Pointing at a word shows it in both.",
                "Before and after", other_caption("change", "The other caption"),
            ),
            "seeds": part(
                "seeds", "Six seeds", "The caption above with its seed and the five after it. Click one to open it.",
                "Draw six",
            ),
            "best": part(
                "best", "Best of eight",
                "Eight seeds from the one above on. STREAM, the reader, looks at each picture; the one in which it "
                "finds the caption most likely comes first. The number is the log-likelihood: closer to 0 is better.",
                "Draw eight",
            ),
            "walk": part(
                "walk", "Walk",
                "From the caption and seed above to others, in even steps. What is left empty stays as it is.",
                "Walk", other_caption("walk", "To this caption"),
                lambda: gr.Textbox(label="To this seed", scale=1, min_width=120, elem_id="other-seed"),
            ),
            "noise": part(
                "noise", "Less noise",
                "The caption above with a part of its seed's noise. Without any, all seeds give one picture: what the "
                "model thinks of first. With all of it, it is the drawing as it is (in DF-GAN, which calls this "
                "truncation, by itself a little less).",
                "From none to all",
            ),
            "uphill": part(
                "uphill", "Uphill",
                "Noise and sentence are moved, step by step, towards a picture in which STREAM, the reader, finds the "
                "caption more likely; the weights stay as they are. The curve is the log-likelihood: closer to 0 is "
                "better. It takes a few seconds.",
                "Climb",
            ),
            "models": part(
                "models", "Compare models",
                "The caption and the seed above, drawn by the chosen model and up to three others. One reader looks at "
                "all the pictures, so that they are judged by the same mirror. A seed is the same noise only for "
                "models that take as many numbers of it.",
                "Side by side",
                lambda: gr.Dropdown(
                    list(registry.keys), value=list(registry.keys[1:TOGETHER]), multiselect=True, max_choices=TOGETHER,
                    label="Other models, up to three", elem_id="other-models", scale=4, min_width=240,
                ),
                visible=len(registry.keys) > 1,
            ),
        }  # fmt: skip


def launch(demo: gr.Blocks, **where: Any) -> tuple[Any, str, str]:
    """Serves the page with the settings that a public page needs, and returns; `where` says where, and may overrule
    them."""
    gate = Middleware(
        Gate,
        waiting=FairQueue(demo._queue, list(demo.fns.values())),
        uploads=UploadStore(demo.upload_file_set.discard),
    )
    on_spaces = trust_the_proxy_of_spaces()
    settings = {**LAUNCH, "theme": build_theme(), **where, "prevent_thread_lock": True}
    served = demo.launch(**settings, app_kwargs={"middleware": [gate, Middleware(Preview)]})
    config = demo.server.config
    config.loaded_app = PublicHeaders(config.loaded_app, on_spaces)  # around all else, from the next connection on
    end_idle_connections(config)
    return served


def _visitor(request: gr.Request | None) -> Visitor:
    host = getattr(getattr(request, "client", None), "host", None)
    return Visitor(address_of(host), str(getattr(request, "session_hash", None))[:64])


def _details(event: gr.EventData) -> dict[str, Any]:
    """What a viewer sent with its event."""
    details = getattr(event, "_data", None)
    return details if isinstance(details, dict) else {}


def _for_visitor(callback: Any) -> Any:
    """A callback that yields, called with who asks as its last value."""

    def called(request: gr.Request, *values: Any) -> Iterator[Any]:
        yield from callback(*values, _visitor(request))

    return called


def _on_board(callback: Callable[..., Iterator[Any]]) -> Any:
    """A callback of a board whose errors are said on the board, under the button that was pressed, and nowhere else."""

    @wraps(callback)
    def called(request: gr.Request, *values: Any) -> Iterator[Any]:
        try:
            yield from callback(request, *values)
        except gr.Error as error:
            yield {"kind": "trouble", "text": str(error.__cause__ or error.message)}

    return called
