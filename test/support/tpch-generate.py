"""Writes TPC-H at a scale as CSV: tpch-generate.py SCALE FOLDER (reference generator)."""
import os
import sys

import duckdb

scale, folder = float(sys.argv[1]), sys.argv[2]
connection = duckdb.connect()
connection.execute(f"CALL dbgen(sf={scale})")
for (name,) in connection.execute("SHOW TABLES").fetchall():
    path = os.path.join(folder, f"{name}.csv")
    connection.execute(f"COPY {name} TO '{path}' (HEADER false)")
