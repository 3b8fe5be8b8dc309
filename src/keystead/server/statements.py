"""Statements that are asked for every request: Django writes their SQL once, and each request brings its values only.

To build the SQL of a query anew costs many times what the database needs to answer it. What is asked and what comes
back is the same as without; nothing is remembered but the text, so no answer is older than the question.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Expression, Field, Model, QuerySet
from django.db.models.query import get_related_populators

M = TypeVar("M", bound=Model)


class Parameter(Expression):
    """The place of a value that is given with each request."""

    def __init__(self, name: str, field: "Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, *_: Any, **__: Any) -> tuple[str, tuple[Any, ...]]:
        """Return a placeholder, and as its value the place itself."""
        return "%s", (self,)

    def given(self, values: dict[str, Any]) -> Any:
        """Return this place's value as the database takes it."""
        return self.field.get_db_prep_value(values[self.name], connection, prepared=False)


@dataclass(frozen=True, slots=True)
class _Compiled(Generic[M]):
    """One query as SQL for one connection, and how rows become objects."""

    connection: object
    sql: str
    places: tuple[Any, ...]
    compiler: Any
    model: type[M]
    columns: slice
    names: list[str]
    related: list[Any]
    converters: dict[int, Any]

    def run(self, values: dict[str, Any]) -> Iterator[M]:
        given = [place.given(values) if isinstance(place, Parameter) else place for place in self.places]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, given)
            rows = cursor.fetchall()
        for row in self.compiler.apply_converters(rows, self.converters):
            found = self.model.from_db(connection.alias, self.names, row[self.columns])
            for populator in self.related:
                populator.populate(row, found)
            yield found


class Prepared(Generic[M]):
    """A query with :class:`Parameter` in the place of its values; each thread compiles it at its first use.

    Args:
        build: returns the query; called late, since models are not ready while modules are imported.
    """

    def __init__(self, build: Callable[[], "QuerySet[M]"]) -> None:
        self._build = build
        self._local = threading.local()

    def all(self, **values: Any) -> list[M]:
        """Return every row for these values."""
        return list(self._compiled().run(values))

    def first(self, **values: Any) -> M | None:
        """Return the first row for these values, or None."""
        return next(self._compiled().run(values), None)

    def _compiled(self) -> _Compiled[M]:
        mine: _Compiled[M] | None = getattr(self._local, "compiled", None)
        here = connections[DEFAULT_DB_ALIAS]
        if mine is None or mine.connection is not here:
            mine = self._local.compiled = _compile(self._build(), here)
        return mine


def _compile(query: "QuerySet[M]", here: Any) -> _Compiled[M]:
    compiler = query.query.get_compiler(connection=here)
    sql, places = compiler.as_sql()
    select, shape = compiler.select, compiler.klass_info
    assert shape is not None, "a query for objects"
    columns = slice(shape["select_fields"][0], shape["select_fields"][-1] + 1)
    names = [column[0].target.attname for column in select[columns]]
    related = get_related_populators(shape, select, here.alias)  # type: ignore[call-arg]
    converters = compiler.get_converters([column[0] for column in select])
    return _Compiled(here, sql, tuple(places), compiler, query.model, columns, names, related, converters)


def insert(row: M) -> M:
    """Store a new row that has its key, and return it."""
    sql, fields = _insertion(type(row), connection.vendor)
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
    row._state.adding, row._state.db = False, connection.alias
    return row


@cache
def _insertion(model: type[Model], _vendor: str) -> tuple[str, "tuple[Field[Any, Any], ...]"]:
    fields = tuple(model._meta.concrete_fields)
    names = ", ".join(_quoted(field.column) for field in fields)
    places = ", ".join(["%s"] * len(fields))
    return f"INSERT INTO {_quoted(model._meta.db_table)} ({names}) VALUES ({places})", fields  # noqa: S608


def use_up(row: Model, now: datetime) -> bool:
    """Consume a row that works once, by compare-and-swap on ``used_at``; returns whether it was still unused."""
    sql, key, used = _consumption(type(row), connection.vendor)
    with connection.cursor() as cursor:
        cursor.execute(sql, [used.get_db_prep_save(now, connection), key.get_db_prep_save(row.pk, connection)])
        return bool(cursor.rowcount)


@cache
def _consumption(model: type[Model], _vendor: str) -> "tuple[str, Field[Any, Any], Field[Any, Any]]":
    key, used = model._meta.pk, model._meta.get_field("used_at")
    assert key is not None
    assert isinstance(used, Field)
    table, column = _quoted(model._meta.db_table), _quoted(used.column)
    return f"UPDATE {table} SET {column} = %s WHERE {_quoted(key.column)} = %s AND {column} IS NULL", key, used  # noqa: S608


def _quoted(name: str | None) -> str:
    assert name is not None, "a field with a column"
    return connection.ops.quote_name(name)
