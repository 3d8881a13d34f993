"""The files of a new service. Pure: names in, texts out."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

_INIT = '"""The $service service."""\n'
_EVENTS = '''"""What $service hears and says.

An event that it hears is taken as it came, its `data` in JSON. To have fields with names, checked, write a class in its
place, or import the one of the service that says it.
"""
$imports

$heard$said'''
_SAID = '''

class $cls(Event):
    """Said by $service."""

    TYPE: ClassVar[str] = "$event"

    id: Identifier

    @property
    def key(self) -> str:
        """Return the record key: events with the same key stay in order."""
        return self.id
'''
_MAIN = '''"""The $service service: `python -m $package`."""

from collections.abc import Sequence

from orderflow_runtime import Event, RawEvent, Received, Service, Settings, Transaction, main

from $package.events import $names

SEEN = "INSERT INTO seen (key, event, data) SELECT * FROM unnest($$1::text[], $$2::text[], $$3::jsonb[])"


async def take(events: Sequence[Received[RawEvent]], tx: Transaction) -> list[Event]:
    """Keep what came; return the events to publish. It may run again, so all it does goes through `tx`."""
    rows = [(one.key, one.event.TYPE, one.event.data.decode()) for one in events]
    await tx.execute(SEEN, *map(list, zip(*rows, strict=True)))
    return $returned


service = Service(
    name="$service",
    handlers={$handlers},$publishes
)


def build(settings: Settings) -> Service:
    """Return the service."""
    return service


if __name__ == "__main__":
    main(build)
'''
_SQL = """-- What came, each event once. A released file does not change: write the next one, 0002_….sql.
CREATE TABLE seen (
  key   text  NOT NULL,
  event text  NOT NULL,
  data  jsonb NOT NULL
);
"""
_TEST = '''"""What $service does with what it hears, on doubles of Kafka and Postgres."""

import asyncio

from orderflow_runtime.testing import Harness

from $package.__main__ import SEEN, service
from $package.events import $tested


def test_each_event_is_taken_once() -> None:
    """An event that comes twice is kept once$andsaid."""

    async def run() -> None:
        async with Harness(service) as harness:
            event = $first(source="/test", version=1, data=b"{}", record_key="k1")
            again = harness.send(event)
            harness.send(event, again)
            await harness.settle()
            assert harness.statements == [(SEEN, (["k1"], ["$event"], ["{}"]))]$published

    asyncio.run(run())
'''
_TAKEN = (
    "ClassVar", "Event", "Harness", "Identifier", "RawEvent", "Received", "Sequence", "Service", "Settings",
    "Transaction", "False", "None", "True",
)  # fmt: skip


@dataclass(frozen=True)
class NewService:
    """A service to be made: its name, package and image, the events that it hears and says."""

    name: str
    package: str
    image: str
    hears: tuple[str, ...]
    says: tuple[str, ...]

    def clash(self) -> str | None:
        """Return an event whose class would have a name that is taken, by Python, by what is imported or by another."""
        taken = set(_TAKEN)
        for event in (*self.hears, *self.says):
            if _class(event) in taken:
                return event
            taken.add(_class(event))
        return None

    def files(self) -> dict[Path, str]:
        """Return the text of each file, by its path from where packages are."""
        folder = Path(self.package)
        return {
            folder / "__init__.py": self._fill(_INIT),
            folder / "events.py": self._events(),
            folder / "__main__.py": self._fill(_MAIN),
            folder / "migrations" / "0001_seen.sql": _SQL,
        }

    def test(self) -> str:
        """Return the text of its test."""
        return self._fill(_TEST)

    def entry(self) -> dict[str, object]:
        """Return its entry in the resource."""
        said = {"publishes": list(self.says)} if self.says else {}
        command = ["python", "-m", self.package]
        return {"name": self.name, "image": self.image, "command": command, "subscribes": list(self.hears), **said}

    def _events(self) -> str:
        imports = ["from orderflow_contracts.raw_event import RawEvent"]
        if self.says:
            imports = [
                "from typing import ClassVar\n",
                "from orderflow_contracts.event import Event, Identifier",
                *imports,
            ]
        heard = "".join(f'{_class(event)} = RawEvent.named("{event}")\n' for event in self.hears)
        said = "".join(Template(_SAID).substitute(cls=_class(e), event=e, service=self.name) for e in self.says)
        return self._fill(_EVENTS, imports="\n" + "\n".join(imports), heard=heard, said=said)

    def _fill(self, text: str, **more: str) -> str:
        first = _class(self.says[0]) if self.says else ""
        values = {
            "service": self.name,
            "package": self.package,
            "names": ", ".join(sorted(map(_class, (*self.hears, *self.says)))),
            "handlers": ", ".join(f"{_class(event)}: take" for event in self.hears),
            "publishes": f"\n    publishes=frozenset({{{', '.join(map(_class, self.says))}}})," if self.says else "",
            "returned": f"[{first}(id=one.key) for one in events]" if self.says else "[]",
            "tested": ", ".join(sorted(map(_class, (self.hears[0], *self.says[:1])))),
            "first": _class(self.hears[0]),
            "event": self.hears[0],
            "andsaid": ", and answered once" if self.says else "",
            "published": f'\n            assert harness.published({first}) == [{first}(id="k1")]' if self.says else "",
        }
        return Template(text).substitute(values | more)


def _class(event: str) -> str:
    return "".join(word.capitalize() for word in event.split("_"))
