/**
 * DeletionVector: the deleted row positions of one data file, and where they are kept.
 *
 * V1  What is written has storage type `u`, an offset, and an exact cardinality: the only form
 *     that every reader takes (Trino refuses the rest).
 * V2  What is read has passed its size, checksum, magic and cardinality.
 * V3  The file is durable before its descriptors are returned.
 *
 * Source: PROTOCOL.md "Deletion Vectors". Its inline example is the older native format, which
 * the Delta kernels refuse, and so do we.
 */
import { randomUUID } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { SlipwayError } from '../base/errors.ts'
import type { Storage } from '../storage/storage.ts'
import type { DeletionVectorDescriptor } from './actions.ts'
import { filePlace, type FilePlace } from './data-path.ts'
import { RowBitmap } from './row-bitmap.ts'
import { decodeZ85, encodeZ85 } from './z85.ts'

const MAGIC = 1681511377
const FILE_FORMAT = 1
const UUID_CHARACTERS = 20

/** Writes one `.bin` file with all of them; the descriptors come in the same order. */
export async function writeDeletionVectors(storage: Storage, vectors: readonly RowBitmap[])
  : Promise<readonly DeletionVectorDescriptor[]> {
  if (vectors.length === 0) return []
  const uuid = randomUUID()
  const pathOrInlineDv = encodeZ85(Buffer.from(uuid.replaceAll('-', ''), 'hex'))
  const parts: Buffer[] = [Buffer.from([FILE_FORMAT])]
  let offset = 1
  const descriptors = vectors.map((vector): DeletionVectorDescriptor => {
    const data = encodeData(vector)
    const size = Buffer.alloc(4)
    size.writeUInt32BE(data.length)
    const checksum = Buffer.alloc(4)
    checksum.writeUInt32BE(crc32(data))
    parts.push(size, data, checksum)
    const start = offset
    offset += data.length + 8
    return { storageType: 'u', pathOrInlineDv, offset: start, sizeInBytes: data.length,
      cardinality: vector.cardinality }
  })
  const path = `deletion_vector_${uuid}.bin`
  if (await storage.putIfAbsent(path, Buffer.concat(parts)) === 'exists') {
    throw new SlipwayError('internal', 'a new UUID was in use already')
  }
  return descriptors
}

/** V2. Throws `delta-corrupt` naming the file; `delta-unsupported` outside the table. */
export async function readDeletionVector(storage: Storage, descriptor: DeletionVectorDescriptor)
  : Promise<RowBitmap> {
  const place = deletionVectorPlace(storage, descriptor)
  const data = place === null ? inlineData(descriptor) : await storedData(place, descriptor)
  const vector = decodeData(data)
  if (vector.cardinality !== descriptor.cardinality) {
    throw damaged(descriptor, 'the count of its rows is not the one in the log')
  }
  return vector
}

/** PROTOCOL.md "Derived Fields": with the path it identifies a logical file. */
export function deletionVectorId(descriptor: DeletionVectorDescriptor | undefined): string {
  if (descriptor === undefined) return ''
  const place = descriptor.offset === undefined ? '' : `@${descriptor.offset}`
  return `${descriptor.storageType}${descriptor.pathOrInlineDv}${place}`
}

/**
 * Relative to the table's root; null for an inline one. Throws as readDeletionVector, and
 * `delta-unsupported` for one that lies outside, wherever the storage may go.
 */
export function deletionVectorPath(storage: Storage, descriptor: DeletionVectorDescriptor)
  : string | null {
  const place = deletionVectorPlace(storage, descriptor)
  if (place === null || place.storage === storage) return place?.path ?? null
  throw new SlipwayError('delta-unsupported', 'a deletion vector lies outside of its table')
}

function deletionVectorPlace(storage: Storage, descriptor: DeletionVectorDescriptor)
  : FilePlace | null {
  switch (descriptor.storageType) {
    case 'i': return null
    case 'u': return { storage, path: relativePath(descriptor) }
    case 'p': return filePlace(storage, descriptor.pathOrInlineDv)
  }
}

function relativePath(descriptor: DeletionVectorDescriptor): string {
  const { pathOrInlineDv } = descriptor
  const prefix = pathOrInlineDv.slice(0, -UUID_CHARACTERS)
  let hex: string
  try {
    hex = decodeZ85(pathOrInlineDv.slice(-UUID_CHARACTERS)).toString('hex')
  } catch {
    throw damaged(descriptor, 'its name is no UUID')
  }
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  if (uuid.length !== 36) throw damaged(descriptor, 'its name is no UUID')
  return `${prefix === '' ? '' : `${prefix}/`}deletion_vector_${uuid}.bin`
}

function encodeData(vector: RowBitmap): Buffer {
  const magic = Buffer.alloc(4)
  magic.writeUInt32LE(MAGIC)
  return Buffer.concat([magic, vector.encode()])
}

function decodeData(data: Buffer): RowBitmap {
  if (data.length < 4 || data.readUInt32LE(0) !== MAGIC) {
    throw new SlipwayError('delta-corrupt', 'a deletion vector is malformed: magic number')
  }
  return RowBitmap.decode(data.subarray(4))
}

function inlineData(descriptor: DeletionVectorDescriptor): Buffer {
  let bytes: Buffer
  try {
    bytes = decodeZ85(descriptor.pathOrInlineDv)
  } catch {
    throw damaged(descriptor, 'it is not Z85 text')
  }
  // The encoder pads to a multiple of four.
  if (descriptor.sizeInBytes > bytes.length || bytes.length - descriptor.sizeInBytes > 3) {
    throw damaged(descriptor, 'its size is not the one in the log')
  }
  return bytes.subarray(0, descriptor.sizeInBytes)
}

async function storedData({ storage, path }: FilePlace, descriptor: DeletionVectorDescriptor)
  : Promise<Buffer> {
  const { offset = 1, sizeInBytes } = descriptor
  if (!Number.isSafeInteger(offset) || offset < 1 || !Number.isSafeInteger(sizeInBytes)
    || sizeInBytes < 0) throw damaged(descriptor, 'its place is not a number')
  const found = await storage.stat(path)
  if (found === null) throw damaged(descriptor, `${path} is missing`)
  // Checked before reading: a size from the log must not become a huge buffer.
  if (offset + sizeInBytes + 8 > found.size) throw damaged(descriptor, `${path} is too short`)
  const bytes = await storage.getRange(path, { start: offset, end: offset + sizeInBytes + 8 })
  if (bytes === null || bytes.length !== sizeInBytes + 8) {
    throw damaged(descriptor, `${path} is too short`)
  }
  const data = bytes.subarray(4, 4 + sizeInBytes)
  if (bytes.readUInt32BE(0) !== sizeInBytes) throw damaged(descriptor, `size in ${path}`)
  if (bytes.readUInt32BE(4 + sizeInBytes) !== crc32(data)) {
    throw damaged(descriptor, `checksum in ${path}`)
  }
  return data
}

function damaged(descriptor: DeletionVectorDescriptor, what: string): SlipwayError {
  return new SlipwayError('delta-corrupt',
    `a deletion vector of type ${descriptor.storageType} cannot be read: ${what}`)
}
