"""Statements that are asked for every request: Django writes their SQL once, and each request brings its values only.

To build the SQL of a query anew costs many times what the database needs to answer it, and so does the general way from
a row to an object. What is asked and what comes back is the same as without; nothing is remembered but the text, so no
answer is older than the question. What of Django's inside this leans on, and what guards it, is in
``docs/decisions/022-statements-written-once.md``.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import (
    BinaryField,
    BooleanField,
    CharField,
    DateTimeField,
    Expression,
    Field,
    ForeignKey,
    Model,
    PositiveIntegerField,
    QuerySet,
    UUIDField,
)
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init

M = TypeVar("M", bound=Model)
T = TypeVar("T")
Adapt = Callable[[Any], Any]


class Parameter(Expression):
    """The place of a value that is given with each request."""

    def __init__(self, name: str, field: "Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a placeholder, and as its value the place itself."""
        return "%s", (self,)


@dataclass(frozen=True, slots=True)
class _Text:
    """One statement for one connection.

    Attributes:
        sql: with the placeholders of Django.
        native: with SQLite's own, where nothing else stands between; None elsewhere.
    """

    connection: Any
    sql: str
    native: str | None

    def run(self, values: Sequence[Any]) -> tuple[list[Any], int]:
        """Return the rows, and how many were changed; whoever listens to a connection's statements hears of it."""
        here = self.connection
        if self.native is None or here.force_debug_cursor or here.execute_wrappers:
            with here.cursor() as cursor:
                cursor.execute(self.sql, values)
                return (cursor.fetchall() if cursor.description else []), cursor.rowcount
        if here.connection is None or here.needs_rollback:
            here.ensure_connection()
            here.validate_no_broken_transaction()
        with here.wrap_database_errors:
            native = here.connection.execute(self.native, values)
            return native.fetchall(), native.rowcount


def _text(here: Any, sql: str, places: int) -> _Text:
    return _Text(here, sql, sql % (("?",) * places) if here.vendor == "sqlite" else None)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How some columns of a row become one object.

    Attributes:
        plain: nothing wants to know that an object is made, so that it may be made without being initialized.
        related: what hangs on it: its shape, and how the two learn of each other.
    """

    model: type[Model]
    names: list[str]
    columns: slice
    key: int
    plain: bool
    related: "list[tuple[_Shape, Callable[..., None], Callable[..., None]]]"

    def make(self, row: Sequence[Any], alias: str) -> Any:
        """Return the object, with what is related to it."""
        if self.plain:
            one = self.model.__new__(self.model)
            state = one._state = ModelState()
            state.adding, state.db = False, alias
            one.__dict__.update(zip(self.names, row[self.columns], strict=True))
        else:
            one = self.model.from_db(alias, self.names, row[self.columns])
        for shape, tell, told in self.related:
            other = None if row[shape.key] is None else shape.make(row, alias)
            tell(one, other)
            if other is not None:
                told(other, one)
        return one


@dataclass(frozen=True, slots=True)
class _Compiled(Generic[M]):
    """One query as SQL for one connection, and how rows become objects."""

    text: _Text
    places: tuple[tuple[str, Any], ...]
    shape: _Shape
    converters: list[tuple[int, Adapt]]
    annotations: list[tuple[str, int]]

    def run(self, values: dict[str, Any]) -> Iterator[M]:
        given = [adapt(values[name]) if name else adapt for name, adapt in self.places]
        rows, _ = self.text.run(given)
        for found in rows:
            row = list(found)
            for position, convert in self.converters:
                if row[position] is not None:
                    row[position] = convert(row[position])
            one = self.shape.make(row, self.text.connection.alias)
            for name, position in self.annotations:
                setattr(one, name, row[position])
            yield one


def _once(here: Any, name: object, make: Callable[[], T]) -> T:
    """Return what was made for this connection under this name, and make it the first time; it ends with it."""
    made = vars(here).setdefault("_keystead_statements", {})
    if name not in made:
        made[name] = make()
    found: T = made[name]
    return found


class Prepared(Generic[M]):
    """A query with :class:`Parameter` in the place of its values; each connection compiles it at its first use.

    Args:
        build: returns the query; called late, since models are not ready while modules are imported.
    """

    def __init__(self, build: Callable[[], "QuerySet[M]"]) -> None:
        self._build = build

    def all(self, **values: Any) -> list[M]:
        """Return every row for these values."""
        return list(self._compiled().run(values))

    def first(self, **values: Any) -> M | None:
        """Return the first row for these values, or None."""
        return next(self._compiled().run(values), None)

    def _compiled(self) -> _Compiled[M]:
        here = connections[DEFAULT_DB_ALIAS]
        return _once(here, self, lambda: _compile(self._build(), here))


def _compile(query: "QuerySet[M]", here: Any) -> _Compiled[M]:
    compiler = query.query.get_compiler(connection=here)
    sql, places = compiler.as_sql()
    shape = compiler.klass_info
    assert shape is not None, "a query for objects"
    converters = compiler.get_converters([column[0] for column in compiler.select])
    return _Compiled(
        _text(here, sql, len(places)),
        tuple((one.name, _adapter(one.field, here)) if isinstance(one, Parameter) else ("", one) for one in places),
        _shape(shape, compiler.select),
        [(position, _converter(known, column, here)) for position, (known, column) in converters.items()],
        list((compiler.annotation_col_map or {}).items()),
    )


def _shape(info: dict[str, Any], select: Sequence[Any]) -> _Shape:
    assert not info.get("from_parent"), "a model of one table"
    model, fields = info["model"], info["select_fields"]
    columns = slice(fields[0], fields[-1] + 1)
    names = [column[0].target.attname for column in select[columns]]
    return _Shape(
        model,
        names,
        columns,
        fields[0] + names.index(model._meta.pk.attname),
        _is_plain(model),
        [
            (_shape(one, select), one["local_setter"], one["remote_setter"])
            for one in info.get("related_klass_infos", [])
        ],
    )


def _is_plain(model: type[Model]) -> bool:
    """Return whether objects of a model are no more than their values: no initialization, no listener to it."""
    own = model.__init__ is not Model.__init__ or model.from_db.__func__ is not Model.from_db.__func__  # type: ignore[attr-defined]
    return not (own or pre_init.has_listeners(model) or post_init.has_listeners(model))


def _converter(converters: list[Any], expression: Any, here: Any) -> Adapt:
    """Return one function for all that is done to a value of the database; None never comes to it."""
    known = [_FROM_SQLITE.get(getattr(one, "__name__", "")) for one in converters]
    if here.vendor == "sqlite" and len(known) == 1 and known[0] is not None:
        return known[0]

    def convert(value: Any) -> Any:
        for one in converters:
            value = one(value, expression, here)
        return value

    return convert


def _uuid(value: str) -> UUID:
    return UUID(int=int(value, 16))


def _moment(value: Any) -> datetime:
    """Return a time; the site keeps all of them in UTC."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC)


_FROM_SQLITE: Final[dict[str, Adapt]] = {"convert_uuidfield_value": _uuid, "convert_datetimefield_value": _moment}
"""What Django's own converters of these names do, without asking for each value what cannot change."""


_UNCHANGED: Final[dict[Any, type]] = {
    BinaryField: bytes,
    BooleanField: bool,
    CharField: str,
    PositiveIntegerField: int,
}
"""What SQLite takes as it is, by the kind of the field."""


def _adapter(field: "Field[Any, Any]", here: Any) -> Adapt:
    """Return how a value of this field is given to the database."""
    while isinstance(field, ForeignKey):
        field = field.target_field
    kind = type(field)
    same = _UNCHANGED.get(kind)

    def general(value: Any) -> Any:
        return field.get_db_prep_save(value, here)

    def uuid(value: Any) -> Any:
        return value.hex if type(value) is UUID else None if value is None else general(value)

    def moment(value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is UTC:
            return str(value.replace(tzinfo=None))
        return None if value is None else general(value)

    def plain(value: Any) -> Any:
        return value if value is None or type(value) is same else general(value)

    if here.vendor != "sqlite":
        return general
    if same is not None:
        return plain
    return uuid if kind is UUIDField else moment if kind is DateTimeField else general


def fresh(model: type[M], **values: Any) -> M:
    """Return a new object from the values of its columns and relations, as if initialized; :func:`insert` stores it.

    What is made for each row, such as its key, must be among the values.
    """
    if not _is_plain(model):
        return model(**values)
    one = model.__new__(model)
    one._state = ModelState()
    one.__dict__.update(_blank(model))
    for name, value in values.items():
        setattr(one, name, value)
    return one


@cache
def _blank(model: type[Model]) -> dict[str, Any]:
    fields = model._meta.concrete_fields
    made = {one.attname for one in fields if one.has_default() and callable(one.default)}
    return {one.attname: None if one.attname in made else one.get_default() for one in fields}


def insert(row: M) -> M:
    """Store a new row that has its key, and return it."""
    here = connections[DEFAULT_DB_ALIAS]
    text, adapters = _insertion(here, type(row))
    values = row.__dict__
    text.run([adapt(values[name]) for name, adapt in adapters])
    row._state.adding, row._state.db = False, here.alias
    return row


def store(model: type[Model], **values: Any) -> None:
    """Store a new row from the value of every column that has one; the others are NULL."""
    text, adapters = _insertion(connections[DEFAULT_DB_ALIAS], model)
    text.run([adapt(values.get(name)) for name, adapt in adapters])


def store_first(model: type[Model], **values: Any) -> bool:
    """Store a new row as :func:`store` does unless there is one of its key; returns whether there was none."""
    text, adapters = _insertion(connections[DEFAULT_DB_ALIAS], model, " ON CONFLICT DO NOTHING")
    return bool(text.run([adapt(values.get(name)) for name, adapt in adapters])[1])


def use_up(row: Model, now: datetime) -> bool:
    """Consume a row that works once, by compare-and-swap on ``used_at``; returns whether it was still unused."""
    text, used, key = _consumption(connections[DEFAULT_DB_ALIAS], type(row))
    return bool(text.run([used(now), key(row.pk)])[1])


def _insertion(here: Any, model: type[Model], otherwise: str = "") -> tuple[_Text, list[tuple[str, Adapt]]]:
    return _once(here, ("insert", model, otherwise), lambda: _write_insertion(here, model, otherwise))


def _write_insertion(here: Any, model: type[Model], otherwise: str) -> tuple[_Text, list[tuple[str, Adapt]]]:
    fields = model._meta.concrete_fields
    names = ", ".join(_quoted(here, field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    sql = f"INSERT INTO {_quoted(here, model._meta.db_table)} ({names}) VALUES ({places}){otherwise}"  # noqa: S608
    return _text(here, sql, len(fields)), [(field.attname, _adapter(field, here)) for field in fields]


def _consumption(here: Any, model: type[Model]) -> tuple[_Text, Adapt, Adapt]:
    return _once(here, ("use up", model), lambda: _write_consumption(here, model))


def _write_consumption(here: Any, model: type[Model]) -> tuple[_Text, Adapt, Adapt]:
    key, used = model._meta.pk, model._meta.get_field("used_at")
    assert key is not None
    assert isinstance(used, Field)
    table, column = _quoted(here, model._meta.db_table), _quoted(here, used.column)
    sql = f"UPDATE {table} SET {column} = %s WHERE {_quoted(here, key.column)} = %s AND {column} IS NULL"  # noqa: S608
    return _text(here, sql, 2), _adapter(used, here), _adapter(key, here)


def _quoted(here: Any, name: str | None) -> str:
    assert name is not None, "a field with a column"
    quoted: str = here.ops.quote_name(name)
    return quoted
