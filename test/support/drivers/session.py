"""What the Python sessions share: the endpoint comes in as JSON, what the driver saw goes out."""
import json
import sys

# host, port, user, password, database, schema; tls: null or {ca, cert, key}.
ENDPOINT = json.loads(sys.argv[1])
TLS = ENDPOINT["tls"]
_SEEN = {}

# Columnar where there is a gateway: aggregates over `items` (client-endpoints.ts makes it).
GROUPS = """SELECT g, count(*), sum(big), sum(n), avg(n), min(d), max(at), bool_or(ok), max(t)
  FROM items WHERE id <= {} GROUP BY g ORDER BY g"""
ROWS = "SELECT id, t, n, d, at, u, tags, marks, raw, f FROM items WHERE id <= {} ORDER BY id"
ENDLESS = "SELECT count(*) FROM items a, items b, items c WHERE a.g + b.g > c.g + {}"


def saw(step, value):
    _SEEN[step] = value


def tell():
    """The last line of the output; what JSON does not have is told as Python writes it."""
    print(json.dumps(_SEEN, default=repr))


def conninfo(**more):
    """For libpq: verify-full and the client's certificate where the endpoint has TLS."""
    words = {"host": ENDPOINT["host"], "port": ENDPOINT["port"], "user": ENDPOINT["user"],
             "dbname": ENDPOINT["database"], "password": ENDPOINT["password"],
             "options": f"-c search_path={ENDPOINT['schema']}"}
    if TLS is not None:
        words |= {"sslmode": "verify-full", "sslrootcert": TLS["ca"], "sslcert": TLS["cert"],
                  "sslkey": TLS["key"], "sslnegotiation": "direct"}
    return words | more
