"""From a loaded checkpoint to a folder of ONNX networks.

torch's tracing exporter writes every network, since it takes a second where the newer one takes half a minute;
onnxruntime then folds constants and batch norms, and weights are stored in the precision that is asked for. What was
written is run, and held against torch, before the folder is done.
"""

import dataclasses
import tempfile
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from mirrorgan.backbones import EfficientNetLite
from mirrorgan.captioner import Captioner
from mirrorgan.drawing import CheckpointError
from mirrorgan.files import write_bytes
from mirrorgan.image_encoder import ImageEncoder
from mirrorgan.networks import BEAM_WIDTH
from mirrorgan.onnx import folder as written
from mirrorgan.onnx.graphs import (
    Graph,
    captioner_graph,
    captioner_step_graph,
    generator_graph,
    image_encoder_graph,
    text_encoder_graph,
    truncates,
    trunk_graph,
)
from mirrorgan.onnx.precision import store
from mirrorgan.pipeline import MirrorGAN

TOLERANCE = 1e-3
"""Of a network's outputs in float32, relative to the largest: a graph that computes something else is far beyond."""
ALIGNED = 32
"""EfficientNet-Lite pads by the size of what it gets; for multiples of its stride of 32 that is the same."""


def export(model: MirrorGAN, folder: Path, precision: str = "float32") -> written.Description:
    """Writes the networks of a checkpoint, and reads back what was written.

    Args:
        folder: is made if need be; files in it that have these names are replaced.
        precision: what weights are stored as, one of `folder.PRECISIONS`.

    Raises:
        ValueError: there is no such precision.
        CheckpointError: a network computes something else as ONNX than it does in torch.
        OSError: a file cannot be written.
    """
    if precision not in written.PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(written.PRECISIONS)}, not {precision!r}")
    graphs, settings = collect(model)
    folder.mkdir(parents=True, exist_ok=True)
    networks = {}
    for name, graph in graphs.items():
        proto = convert(name, graph)
        networks[name] = signature(proto)
        write_bytes(folder / f"{name}.onnx", store(proto, precision).SerializeToString(deterministic=True))
    model.vocabulary.save(folder / "vocabulary.json")
    config = model.generator.config
    written.write(
        folder,
        {
            "format": written.FORMAT,
            "opset": written.OPSET,
            "precision": precision,
            "name": model.info.name,
            "checkpoint": model.info.sha256,
            "summary": model.info.summary,
            "trained": model.info.trained,
            "examples": model.info.examples,
            "max_words": model.info.max_words,
            "vocabulary": model.vocabulary.hash,
            "text_dim": model.text_encoder.config.text_dim,
            "noise_dim": model.generator.noise_dim,
            "sizes": model.generator.sizes,
            "beam_width": BEAM_WIDTH,
            "truncates": truncates(model.generator),
            "truncation": getattr(config, "truncation", None),
            "parameters": model.inside().parameters,
            "networks": networks,
            **settings,
        },
    )
    return written.read(folder)


def collect(model: MirrorGAN) -> tuple[dict[str, Graph], dict[str, Any]]:
    """The graphs of a checkpoint by name, and what the description says of those that read and judge."""
    graphs = {
        "text_encoder": text_encoder_graph(model.text_encoder),
        "generator": generator_graph(model.generator, model.text_encoder.config.text_dim),
    }
    settings: dict[str, Any] = {"captioner": None, "image_encoder": None}
    captioner, encoder = model.captioner, model.image_encoder
    trunks = name_trunks(captioner, encoder)
    if captioner is not None:
        trunk = trunks["captioner"]
        graphs[trunk], features = _trunk(captioner, trunk == "trunk")
        graphs["captioner"] = captioner_graph(captioner, features)
        seen = _run(graphs["captioner"])
        graphs["captioner_step"] = captioner_step_graph(captioner, seen)
        settings["captioner"] = dataclasses.asdict(
            written.CaptionerSettings(
                trunk=trunk,
                image_size=captioner.config.image_size,
                smooth=captioner.config.smooth,
                hidden_dim=captioner.config.hidden_dim,
                ends=captioner.config.ends,
                longest=captioner.config.longest,
                regions=seen[1].shape[1] if len(seen) == 2 else 0,
            )
        )
    if encoder is not None:
        trunk = trunks["image_encoder"]
        graph, features = _trunk(encoder, trunk == "trunk")
        graphs.setdefault(trunk, graph)
        graphs["image_encoder"] = image_encoder_graph(encoder, features)
        settings["image_encoder"] = dataclasses.asdict(
            written.ImageEncoderSettings(trunk=trunk, image_size=encoder.config.image_size)
        )
    return graphs, settings


def name_trunks(captioner: Captioner | None, encoder: ImageEncoder | None) -> dict[str, str]:
    """The trunk of each: one for both, "trunk", where they share one that takes pictures of either size."""
    if captioner is not None and encoder is not None and captioner.backbone is encoder.backbone:
        sizes = captioner.config.image_size, encoder.config.image_size
        any_size = not isinstance(encoder.backbone, EfficientNetLite)
        if any_size or sizes[0] == sizes[1] or not any(size % ALIGNED for size in sizes):
            return {"captioner": "trunk", "image_encoder": "trunk"}
    return {"captioner": "captioner_trunk", "image_encoder": "image_encoder_trunk"}


def _trunk(owner: Captioner | ImageEncoder, shared: bool) -> tuple[Graph, tuple[Tensor, Tensor]]:
    """The trunk of a part, and features as that part gets them."""
    graph = trunk_graph(owner.backbone, owner.config.image_size, fixed=not shared)
    regional, pooled = _run(graph)
    return graph, (regional, pooled)


@torch.inference_mode()
def _run(graph: Graph, inputs: dict[str, Tensor] | None = None) -> tuple[Tensor, ...]:
    outputs = graph.module(*(inputs or graph.inputs).values())
    return tuple(tensor.clone() for tensor in outputs)


def convert(name: str, graph: Graph) -> onnx.ModelProto:
    """A graph as ONNX, with constants and batch norms folded; held against torch.

    Raises:
        CheckpointError: torch cannot write it, or it computes something else.
    """
    try:
        proto = fold(traced(graph))
    except Exception as error:  # an exporter meets what it does not know with many kinds
        raise CheckpointError(f"{name}: torch cannot export it to ONNX ({str(error)[:300]})") from error
    check(name, graph, proto)
    return proto


def traced(graph: Graph) -> onnx.ModelProto:
    """A graph as torch's exporter writes it."""
    inputs = {key: value.clone() for key, value in graph.inputs.items()}
    with torch.no_grad(), warnings.catch_warnings(), _ExportableNormal():
        warnings.simplefilter("ignore")  # that it is the older exporter, and that sizes become constants
        content: Any = BytesIO()
        torch.onnx.export(
            graph.module.eval(),
            tuple(inputs.values()),
            content,
            dynamo=False,
            opset_version=written.OPSET,
            input_names=list(inputs),
            output_names=list(graph.outputs),
            dynamic_axes=graph.sizes,
        )
    return onnx.load_from_string(content.getvalue())


def fold(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with constants and batch norms folded, in ONNX's own operators only."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(1)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(options.optimized_model_filepath)
    if others := {node.domain for node in folded.graph.node} - {"", "ai.onnx"}:
        raise ValueError(f"operators outside ONNX: {', '.join(sorted(others))}")
    kept = [entry for entry in folded.opset_import if entry.domain in ("", "ai.onnx")]
    del folded.opset_import[:]
    folded.opset_import.extend(kept)
    return folded


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Of a session on so many threads that reports errors only."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options


def check(name: str, graph: Graph, proto: onnx.ModelProto) -> None:
    """Runs an ONNX graph beside torch's, on random numbers and other sizes than those it was traced with.

    Raises:
        CheckpointError: an output is further away than TOLERANCE.
    """
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), session_options(1), providers=["CPUExecutionProvider"]
    )
    needed = {one.name for one in session.get_inputs()}  # systems that hear the sentence alone take no words
    random = torch.Generator().manual_seed(1)
    for more in (0, 2):
        inputs = {key: _other(value, graph.sizes.get(key, {}), more, random) for key, value in graph.inputs.items()}
        expected = _run(graph, inputs)
        used = {key: value.numpy() for key, value in inputs.items() if key in needed}
        found = session.run(list(graph.outputs), used)
        for output, wanted, got in zip(graph.outputs, (tensor.numpy() for tensor in expected), found, strict=True):
            scale = max(1.0, float(np.abs(wanted).max()))
            if wanted.shape != got.shape or float(np.abs(wanted - got).max()) > TOLERANCE * scale:
                raise CheckpointError(f"{name}: its output {output} is another one as ONNX than in torch")


def _other(value: Tensor, sizes: dict[int, str], more: int, random: torch.Generator) -> Tensor:
    """Random numbers like an input, its free axes longer by `more`; pictures by `more` strides."""
    shape = [
        size + more * (ALIGNED if sizes.get(axis) == "size" else axis in sizes) for axis, size in enumerate(value.shape)
    ]
    if value.is_floating_point():
        return torch.rand(shape, generator=random) * 0.4 - 0.2 if shape else value
    return torch.randint(0, int(value.max()) + 1, shape, generator=random)


def signature(proto: onnx.ModelProto) -> dict[str, Any]:
    """Inputs and outputs of an ONNX graph by name: type, and sizes, or the names of those that are not fixed."""

    def tell(values: Any) -> dict[str, Any]:
        return {
            value.name: {
                "type": onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                "shape": [
                    axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim
                ],
            }
            for value in values
        }  # fmt: skip

    return {"inputs": tell(proto.graph.input), "outputs": tell(proto.graph.output)}


class _ExportableNormal(TorchFunctionMode):
    """The normal distribution function and its inverse in operators that ONNX has.

    Phi by the error function; its inverse by algorithm AS 241 of Wichura (Applied Statistics, 1988), for shares from
    1e-11 to 1 - 1e-11. In float32: the noise of a normal that is cut off at 2 comes out to 2e-6.
    """

    CENTRE = (
        (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
         1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
        (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
         5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
    )  # fmt: skip
    TAIL = (
        (7.7454501427834140764e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
         3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
        (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
         6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
    )  # fmt: skip

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.special.ndtr:
            return (args[0].float() * 0.5**0.5).erf() * 0.5 + 0.5
        if func is torch.special.ndtri:
            return self._inverse(args[0].float())
        return func(*args, **(kwargs or {}))

    def _inverse(self, share: Tensor) -> Tensor:
        above = share - 0.5
        centre = above * self._ratio(self.CENTRE, 0.180625 - above * above)
        depth = (-torch.minimum(share, 1 - share).clamp(min=1e-11).log()).sqrt()
        tail = torch.sign(above) * self._ratio(self.TAIL, depth - 1.6)
        return torch.where(above.abs() <= 0.425, centre, tail)

    @staticmethod
    def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], at: Tensor) -> Tensor:
        """One polynomial over another, the highest power first."""
        above, below = (torch.zeros_like(at) for _ in range(2))
        for top, bottom in zip(*coefficients, strict=True):
            above, below = above * at + top, below * at + bottom
        return above / below
