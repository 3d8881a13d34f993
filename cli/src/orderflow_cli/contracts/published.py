"""What was promised before: the schemas of an export, in a folder or in a git commit."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orderflow_cli.contracts.export import SCHEMAS
from orderflow_cli.errors import place_of
from orderflow_model.contracts.errors import ContractsError
from orderflow_model.contracts.schema import EVENT, READS, VERSION, Schema, checked

_REMEDY = "Name a folder that orderflow contracts export has written, or COMMIT:FOLDER"


def read_published(against: str) -> dict[tuple[str, int], Schema]:
    """Return the schemas of an export by event and version; raise `ContractsError`.

    `against` is a folder, or `COMMIT:FOLDER` with the folder as seen from the working folder.
    """
    texts = _of_folder(Path(against)) if Path(against).is_dir() else _of_commit(against)
    found = [_schema(name, text) for name, text in texts]
    if not found:
        raise ContractsError(f"{against} has no {SCHEMAS}/EVENT.vN.json", _REMEDY)
    return {(schema[EVENT], schema[VERSION]): schema for schema in found}


def _schema(name: str, text: str | bytes) -> Schema:
    try:
        schema = checked(json.loads(text), name)
    except (ValueError, RecursionError) as error:
        raise ContractsError(f"{name} is no JSON that can be read ({error})", _REMEDY) from None
    reads = schema.get(READS)
    numbers = [schema.get(VERSION), *(reads if isinstance(reads, list) else [None])]
    if not isinstance(schema.get(EVENT), str) or not all(isinstance(number, int) for number in numbers):
        raise ContractsError(f"{name} does not say of which event and version it is", _REMEDY)
    return schema


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        for path in sorted((folder / SCHEMAS).glob("*.json")):
            yield str(path), path.read_bytes()
    except OSError as error:
        raise ContractsError(f"the export cannot be read: {place_of(error)}", _REMEDY) from None


def _of_commit(against: str) -> Iterator[tuple[str, bytes]]:
    commit, _, folder = against.partition(":")
    if not commit or not folder or commit.startswith("-"):
        raise ContractsError(f"{against} is neither a folder nor COMMIT:FOLDER", _REMEDY)
    tree = f"{commit}:./{PurePosixPath(folder, SCHEMAS)}"
    for name in sorted(_git("ls-tree", "-z", "--name-only", tree).decode(errors="replace").split("\0")):
        if name.endswith(".json"):
            yield f"{tree}/{name}", _git("cat-file", "blob", f"{tree}/{name}")


def _git(*arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise ContractsError("git is not on this machine", "Compare with a folder instead")
    done = subprocess.run([git, *arguments], capture_output=True, check=False)  # noqa: S603 - git, of what a person named
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
        raise ContractsError(f"git: {words}", _REMEDY)
    return done.stdout
