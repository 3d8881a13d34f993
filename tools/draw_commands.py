"""Writes docs/cli.md from the `orderflow` command itself; `--check`, which `make lint` runs, only tells."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from orderflow_cli.exit_codes import ExitCode
from orderflow_cli.main import main as orderflow

PAGE = Path("docs/cli.md")
_HEAD = """# The `orderflow` command

Written by `python -m tools.draw_commands`. Every command has `-h`. Those that find a flow take the one that runs in
this folder; another one by `--database`, `--bootstrap` and `--url`, such as one on a cluster by `kubectl port-forward`.
`-o json` and `-o yaml` print all facts of the table and more, and `next` where a list goes on.

`eval "$(orderflow completion bash)"` (or zsh, fish) has a shell complete commands and options. Installed on the path,
`kubectl orderflow …` is the same command.

## Exit codes

| code | |
|---|---|
"""


def document() -> str:
    """Return the page."""
    codes = "".join(f"| {code} | {code.meaning} |\n" for code in ExitCode)
    return _HEAD + codes + "".join(_sections(orderflow, "orderflow"))


def _sections(command: click.Command, path: str) -> Iterator[str]:
    """Yield a section for each command that does something, in the order of names."""
    if isinstance(command, click.Group):
        for name, one in sorted(command.commands.items()):
            yield from _sections(one, f"{path} {name}")
        return
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n## `{path}`\n\n```\n{path} {usage}\n```\n\n{_text(command.help)}\n\n"
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and one.name != "help"]
    rows = [row for option in options if (row := option.get_help_record(context))]
    if rows:
        yield "| option | |\n|---|---|\n" + "".join(f"| `{_cell(names)}` | {_cell(text)} |\n" for names, text in rows)


def _text(text: str | None) -> str:
    """Return a docstring's paragraphs, each on lines of its own."""
    paragraphs = (" ".join(part.split()) for part in (text or "").split("\n\n"))
    return "\n\n".join(paragraphs)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write or check the page; give the exit code."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(document(), encoding="utf-8")
    elif document() != PAGE.read_text(encoding="utf-8"):
        print(f"{PAGE}: the page is not that of the command; run python -m tools.draw_commands")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
