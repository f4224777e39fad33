"""
Readers: stock engines that read our Delta tables, compared row for row with PostgreSQL.

One long-lived process, so that Spark starts once. It listens on a unix socket; a request and
its answer are one JSON line each:

  {"op": "compare", "dsn": …, "table": "public.t", "path": …, "readers": ["spark", "delta-rs"]}
  -> {"rows": 12, "readers": {"spark": null, "delta-rs": "2 rows differ: …"}}

Every row becomes one text, the same whoever read it: integers and text as they are, decimals
with their scale, floats as their IEEE bits, times as microseconds since 1970, bytes as
hexadecimal, arrays as JSON, NULL as a control character. Both sides are sorted and compared
as multisets, so order and duplicates are told apart.

Usage: readers.py SOCKET CACHE SUPPORT
"""
import concurrent.futures
import datetime
import faulthandler
import glob
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections import Counter

import deltalake
import psycopg
import pyarrow as pa

SOCKET, CACHE, SUPPORT = sys.argv[1:4]
NULL = "\x1aN"
SEPARATOR = "\x1f"
# Longer than any statement on a machine that does something else as well.
ANSWER_SECONDS = 300


class SparkReader:
    """Starts at once in the background: a session takes half a minute on a small machine."""

    def __init__(self):
        self.session = None
        self.error = None
        self.ready = threading.Event()
        threading.Thread(target=self.start, daemon=True).start()

    def start(self):
        try:
            from pyspark.sql import SparkSession

            jars = ",".join(sorted(glob.glob(f"{CACHE}/jars/spark/*.jar")))
            self.session = (
                SparkSession.builder.master("local[2]").appName("slipway-tests")
                .config("spark.jars", jars)
                .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
                .config("spark.sql.catalog.spark_catalog",
                        "org.apache.spark.sql.delta.catalog.DeltaCatalog")
                .config("spark.sql.shuffle.partitions", "2")
                .config("spark.databricks.delta.snapshotPartitions", "2")
                .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "2")
                .config("spark.databricks.delta.retentionDurationCheck.enabled", "false")
                .config("spark.driver.memory", "1g")
                .config("spark.driver.host", "127.0.0.1")
                .config("spark.driver.bindAddress", "127.0.0.1")
                .config("spark.ui.enabled", "false")
                .config("spark.sql.session.timeZone", "UTC")
                .config("spark.local.dir", tempfile.mkdtemp(prefix="slipway-spark-"))
                .getOrCreate()
            )
            self.session.sparkContext.setLogLevel("ERROR")
        except Exception as error:  # noqa: BLE001 (told to whoever asks for Spark)
            self.error = error
        self.ready.set()

    def table(self, path, version, at=None):
        """As of a version or of a moment (ms)."""
        self.ready.wait()
        if self.error is not None:
            raise self.error
        # The log may have grown since an earlier request: never answer from a cached one.
        self.session.catalog.clearCache()
        reader = self.session.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        if at is not None:
            moment = datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc)
            reader = reader.option("timestampAsOf", moment.strftime("%Y-%m-%d %H:%M:%S.%f"))
        return reader.load(path).toArrow()


def delta_rs_table(path, version, at=None):
    """QueryBuilder, as to_pyarrow_table() refuses tables with deletion vectors."""
    table = deltalake.DeltaTable(path, version=version)
    if at is not None:
        table.load_as_version(datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc))
    result = deltalake.QueryBuilder().register("t", table).execute("SELECT * FROM t")
    return pa.table(result)


def text_of(column):
    """A pyarrow column as a list of texts (docstring of the module)."""
    kind = column.type
    if pa.types.is_floating(kind):
        return [None if v is None else float_text(v) for v in column.to_pylist()]
    if pa.types.is_boolean(kind):
        return [None if v is None else ("true" if v else "false") for v in column.to_pylist()]
    if pa.types.is_timestamp(kind):
        return integers(column.cast(pa.timestamp("us", kind.tz)).cast(pa.int64()))
    if pa.types.is_date(kind):
        return integers(column.cast(pa.int32()))
    if pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in column.to_pylist()]
    if is_list(kind):
        return [None if v is None else list_text(v, kind.value_type) for v in column.to_pylist()]
    if is_bytes(kind):
        return [None if v is None else v.hex() for v in column.to_pylist()]
    return column.cast(pa.string()).to_pylist()


def integers(column):
    return [None if v is None else str(v) for v in column.to_pylist()]


def is_list(kind):
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind)


def is_bytes(kind):
    return (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
            or pa.types.is_binary_view(kind))


def float_text(value):
    return "NaN" if math.isnan(value) else struct.pack(">d", value).hex()


def list_text(values, element):
    texts = text_of(pa.array(values, element)) if values else []
    return json.dumps(texts, ensure_ascii=False, separators=(",", ":"))


def lines_of(table):
    """One text a row, columns in the table's order."""
    columns = [text_of(table.column(i).combine_chunks()) for i in range(table.num_columns)]
    return [SEPARATOR.join(NULL if v is None else v for v in row) for row in zip(*columns)]


def expression_of(name, type_name, element, unconstrained):
    """SQL that gives the same text in PostgreSQL."""
    column = '"' + name.replace('"', '""') + '"'
    if element is not None:
        inner = expression_of("e", element, None, False)
        body = f"string_agg(coalesce(to_json({inner})::text, 'null'), ',' ORDER BY o)"
        return (f"CASE WHEN {column} IS NOT NULL THEN (SELECT '[' || coalesce({body}, '') || ']'"
                f" FROM unnest({column}) WITH ORDINALITY AS u(e, o)) END")
    if type_name in ("float4", "float8"):
        return (f"CASE WHEN {column} = 'NaN' THEN 'NaN'"
                f" ELSE encode(float8send({column}::float8), 'hex') END")
    if type_name == "numeric" and unconstrained:
        return f"{column}::numeric(38,18)::text"
    if type_name == "bytea":
        return f"encode({column}, 'hex')"
    if type_name == "date":
        return f"({column} - date '1970-01-01')::text"
    if type_name == "timestamp":
        return f"(extract(epoch from {column}) * 1000000)::bigint::text"
    if type_name == "timestamptz":
        return f"(extract(epoch from {column}) * 1000000)::bigint::text"
    if type_name in ("bool", "bpchar"):
        return f"{column}::text"
    # What the type's output function says: a cast of inet to text adds its mask.
    return f"CASE WHEN {column} IS NOT NULL THEN format('%s', {column}) END"


def postgres_lines(dsn, name):
    """What PostgreSQL itself says, never the columnar side."""
    with psycopg.connect(dsn, options="-c slipway.route=postgres -c timezone=UTC") as connection:
        columns = connection.execute(
            """SELECT a.attname, coalesce(b.typname, t.typname), e.typname,
                      a.atttypmod = -1 AND t.typtypmod = -1
               FROM pg_attribute a
               JOIN pg_type t ON t.oid = a.atttypid
               LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd'
               LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
               WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
               ORDER BY a.attnum""", (name,)).fetchall()
        parts = [f"coalesce({expression_of(*column)}, '{NULL}')" for column in columns]
        query = f"SELECT concat_ws('{SEPARATOR}', {', '.join(parts)}) FROM {name}"
        return [column[0] for column in columns], [r[0] for r in connection.execute(query)]


def kernel_lines(path):
    """Delta's Java kernel, in a process of its own (test/support/KernelReader.java)."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8", newline="\n") as out:
        command = ["java", "-Xmx512m", "-cp", f"{CACHE}/jars/kernel/*",
                   f"{SUPPORT}/KernelReader.java", path, out.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kernel: {done.stderr.strip()[-500:]}")
        return [json.loads(line) for line in out]


def difference(expected, found):
    """None when both are the same multiset; else a few rows of each side."""
    if sorted(expected) == sorted(found):
        return None
    missing = Counter(expected)
    missing.subtract(found)
    lost = [row for row, count in missing.items() if count > 0]
    extra = [row for row, count in missing.items() if count < 0]
    shown = [row.replace(SEPARATOR, " | ") for row in lost[:2]]
    strange = [row.replace(SEPARATOR, " | ") for row in extra[:2]]
    return (f"{len(expected)} rows in PostgreSQL, {len(found)} read; {len(lost)} missing such as "
            f"{shown}, {len(extra)} extra such as {strange}")


def read(reader, path, names, version):
    if reader == "kernel":
        return kernel_lines(path)
    table = spark.table(path, version) if reader == "spark" else delta_rs_table(path, version)
    found = table.column_names
    if found != names:
        raise RuntimeError(f"columns are {found}, expected {names}")
    return lines_of(table)


def compare(request):
    names, expected = postgres_lines(request["dsn"], request["table"])
    answers = {}
    for reader in request["readers"]:
        try:
            found = read(reader, request["path"], names, request.get("version"))
            answers[reader] = difference(expected, found)
        except Exception as error:  # noqa: BLE001 (the test shows it)
            answers[reader] = f"{type(error).__name__}: {str(error)[:600]}"
    return {"rows": len(expected), "readers": answers}


def history(request):
    """(version, timestamp in ms) of a table as Spark and delta-rs see it."""
    path = request["path"]
    spark.ready.wait()
    rows = spark.session.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()
    return {"spark": [[r["version"], int(r["timestamp"].timestamp() * 1000)] for r in rows],
            "delta-rs": deltalake.DeltaTable(path).version()}


def lines(request):
    """The rows of a table, one canonical text each, sorted; as of a version or a time (ms)."""
    path, version, at = request["path"], request.get("version"), request.get("timestampMs")
    if request["reader"] == "kernel":
        return {"lines": sorted(kernel_lines(path))}
    table = spark.table(path, version, at) if request["reader"] == "spark" \
        else delta_rs_table(path, version, at)
    return {"lines": sorted(lines_of(table))}


def sql(request):
    """Rows of a statement of Spark's, as texts."""
    spark.ready.wait()
    if spark.error is not None:
        raise spark.error
    rows = spark.session.sql(request["query"]).collect()
    return {"rows": [[None if v is None else str(v) for v in row] for row in rows]}


def answer_of(request):
    """By a thread that lives on: for each thread py4j opens connections to the JVM, and closes
    those of ended ones whenever garbage is collected, in the middle of another statement."""
    handler = {"compare": compare, "history": history, "lines": lines, "sql": sql}[request["op"]]
    answer = pool.submit(handler, request)
    try:
        return answer.result(timeout=ANSWER_SECONDS)
    except concurrent.futures.TimeoutError:
        stacks = os.path.join(tempfile.mkdtemp(prefix="slipway-stacks-"), "stacks")
        with open(stacks, "w", encoding="utf-8") as out:
            faulthandler.dump_traceback(out, all_threads=True)
            if spark.session is not None and shutil.which("jstack") is not None:
                process = spark.session.sparkContext._gateway.proc.pid
                subprocess.run(["jstack", str(process)], stdout=out, stderr=out, check=False)
        raise RuntimeError(f"no answer in {ANSWER_SECONDS} s; who waits for what: {stacks}")


def serve(connection):
    with connection, connection.makefile("rw", encoding="utf-8") as stream:
        for line in stream:
            request = json.loads(line)
            try:
                answer = answer_of(request)
            except Exception as error:  # noqa: BLE001
                answer = {"error": f"{type(error).__name__}: {str(error)[:600]}"}
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


spark = SparkReader()
pool = concurrent.futures.ThreadPoolExecutor(max_workers=2)
server = socket.socket(socket.AF_UNIX)
server.bind(SOCKET)
server.listen()
print("listening", flush=True)
# Ends with its parent: standard input closes.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
