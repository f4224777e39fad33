/** PgType: OIDs of PostgreSQL's built-in types; they never change between versions. */
export const PgType = {
  bool: 16, bytea: 17, name: 19, int8: 20, int2: 21, int4: 23, text: 25,
  float4: 700, float8: 701, unknown: 705, bpchar: 1042, varchar: 1043, date: 1082,
  timestamp: 1114, timestamptz: 1184, interval: 1186, numeric: 1700, uuid: 2950,
  boolArray: 1000, int2Array: 1005, int4Array: 1007, textArray: 1009, bpcharArray: 1014,
  varcharArray: 1015, int8Array: 1016, float4Array: 1021, float8Array: 1022,
  timestampArray: 1115, dateArray: 1182, timestamptzArray: 1185, numericArray: 1231,
  uuidArray: 2951,
} as const

/** Element type of the array types that constants and parameters may have. */
export const ARRAY_ELEMENT: ReadonlyMap<number, number> = new Map([
  [PgType.boolArray, PgType.bool], [PgType.int2Array, PgType.int2],
  [PgType.int4Array, PgType.int4], [PgType.int8Array, PgType.int8],
  [PgType.textArray, PgType.text], [PgType.varcharArray, PgType.varchar],
  [PgType.bpcharArray, PgType.bpchar], [PgType.float4Array, PgType.float4],
  [PgType.float8Array, PgType.float8], [PgType.dateArray, PgType.date],
  [PgType.timestampArray, PgType.timestamp], [PgType.timestamptzArray, PgType.timestamptz],
  [PgType.numericArray, PgType.numeric], [PgType.uuidArray, PgType.uuid],
])

const NAMES = new Map<number, string>([
  ...Object.entries(PgType).map(([name, oid]) => [oid, name] as const),
  [114, 'json'], [3802, 'jsonb'], [1083, 'time'], [2249, 'record'], [18, '"char"'],
])

/** For reasons that a user reads. */
export function typeName(typeOid: number): string {
  return NAMES.get(typeOid)?.replace(/Array$/, '[]') ?? `type ${typeOid}`
}

/** numeric's typmod: ((precision << 16) | (scale & 0x7ff)) + 4 (utils/adt/numeric.c). */
export function numericTypmod(typmod: number): { precision: number; scale: number } | null {
  if (typmod < 4) return null
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  return { precision, scale }
}
