"""
Tables written by Spark, one for each way in which rows can hide, with Spark's own rows of every
version beside them: test/delta/spark-tables.test.ts reads them without Spark.

    python spark-tables.py CACHE OUT [NAME ...]     writes OUT/<name>.tar.gz, all or those named

An archive holds `table/` and `expected.json`, each row one JSON text in the form of
`slipway delta rows --json`, sorted:

    {"versions": {"0": [row, ...]},
     "changes": {"from": 0, "rows": [row, ...]},        null: not asked for
     "times": [[milliseconds, [row, ...]], ...]}        rows null: Spark refuses that time

A shallow clone stands beside its source, in `source/`, which its log calls /spark-tables/….
"""
import base64
import datetime
import decimal
import glob
import json
import math
import os
import shutil
import struct
import sys
import tarfile
import tempfile
import urllib.parse

os.environ["TZ"] = "UTC"
CACHE, OUT, *ONLY = sys.argv[1:]
WORK = tempfile.mkdtemp(prefix="spark tables ")

from pyspark.sql import SparkSession, types as T  # noqa: E402 (TZ comes first)

spark = (
    SparkSession.builder.master("local[2]").appName("spark-tables")
    .config("spark.jars", ",".join(sorted(glob.glob(f"{CACHE}/jars/spark/*.jar"))))
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.sql.shuffle.partitions", "1")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .config("spark.driver.memory", "1g").config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")


def text(value, kind):
    """One value as `slipway delta rows --json` prints it."""
    if value is None:
        return "null"
    if isinstance(kind, T.BooleanType):
        return "true" if value else "false"
    if isinstance(kind, (T.LongType, T.DecimalType)):
        plain = format(value, "f") if isinstance(value, decimal.Decimal) else str(value)
        return f'"{plain}"'
    if isinstance(kind, T.FractionalType):
        return float_text(value, isinstance(kind, T.FloatType))
    if isinstance(kind, T.IntegralType):
        return str(value)
    if isinstance(kind, T.DateType):
        return f'"{value.isoformat()}"'
    if isinstance(kind, (T.TimestampType, T.TimestampNTZType)):
        zone = "Z" if isinstance(kind, T.TimestampType) else ""
        return f'"{value.replace(tzinfo=None).isoformat(timespec="microseconds")}{zone}"'
    if isinstance(kind, T.BinaryType):
        return f'"{base64.b64encode(bytes(value)).decode()}"'
    if isinstance(kind, T.ArrayType):
        return f"[{','.join(text(v, kind.elementType) for v in value)}]"
    if isinstance(kind, T.MapType):
        pairs = [(text(k, kind.keyType), text(v, kind.valueType)) for k, v in value.items()]
        if isinstance(kind.keyType, T.StringType):
            return "{" + ",".join(f"{k}:{v}" for k, v in pairs) + "}"
        return "[" + ",".join(f"[{k},{v}]" for k, v in pairs) + "]"
    if isinstance(kind, T.StructType):
        return "{" + ",".join(f"{json.dumps(f.name, ensure_ascii=False)}:{text(value[i], f.dataType)}"
                              for i, f in enumerate(kind.fields)) + "}"
    return json.dumps(value, ensure_ascii=False)


def float_text(value, single):
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    if value == 0:
        return "-0.0" if math.copysign(1, value) < 0 else "0"
    if single:
        for digits in range(6, 10):
            shorter = float(f"{value:.{digits}g}")
            if struct.pack("f", shorter) == struct.pack("f", value):
                value = shorter
                break
    return str(int(value)) if value == int(value) and abs(value) < 1e21 else repr(value)


def rows(frame):
    return sorted(text(row, frame.schema) for row in frame.collect())


def make(name, statements, changes_from=None, properties="", times=False):
    """Statements use {t} for the table, {s} for the source of a clone."""
    if ONLY and name not in ONLY:
        return
    path, source = f"{WORK}/{name}/table", f"{WORK}/{name}/source"
    for statement in statements:
        spark.sql(statement.replace("{t}", f"delta.`{path}`").replace("{s}", f"delta.`{source}`")
                  .replace("{p}", properties))
    for setting in [s.split("=")[0][4:] for s in statements if s.startswith("SET ")]:
        spark.conf.set(setting, BEFORE[setting]) if setting in BEFORE else spark.conf.unset(setting)
    history = spark.sql(f"DESCRIBE HISTORY delta.`{path}`").collect()
    expected = {"versions": {}, "changes": None, "times": []}
    for version in range(len(history)):
        expected["versions"][str(version)] = rows(reader("versionAsOf", version).load(path))
    if changes_from is not None:
        feed = (reader("readChangeFeed", "true").option("startingVersion", changes_from)
                .load(path).drop("_commit_timestamp"))
        expected["changes"] = {"from": changes_from, "rows": rows(feed)}
    if times:
        commits = sorted(round(row["timestamp"].timestamp() * 1000) for row in history)
        moments = {at + by for at in commits for by in (-1, 0)} | {commits[-1] + 1}
        expected["times"] = [[at, rows_at(path, at)] for at in sorted(moments)]
    pack(name, expected)


def reader(option, value):
    return spark.read.format("delta").option(option, value)


def rows_at(path, at):
    moment = datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc)
    text_of_moment = moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    try:
        return rows(reader("timestampAsOf", text_of_moment).load(path))
    except Exception as error:  # noqa: BLE001 (a time outside of the table's)
        if "DELTA_TIMESTAMP" not in str(error):
            raise
        return None


def pack(name, expected):
    place = f"{WORK}/{name}"
    with open(f"{place}/expected.json", "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False)
    for crc in glob.glob(f"{place}/**/.*.crc", recursive=True):
        os.remove(crc)
    if os.path.exists(f"{place}/source"):
        # A clone begins with a checkpoint, whose paths nobody can move; the log says the same.
        for file in glob.glob(f"{place}/table/_delta_log/*checkpoint*"):
            os.remove(file)
    for file in glob.glob(f"{place}/*/_delta_log/*.*"):
        modified = os.stat(file).st_mtime_ns // 1_000_000
        if not file.endswith(".parquet"):
            body = open(file, "rb").read()
            for found in (WORK, urllib.parse.quote(WORK)):
                body = body.replace(found.encode(), b"/spark-tables")
            open(file, "wb").write(body)
        # A whole millisecond is not above itself once it went through a float.
        os.utime(file, ns=(modified * 1_000_000 + 500_000,) * 2)
    os.makedirs(OUT, exist_ok=True)
    with tarfile.open(f"{OUT}/{name.replace(' ', '-')}.tar.gz", "w:gz", compresslevel=9) as archive:
        archive.add(place, arcname=".")
    print(name, len(expected["versions"]), os.path.getsize(archive.name), flush=True)


BEFORE = {"spark.sql.session.timeZone": "UTC"}
PROPERTIES = "'delta.enableDeletionVectors'='true'"
FEED = PROPERTIES + ",'delta.enableChangeDataFeed'='true'"

make("every type", [
    "CREATE TABLE {t} (b BYTE, s SHORT, i INT, l LONG, f FLOAT, d DOUBLE, bo BOOLEAN, st STRING,"
    " bi BINARY, da DATE, ts TIMESTAMP, nt TIMESTAMP_NTZ, d9 DECIMAL(9,2), d18 DECIMAL(18,6),"
    " d38 DECIMAL(38,18), a ARRAY<STRUCT<x:INT,y:STRING>>, m MAP<STRING,DECIMAL(10,2)>,"
    " n STRUCT<p:STRUCT<q:LONG>,r:ARRAY<ARRAY<INT>>>) USING delta",
    "INSERT INTO {t} SELECT -128, -32768, -2147483648, -9223372036854775808, float('NaN'),"
    " double('-Infinity'), true, 'a\\'\"\\\\é😀', X'00ff', DATE'0001-01-01',"
    " TIMESTAMP'1969-12-31T23:59:59.999999Z', TIMESTAMP_NTZ'9999-12-31 23:59:59.999999', -1234567.89,"
    " 123456789012.123456, 12345678901234567890.123456789012345678, array(named_struct('x',1,'y',"
    "'z'),null), map('k',1.50BD,'n',null), named_struct('p',named_struct('q',5L),'r',"
    "array(array(1,null),null,array()))",
    "INSERT INTO {t} SELECT 127, 32767, 2147483647, 9223372036854775807, float(0.1), double(-0.0),"
    " false, '', X'', DATE'9999-12-31', TIMESTAMP'2024-03-31T01:59:59.123456Z',"
    " TIMESTAMP_NTZ'0001-01-01 00:00:00', 0.01, -0.000001, -0.000000000000000001, array(), map(),"
    " named_struct('p',null,'r',null)",
    "INSERT INTO {t} (i) VALUES (7)"])
make("partitioned by every type", [
    "CREATE TABLE {t} (v INT, b BYTE, l LONG, f FLOAT, bo BOOLEAN, st STRING, da DATE, ts TIMESTAMP,"
    " nt TIMESTAMP_NTZ, de DECIMAL(20,3)) USING delta PARTITIONED BY (b, l, f, bo, st, da, ts, nt, de)",
    "INSERT INTO {t} VALUES (1, 1, 9007199254740993, 1.5, true, 'a b%/=é\"*[x]?', DATE'2024-02-29',"
    " TIMESTAMP'2024-03-31T01:59:59.123456Z', TIMESTAMP_NTZ'2024-03-31 02:30:00', 12345678901234567.125),"
    " (2, null, null, null, null, null, null, null, null, null),"
    " (3, -1, -1, float('NaN'), false, ' ', DATE'1970-01-01', TIMESTAMP'1970-01-01T00:00:00Z',"
    " TIMESTAMP_NTZ'1970-01-01 00:00:00', 0)"])
make("deletes updates merges", [
    "CREATE TABLE {t} (id LONG, name STRING, part INT) USING delta PARTITIONED BY (part)"
    " TBLPROPERTIES ({p})",
    "INSERT INTO {t} SELECT id, concat('n', id), id % 2 FROM range(20)",
    "DELETE FROM {t} WHERE id IN (3, 4, 15)",
    "UPDATE {t} SET name = 'changed' WHERE id BETWEEN 5 AND 8",
    "MERGE INTO {t} USING (SELECT id, 'merged' AS name FROM range(10, 24)) s ON {t}.id = s.id"
    .replace("{t}.id", "t.id").replace("MERGE INTO {t}", "MERGE INTO {t} t")
    + " WHEN MATCHED AND s.id = 12 THEN DELETE WHEN MATCHED THEN UPDATE SET t.name = s.name"
    " WHEN NOT MATCHED THEN INSERT (id, name, part) VALUES (s.id, s.name, 9)",
    "OPTIMIZE {t}", "DELETE FROM {t} WHERE part = 0", "RESTORE TABLE {t} TO VERSION AS OF 4",
    "INSERT OVERWRITE {t} SELECT id, 'last', 1 FROM range(2)"], 0, FEED)
make("column mapping by name", [
    "CREATE TABLE {t} (id LONG, `a b,;{}()=` STRING, s STRUCT<x:INT,`y z`:STRING>, p INT) USING delta"
    " PARTITIONED BY (p) TBLPROPERTIES ({p}, 'delta.columnMapping.mode'='name')",
    "INSERT INTO {t} SELECT id, concat('v', id), named_struct('x', int(id), 'y z', 'q'), 1 FROM range(5)",
    "ALTER TABLE {t} RENAME COLUMN `a b,;{}()=` TO renamed",
    "ALTER TABLE {t} RENAME COLUMN s.`y z` TO yz",
    "ALTER TABLE {t} DROP COLUMN id", "ALTER TABLE {t} ADD COLUMN (id STRING)",
    "INSERT INTO {t} (renamed, s, p, id) VALUES ('new', named_struct('x', 9, 'yz', 'w'), 2, 'text')",
    "DELETE FROM {t} WHERE renamed = 'v2'"], None, PROPERTIES)
make("column mapping by id", [
    "CREATE TABLE {t} (id LONG, s STRUCT<x:INT,y:ARRAY<STRUCT<z:INT>>>) USING delta"
    " TBLPROPERTIES ({p}, 'delta.columnMapping.mode'='id')",
    "INSERT INTO {t} SELECT id, named_struct('x', int(id), 'y', array(named_struct('z', 1))) FROM range(5)",
    "ALTER TABLE {t} RENAME COLUMN id TO key", "UPDATE {t} SET key = -1 WHERE key = 2",
    "DELETE FROM {t} WHERE key = 3"], None, FEED)
make("partitioned by short integer double binary", [
    "CREATE TABLE {t} (v INT, s SHORT, i INT, d DOUBLE, bi BINARY) USING delta"
    " PARTITIONED BY (s, i, d, bi)",
    "INSERT INTO {t} VALUES (1, -32768, 2147483647, 0.1, X'010203'), (2, null, null, null, null),"
    " (3, 1, 0, double('-Infinity'), X'41'), (4, 1, 0, -1.5e-300, X'')"])
make("widened", [
    "CREATE TABLE {t} (a BYTE, b SHORT, c INT, d FLOAT, e DECIMAL(5,2), f DATE, g INT, h INT, p BYTE,"
    " s STRUCT<x:SHORT>, l ARRAY<BYTE>, m MAP<BYTE,DATE>) USING delta PARTITIONED BY (p) TBLPROPERTIES"
    " ('delta.enableTypeWidening'='true', 'delta.feature.timestampNtz'='supported')",
    "INSERT INTO {t} VALUES (1, 2, 3, 0.1, 1.25, DATE'2024-01-01', 7, 8, 1, named_struct('x', 5S),"
    " array(1Y, null), map(1Y, DATE'2024-02-29'))",
    "ALTER TABLE {t} CHANGE COLUMN a TYPE INT", "ALTER TABLE {t} CHANGE COLUMN b TYPE LONG",
    "ALTER TABLE {t} CHANGE COLUMN c TYPE DOUBLE", "ALTER TABLE {t} CHANGE COLUMN d TYPE DOUBLE",
    "ALTER TABLE {t} CHANGE COLUMN e TYPE DECIMAL(20,4)",
    "ALTER TABLE {t} CHANGE COLUMN f TYPE TIMESTAMP_NTZ", "ALTER TABLE {t} CHANGE COLUMN g TYPE DECIMAL(12,2)",
    "ALTER TABLE {t} CHANGE COLUMN p TYPE INT", "ALTER TABLE {t} CHANGE COLUMN s.x TYPE INT",
    "ALTER TABLE {t} CHANGE COLUMN l.element TYPE LONG", "ALTER TABLE {t} CHANGE COLUMN m.key TYPE INT",
    "ALTER TABLE {t} CHANGE COLUMN m.value TYPE TIMESTAMP_NTZ",
    "INSERT INTO {t} VALUES (2147483647, 9223372036854775807, 0.5, 0.1, 123456789.1234,"
    " TIMESTAMP_NTZ'2024-01-01 12:00:00.000001', 1234567890.25, 8, 100000, named_struct('x', 100000),"
    " array(9223372036854775807L), map(100000, TIMESTAMP_NTZ'2024-02-29 00:00:00.5'))"])
make("clustered", [
    "CREATE TABLE {t} (id LONG, s STRUCT<at:DATE>) USING delta CLUSTER BY (id, s.at)",
    "INSERT INTO {t} SELECT id, named_struct('at', DATE'2024-01-01' + int(id)) FROM range(40)",
    "INSERT INTO {t} SELECT id, named_struct('at', DATE'2024-01-01' - int(id)) FROM range(40, 80)",
    "OPTIMIZE {t}", "ALTER TABLE {t} CLUSTER BY (id)", "DELETE FROM {t} WHERE id % 3 = 0",
    "OPTIMIZE {t} FULL"])
make("generated identity default checked", [
    "CREATE TABLE {t} (id LONG GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY -3),"
    " other LONG GENERATED BY DEFAULT AS IDENTITY, at TIMESTAMP NOT NULL,"
    " day DATE GENERATED ALWAYS AS (CAST(at AS DATE)), kind STRING DEFAULT 'plain', c CHAR(4), v VARCHAR(5))"
    " USING delta PARTITIONED BY (day) TBLPROPERTIES ('delta.feature.allowColumnDefaults'='supported')",
    "ALTER TABLE {t} ADD CONSTRAINT later CHECK (at > '2000-01-01')",
    "INSERT INTO {t} (at, c, v) VALUES (TIMESTAMP'2024-01-01T10:00:00Z', 'abcd', 'b'),"
    " (TIMESTAMP'2024-01-02T00:00:00Z', null, '')",
    "ALTER TABLE {t} ALTER COLUMN kind SET DEFAULT 'fancy'",
    "INSERT INTO {t} (at, other) VALUES (TIMESTAMP'2025-01-01T10:00:00Z', -1)",
    "UPDATE {t} SET kind = DEFAULT WHERE other = 1"])
for form in ("json", "parquet"):
    make(f"v2 checkpoints {form}", [
        f"SET spark.databricks.delta.checkpointV2.topLevelFileFormat={form}",
        "SET spark.databricks.delta.checkpoint.partSize=4",
        "CREATE TABLE {t} (id LONG, part INT) USING delta PARTITIONED BY (part) TBLPROPERTIES ({p},"
        " 'delta.checkpointPolicy'='v2', 'delta.checkpointInterval'='2')",
        "INSERT INTO {t} SELECT id, id % 3 FROM range(30)", "DELETE FROM {t} WHERE id IN (1, 2)",
        "UPDATE {t} SET part = 7 WHERE id < 6", "DELETE FROM {t} WHERE part = 7"],
        properties=PROPERTIES)
make("multi part checkpoints with struct stats", [
    "SET spark.databricks.delta.checkpoint.partSize=4",
    "CREATE TABLE {t} (id LONG, part DATE, name STRING) USING delta PARTITIONED BY (part) TBLPROPERTIES ({p},"
    " 'delta.checkpoint.writeStatsAsStruct'='true', 'delta.checkpoint.writeStatsAsJson'='false',"
    " 'delta.checkpointInterval'='2')",
    "INSERT INTO {t} SELECT id, DATE'2024-01-01' + int(id % 3), concat('n', id) FROM range(30)",
    "DELETE FROM {t} WHERE id IN (1, 2)", "INSERT INTO {t} VALUES (100, null, null)",
    "UPDATE {t} SET name = null WHERE id = 7"], properties=PROPERTIES)
make("in-commit timestamps from the start", [
    "CREATE TABLE {t} (id LONG) USING delta TBLPROPERTIES ('delta.enableInCommitTimestamps'='true')",
    "INSERT INTO {t} SELECT id FROM range(3)", "DELETE FROM {t} WHERE id = 1",
    "INSERT INTO {t} VALUES (9)"], times=True)
make("in-commit timestamps later", [
    "CREATE TABLE {t} (id LONG) USING delta", "INSERT INTO {t} SELECT id FROM range(3)",
    "DELETE FROM {t} WHERE id = 1",
    "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableInCommitTimestamps'='true')",
    "INSERT INTO {t} VALUES (9)", "INSERT INTO {t} VALUES (10)"], times=True)
make("shallow clone", [
    "CREATE TABLE {s} (id LONG, name STRING, part STRING) USING delta PARTITIONED BY (part)"
    " TBLPROPERTIES ({p})",
    "INSERT INTO {s} SELECT id, concat('n', id), if(id % 2 = 0, 'even', 'o d%d') FROM range(10)",
    "DELETE FROM {s} WHERE id = 4", "CREATE TABLE {t} SHALLOW CLONE {s}",
    "INSERT INTO {t} VALUES (100, 'own', 'even')", "DELETE FROM {t} WHERE id IN (2, 100)",
    "DELETE FROM {s} WHERE id > 5", "UPDATE {t} SET name = 'changed' WHERE id = 3"],
    properties=PROPERTIES)
make("row tracking", [
    "CREATE TABLE {t} (id LONG, name STRING) USING delta TBLPROPERTIES ({p},"
    " 'delta.enableRowTracking'='true')",
    "INSERT INTO {t} SELECT id, concat('n', id) FROM range(10)",
    "UPDATE {t} SET name = 'changed' WHERE id < 3", "DELETE FROM {t} WHERE id = 5",
    "MERGE INTO {t} t USING (SELECT id FROM range(8, 12)) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET"
    " name = 'merged' WHEN NOT MATCHED THEN INSERT (id, name) VALUES (s.id, 'new')", "OPTIMIZE {t}"],
    0, FEED)
make("change feed across columns", [
    "CREATE TABLE {t} (id LONG, part INT) USING delta PARTITIONED BY (part) TBLPROPERTIES"
    " ('delta.enableChangeDataFeed'='true')",
    "INSERT INTO {t} SELECT id, id % 2 FROM range(6)", "UPDATE {t} SET id = id + 10 WHERE id = 3",
    "ALTER TABLE {t} ADD COLUMN (name STRING FIRST, s STRUCT<x:INT>)",
    "INSERT INTO {t} VALUES ('new', 7, 0, named_struct('x', 1))",
    "ALTER TABLE {t} ADD COLUMN (s.y STRING)", "UPDATE {t} SET name = 'set', s.y = 'y' WHERE part = 0",
    "DELETE FROM {t} WHERE id = 1"], 0)
spark.stop()
shutil.rmtree(WORK)
