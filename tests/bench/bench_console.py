"""What the console's pages and a bulk redrive take on a large flow: `make bench-console` runs it.

`bench_console.py [--part N] [--topics N] [--partitions N]` writes artifacts/bench-console.json and prints it. The flow
is the shop's, run by `orderflow run` on a real Kafka and Postgres. A page's `first_ms` is its first answer after the
console was started, `median_ms` that of five. In the middle of the redrive it is paused, and the console killed.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `support`, as pytest has it

from support.console.bulk_redrive import redrive_all
from support.console.sizes import SERVICE, WHOLE, Sizes, Visitor, grow, most_memory_mb, pages
from support.console.stand import CONSOLE, Stand
from support.flow.cli_process import FLOW, OrderFlowProcess
from support.tools.scratch import scratch_directory

ROOT = Path(__file__).parents[2]
_OTHER_FILES = 2_000
_JAVA = {"_JAVA_OPTIONS": "-Xmx4g"}


def bench(sizes: Sizes, folder: Path) -> dict[str, Any]:
    """Measure everything; return what bench-console.json holds."""
    process = OrderFlowProcess("run", str(FLOW), "--orders", "0", cwd=folder, env=_JAVA)
    try:
        process.wait_for("console: ")
        stand = Stand(process, folder / ".orderflow")
        seconds = {"grow": _timed(lambda: asyncio.run(grow(stand, sizes)))}
        stand.restart_console()
        found = {"sizes": asdict(sizes), "pages": _pages(stand), "memory_mb": most_memory_mb(stand.pid(CONSOLE))}
        print(json.dumps(found, indent=1), flush=True)
        seconds["redrive"] = _timed(lambda: redrive_all(stand, sizes.letters))
        return found | {"seconds": seconds, "memory_after_mb": most_memory_mb(stand.pid(CONSOLE))}
    finally:
        process.interrupt_hard()


def _pages(stand: Stand) -> dict[str, Any]:
    visitor = Visitor(stand.url)
    letter = str(stand.eventually(f"SELECT id::text FROM {SERVICE}.dead_letters ORDER BY died_at LIMIT 1"))  # noqa: S608 - a fixed name
    return {path.replace(letter, "LETTER"): asdict(visitor.view(path)) for path in pages(letter)}


def _timed(do: Any) -> float:
    begun = time.perf_counter()
    do()
    return round(time.perf_counter() - begun, 1)


def main() -> None:
    """Run it and write what it found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", type=int, default=1, help="so many times smaller")
    parser.add_argument("--topics", type=int)
    parser.add_argument("--partitions", type=int)
    asked = parser.parse_args()
    sizes = WHOLE.part(asked.part)
    sizes = replace(sizes, topics=asked.topics or sizes.topics, partitions=asked.partitions or sizes.partitions)
    if sizes.partitions > (most := resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _OTHER_FILES):
        print(f"{sizes.partitions} partitions need as many open files of one broker, and {most} may be: ulimit -Hn")
        sizes = replace(sizes, partitions=most)
    with scratch_directory() as folder:
        found = bench(sizes, folder)
    text = json.dumps(found, indent=1)
    (ROOT / "artifacts").mkdir(exist_ok=True)
    (ROOT / "artifacts" / "bench-console.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
