/**
 * PgTypes: the built-in types of PostgreSQL that values are encoded for, by OID.
 *
 * Built-in OIDs never change between versions (catalog/pg_type.dat).
 */
export const PG = {
  bool: 16, bytea: 17, name: 19, int8: 20, int2: 21, int4: 23, text: 25, oid: 26,
  json: 114, xml: 142, float4: 700, float8: 701, unknown: 705, bpchar: 1042, varchar: 1043,
  date: 1082, time: 1083, timestamp: 1114, timestamptz: 1184, interval: 1186,
  numeric: 1700, uuid: 2950, jsonb: 3802,
} as const

/** Element type of each array type that the mirror holds as a list. */
const ELEMENTS: ReadonlyMap<number, number> = new Map([
  [1000, PG.bool], [1001, PG.bytea], [1003, PG.name], [1016, PG.int8], [1005, PG.int2],
  [1007, PG.int4], [1009, PG.text], [1021, PG.float4], [1022, PG.float8], [1014, PG.bpchar],
  [1015, PG.varchar], [1182, PG.date], [1115, PG.timestamp], [1185, PG.timestamptz],
  [1187, PG.interval], [1231, PG.numeric], [2951, PG.uuid],
])

export function elementOf(typeOid: number): number | null {
  return ELEMENTS.get(typeOid) ?? null
}

/** Decimals of numeric(p,s), or null when the typmod names none. */
export function numericScale(typmod: number): number | null {
  if (typmod < 4) return null
  return (((typmod - 4) & 0x7ff) ^ 1024) - 1024
}

/** As pg_typeof() names them; the server is asked for the others. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [PG.bool, 'boolean'], [PG.bytea, 'bytea'], [PG.name, 'name'], [PG.int8, 'bigint'],
  [PG.int2, 'smallint'], [PG.int4, 'integer'], [PG.text, 'text'], [PG.oid, 'oid'],
  [PG.json, 'json'], [PG.xml, 'xml'], [PG.float4, 'real'], [PG.float8, 'double precision'],
  [PG.unknown, 'unknown'], [PG.bpchar, 'character'], [PG.varchar, 'character varying'],
  [PG.date, 'date'], [PG.time, 'time without time zone'],
  [PG.timestamp, 'timestamp without time zone'], [PG.timestamptz, 'timestamp with time zone'],
  [PG.interval, 'interval'], [PG.numeric, 'numeric'], [PG.uuid, 'uuid'], [PG.jsonb, 'jsonb'],
  [18, '"char"'], [2205, 'regclass'], [2206, 'regtype'], [2278, 'void'], [3220, 'pg_lsn'],
])

export function typeName(typeOid: number): string | null {
  const element = elementOf(typeOid)
  return element === null ? NAMES.get(typeOid) ?? null : `${NAMES.get(element)}[]`
}

/** Text does not depend on any setting of the session. */
const SETTLED = new Set<number>([
  18, PG.oid, 27, 28, 29, PG.json, PG.xml, 199, 650, 651, 774, 775, 829, 869, PG.uuid, 1028,
  1040, 1041, PG.time, 1183, 1266, 1270, 1560, 1561, 1562, 1563, PG.numeric, 1231, PG.bpchar,
  3220, 3614, 3615, PG.jsonb, 3807, 3904, 3906, 3926, 4451, 4532, 4536, 5069,
])

/** Text depends on the search path, the locale or the catalog now. */
const UNSETTLED = new Set<number>([
  24, 790, 791, 1033, 1034, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191,
])

export type OpaqueRule = 'always' | 'date-style' | 'interval-style' | 'all-settings' | 'never'

/** What must hold of the session for the mirror's text of a type to be the session's. */
export function opaqueRule(typeOid: number): OpaqueRule {
  if (SETTLED.has(typeOid)) return 'always'
  if (UNSETTLED.has(typeOid)) return 'never'
  if (typeOid === PG.interval || typeOid === 1187) return 'interval-style'
  if (typeOid === 3912 || typeOid === 3908) return 'date-style'
  return 'all-settings'
}
