"""checkov and kube-score: what others find to blame in objects, and what of it is accepted, with the reason."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from support.cluster.helm import KUBERNETES, Json
from support.tools.go_tools import go_program
from support.tools.python_tools import python_program

ACCEPTED = {
    "Which image runs, and when a node fetches it, is for him to say who installs: a tag that was loaded into a kind"
    " cluster has no digest and can be fetched from nowhere. The operator's chart takes a digest, a flow too.": (
        "CKV_K8S_15",
        "CKV_K8S_43",
        "container-image-pull-policy",
    ),
    "A service reads one environment, the same in a pod and on a laptop; its password stands there as a reference to a"
    " Secret of its own, and no other process of the pod could read it.": ("CKV_K8S_35",),
    "Which user a process is belongs to the image: those of Postgres and Kafka have theirs, and a flow's images are"
    " their owners'; clusters that give each namespace its range of users refuse a fixed one. None may be root.": (
        "CKV_K8S_40",
        "container-security-context-user-group-id",
    ),
}
_ACCEPTED = {check for checks in ACCEPTED.values() for check in checks}


def checkov() -> Path:
    """Return the command; it is installed when it is not cached."""
    return python_program("checkov")


def kube_score() -> Path:
    """Return the command; it is compiled when it is not cached."""
    return go_program("kube-score", "github.com/zegl/kube-score/cmd/kube-score")


def findings(objects: list[Json], folder: Path) -> list[str]:
    """Give what either of the two finds and nobody has accepted, as `check object: words`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    found = [*_checkov(file), *_kube_score(file)]
    return [f"{check} {words}" for check, words in found if check not in _ACCEPTED]


def _checkov(file: Path) -> Iterator[tuple[str, str]]:
    program = checkov()
    options = ("--framework", "kubernetes", "--compact", "--quiet", "--skip-download", "--output", "json")
    done = subprocess.run([program, "--file", file, *options], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told["summary"]["passed"], "checkov has read something"
    assert not told["summary"]["parsing_errors"], "checkov has read all"
    for one in told["results"]["failed_checks"]:
        yield one["check_id"], f"{one['resource']}: {one['check_name']}"


def _kube_score(file: Path) -> Iterator[tuple[str, str]]:
    """Only what it calls critical: the rest is advice, such as to have more than one of what there may be but one."""
    program = kube_score()
    version = f"v{KUBERNETES.rpartition('.')[0]}"
    command = [program, "score", "--kubernetes-version", version, "--output-format", "json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = json.loads(done.stdout)
    assert told, done.stderr
    for one in told:
        for check in one["checks"]:
            if not check["skipped"] and check["grade"] < 5:
                for comment in check["comments"] or [{"path": "", "summary": ""}]:
                    yield check["check"]["id"], f"{one['object_name']}: {comment['path']} {comment['summary']}"
