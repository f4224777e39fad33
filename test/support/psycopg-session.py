"""A session of psycopg as an application has it: psycopg-session.py DSN; ends with `all well`."""
import sys
import time
from decimal import Decimal

import psycopg

connection = psycopg.connect(sys.argv[1], options="-c search_path=psycopg_client")
connection.execute("CREATE TABLE t (id int PRIMARY KEY, g int, n numeric(10,2), s text)")
with connection.cursor().copy("COPY t FROM STDIN") as copy:
    for i in range(10_000):
        copy.write_row((i, i % 5, Decimal(i) / 4, f"s{i}"))
connection.commit()
connection.autocommit = True

QUERY = "SELECT g, count(*), sum(n), avg(id), max(s) FROM t WHERE id < %s GROUP BY g ORDER BY g"
answers = []
for route in ("postgres", "auto", "columnar"):
    for binary in (False, True):
        connection.execute(f"SET slipway.route = '{route}'")
        cursor = connection.cursor(binary=binary)
        # The table may still be copying: until then only PostgreSQL can answer.
        for attempt in range(200):
            try:
                answers.append(cursor.execute(QUERY, (9_000,), binary=binary).fetchall())
                break
            except psycopg.errors.DatabaseError as error:
                if route != "columnar" or not error.sqlstate.startswith("SW"):
                    raise
                if attempt == 199:
                    raise
                time.sleep(0.1)
assert all(answer == answers[0] for answer in answers), answers
assert answers[0][0][:3] == (0, 1800, Decimal("2023875.00")), answers[0][0]

connection.execute("SET slipway.route = 'auto'")
with connection.transaction():
    with connection.cursor(name="rows") as cursor:
        cursor.itersize = 1000
        cursor.execute("SELECT id, s FROM t ORDER BY id")
        assert sum(1 for _ in cursor) == 10_000

with connection.pipeline():
    cursors = [connection.execute("SELECT count(*) FROM t WHERE g = %s", (g,)) for g in range(5)]
assert [cursor.fetchone()[0] for cursor in cursors] == [2000] * 5

with connection.cursor().copy("COPY (SELECT id FROM t ORDER BY id) TO STDOUT") as copy:
    assert sum(1 for _ in copy.rows()) == 10_000
print("all well")
