"""The page: its components in reading order, then which callback each event calls."""

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from app import callbacks, markup
from app.callbacks import GROWING, OWN, SHARED, Answer, Page
from app.render import COLOURS
from app.studio import EXAMPLE_SEED, Studio
from app.theme import build_theme

TITLE = """
<header class="mg-title"><h1>MirrorGAN</h1>
<p>Type a caption, watch it become a picture, and read back what the picture says.</p></header>
"""
TILE_CLICKED = """
element.addEventListener('click', (event) => {
  const tile = event.target.closest('button[data-word]');
  if (tile) trigger('select', {word: Number(tile.dataset.word), stage: Number(tile.dataset.stage)});
});
"""
TAKE_OFFER = """
(offer, caption, seed) => offer && !caption.trim() ? offer : [caption, seed]
"""
HERE = Path(__file__).parent
LAUNCH: dict[str, Any] = {
    "share": False,
    "show_error": False,
    "max_file_size": "1mb",
    "enable_monitoring": False,
    "allowed_paths": [],
    "strict_cors": True,
    "run_history": False,
    "ssr_mode": False,
    "footer_links": ["api"],
    "state_session_capacity": 200,
    "css_paths": HERE / "page.css",
}
"""How the page is served; `launch(**LAUNCH, theme=build_theme())`."""


def build_demo(studio: Studio) -> gr.Blocks:
    with gr.Blocks(title="MirrorGAN", analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        drawing = gr.State()
        offer = gr.JSON(visible=False)  # caption and seed for the boxes, unless somebody types meanwhile
        timer = gr.Timer(1.0)
        gr.HTML(TITLE)

        with gr.Row(elem_classes="mg-ask", equal_height=False):
            caption = gr.Textbox(
                label="Caption",
                placeholder="a small yellow bird with black wings",
                lines=1,
                max_lines=3,
                scale=6,
                min_width=260,
                autofocus=True,
                elem_id="caption",
            )
            seed = gr.Number(EXAMPLE_SEED, label="Seed", scale=2, min_width=130, elem_id="seed")
            draw = gr.Button("Draw", variant="primary", scale=1, min_width=100, elem_id="draw")
            again = gr.Button("New seed", scale=1, min_width=120, elem_id="new-seed")
        examples = gr.Dataset(
            components=[caption], samples=[], type="index", label="Try one", visible=False, elem_id="examples"
        )
        status = gr.HTML(markup.status(None, None), elem_id="status")
        notes = gr.HTML(elem_id="notes")

        with gr.Column(visible=False, elem_id="results") as results:
            with gr.Row(elem_classes="mg-top"):
                with gr.Column(scale=5, min_width=300):
                    picture = gr.HTML(elem_id="picture")
                    with gr.Row(elem_classes="mg-tight"):
                        stage = gr.Radio([("growing", GROWING)], value=GROWING, label="Stage", elem_id="stage")
                        squares = gr.Checkbox(label="Square pixels", elem_id="squares")
                with gr.Column(scale=6, min_width=300):
                    mirror = gr.HTML(elem_id="mirror")
                    strip = gr.HTML(elem_id="strip")
                    scores = gr.HTML(elem_id="scores")

            with gr.Column() as word_maps:
                gr.HTML(
                    markup.heading(
                        "Where each word went",
                        "From the second stage on, each place of the picture decides which words to listen to. "
                        "Point at a word to see its map and choose it for its numbers, "
                        "or click the picture to ask which words that place heard. "
                        "The first stage has no word attention: it knows the sentence only as a whole.",
                    )
                )
                word = gr.Radio(label="Word", elem_id="word")
                with gr.Row(elem_classes="mg-top"):
                    with gr.Column(scale=5, min_width=300):
                        overlay = gr.Image(
                            format="png",
                            interactive=False,
                            show_label=False,
                            label="Picture with the map of the chosen word",
                            alt_text="Picture with the map of the chosen word",
                            buttons=["download", "fullscreen"],
                            elem_id="overlay",
                        )
                    with gr.Column(scale=6, min_width=300):
                        numbers = gr.HTML(elem_id="numbers")
                        region = gr.HTML(elem_id="region")
                        word_stage = gr.Radio(label="Stage", elem_id="word-stage")
                        colours = gr.Radio(list(COLOURS), value=COLOURS[0], label="Colours", elem_id="colours")
                        scale = gr.Radio([OWN, SHARED], value=OWN, label="One scale for", elem_id="scale")
                        opacity = gr.Slider(0, 1, value=0.6, step=0.05, label="Opacity", elem_id="opacity")
                gr.HTML('<h3 class="mg-h3">All words at all stages</h3>')
                sheet = gr.HTML(js_on_load=TILE_CLICKED, elem_id="sheet")

            gr.HTML(
                markup.heading(
                    "Where the whole sentence went",
                    "How much of the sentence as a whole entered each place. The numbers have no upper end; "
                    "they compare the places and stages of this drawing.",
                )
            )
            sentence = gr.HTML(elem_id="sentence")
            with gr.Accordion("Time and weights", open=False):
                facts = gr.HTML(elem_id="facts")

        parts: dict[str, gr.blocks.Block] = {
            "drawing": drawing, "results": results, "notes": notes, "picture": picture, "stage": stage,
            "strip": strip, "mirror": mirror, "scores": scores, "word_maps": word_maps, "word": word,
            "word_stage": word_stage, "overlay": overlay, "numbers": numbers, "region": region,
            "sheet": sheet, "sentence": sentence, "facts": facts,
        }  # fmt: skip
        page = [parts[name] for name in Page._fields]
        look = [colours, opacity, scale]
        model: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        view: dict[str, Any] = {**quiet, "concurrency_id": "view", "concurrency_limit": 4}
        latest: dict[str, Any] = {**view, "trigger_mode": "always_last"}

        ask = partial(callbacks.draw, studio)
        gr.on([caption.submit, draw.click], ask, [caption, seed, *look], page, **quiet, **model)
        again.click(callbacks.new_seed, None, seed, **view).then(ask, [caption, seed, *look], page, **quiet, **model)
        examples.click(partial(callbacks.draw_example, studio), [examples, *look], [caption, seed, *page], **view)

        gr.on([stage.input, squares.input], callbacks.show_stage, [drawing, stage, squares], picture, **latest)
        which = [drawing, word, word_stage, *look]
        gr.on(
            [word.input, word_stage.input, colours.input, opacity.input, scale.input],
            callbacks.show_word, which, [overlay, numbers], **latest,
        )  # fmt: skip
        gr.on(
            [colours.input, opacity.release, scale.input],
            callbacks.show_maps, [drawing, *look], [sheet, sentence], **latest,
        )  # fmt: skip
        overlay.select(callbacks.show_region, [drawing, word_stage], region, **view)
        sheet.select(callbacks.choose_tile, drawing, [word, word_stage], **view).then(
            callbacks.show_word, which, [overlay, numbers], **view
        )

        def arrive(request: gr.Request, *values: Any) -> tuple[Any, ...]:
            return callbacks.arrive(studio, dict(request.query_params), *values)

        gr.on(
            [demo.load, timer.tick],
            arrive, [drawing, caption, seed, *look], [status, examples, timer, offer, *page], **view,
        ).then(None, [offer, caption, seed], [caption, seed], js=TAKE_OFFER, **quiet)  # fmt: skip

        demo.load(None, js=(HERE / "page.js").read_text(), **quiet)

        def draw_for_programs(caption: str, seed: int = EXAMPLE_SEED) -> Answer:
            return callbacks.draw_for_programs(studio, caption, seed)

        gr.api(draw_for_programs, api_name="draw", **model)

    return demo.queue(max_size=16, api_open=False, default_concurrency_limit=1)


def launch(demo: gr.Blocks, **where: Any) -> tuple[Any, str, str]:
    """Serves the page with the settings that a public page needs."""
    return demo.launch(**LAUNCH, theme=build_theme(), **where)
