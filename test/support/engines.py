"""
Polars and ClickHouse (chdb) reading tables of the Delta library, for `npm run test:readers`.

    engines.py REQUESTS     a JSON list of [engine, path, version or null, columns, order]

Answers one JSON line: for each request its rows as lists of texts, or {"error": …}.
"""
import json
import os
import sys

import chdb
import polars

# ClickHouse reads files under its working folder only.
os.chdir("/")


def polars_rows(path, version, columns, order):
    frame = polars.scan_delta(path, version=version).select(columns).sort(order).collect()
    return [[None if value is None else str(value) for value in row] for row in frame.rows()]


def chdb_rows(path, version, columns, order):
    names = ", ".join(f"toString(`{name}`) AS c{at}" for at, name in enumerate(columns))
    as_of = "" if version is None else f" SETTINGS delta_lake_snapshot_version = {version}"
    rows = chdb.query(f"SELECT {names} FROM deltaLakeLocal('{path}') ORDER BY `{order}`{as_of}",
                      "JSONCompactEachRow")
    return [json.loads(line) for line in str(rows).splitlines() if line]


def answer(engine, *request):
    try:
        return {"polars": polars_rows, "chdb": chdb_rows}[engine](*request)
    except Exception as error:  # noqa: BLE001 (the test shows it)
        return {"error": f"{type(error).__name__}: {str(error)[:400]}"}


print(json.dumps([answer(*request) for request in json.loads(sys.argv[1])]))
