"""Sends a checkpoint folder to the Hugging Face Hub, from where `MirrorGAN.load("user/name")` takes it.

The token is that of the environment (HF_TOKEN) or of `hf auth login`; this program neither asks for one nor keeps it.
"""

from pathlib import Path

from mirrorgan.manifest import read_json, read_manifest

SENT = ("README.md", "*.json", "*.jsonl", "*.safetensors", "*.png", "*.jpg")
"""Patterns of what belongs to a checkpoint; anything else in its folder stays at home."""


class HubError(ValueError):
    """Nothing was sent; the message says why, and what to do."""


def contents(folder: Path) -> list[Path]:
    """The files that would be sent, by name."""
    return sorted({path for pattern in SENT for path in folder.glob(pattern) if path.is_file()})


def describe(folder: Path, repository: str) -> str:
    """What would be sent, in words, without sending it.

    Raises:
        HubError: `repository` is no name that the Hub takes.
        FileNotFoundError, CheckpointError: the folder is no whole checkpoint.
    """
    check_name(repository)
    read_manifest(folder)
    files = contents(folder)
    lines = [f"  {path.name:40} {path.stat().st_size / 1e6:8.2f} MB" for path in files]
    total = sum(path.stat().st_size for path in files) / 1e6
    lines.append(f"{len(files)} files, {total:.1f} MB, to the model repository {repository}")
    text = read_json(folder / "card.json") if (folder / "card.json").exists() else {}
    if not text.get("licence"):
        lines.append(f"its card names no licence; say which with: python -m train.card {folder} --licence ...")
    return "\n".join(lines)


def check_name(repository: str) -> None:
    """Raises HubError unless it is "user/name" as the Hub takes it."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise HubError(f"{repository!r} is no name of a repository, as user/name ({first_sentence(error)})") from None
    if repository.count("/") != 1:
        raise HubError(f"{repository!r} is no name of a repository; it must be user/name")


def push(folder: Path, repository: str, private: bool = False) -> str:
    """Makes the repository if there is none, and puts the checkpoint into it as one commit; returns its address.

    Weights and settings there that this checkpoint does not have are removed in the same commit.

    Raises:
        HubError: no token, no network, no right to write there, or no such name; nothing was sent.
        FileNotFoundError, CheckpointError: the folder is no whole checkpoint.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    check_name(repository)
    name = read_manifest(folder)["name"]
    if get_token() is None:
        raise HubError("no token of the Hugging Face Hub: set HF_TOKEN, or log in once with: hf auth login")
    api = HfApi()
    try:
        address = api.create_repo(repository, repo_type="model", private=private or None, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[path.name for path in contents(folder)],
            delete_patterns=["*.safetensors", "*.json"],
            commit_message=f"Checkpoint {name}",
        )
    except OfflineModeIsEnabled:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be sent; unset it") from None
    except HfHubHTTPError as error:
        raise HubError(refusal(error.response.status_code, repository, error)) from None
    except (HTTPError, OSError) as error:  # of the client library below: no connection, or one that broke
        raise HubError(f"the Hugging Face Hub cannot be reached ({first_sentence(error)}); try again later") from None
    return str(address)


def refusal(status: int, repository: str, error: Exception) -> str:
    """What an answer of the Hub means for whoever sent the checkpoint."""
    user = repository.split("/")[0]
    if status == 401:
        return "the Hub does not know this token: set HF_TOKEN to a valid one, or run: hf auth login"
    if status == 403:
        return f"this token may not write to {user}/: it needs the right to write, for yourself or a group of yours"
    if status == 404:
        return f"the Hub knows no {user} to whom {repository} could belong"
    return f"the Hub refused {repository} (status {status}: {first_sentence(error)})"


def first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__
