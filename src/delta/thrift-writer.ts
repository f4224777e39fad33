/**
 * ThriftWriter: the compact protocol, as far as Parquet's headers and footers need it.
 *
 * Source: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
 */
import type { GrowingBuffer } from './growing-buffer.ts'

export type ThriftValue =
  | { readonly kind: 'i32' | 'i64'; readonly value: number }
  | { readonly kind: 'binary'; readonly value: string }
  | { readonly kind: 'list'; readonly of: ElementKind; readonly items: readonly ThriftValue[] }
  | { readonly kind: 'struct'; readonly fields: ThriftFields }

type ElementKind = 'i32' | 'binary' | 'struct'

/** Field id and value, ids rising; undefined: left out. */
export type ThriftFields = readonly (readonly [number, ThriftValue | undefined])[]

const CODES = { i32: 5, i64: 6, binary: 8, list: 9, struct: 12 } as const
const SHORT_LIST_MAX = 14

export const i32 = (value: number): ThriftValue => ({ kind: 'i32', value })
export const i64 = (value: number): ThriftValue => ({ kind: 'i64', value })
export const binary = (value: string): ThriftValue => ({ kind: 'binary', value })
export const struct = (fields: ThriftFields): ThriftValue => ({ kind: 'struct', fields })
export const list = (of: ElementKind, items: readonly ThriftValue[]): ThriftValue =>
  ({ kind: 'list', of, items })

export function writeThrift(out: GrowingBuffer, fields: ThriftFields): void {
  let last = 0
  for (const [id, value] of fields) {
    if (value === undefined) continue
    // Ids of Parquet's structures are never more than 15 apart.
    out.u8((id - last) << 4 | CODES[value.kind])
    last = id
    writeValue(out, value)
  }
  out.u8(0)
}

function writeValue(out: GrowingBuffer, value: ThriftValue): void {
  switch (value.kind) {
    case 'i32': case 'i64': out.varint(value.value >= 0 ? value.value * 2 : -value.value * 2 - 1)
      break
    case 'binary': {
      out.varint(Buffer.byteLength(value.value))
      out.text(value.value)
      break
    }
    case 'list':
      if (value.items.length <= SHORT_LIST_MAX) out.u8(value.items.length << 4 | CODES[value.of])
      else {
        out.u8(0xf0 | CODES[value.of])
        out.varint(value.items.length)
      }
      for (const item of value.items) writeValue(out, item)
      break
    case 'struct': writeThrift(out, value.fields)
  }
}
