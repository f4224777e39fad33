/**
 * MirrorValue: one column value between PostgreSQL's text and DuckDB's vector.
 *
 * MV1  A value is in the form below for its column's MirrorType, or null for SQL NULL:
 *      int2 int4 float4 float8 -> number; date -> number, days since 1970-01-01;
 *      int8 -> bigint; decimal -> bigint, unscaled; timestamp, timestamptz -> bigint, µs
 *      since 1970-01-01; bool -> boolean; bytea -> Buffer; array -> array of its elements;
 *      everything else -> string.
 */
export type MirrorScalarValue = number | bigint | string | boolean | Buffer | null
export type MirrorValue = MirrorScalarValue | readonly MirrorScalarValue[]

/** A row's values, in the order of its table's columns. */
export type MirrorRow = readonly MirrorValue[]
