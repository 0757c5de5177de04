"""The page's conversations on disk: one SQLite file, every change of it one transaction.

A damaged file is set aside and told; the daemon goes on with an empty one. Nothing goes that nobody asked to delete:
where there is no more room, the next conversation is refused.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from ...devices.files import write_error
from ...errors import AccelError, Busy, DiskFull, NotThere, StateError, UsageError
from ..messages import Tokens
from .running import Running

MOST_CONVERSATIONS = 10_000
MOST_MESSAGES = 10_000  # of one conversation
MOST_BYTES = 2**30  # of the file
LONGEST_TITLE = 200  # characters
LISTED = 500  # conversations that a list shows; a search finds the others
_TITLE = 60  # characters of a title that is made from a message
_AROUND = 60  # characters of a message that a search shows before and behind what it found
_VERSION = 1
_PAGE = 4096  # bytes, of the file
_PATIENCE = 5.0  # seconds for another process to finish what it writes
_SCHEMA = (
    "CREATE TABLE conversation (id TEXT PRIMARY KEY, title TEXT NOT NULL, model TEXT NOT NULL, system TEXT NOT NULL,"
    " fingerprint TEXT NOT NULL, forgotten INTEGER NOT NULL, created REAL NOT NULL, changed REAL NOT NULL)",
    "CREATE TABLE message (conversation TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL, thought TEXT NOT NULL, tokens BLOB NOT NULL,"
    " reason TEXT NOT NULL, tries INTEGER NOT NULL, PRIMARY KEY (conversation, number)) WITHOUT ROWID",
    f"PRAGMA user_version = {_VERSION}",
)
# What SQLite says of a file that is none, or not ours: without such a table, or with what cannot stand there.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT}


class Message(msgspec.Struct, frozen=True):
    """One turn's part. An answer carries the tokens it was made of, where its text is all of theirs."""

    role: Literal["user", "assistant"]
    content: str
    thought: str = ""
    tokens: Tokens = ()
    reason: str = ""  # why an answer ended, as `messages.Reason`
    tries: int = 0  # answers to the same question before it


class Conversation(msgspec.Struct, frozen=True):
    """`model`: a name of the daemon's, "" for its first; `fingerprint`: of the model whose tokens the answers carry;
    `forgotten` messages at the start no longer fit its context. `created` and `changed` are seconds since 1970."""

    id: str
    title: str
    model: str
    system: str
    fingerprint: str
    forgotten: int
    created: float
    changed: float
    messages: tuple[Message, ...] = ()


class Heading(msgspec.Struct, frozen=True):
    """A conversation in a list; `excerpt` is where a search found something."""

    id: str
    title: str
    model: str
    changed: float
    excerpt: str = ""


class Conversations:
    """Kept in `file`; without one in memory, and gone with this process. From any thread. `notices` are what the user
    should know of the file.

    Everything raises StateError for a damaged file, DiskFull, AccelError, and NotThere for an id that there is not.
    """

    def __init__(self, file: Path | None = None) -> None:
        self.notices: list[str] = []
        self._file = file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._answering: dict[str, Running] = {}

    def headings(self, search: str = "") -> list[Heading]:
        """The newest first; of a search, those whose title or messages hold it, in letters of either case."""
        columns, wanted = "id, title, model, changed", fold(search.strip())
        within = "(SELECT content FROM message WHERE conversation = id AND instr(fold(content), ?) LIMIT 1)"
        with self._transaction("BEGIN") as connection:
            if not wanted:
                rows = connection.execute(
                    f"SELECT {columns}, '' FROM conversation ORDER BY changed DESC LIMIT ?", (LISTED,)
                ).fetchall()
            else:
                rows = connection.execute(
                    f"SELECT {columns}, {within} AS excerpt FROM conversation"
                    " WHERE instr(fold(title), ?) OR excerpt IS NOT NULL ORDER BY changed DESC LIMIT ?",
                    (wanted, wanted, LISTED),
                ).fetchall()
            found = [_checked(Heading, (*row[:-1], row[-1] or "")) for row in rows]
        return [msgspec.structs.replace(each, excerpt=excerpt_of(each.excerpt, wanted)) for each in found]

    def create(self, model: str = "", system: str = "") -> Conversation:
        """Raises UsageError where there are too many."""
        now = time.time()
        made = Conversation(secrets.token_hex(8), "", model, system, "", 0, now, now)
        with self._transaction() as connection:
            (count,) = connection.execute("SELECT count(*) FROM conversation").fetchone()
            if count >= MOST_CONVERSATIONS:
                raise UsageError(f"there are {count} conversations, and no more may be", "delete some")
            values = msgspec.structs.astuple(made)[:-1]
            connection.execute("INSERT INTO conversation VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        return made

    def get(self, id: str) -> Conversation:
        with self._transaction("BEGIN") as connection:
            kept = _row_of(connection, id)
            rows = connection.execute(
                "SELECT role, content, thought, tokens, reason, tries, number FROM message WHERE conversation = ?"
                " ORDER BY number LIMIT ?",
                (id, MOST_MESSAGES + 1),
            ).fetchall()
            messages = tuple(_message(*row) for row in rows)
            _check_turns(messages, [row[-1] for row in rows])
            return msgspec.structs.replace(kept, messages=messages)

    def change(self, id: str, title: str | None = None, system: str | None = None, model: str | None = None) -> None:
        """What is None stays as it is."""
        given = {"title": title, "system": system, "model": model}
        wanted = {name: value for name, value in given.items() if value is not None}
        with self._transaction() as connection:
            _row_of(connection, id)
            for name, value in wanted.items():
                connection.execute(f"UPDATE conversation SET {name} = ? WHERE id = ?", (value, id))

    def delete(self, id: str) -> None:
        with self._transaction() as connection:
            _row_of(connection, id)
            connection.execute("DELETE FROM conversation WHERE id = ?", (id,))

    def put(
        self, id: str, at: int, messages: Sequence[Message], fingerprint: str | None = None, forgotten: int = 0
    ) -> None:
        """From message `at` on stand these, and what stood there is gone. `fingerprint` and `forgotten` hold for all of
        it; without a fingerprint both stay. Raises UsageError where there are too many messages."""
        if at + len(messages) > MOST_MESSAGES:
            raise UsageError(f"a conversation has {MOST_MESSAGES} messages at most", "begin another")
        rows = [(id, at + number, *_columns(message)) for number, message in enumerate(messages)]
        with self._transaction() as connection:
            kept = _row_of(connection, id)
            (count,) = connection.execute("SELECT count(*) FROM message WHERE conversation = ?", (id,)).fetchone()
            if at > count:
                raise StateError("the conversation was changed by another process meanwhile", "open it again")
            connection.execute("DELETE FROM message WHERE conversation = ? AND number >= ?", (id, at))
            if fingerprint is not None:
                if kept.fingerprint != fingerprint:
                    connection.execute("UPDATE message SET tokens = ? WHERE conversation = ?", (_packed(()), id))
                update = "UPDATE conversation SET fingerprint = ?, forgotten = ? WHERE id = ?"
                connection.execute(update, (fingerprint, forgotten, id))
            connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            named = kept.title or (title_of(messages[0].content) if at == 0 and messages else "")
            update = "UPDATE conversation SET title = ?, changed = ? WHERE id = ?"
            connection.execute(update, (named, time.time(), id))

    @contextmanager
    def answering(self, id: str, running: Running) -> Iterator[None]:
        """For as long as an answer is given: `stop` ends it. Raises Busy where one is being given already."""
        if id in self._answering:
            raise Busy("this conversation is being answered already", "wait for the answer, or stop it")
        self._answering[id] = running
        try:
            yield
        finally:
            del self._answering[id]

    def stop(self, id: str) -> bool:
        """Ends the answer that is being given, if any; of the event loop."""
        if running := self._answering.get(id):
            running.cancel()
        return running is not None

    def close(self) -> None:
        with self._lock:
            self._disconnect()

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                connection = self._connected()
                connection.execute(begin)
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
                raise self._trouble(error) from error

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _connect(self._file)
            except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                self._set_aside(error)
                self._connection = _connect(self._file)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _trouble(self, error: Exception) -> AccelError:
        """What went wrong, as an error of ours; a damaged file is another one from here on."""
        if _is_damage(error):
            self._disconnect()
            return StateError(f"the saved conversations are damaged ({error})", self._set_aside(error))
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return DiskFull("no room for more conversations", "delete some, or free space on the disk")
        if isinstance(error, OSError) and self._file:
            return write_error(self._file, error)
        return AccelError(f"the saved conversations cannot be used: {error}", f"check {self._file}")

    def _set_aside(self, error: Exception) -> str:
        """Where the file and what SQLite wrote beside it lie from now on, in words. Raises OSError."""
        file = self._file
        if file is None:
            return "they were let go"
        aside = file.with_name(f"{file.name}.damaged")
        while aside.exists():
            aside = aside.with_name(f"{file.name}.damaged-{secrets.token_hex(4)}")
        for ending in ("-journal", "-wal", "-shm", ""):
            part = file.with_name(file.name + ending)
            if part.exists():
                part.replace(aside.with_name(aside.name + ending))
        words = f"the file was set aside as {aside}"
        self.notices.append(f"The saved conversations could not be read ({error}); {words}.")
        return words


def title_of(text: str) -> str:
    """A title made from a message: its first words."""
    words = " ".join(text[: 10 * _TITLE].split())
    return words if len(words) <= _TITLE else f"{words[:_TITLE].rpartition(' ')[0] or words[:_TITLE]}…"


def excerpt_of(text: str, wanted: str) -> str:
    """The part of a text around what was searched for; nothing where it is not there."""
    at = fold(text).find(wanted) if wanted else -1  # folded texts may be a little longer: an excerpt need not be exact
    if at < 0:
        return ""
    start, end = max(0, at - _AROUND), at + len(wanted) + _AROUND
    words = " ".join(text[start:end].split())
    return ("…" if start else "") + words + ("…" if end < len(text) else "")


def fold(text: object) -> str:
    """As texts are compared."""
    return text.casefold() if isinstance(text, str) else ""


def _connect(file: Path | None) -> sqlite3.Connection:
    """Raises sqlite3.Error, msgspec.ValidationError for a file that is none of ours, OSError."""
    if file:
        file.touch(mode=0o600)
        if file.stat().st_size > MOST_BYTES:
            raise msgspec.ValidationError(f"it is larger than {MOST_BYTES} bytes")
    connection = sqlite3.connect(file or ":memory:", timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise msgspec.ValidationError("its pages contradict each other")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA max_page_count = {MOST_BYTES // _PAGE}")
        connection.create_function("fold", 1, fold, deterministic=True)
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for statement in _SCHEMA if not version else ():
            connection.execute(statement)
        connection.execute("COMMIT")
        if version not in (0, _VERSION):
            raise msgspec.ValidationError(f"it is of version {version}, and this accel reads {_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    # SQLite may quote what it found, which is no text.
    return isinstance(error, msgspec.DecodeError | UnicodeDecodeError) or (code is not None and code & 0xFF in _DAMAGED)


_packed = msgspec.msgpack.Encoder().encode
R = TypeVar("R", Heading, Conversation)


def _row_of(connection: sqlite3.Connection, id: str) -> Conversation:
    """Without its messages. Raises NotThere."""
    columns = ", ".join(Conversation.__struct_fields__[:-1])
    row = connection.execute(f"SELECT {columns} FROM conversation WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotThere(f"there is no conversation {id[:100]}", "it may have been deleted")
    return _checked(Conversation, row)


def _checked(kind: type[R], row: Sequence[object]) -> R:
    """A row as a record of its first fields. Raises msgspec.ValidationError for what another wrote there."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=False)), kind)


def _message(role: Any, content: Any, thought: Any, tokens: Any, reason: Any, tries: Any, number: Any) -> Message:
    known = msgspec.msgpack.decode(tokens, type=Tokens) if isinstance(tokens, bytes) else tokens
    found = {"role": role, "content": content, "thought": thought, "tokens": known, "reason": reason, "tries": tries}
    return msgspec.convert(found, Message)


def _columns(message: Message) -> tuple[Any, ...]:
    return (
        message.role, message.content, message.thought, _packed(message.tokens), message.reason, message.tries
    )  # fmt: skip


def _check_turns(messages: Sequence[Message], numbers: Sequence[object]) -> None:
    """Of a file that another may have written."""
    for expected, (message, number) in enumerate(zip(messages, numbers, strict=True)):
        if number != expected or message.role != ("user", "assistant")[expected % 2]:
            raise msgspec.ValidationError(f"message {expected} is not where it should be")
