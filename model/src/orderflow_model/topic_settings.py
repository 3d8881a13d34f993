"""The settings that Kafka knows of a topic, and how it reads and writes their values.

Lint judges by them what a resource says; whoever sets them on a broker compares what is `written`, because Kafka gives
a value back as it would write it: `0.50` as `0.5`, `TRUE` as `true`, `+7` as `7`.

Source: `org.apache.kafka.storage.internals.log.LogConfig` and `org.apache.kafka.common.config.ConfigDef` of Kafka
4.3.1, and of 4.4.0 for what it added. Settings that Kafka marks as internal are left out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1

_LONG_MIN = -(2**63)
_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,4})?[dDfF]?")
_REPLICA = re.compile(r"[0-9]{1,9}:[0-9]{1,9}")


class Kind(Protocol):
    """How the values of a setting are written."""

    def normal(self, text: str) -> str:
        """Return a value as Kafka gives it back; raise `ValueError` with what it should be."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number between bounds, both included, or one beside them."""

    least: int
    most: int = LONG_MAX
    beside: int | None = None

    def normal(self, text: str) -> str:
        """Return it without sign and zeros in front."""
        if not _WHOLE.fullmatch(text):
            raise ValueError("is no whole number")
        number = int(text)
        if number != self.beside and not self.least <= number <= self.most:
            also = "" if self.beside is None else f", or be {self.beside}"
            raise ValueError(f"must lie between {self.least} and {self.most}{also}")
        return str(number)


@dataclass(frozen=True)
class Share:
    """A decimal number from 0 to 1."""

    def normal(self, text: str) -> str:
        """Return it as Java writes a double."""
        if not _DECIMAL.fullmatch(text):
            raise ValueError("is no decimal number, such as 0.5")
        number = float(text.rstrip("dDfF"))
        if not 0 <= number <= 1:
            raise ValueError("must lie between 0 and 1")
        return _java_double(number)


@dataclass(frozen=True)
class Flag:
    """True or false, in letters of any case."""

    def normal(self, text: str) -> str:
        """Return it in small letters."""
        if text.lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        return text.lower()


@dataclass(frozen=True)
class Choice:
    """One word of some."""

    words: tuple[str, ...]

    def normal(self, text: str) -> str:
        """Return it as it is."""
        if text not in self.words:
            raise ValueError(f"must be one of {', '.join(self.words)}")
        return text


@dataclass(frozen=True)
class Words:
    """A list, separated by commas; `wrong` tells what is wrong with it, empty if nothing is."""

    wrong: Callable[[list[str]], str]
    once: bool = False

    def normal(self, text: str) -> str:
        """Return it without blanks, and where Kafka drops them without repetitions."""
        words = re.split(r" *, *", text) if text else []
        if why := self.wrong(words):
            raise ValueError(why)
        return ",".join(dict.fromkeys(words) if self.once else words)


def _policies(words: list[str]) -> str:
    return "" if {*words} <= {"delete", "compact"} else "must be delete, compact or both"


def _replicas(words: list[str]) -> str:
    sound = words == ["*"] or all(map(_REPLICA.fullmatch, words))
    return "" if sound else "must be * or a list of partition:broker, such as 0:1,1:2"


_POLICY = Words(_policies, once=True)
_THROTTLED = Words(_replicas)
_SIZE, _LENGTH = Whole(0, INT_MAX), Whole(0)

SETTINGS: Mapping[str, Kind] = {
    "cleanup.policy": _POLICY,
    "compression.gzip.level": Whole(1, 9, beside=-1),
    "compression.lz4.level": Whole(1, 17),
    "compression.type": Choice(("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")),
    "compression.zstd.level": Whole(-131072, 22),
    "delete.retention.ms": _LENGTH,
    "errors.deadletterqueue.group.enable": Flag(),
    "file.delete.delay.ms": _LENGTH,
    "flush.messages": Whole(1),
    "flush.ms": _LENGTH,
    "follower.replication.throttled.replicas": _THROTTLED,
    "index.interval.bytes": _SIZE,
    "leader.replication.throttled.replicas": _THROTTLED,
    "local.retention.bytes": Whole(-2),
    "local.retention.ms": Whole(-2),
    "max.compaction.lag.ms": Whole(1),
    "max.decompressed.message.bytes": Whole(1, INT_MAX - 8),
    "max.message.bytes": _SIZE,
    "message.timestamp.after.max.ms": _LENGTH,
    "message.timestamp.before.max.ms": _LENGTH,
    "message.timestamp.type": Choice(("CreateTime", "LogAppendTime")),
    "min.cleanable.dirty.ratio": Share(),
    "min.compaction.lag.ms": _LENGTH,
    "min.insync.replicas": Whole(1, INT_MAX),
    "preallocate": Flag(),
    "remote.copy.lag.bytes": Whole(-1),
    "remote.copy.lag.ms": Whole(-1),
    "remote.log.copy.disable": Flag(),
    "remote.log.delete.on.disable": Flag(),
    "remote.storage.enable": Flag(),
    "retention.bytes": Whole(_LONG_MIN),
    "retention.ms": Whole(-1),
    "segment.bytes": Whole(1_048_576, INT_MAX),
    "segment.index.bytes": Whole(4, INT_MAX),
    "segment.jitter.ms": _LENGTH,
    "segment.ms": Whole(1),
    "unclean.leader.election.enable": Flag(),
}

SINCE_4_4 = frozenset(
    {
        "errors.deadletterqueue.group.enable",
        "max.decompressed.message.bytes",
        "remote.copy.lag.bytes",
        "remote.copy.lag.ms",
    }
)
"""What Kafka 4.3 does not know yet."""


def normal(name: str, text: str) -> str:
    """Return a value as Kafka gives it back, an unknown setting's as it is; raise `ValueError` when it is none."""
    kind = SETTINGS.get(name)
    return text if kind is None else kind.normal(text.strip(" "))


def written(name: str, text: str) -> str:
    """Return a value as Kafka gives it back, and one that Kafka would refuse as it is."""
    try:
        return normal(name, text)
    except ValueError:
        return text


def _java_double(number: float) -> str:
    """Return `Double.toString` of a number from 0 to 1: with an exponent below a thousandth."""
    if number == 0 or number >= 0.001:
        return repr(number)
    _, digits, exponent = Decimal(repr(number)).as_tuple()
    first, *rest = map(str, digits)
    return f"{first}.{''.join(rest) or '0'}E{int(exponent) + len(rest)}"
