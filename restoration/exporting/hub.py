"""A restorer laid out as the Hugging Face hub has models: tensors, configuration, model card."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restoration import __version__, weights
from restoration.errors import RequestError, RestorationError
from restoration.exporting.hub_source import CONFIG, EXTRA, WEIGHTS, first_line, quiet
from restoration.exporting.staging import staged
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

LIBRARY = "restoration-suite"
README = "README.md"
# the hub's own words for licences, by ours; what is none of them is "other", with ours as its name
LICENCES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "mpl-2.0", "unlicense",
)  # fmt: skip


def write(restorer: Restorer, folder: Path) -> None:
    """Write model.safetensors (a file of ours, complete with its card), config.json and README.md into ``folder``."""
    there = folder.is_dir()  # and then perhaps another disk than its parent's
    with staged(folder / WEIGHTS if there else folder) as place:
        made = place.parent if there else place
        weights.save(made / WEIGHTS, restorer, restorer.card)
        (made / CONFIG).write_text(json.dumps(config(restorer.card), indent=2) + "\n", encoding="utf-8")
        (made / README).write_text(model_card(restorer), encoding="utf-8")
        for name in (WEIGHTS, CONFIG, README) if there else ():
            (made / name).replace(folder / name)
        if not there:
            made.replace(folder)


def push(folder: Path, repository: str, private: bool) -> str:
    """Upload ``folder`` to ``owner/name`` of the hub, which is made where it is not there; return its address."""
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise RequestError(f"--push {repository}: huggingface_hub is not installed; {EXTRA}") from None
    try:
        client = huggingface_hub.HfApi(library_name=LIBRARY, library_version=__version__)
        with quiet():
            client.create_repo(repository, private=private, exist_ok=True)
            done = client.upload_folder(
                repo_id=repository, folder_path=folder, allow_patterns=[WEIGHTS, CONFIG, README],
                commit_message=f"Restorer of {LIBRARY} {__version__}",
            )  # fmt: skip
    except errors.HFValidationError:
        raise RequestError(f"--push {repository}: expected owner/name") from None
    except errors.OfflineModeIsEnabled:
        raise RestorationError(
            f"--push {repository}: HF_HUB_OFFLINE is set; the files lie in {folder}"
        ) from None
    except Exception as error:  # the client's, or of the library below it that talks to the network
        raise RestorationError(
            f"--push {repository}: not uploaded ({first_line(error)}); the files lie in {folder}"
        ) from None
    return str(getattr(done, "commit_url", repository))


def config(card: Card) -> dict[str, Any]:
    """Return what config.json says: the card, and which library reads it."""
    return {"library_name": LIBRARY, "library_version": __version__, "restorer": asdict(card)}


def model_card(restorer: Restorer) -> str:
    """Return README.md: the hub's metadata, what it is, how it is applied, how it was made, its scores."""
    card = restorer.card
    parameters = sum(p.numel() for p in restorer.network.parameters())
    keywords = ", ".join(f"{k} = {v}" for k, v in card.network.items() if k != "name")
    parts = [
        _front_matter(card),
        f"# {card.name}\n\n{card.task}, ×{card.scale}: {card.network['name']} ({keywords}), {parameters:,} parameters.",
        f"Licence of the weights: {card.licence}.",
        "```python\nfrom restoration.weights import load\n\n"
        'restorer = load("hf:owner/name")   # or a folder with these files\n'
        "restored = restorer(degraded)       # float32 RGB, NCHW, in [0, 1]\n```",
    ]
    if card.scores:
        rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in card.scores.items())
        parts.append(f"## Scores\n\n| protocol and metric | value |\n|---|---|\n{rows}")
    if card.training:
        made = json.dumps(card.training, indent=2, ensure_ascii=False)
        parts.append(f"## How it was made\n\n```json\n{made}\n```")
    return "\n\n".join(parts) + "\n"


def _front_matter(card: Card) -> str:
    """Return the hub's metadata as YAML; strings are written as JSON, which YAML contains."""
    known = card.licence.lower() if card.licence.lower() in LICENCES else "other"
    lines = [f"license: {known}", f"library_name: {LIBRARY}", "pipeline_tag: image-to-image", "tags:"]
    if known == "other":
        lines.insert(1, f"license_name: {json.dumps(card.licence)}")
    tags = ["image-restoration", card.task, str(card.network["name"]).replace("/", "-")]
    lines += [f"- {json.dumps(tag)}" for tag in dict.fromkeys(tags)]
    return "\n".join(["---", *lines, "---"])
