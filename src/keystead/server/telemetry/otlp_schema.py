"""Where OTLP's messages have attributes, as a table that both encodings are read by (opentelemetry-proto 1.9). Pure.

Of logs and traces the table has texts and what leads to them; of metrics it has every field, so that what is passed on
of them can be told from what is not.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple

OURS: Final = "keystead."
"""What the attributes begin with that only this server sets."""
_WORD: Final = re.compile(r"[!-~]{0,128}")


class Malformed(ValueError):
    """It is not the message that it should be. Says nothing of what it is, for that can be content."""


class Kind(Enum):
    """What a field holds that is no message of the table."""

    NUMBER = auto()
    NUMBERS = auto()
    TEXT = auto()
    ATTRIBUTES = auto()
    ASIDE = auto()
    """Examples of single measurements: what was measured in them is in the sums too."""


class Field(NamedTuple):
    """One field.

    Attributes:
        single: whether there is at most one of it.
        records: whether it has the records, which are most of a body and need a look only at times.
    """

    name: str
    of: "Kind | Message"
    single: bool = False
    records: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """The fields of a message, by their numbers and by their names in JSON.

    Attributes:
        has_resource: whether field 1 is the resource, which is made where it is missing.
        is_resource: whether its attributes are completed.
        names: by the name as :func:`spelled` has it.
    """

    fields: dict[int, Field]
    has_resource: bool = False
    is_resource: bool = False
    names: dict[str, Field] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = {spelled(one.name): one for one in self.fields.values()}
        object.__setattr__(self, "names", names)


def spelled(name: str) -> str:
    """Return a name for comparing: readers take ``resourceLogs`` and ``resource_logs``, some in any case."""
    return name.replace("_", "").lower()


class Marks(NamedTuple):
    """What is done to a message.

    Attributes:
        attributes: names and values that each resource gets; whatever else begins with :data:`OURS` is taken out.
        bare: whether only what cannot hold content stays: fields of the table without examples, and of texts words.
        records: whether records are looked at: because of ``bare``, or because ours may be among their attributes.
        masked: whether texts may hold a credential, which is masked.
    """

    attributes: tuple[tuple[str, str], ...]
    bare: bool = False
    records: bool = True
    masked: bool = False


def is_word(text: str) -> bool:
    """Return whether it is a name or an identifier rather than something said: ASCII without blanks, and short."""
    return _WORD.fullmatch(text) is not None


_RESOURCE: Final = Message({1: Field("attributes", Kind.ATTRIBUTES), 2: Field("droppedAttributesCount", Kind.NUMBER)},
                           is_resource=True)  # fmt: skip
_SCOPE: Final = Message(
    {
        1: Field("name", Kind.TEXT),
        2: Field("version", Kind.TEXT),
        3: Field("attributes", Kind.ATTRIBUTES),
        4: Field("droppedAttributesCount", Kind.NUMBER),
    }
)


def _request(signal: str, records: Field) -> Message:
    """Return the request of a signal: resources, below them scopes, below them records."""
    scopes = Message({1: Field("scope", _SCOPE, single=True), 2: records, 3: Field("schemaUrl", Kind.TEXT)})
    resource = Field("resource", _RESOURCE, single=True)
    below = {1: resource, 2: Field(f"scope{signal}", scopes, records=True), 3: Field("schemaUrl", Kind.TEXT)}
    return Message({1: Field(f"resource{signal}", Message(below, has_resource=True))})


_TIMES: Final = {2: Field("startTimeUnixNano", Kind.NUMBER), 3: Field("timeUnixNano", Kind.NUMBER)}
_NUMBER_POINT: Final = Message(
    _TIMES
    | {
        4: Field("asDouble", Kind.NUMBER),
        5: Field("exemplars", Kind.ASIDE),
        6: Field("asInt", Kind.NUMBER),
        7: Field("attributes", Kind.ATTRIBUTES),
        8: Field("flags", Kind.NUMBER),
    }
)
_HISTOGRAM_POINT: Final = Message(
    _TIMES
    | {
        4: Field("count", Kind.NUMBER),
        5: Field("sum", Kind.NUMBER),
        6: Field("bucketCounts", Kind.NUMBERS),
        7: Field("explicitBounds", Kind.NUMBERS),
        8: Field("exemplars", Kind.ASIDE),
        9: Field("attributes", Kind.ATTRIBUTES),
        10: Field("flags", Kind.NUMBER),
        11: Field("min", Kind.NUMBER),
        12: Field("max", Kind.NUMBER),
    }
)
_BUCKETS: Final = Message({1: Field("offset", Kind.NUMBER), 2: Field("bucketCounts", Kind.NUMBERS)})
_EXPONENTIAL_POINT: Final = Message(
    _TIMES
    | {
        1: Field("attributes", Kind.ATTRIBUTES),
        4: Field("count", Kind.NUMBER),
        5: Field("sum", Kind.NUMBER),
        6: Field("scale", Kind.NUMBER),
        7: Field("zeroCount", Kind.NUMBER),
        8: Field("positive", _BUCKETS, single=True),
        9: Field("negative", _BUCKETS, single=True),
        10: Field("flags", Kind.NUMBER),
        11: Field("exemplars", Kind.ASIDE),
        12: Field("min", Kind.NUMBER),
        13: Field("max", Kind.NUMBER),
        14: Field("zeroThreshold", Kind.NUMBER),
    }
)
_QUANTILE: Final = Message({1: Field("quantile", Kind.NUMBER), 2: Field("value", Kind.NUMBER)})
_SUMMARY_POINT: Final = Message(
    _TIMES
    | {
        4: Field("count", Kind.NUMBER),
        5: Field("sum", Kind.NUMBER),
        6: Field("quantileValues", _QUANTILE),
        7: Field("attributes", Kind.ATTRIBUTES),
        8: Field("flags", Kind.NUMBER),
    }
)


def _data(point: Message) -> Message:
    kinds = {2: Field("aggregationTemporality", Kind.NUMBER), 3: Field("isMonotonic", Kind.NUMBER)}
    return Message({1: Field("dataPoints", point)} | kinds)


_METRIC: Final = Message(
    {
        1: Field("name", Kind.TEXT),
        2: Field("description", Kind.TEXT),
        3: Field("unit", Kind.TEXT),
        5: Field("gauge", _data(_NUMBER_POINT), single=True),
        7: Field("sum", _data(_NUMBER_POINT), single=True),
        9: Field("histogram", _data(_HISTOGRAM_POINT), single=True),
        10: Field("exponentialHistogram", _data(_EXPONENTIAL_POINT), single=True),
        11: Field("summary", _data(_SUMMARY_POINT), single=True),
        12: Field("metadata", Kind.ATTRIBUTES),
    }
)
_VALUES: Final[dict[int, Field]] = {1: Field("stringValue", Kind.TEXT)}
_VALUE: Final = Message(_VALUES)
ATTRIBUTE: Final = Message({1: Field("key", Kind.TEXT), 2: Field("value", _VALUE)})
"""One attribute, or one entry of a map."""
_VALUES[5] = Field("arrayValue", Message({1: Field("values", _VALUE)}))
_VALUES[6] = Field("kvlistValue", Message({1: Field("values", ATTRIBUTE)}))

_RECORD: Final = Message(
    {
        3: Field("severityText", Kind.TEXT),
        5: Field("body", _VALUE, single=True),
        6: Field("attributes", Kind.ATTRIBUTES),
        12: Field("eventName", Kind.TEXT),
    }
)
_EVENT: Final = Message({2: Field("name", Kind.TEXT), 3: Field("attributes", Kind.ATTRIBUTES)})
_LINK: Final = Message({3: Field("traceState", Kind.TEXT), 4: Field("attributes", Kind.ATTRIBUTES)})
_SPAN: Final = Message(
    {
        3: Field("traceState", Kind.TEXT),
        5: Field("name", Kind.TEXT),
        9: Field("attributes", Kind.ATTRIBUTES),
        11: Field("events", _EVENT),
        13: Field("links", _LINK),
        15: Field("status", Message({2: Field("message", Kind.TEXT)}), single=True),
    }
)

REQUESTS: Final = {
    "metrics": _request("Metrics", Field("metrics", _METRIC)),
    "logs": _request("Logs", Field("logRecords", _RECORD)),
    "traces": _request("Spans", Field("spans", _SPAN)),
}
"""The message of a signal's request."""
