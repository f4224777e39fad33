"""A session of asyncpg: everything binary, prepared, described and flushed in its own way."""
import asyncio
import datetime
import ssl
import uuid
from decimal import Decimal

import asyncpg

from session import ENDLESS, ENDPOINT, GROUPS, ROWS, TLS, saw, tell

VALUES = (42, 2**62, Decimal("12345.678900"), 0.1, "snow ❄ 'quoted' \\", True, b"\x00\xff\\",
          datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3, 456789,
          tzinfo=datetime.timezone.utc), uuid.UUID(int=7), '{"a": [1, null]}',
          [1, None, 3], [["a", "b,c"], [None, '"']], None, datetime.timedelta(days=3, seconds=7))
TYPES = ("int", "bigint", "numeric", "float8", "text", "bool", "bytea", "date", "timestamptz",
         "uuid", "jsonb", "int[]", "text[]", "text", "interval")


def words():
    more = {}
    if TLS is not None:
        context = ssl.create_default_context(cafile=TLS["ca"])
        context.load_cert_chain(TLS["cert"], TLS["key"])
        more = {"ssl": context}
    return {"host": ENDPOINT["host"], "port": ENDPOINT["port"], "user": ENDPOINT["user"],
            "password": ENDPOINT["password"], "database": ENDPOINT["database"],
            "server_settings": {"search_path": ENDPOINT["schema"], "TimeZone": "UTC"}} | more


async def main():
    connection = await asyncpg.connect(**words())
    await values(connection)
    await reads(connection)
    await errors(connection)
    await copy(connection)
    await cancels(connection)
    await notifications(connection)
    await connection.close()
    await pooled()
    tell()


async def values(connection):
    text = "SELECT " + ", ".join(f"${i}::{name}" for i, name in enumerate(TYPES, 1))
    saw("values", list(await connection.fetchrow(text, *VALUES)))
    statement = await connection.prepare(text)
    saw("parameters", [one.name for one in statement.get_parameters()])
    saw("attributes", [one.type.name for one in statement.get_attributes()])
    await connection.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    await connection.execute("CREATE TYPE pair AS (a int, m mood)")
    saw("composite", await connection.fetchval("SELECT ARRAY[ROW(1, 'glad')::pair]"))


async def reads(connection):
    for route in ("columnar", "postgres", "auto"):
        await connection.execute(f"SET slipway.route = '{route}'")
        statement = await connection.prepare(GROUPS.format("$1::int"))
        for limit in (0, 10, 3000, 5000):
            saw(f"groups {route} {limit}", list(map(tuple, await statement.fetch(limit))))
        saw(f"status {route}", statement.get_statusmsg())
        saw(f"rows {route}", list(map(tuple, await connection.fetch(ROWS.format("$1"), 40))))
        saw(f"script {route}", await connection.execute(GROUPS.format("3")))
    async with connection.transaction():
        rows = connection.cursor("SELECT id, t FROM items ORDER BY id", prefetch=700)
        saw("cursor", [row["id"] async for row in rows][::500])
        cursor = await connection.cursor("SELECT g, count(*) FROM items GROUP BY g ORDER BY g")
        saw("portal", [[tuple(row) for row in await cursor.fetch(2)],
                       await cursor.forward(2), tuple(await cursor.fetchrow())])
    # Prepared, described and flushed, then run: each text for the first and only time.
    saw("asked once", [await connection.fetchval(f"SELECT count(*) FROM items WHERE g > {i}")
                       for i in range(20)])
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        saw("repeatable", await connection.fetchval("SELECT count(*) FROM items"))


async def errors(connection):
    await connection.execute("CREATE TABLE mine (id int PRIMARY KEY, g int)")
    saw("many", await connection.executemany("INSERT INTO mine VALUES ($1, $2)",
                                             [(i, i % 3) for i in range(90)]))
    saw("fetchmany", [row["id"] for row in await connection.fetchmany(
        "INSERT INTO mine VALUES ($1, 0) RETURNING id", [(100,), (101,)])])
    for name, text in {
        "syntax": "SELEC 1", "column": "SELECT count(nothing) FROM items",
        "division": "SELECT sum(g / (g - g)) FROM items", "key": "INSERT INTO mine VALUES (1, 1)",
    }.items():
        try:
            await connection.fetch(text)
        except asyncpg.PostgresError as error:
            saw(f"error {name}", [error.sqlstate, str(error), error.position])
    try:
        async with connection.transaction():
            await connection.execute("DELETE FROM mine")
            saw("own deletes", await connection.fetchval("SELECT count(*) FROM mine"))
            try:
                async with connection.transaction():
                    await connection.fetch("SELECT sum(g / (g - g)) FROM items")
            except asyncpg.DivisionByZeroError:
                saw("still there", await connection.fetchval("SELECT count(*) FROM items"))
            raise KeyError
    except KeyError:
        saw("rolled back", await connection.fetchval("SELECT count(*) FROM mine"))


async def copy(connection):
    await connection.execute("CREATE TABLE copied (id int PRIMARY KEY, n numeric, t text[])")
    records = [(i, Decimal(i) / 8, ["a", str(i), None]) for i in range(5000)]
    saw("copy in", await connection.copy_records_to_table("copied", records=records))
    out = bytearray()

    async def keep(block):
        out.extend(block)
    saw("copy out", await connection.copy_from_query(
        "SELECT * FROM copied ORDER BY id", output=keep, format="binary"))
    saw("copied", [len(out), out[:60].hex()])
    try:
        await connection.copy_records_to_table("copied", records=records)
    except asyncpg.UniqueViolationError as error:
        saw("copy error", error.sqlstate)
    saw("after copy", await connection.fetchval("SELECT count(*) FROM copied"))


async def cancels(connection):
    """asyncpg cancels on a connection of its own, over TLS where there is TLS."""
    for route, text in {"postgres": "SELECT pg_sleep(60)", "columnar": ENDLESS.format(0)}.items():
        await connection.execute(f"SET slipway.route = '{route}'")
        try:
            await connection.fetch(text, timeout=0.5)
        except asyncio.TimeoutError:
            saw(f"timed out {route}", await connection.fetchval("SELECT count(*) FROM items"))
    await connection.execute("SET slipway.route = 'auto'")


async def notifications(connection):
    heard = asyncio.Queue()
    listener = await asyncpg.connect(**words())
    await listener.add_listener("asyncpg_news", lambda _, pid, channel, payload:
                                heard.put_nowait((pid == connection.get_server_pid(), payload)))
    await connection.execute("SELECT pg_notify('asyncpg_news', g::text) FROM items WHERE id < 3")
    saw("heard", sorted([await asyncio.wait_for(heard.get(), 30) for _ in range(2)]))
    await listener.close()


async def pooled():
    """A pool resets its connections (UNLISTEN, CLOSE ALL, RESET ALL) and uses them at once."""
    async with asyncpg.create_pool(min_size=4, max_size=4, **words()) as pool:
        saw("pooled", await asyncio.gather(*(pool.fetchval(
            "SELECT sum(big) FROM items WHERE g = $1", i % 7) for i in range(60))))


asyncio.run(main())
