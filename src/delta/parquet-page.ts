/**
 * ParquetPages: the pages of one column chunk, found, checked and decompressed.
 *
 * G1  A size or count from the file is held against what it may be before anything is allocated
 *     by it; what all pages of a file take together is held against its DecodeBudget.
 * G2  A page that carries a checksum has passed it before it is decompressed.
 *
 * Source: apache/parquet-format, README.md "Data Pages", Encodings.md.
 */
import * as zlib from 'node:zlib'
import type { ColumnMetaData, CompressionCodec, PageHeader } from 'hyparquet'
import { parquetHeader } from 'hyparquet/src/column.js'
import { compressors, decompressZstd } from 'hyparquet-compressors'
import { checkThrift } from './thrift-bounds.ts'

const MEBIBYTE = 2 ** 20
const PAGE_BYTES_MAX = 512 * MEBIBYTE
/** Room for a small file; a larger one may grow by BUDGET_FACTOR. */
const BUDGET_BASE_BYTES = 256 * MEBIBYTE
const BUDGET_FACTOR = 300
/** A two-byte copy of Snappy makes 64 bytes of three. */
const SNAPPY_FACTOR = 24

/** Bytes that one file may take once decoded. */
export class DecodeBudget {
  #left: number

  constructor(fileBytes: number) {
    this.#left = BUDGET_BASE_BYTES + BUDGET_FACTOR * fileBytes
  }

  /** Throws when the file has had its share. */
  take(bytes: number): void {
    this.#left -= bytes
    if (!(this.#left >= 0)) throw new Error('the file decodes to more than it may')
  }
}

export interface Page {
  readonly kind: 'dictionary' | 'data'
  /** Values, nulls among them. */
  readonly count: number
  readonly encoding: string
  /** Encoded levels; null where the column has none. */
  readonly repetitions: Uint8Array | null
  readonly definitions: Uint8Array | null
  /** Encoded values. */
  readonly body: Uint8Array
}

export interface ChunkPlace {
  /** The whole file. */
  readonly file: Uint8Array
  readonly chunk: ColumnMetaData
  readonly budget: DecodeBudget
  /** Whether the column's schema has such levels. */
  readonly levels: { readonly repetition: boolean; readonly definition: boolean }
}

/** The compressed pages in order; headers and checksums have been checked. */
export function findPages(place: ChunkPlace): readonly CompressedPage[] {
  const { file, chunk } = place
  const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
  const end = start + Number(chunk.total_compressed_size)
  if (!(start >= 0) || !(end <= file.length)) throw new Error('a column lies outside the file')
  const pages: CompressedPage[] = []
  for (let at = start; at < end;) {
    const bodyStart = checkThrift(file, at)
    const header = parquetHeader({ view: viewOf(file.subarray(at, bodyStart)), offset: 0 })
    const size = header.compressed_page_size
    if (!(size >= 0) || bodyStart + size > end) throw new Error('a page passes its column')
    const body = file.subarray(bodyStart, bodyStart + size)
    if (header.crc !== undefined && zlib.crc32(body) !== header.crc >>> 0) {
      throw new Error('a page does not match its checksum')
    }
    pages.push({ header, body })
    at = bodyStart + size
  }
  return pages
}

export interface CompressedPage {
  readonly header: PageHeader
  readonly body: Uint8Array
}

/** null for a page that holds no values (an index). */
export function openPage(place: ChunkPlace, { header, body }: CompressedPage): Page | null {
  const v2 = header.data_page_header_v2
  if (v2 !== undefined) return openPageV2(place, header, body)
  const about = header.dictionary_page_header ?? header.data_page_header
  if (about === undefined) return null
  const bytes = decompress(place, body, header.uncompressed_page_size)
  const isDictionary = header.dictionary_page_header !== undefined
  const page = { count: countOf(about.num_values, place), encoding: about.encoding }
  if (isDictionary) {
    return { kind: 'dictionary', ...page, repetitions: null, definitions: null, body: bytes }
  }
  let at = 0
  const section = (present: boolean): Uint8Array | null => {
    if (!present) return null
    const length = viewOf(bytes).getUint32(at, true)
    if (at + 4 + length > bytes.length) throw new Error('levels pass their page')
    at += 4 + length
    return bytes.subarray(at - length, at)
  }
  const repetitions = section(place.levels.repetition)
  const definitions = section(place.levels.definition)
  return { kind: 'data', ...page, repetitions, definitions, body: bytes.subarray(at) }
}

function openPageV2(place: ChunkPlace, header: PageHeader, body: Uint8Array): Page {
  const about = header.data_page_header_v2
  if (about === undefined) throw new Error('invariant broken: a page of version 2')
  const { repetition_levels_byte_length: first, definition_levels_byte_length: second } = about
  const levels = first + second
  if (!(first >= 0) || !(second >= 0) || levels > body.length) {
    throw new Error('levels pass their page')
  }
  const values = body.subarray(levels)
  return {
    kind: 'data', count: countOf(about.num_values, place), encoding: about.encoding,
    repetitions: place.levels.repetition ? body.subarray(0, first) : null,
    definitions: place.levels.definition ? body.subarray(first, levels) : null,
    body: about.is_compressed === false ? values
      : decompress(place, values, header.uncompressed_page_size - levels),
  }
}

/** A page of nulls takes no bytes, so only the chunk's own count bounds it. */
function countOf(count: number, { chunk }: ChunkPlace): number {
  if (!(count >= 0) || count > Number(chunk.num_values)) {
    throw new Error('a page counts more values than its column')
  }
  return count
}

/** G1. */
function decompress({ chunk, budget }: ChunkPlace, body: Uint8Array, size: number): Uint8Array {
  if (!(size >= 0) || size > PAGE_BYTES_MAX) throw new Error('a page is too large')
  if (chunk.codec === 'SNAPPY' && size > SNAPPY_FACTOR * body.length) {
    throw new Error('a page claims more than its bytes can hold')
  }
  if (chunk.codec === 'UNCOMPRESSED' || size === 0) return body.subarray(0, size)
  budget.take(size)
  const bytes = decompressBy(chunk.codec, body, size)
  if (bytes.length !== size) throw new Error('a page has another size than it says')
  return bytes
}

function decompressBy(codec: CompressionCodec, body: Uint8Array, size: number): Uint8Array {
  const bound = { maxOutputLength: size }
  switch (codec) {
    case 'GZIP': return zlib.gunzipSync(body, bound)
    case 'BROTLI': return zlib.brotliDecompressSync(body, bound)
    case 'ZSTD': return unpackZstd(body, size)
    default: {
      const unpack = compressors[codec]
      if (unpack === undefined) throw new Error('a column has an unknown compression')
      return unpack(body, size)
    }
  }
}

type ZstdSync = (body: Uint8Array, options: { readonly maxOutputLength: number }) => Uint8Array
/** Node has it from 22.15 on. */
const nativeZstd = (zlib as { readonly zstdDecompressSync?: ZstdSync }).zstdDecompressSync

function unpackZstd(body: Uint8Array, size: number): Uint8Array {
  return nativeZstd?.(body, { maxOutputLength: size })
    ?? decompressZstd(body, new Uint8Array(size))
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
