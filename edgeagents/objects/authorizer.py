"""Authorizer: which SQL an object's code may run.

SQLite asks it once for each thing that a statement would do, while it compiles the statement. Statements of our own
run as trusted and may do anything; an object's may use its own tables, FTS5 and R*Tree, a list of functions and
pragmas, and nothing that reaches another file, another connection's business, or the tables whose names begin with
``_cf_``. A trigger or a view is the object's, whose statement ever it runs in: some of our tables are open to the
object, which may hang a trigger on them or put a view in their place.

The rules are workerd's. They are one of several walls: an object is Python code and not shut in.
"""

from __future__ import annotations

from collections.abc import Callable

from edgeagents.objects.database_events import nothing

__all__ = ["INTERNAL", "Authorizer"]

INTERNAL = "_cf_"
"""How the names of our own tables begin, in any case."""

_OK, _DENY, _IGNORE = 0, 1, 2

# SQLite's action codes (sqlite3_set_authorizer).
_CREATE_INDEX, _CREATE_TABLE = 1, 2
_CREATE_TEMP_INDEX, _CREATE_TEMP_TABLE, _CREATE_TEMP_TRIGGER, _CREATE_TEMP_VIEW = 3, 4, 5, 6
_CREATE_TRIGGER, _CREATE_VIEW, _DELETE, _DROP_INDEX, _DROP_TABLE = 7, 8, 9, 10, 11
_DROP_TEMP_INDEX, _DROP_TEMP_TABLE, _DROP_TEMP_TRIGGER, _DROP_TEMP_VIEW = 12, 13, 14, 15
_DROP_TRIGGER, _DROP_VIEW, _INSERT, _PRAGMA, _READ, _SELECT, _TRANSACTION = 16, 17, 18, 19, 20, 21, 22
_UPDATE, _ATTACH, _DETACH, _ALTER_TABLE, _REINDEX, _ANALYZE = 23, 24, 25, 26, 27, 28
_CREATE_VTABLE, _DROP_VTABLE, _FUNCTION, _SAVEPOINT, _RECURSIVE = 29, 30, 31, 32, 33

_SCHEMA_ACTIONS = frozenset(
    {
        *(_CREATE_INDEX, _CREATE_TABLE, _CREATE_TRIGGER, _CREATE_VIEW, _CREATE_VTABLE, _ALTER_TABLE),
        *(_DROP_INDEX, _DROP_TABLE, _DROP_TRIGGER, _DROP_VIEW, _DROP_VTABLE),
    }
)
_WRITE_ACTIONS = _SCHEMA_ACTIONS | {_DELETE, _INSERT, _UPDATE, _REINDEX, _ANALYZE}
_BY_NAME = _WRITE_ACTIONS | {_READ}

_READ_PRAGMAS = frozenset({"data_version", "page_size"})
_BOOLEAN_PRAGMAS = frozenset(
    {
        "case_sensitive_like",
        "defer_foreign_keys",
        "foreign_keys",
        "ignore_check_constraints",
        "legacy_alter_table",
        "recursive_triggers",
        "reverse_unordered_selects",
    }
)
_BOOLEANS = frozenset({"0", "1", "on", "off", "yes", "no", "true", "false"})
# They tell of a table or an index, or of all. Of ours they tell nothing, as if it were not there.
_OTHER_PRAGMAS = frozenset(
    {
        *("foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo"),
        *("optimize", "quick_check", "table_info", "table_list", "table_xinfo"),
    }
)

_MODULES = frozenset({"fts5", "fts5vocab", "rtree", "rtree_i32"})

# Tables that some builds of SQLite have without anybody making them: they show or change what lies under the tables.
_HIDDEN_TABLES = frozenset(
    {"bytecode", "carray", "completion", "dbstat", "fts3tokenize", "sqlite_dbpage", "sqlite_stmt", "tables_used"}
)

_FUNCTIONS = frozenset(
    {
        *("->", "->>", "abs", "changes", "char", "coalesce", "concat", "concat_ws", "format", "glob", "hex", "if"),
        *("ifnull", "iif", "instr", "last_insert_rowid", "length", "like", "likelihood", "likely", "lower", "ltrim"),
        *("max", "min", "nullif", "octet_length", "printf", "quote", "random", "randomblob", "replace", "round"),
        *("rtrim", "sign", "soundex", "substr", "substring", "subtype", "total_changes", "trim", "typeof", "unhex"),
        *("unicode", "unistr", "unistr_quote", "unlikely", "upper", "zeroblob", "match", "regexp", "avg", "count"),
        *("group_concat", "string_agg", "sum", "total", "median", "percentile", "percentile_cont", "percentile_disc"),
        *("row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead", "first_value"),
        *("last_value", "nth_value", "date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"),
        *("current_date", "current_time", "current_timestamp", "acos", "acosh", "asin", "asinh", "atan", "atan2"),
        *("atanh", "ceil", "ceiling", "cos", "cosh", "degrees", "exp", "floor", "ln", "log", "log10", "log2", "mod"),
        *("pi", "pow", "power", "radians", "sin", "sinh", "sqrt", "tan", "tanh", "trunc", "json", "jsonb"),
        *("json_array", "jsonb_array", "json_array_insert", "jsonb_array_insert", "json_array_length", "json_each"),
        *("json_error_position", "json_extract", "jsonb_extract", "json_group_array", "jsonb_group_array"),
        *("json_group_object", "jsonb_group_object", "json_insert", "jsonb_insert", "json_object", "jsonb_object"),
        *("json_patch", "jsonb_patch", "json_pretty", "json_quote", "json_remove", "jsonb_remove", "json_replace"),
        *("jsonb_replace", "json_set", "jsonb_set", "json_tree", "json_type", "json_valid", "bm25", "highlight"),
        *("snippet", "fts5_get_locale", "fts5_insttoken", "fts5_locale", "rtreecheck"),
    }
)

# ALTER TABLE calls these; SQLite itself refuses them in a statement.
_ALTER_FUNCTIONS = ("sqlite_rename_", "sqlite_drop_", "sqlite_add_", "sqlite_find_", "sqlite_fail")


class Authorizer:
    """The authorizer of one connection, called by SQLite. Keeps what it saw until the connection asks."""

    def __init__(self, on_schema_change: Callable[[], object] = nothing) -> None:
        self._on_schema_change = on_schema_change
        """Called when a statement is compiled that changes the schema."""
        self.is_trusted = False
        """Whether the statement is one of ours. Whoever sets it sets it back."""
        self.mentions_internal = False
        """Whether the text of the statement has ``_cf_`` in it."""
        self.saw_write = False
        """Whether a statement that writes was compiled since this was set to False."""
        self.has_settings = False
        """Whether the object's code may have changed how the connection behaves."""
        self.functions: set[str] = set()
        """Functions that the object's code has registered, allowed too."""

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, within: str | None
    ) -> int:
        """Return whether a statement may do ``action``: SQLITE_OK, SQLITE_DENY, or SQLITE_IGNORE to pass it over."""
        if action in _WRITE_ACTIONS:
            self.saw_write = True
            if action in _SCHEMA_ACTIONS:
                self._on_schema_change()
        if self.is_trusted and within is None:
            return _OK
        return self._decide(action, first or "", second or "")

    def _decide(self, action: int, first: str, second: str) -> int:
        if action in (_SELECT, _RECURSIVE):
            return _OK
        if action in (_ANALYZE, _REINDEX):
            # Of one table or index, or of all: then ours are passed over.
            return _IGNORE if INTERNAL in first.lower() else _OK
        if action in _BY_NAME:
            return _OK if self._allows_table(action, first.lower(), second.lower()) else _DENY
        if action == _FUNCTION:
            name = second.lower()
            is_known = name in _FUNCTIONS or name in self.functions or name.startswith(_ALTER_FUNCTIONS)
            return _OK if is_known else _DENY
        if action == _PRAGMA:
            self.has_settings = self.has_settings or (bool(second) and first.lower() in _BOOLEAN_PRAGMAS)
            return _decide_pragma(first.lower(), second.lower())
        return _DENY

    def _allows_table(self, action: int, first: str, second: str) -> bool:
        if action == _READ:
            return not first.startswith(INTERNAL) and first not in _HIDDEN_TABLES
        if action == _ALTER_TABLE:
            # SQLite names the table as it was; only the text has the new name.
            return not (self.mentions_internal or second.startswith(INTERNAL))
        if action in (_CREATE_VTABLE, _DROP_VTABLE) and second not in _MODULES:
            return False
        if action == _CREATE_VTABLE and self.mentions_internal:
            return False  # An index over one of our tables.
        return not (first.startswith(INTERNAL) or second.startswith(INTERNAL))


def _decide_pragma(name: str, argument: str) -> int:
    if name in _READ_PRAGMAS:
        return _DENY if argument else _OK
    if name in _BOOLEAN_PRAGMAS:
        return _OK if not argument or argument in _BOOLEANS else _DENY
    if name in _OTHER_PRAGMAS:
        return _IGNORE if INTERNAL in argument else _OK
    return _DENY
