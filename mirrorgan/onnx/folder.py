"""What lies in a folder of ONNX networks. No torch is needed to read it.

onnx.json          sizes, settings, and of every network its inputs and outputs; sha256 of every file
vocabulary.json    all words in order, with their hash
text_encoder.onnx  generator.onnx
captioner.onnx  captioner_step.onnx  image_encoder.onnx  trunk.onnx       what reads and judges, if it is there
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mirrorgan.drawing import CheckpointError, CheckpointInfo
from mirrorgan.files import write_text
from mirrorgan.manifest import check_listed, read_config, read_json, sha256
from mirrorgan.untrusted import readable, shortened
from mirrorgan.vocabulary import Vocabulary

FORMAT = 1
OPSET = 18
DESCRIPTION = "onnx.json"
PRECISIONS = ("float32", "float16", "int8")
"""What weights are stored as; all are computed with as float32."""


@dataclass(frozen=True, kw_only=True)
class CaptionerSettings:
    """What reading a sentence from a picture needs to know beside the networks."""

    trunk: str
    """Name of the network that gives its features."""
    image_size: int
    """Pixels that a picture is resized to."""
    smooth: bool
    """Pictures that shrink are smoothed first."""
    hidden_dim: int
    """H of the LSTM."""
    ends: bool
    """Sentences end by themselves."""
    longest: int
    """Words at most."""
    regions: int
    """N, the places that words look at; 0: none."""


@dataclass(frozen=True, kw_only=True)
class ImageEncoderSettings:
    """What encoding a picture needs to know beside the networks."""

    trunk: str
    image_size: int


@dataclass(frozen=True, kw_only=True)
class Description:
    """onnx.json. A size that is not fixed has a name: "words" and "rows" are any number of at least 1."""

    format: int
    opset: int
    precision: str
    """One of PRECISIONS."""
    name: str
    checkpoint: str
    """sha256 of the checkpoint.json that this was made of."""
    summary: str
    trained: bool
    examples: tuple[str, ...]
    max_words: int
    vocabulary: str
    """Hash of the dictionary."""
    text_dim: int
    noise_dim: int
    sizes: tuple[int, ...]
    """Pixels of the stages."""
    beam_width: int
    truncates: bool
    """The generator takes a truncation, as DF-GAN's does."""
    truncation: float | None
    """What it takes by itself; None: noise as it comes."""
    captioner: dict[str, Any] | None
    """CaptionerSettings."""
    image_encoder: dict[str, Any] | None
    """ImageEncoderSettings."""
    parameters: dict[str, Any]
    """Numbers that were learnt, by part."""
    networks: dict[str, Any]
    """Of every network its inputs and outputs by name: type and shape."""
    files: dict[str, Any] = field(default_factory=dict)
    """sha256 of every other file."""

    @property
    def info(self) -> CheckpointInfo:
        """What the checkpoint says of itself."""
        return CheckpointInfo(
            self.name, self.checkpoint, self.trained, self.summary, self.examples, self.max_words, self.sizes
        )


def write(folder: Path, description: dict[str, Any]) -> None:
    """Writes onnx.json: `description`, and the sha256 of every other file of the folder."""
    files = {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.suffix in (".json", ".onnx")}
    files.pop(DESCRIPTION, None)
    checked = Description(**description, files=files)
    write_text(folder / DESCRIPTION, json.dumps(asdict(checked), indent=2) + "\n")


def read(folder: Path) -> Description:
    """onnx.json, after holding every file to its sha256.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        CheckpointError: another format, an entry that is missing or of another type, or a file that was changed.
    """
    path = folder / DESCRIPTION
    if not folder.is_dir():
        raise FileNotFoundError(f"{readable(folder)}: no such folder")
    if not path.exists() and (folder / "checkpoint.json").exists():
        raise FileNotFoundError(
            f"{readable(folder)}: a checkpoint for torch, without ONNX networks; "
            f"write them with: python -m mirrorgan.onnx {readable(folder)} --out FOLDER"
        )
    content = read_json(path)
    if content.get("format") != FORMAT or isinstance(content.get("format"), bool):
        raise CheckpointError(f"{readable(path)}: format {shortened(content.get('format'))}, this code reads {FORMAT}")
    description: Description = read_config(Description, content, path)
    if description.precision not in PRECISIONS:
        raise CheckpointError(f"{readable(path)}: precision is {shortened(description.precision)}; {PRECISIONS}")
    for name, expected in description.files.items():
        check_listed(folder, name, expected, DESCRIPTION)
    return description


def read_vocabulary(folder: Path, description: Description) -> Vocabulary:
    """The dictionary of a folder.

    Raises:
        FileNotFoundError, CheckpointError: it is missing, damaged, or another one than onnx.json names.
    """
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    if vocabulary.hash != description.vocabulary:
        raise CheckpointError(f"{readable(folder)}/vocabulary.json: not the dictionary that {DESCRIPTION} names")
    return vocabulary
