"""A session of psycopg 3 as an asynchronous application has it; one part is synchronous."""
import asyncio
import datetime
import uuid
from decimal import Decimal

import psycopg
from psycopg.types.json import Jsonb

from session import ENDLESS, GROUPS, ROWS, conninfo, saw, tell

VALUES = (42, 2**62, Decimal("12345.678900"), 0.1, "snow ❄ 'quoted' \\", True, b"\x00\xff\\",
          datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 456789,
          tzinfo=datetime.timezone.utc), uuid.UUID(int=7), Jsonb({"a": [1, None]}),
          [1, None, 3], [["a", "b,c"], [None, '"']], None)
TYPES = ("int", "bigint", "numeric", "float8", "text", "bool", "bytea", "date", "timestamptz",
         "uuid", "jsonb", "int[]", "text[]", "text")


async def main():
    connection = await psycopg.AsyncConnection.connect(**conninfo(), autocommit=True)
    connection.prepare_threshold = 2
    await connection.execute("SET TimeZone = 'UTC'")
    await values(connection)
    await reads(connection)
    await pipeline(connection)
    await errors(connection)
    await copy(connection)
    await cancels(connection)
    await notifications(connection)
    await two_phase(connection)
    await connection.close()
    await asyncio.to_thread(synchronous)
    tell()


async def values(connection):
    text = "SELECT " + ", ".join(f"%s::{name}" for name in TYPES)
    for binary in (False, True):
        cursor = connection.cursor(binary=binary)
        for _ in range(4):
            await cursor.execute(text, VALUES)
        saw(f"values, binary {binary}", await cursor.fetchone())
        saw(f"types, binary {binary}", [column.type_code for column in cursor.description])


async def reads(connection):
    for route in ("columnar", "postgres", "auto"):
        await connection.execute(f"SET slipway.route = '{route}'")
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            for limit in (0, 10, 3000, 5000):
                await cursor.execute(GROUPS.format("%s"), (limit,))
                saw(f"groups {route} {binary} {limit}", await cursor.fetchall())
            await cursor.execute(ROWS.format("%s"), (40,))
            saw(f"rows {route} {binary}", await cursor.fetchall())
    async with connection.transaction():
        async with connection.cursor(name="cursor") as cursor:
            cursor.itersize = 700
            await cursor.execute("SELECT id, t FROM items ORDER BY id")
            saw("cursor", [row[0] async for row in cursor][::500])
    cursor = connection.cursor()
    saw("stream", [row[0] async for row in cursor.stream(
        "SELECT id FROM items ORDER BY id DESC LIMIT 5")])


async def pipeline(connection):
    """Reads, writes and a mistake with no wait between them."""
    await connection.execute("CREATE TABLE piped (id int PRIMARY KEY, g int)")
    async with connection.pipeline() as pipe:
        first = await connection.execute("INSERT INTO piped SELECT i, i % 3 FROM "
                                         "generate_series(1, 90) i")
        counts = [await connection.execute(GROUPS.format("%s"), (limit,)) for limit in (5, 500)]
        own = await connection.execute("SELECT g, count(*) FROM piped GROUP BY g ORDER BY g")
        await pipe.sync()
        saw("piped", [first.rowcount, [await one.fetchall() for one in counts],
                      await own.fetchall()])
    try:
        async with connection.pipeline():
            await connection.execute("INSERT INTO piped VALUES (1000, 0)")
            await connection.execute("SELECT sum(g / (id - id)) FROM piped GROUP BY g")
            await connection.execute("INSERT INTO piped VALUES (1001, 0)")
    except psycopg.Error as error:
        saw("pipeline error", error.sqlstate)
    saw("after pipeline error", await value(connection, "SELECT count(*) FROM piped"))


async def errors(connection):
    for name, text in {
        "syntax": "SELEC 1", "column": "SELECT count(nothing) FROM items",
        "division": "SELECT sum(g / (g - g)) FROM items", "key": "INSERT INTO piped VALUES (1, 1)",
    }.items():
        try:
            await connection.execute(text)
        except psycopg.Error as error:
            saw(f"error {name}", [error.sqlstate, error.diag.message_primary,
                                  error.diag.statement_position, error.diag.constraint_name])
    async with connection.transaction(force_rollback=True) as outer:
        await connection.execute("DELETE FROM piped")
        try:
            async with connection.transaction():
                await connection.execute("SELECT sum(g / (g - g)) FROM items")
        except psycopg.errors.DivisionByZero:
            saw("inner status", connection.info.transaction_status.name)
        saw("own deletes", await value(connection, "SELECT count(*) FROM piped"))
    saw("rolled back", await value(connection, "SELECT count(*) FROM piped"))


async def copy(connection):
    await connection.execute("CREATE TABLE copied (id int PRIMARY KEY, n numeric, t text[])")
    cursor = connection.cursor()
    async with cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as stream:
        stream.set_types(["int4", "numeric", "text[]"])
        for i in range(5000):
            await stream.write_row((i, Decimal(i) / 8, ["a", str(i), None]))
    async with cursor.copy("COPY copied (id, t) FROM STDIN") as stream:
        for i in range(5000, 9000):
            await stream.write_row((i, [f"tab\t{i}\n"]))
    async with cursor.copy("COPY copied TO STDOUT (FORMAT binary)") as stream:
        stream.set_types(["int4", "numeric", "text[]"])
        rows = sorted([row async for row in stream.rows()])
    saw("copied", [len(rows), rows[:2], rows[-1]])
    try:
        async with cursor.copy("COPY copied FROM STDIN") as stream:
            await stream.write("no number\t1\t{}\n")
    except psycopg.Error as error:
        saw("copy error", [error.sqlstate, error.diag.context])
    try:
        async with cursor.copy("COPY copied FROM STDIN") as stream:
            await stream.write_row((10_000, None, None))
            raise KeyError("the application's own")
    except KeyError:
        saw("copy given up", await value(connection, "SELECT count(*) FROM copied"))
    async with cursor.copy(f"COPY ({GROUPS.format('5000')}) TO STDOUT") as stream:
        saw("copy of groups", [bytes(block).decode() async for block in stream])


async def cancels(connection):
    """libpq sends the cancel as it connects: over TLS with the certificate where there is TLS."""
    for route, text in {"postgres": "SELECT pg_sleep(60)", "columnar": ENDLESS.format(0)}.items():
        await connection.execute(f"SET slipway.route = '{route}'")
        statement = asyncio.create_task(run(connection, text))
        while not statement.done():
            await asyncio.wait([statement], timeout=0.3)
            if not statement.done():
                await connection.cancel_safe()
        saw(f"cancelled {route}", statement.result())
        saw(f"alive {route}", await value(connection, "SELECT count(*) FROM items"))
    await connection.execute("SET slipway.route = 'auto'")


async def run(connection, text):
    try:
        await connection.execute(text)
        return "ended"
    except psycopg.Error as error:
        return error.sqlstate


async def notifications(connection):
    listener = await psycopg.AsyncConnection.connect(**conninfo(), autocommit=True)
    await listener.execute("LISTEN psycopg_news")
    await connection.execute("SELECT pg_notify('psycopg_news', g::text) FROM items WHERE id < 3")
    heard = [(note.payload, note.pid == connection.info.backend_pid)
             async for note in listener.notifies(timeout=30, stop_after=2)]
    saw("heard", sorted(heard))
    await listener.close()


async def two_phase(connection):
    await connection.set_autocommit(False)
    xid = connection.xid(1, "global", "branch")
    await connection.tpc_begin(xid)
    await connection.execute("INSERT INTO piped VALUES (2000, 1)")
    await connection.tpc_prepare()
    await connection.tpc_commit()
    saw("two-phase", await value(connection, "SELECT count(*) FROM piped WHERE id = 2000"))
    await connection.rollback()


def synchronous():
    with psycopg.connect(**conninfo()) as connection:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO piped VALUES (%s, %s) RETURNING id",
                               [(3000 + i, i) for i in range(50)], returning=True)
            saw("many", sum(one.fetchone()[0] for one in cursor.results()))
            cursor.execute("SELECT count(*), sum(g) FROM piped")
            saw("sees its own", cursor.fetchone())
        connection.rollback()
        saw("and then not", connection.execute("SELECT count(*) FROM piped").fetchone())
    raw = psycopg.connect(**conninfo(), cursor_factory=psycopg.RawCursor)
    saw("raw", raw.execute(GROUPS.format("$1"), (77,), prepare=True).fetchall())
    raw.close()


async def value(connection, text):
    return (await (await connection.execute(text)).fetchone())[0]


asyncio.run(main())
