/**
 * Action codec: JSON (or a checkpoint's row) to typed actions and back.
 *
 * K1  What has a wrong type is refused by the field's name, never read as a default.
 * K2  Unknown actions and fields are read over (PROTOCOL.md: "must ignore").
 * K3  decode(encode(actions)) equals actions, every digit kept.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Action, AddFile, ChangeFile, CommitInfo, DeletionVectorDescriptor, DomainMetadata,
  Metadata, Protocol, RemoveFile, Sidecar, Txn } from './actions.ts'
import { isJsonObject, parseJson, stringifyJson, type JsonObject, type JsonValue }
  from './exact-json.ts'

const NO_COLUMNS = '{"type":"struct","fields":[]}'

const NEWLINE = 0x0a
/** Of one line: a text of V8 has no more. */
const LINE_BYTES_MAX = 2 ** 28

/** One commit's (or JSON checkpoint's) bytes. Throws `delta-corrupt` naming the line. */
export function decodeActions(body: Buffer): Action[] {
  const actions: Action[] = []
  // By line: a commit of a million files must not be one text.
  for (let start = 0, line = 1; start < body.length; line++) {
    const found = body.indexOf(NEWLINE, start)
    const end = found === -1 ? body.length : found
    const action = decodeLine(body, { start, end, line })
    if (action !== null) actions.push(action)
    start = end + 1
  }
  return actions
}

function decodeLine(body: Buffer, range: { readonly start: number; readonly end: number
  readonly line: number }): Action | null {
  try {
    if (range.end - range.start > LINE_BYTES_MAX) throw wrong('the line', 'short enough')
    const text = body.toString('utf8', range.start, range.end)
    if (text.trim() === '') return null
    const document = parseJson(text)
    if (!isJsonObject(document)) throw wrong('the line', 'an object')
    return decodeAction(document)
  } catch (error) {
    if (!(error instanceof SlipwayError)) throw error
    throw new SlipwayError(error.code, `line ${range.line}: ${error.message}`, { cause: error })
  }
}

export function encodeActions(actions: readonly Action[]): string {
  return actions.map((action) => `${stringifyJson(action as unknown as JsonValue)}\n`).join('')
}

/** null for an action that we do not know. */
export function decodeAction(row: JsonObject): Action | null {
  const present = (name: string): JsonObject | null => {
    const value = row[name]
    if (value === undefined || value === null) return null
    if (!isJsonObject(value)) throw wrong(name, 'an object')
    return value
  }
  for (const [name, decode] of DECODERS) {
    const value = present(name)
    if (value !== null) return decode(value)
  }
  return null
}

const DECODERS: readonly (readonly [string, (value: JsonObject) => Action])[] = [
  ['add', (value) => ({ add: decodeAdd(value) })],
  ['remove', (value) => ({ remove: decodeRemove(value) })],
  ['cdc', (value) => ({ cdc: decodeChange(value) })],
  ['commitInfo', (value) => ({ commitInfo: decodeCommitInfo(value) })],
  ['txn', (value) => ({ txn: decodeTxn(value) })],
  ['metaData', (value) => ({ metaData: decodeMetadata(value) })],
  ['protocol', (value) => ({ protocol: decodeProtocol(value) })],
  ['domainMetadata', (value) => ({ domainMetadata: decodeDomain(value) })],
  ['checkpointMetadata', (value) => ({
    checkpointMetadata: { version: integer(value, 'version') } })],
  ['sidecar', (value) => ({ sidecar: decodeSidecar(value) })],
]

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

const NONE: Readonly<Record<string, never>> = Object.freeze({})

/** A checkpoint may have hundreds of thousands of these: no detours. */
export function decodeAdd(value: JsonObject): AddFile {
  const add: Mutable<AddFile> = {
    path: text(value, 'path'),
    partitionValues: textMap(value, 'partitionValues') ?? NONE,
    size: integer(value, 'size'),
    modificationTime: optionalInteger(value, 'modificationTime') ?? 0,
    dataChange: value.dataChange !== false,
  }
  const stats = optionalText(value, 'stats')
  if (stats !== undefined) add.stats = stats
  const tags = textMap(value, 'tags')
  if (tags !== undefined) add.tags = tags
  const deletionVector = decodeVector(value.deletionVector)
  if (deletionVector !== undefined) add.deletionVector = deletionVector
  const baseRowId = optionalInteger(value, 'baseRowId')
  if (baseRowId !== undefined) add.baseRowId = baseRowId
  const rowVersion = optionalInteger(value, 'defaultRowCommitVersion')
  if (rowVersion !== undefined) add.defaultRowCommitVersion = rowVersion
  const clusteringProvider = optionalText(value, 'clusteringProvider')
  if (clusteringProvider !== undefined) add.clusteringProvider = clusteringProvider
  return add
}

export function decodeRemove(value: JsonObject): RemoveFile {
  const extendedFileMetadata = optionalBoolean(value, 'extendedFileMetadata')
  return withoutAbsent<RemoveFile>({
    path: text(value, 'path'),
    deletionTimestamp: optionalInteger(value, 'deletionTimestamp'),
    dataChange: value.dataChange !== false,
    extendedFileMetadata,
    // A checkpoint may keep an empty map as null; the flag says that there is one.
    partitionValues: textMap(value, 'partitionValues')
      ?? (extendedFileMetadata === true ? NONE : undefined),
    size: optionalInteger(value, 'size'),
    tags: textMap(value, 'tags'),
    deletionVector: decodeVector(value.deletionVector),
    baseRowId: optionalInteger(value, 'baseRowId'),
    defaultRowCommitVersion: optionalInteger(value, 'defaultRowCommitVersion'),
  })
}

function decodeChange(value: JsonObject): ChangeFile {
  return withoutAbsent<ChangeFile>({
    path: text(value, 'path'),
    partitionValues: textMap(value, 'partitionValues') ?? {},
    size: integer(value, 'size'),
    dataChange: false,
    tags: textMap(value, 'tags'),
  })
}

function decodeCommitInfo(value: JsonObject): CommitInfo {
  const inCommitTimestamp = optionalInteger(value, 'inCommitTimestamp')
  // Everything else in it is informative: a wrong type there harms nobody.
  return inCommitTimestamp === undefined ? value
    : { ...value, inCommitTimestamp }
}

function decodeTxn(value: JsonObject): Txn {
  const version = value.version
  if (typeof version !== 'bigint' && !Number.isSafeInteger(version)) {
    throw wrong('version', 'a whole number')
  }
  return withoutAbsent<Txn>({
    appId: text(value, 'appId'),
    version: BigInt(version as number | bigint),
    lastUpdated: optionalInteger(value, 'lastUpdated'),
  })
}

function decodeMetadata(value: JsonObject): Metadata {
  const format = value.format
  const provider = isJsonObject(format) ? optionalText(format, 'provider') : undefined
  const options = isJsonObject(format) ? textMap(format, 'options') : undefined
  return withoutAbsent<Metadata>({
    id: text(value, 'id'),
    name: optionalText(value, 'name'),
    description: optionalText(value, 'description'),
    format: { provider: provider ?? 'parquet', options: withoutNulls(options ?? {}) },
    // Tables from before Delta 1.0 may have none; delta-spark takes that as no columns, too.
    schemaString: optionalText(value, 'schemaString') ?? NO_COLUMNS,
    partitionColumns: textList(value, 'partitionColumns') ?? [],
    configuration: withoutNulls(textMap(value, 'configuration') ?? {}),
    createdTime: optionalInteger(value, 'createdTime'),
  })
}

function decodeProtocol(value: JsonObject): Protocol {
  const minReaderVersion = integer(value, 'minReaderVersion')
  const minWriterVersion = integer(value, 'minWriterVersion')
  // A checkpoint may keep an empty list as null; the versions say that there is one.
  return withoutAbsent<Protocol>({
    minReaderVersion,
    minWriterVersion,
    readerFeatures: textList(value, 'readerFeatures') ?? (minReaderVersion === 3 ? [] : undefined),
    writerFeatures: textList(value, 'writerFeatures') ?? (minWriterVersion === 7 ? [] : undefined),
  })
}

function decodeDomain(value: JsonObject): DomainMetadata {
  return { domain: text(value, 'domain'), configuration: text(value, 'configuration'),
    removed: value.removed === true }
}

function decodeSidecar(value: JsonObject): Sidecar {
  return { path: text(value, 'path'), sizeInBytes: integer(value, 'sizeInBytes'),
    modificationTime: optionalInteger(value, 'modificationTime') ?? 0 }
}

/** undefined for none. Throws `delta-corrupt`. */
export function decodeVector(value: JsonValue | undefined)
  : DeletionVectorDescriptor | undefined {
  if (value === undefined || value === null) return undefined
  if (!isJsonObject(value)) throw wrong('deletionVector', 'an object')
  const storageType = text(value, 'storageType')
  if (storageType !== 'u' && storageType !== 'i' && storageType !== 'p') {
    throw wrong('storageType', 'u, i or p')
  }
  return withoutAbsent<DeletionVectorDescriptor>({
    storageType,
    pathOrInlineDv: text(value, 'pathOrInlineDv'),
    offset: optionalInteger(value, 'offset'),
    sizeInBytes: integer(value, 'sizeInBytes'),
    cardinality: integer(value, 'cardinality'),
  })
}

/** K1. */
function wrong(field: string, wanted: string): SlipwayError {
  return new SlipwayError('delta-corrupt', `${field} is not ${wanted}`)
}

type Loose<T> = { readonly [K in keyof T]: T[K] | undefined }

/** The object without its undefined members, as exactOptionalPropertyTypes asks. */
function withoutAbsent<T>(loose: Loose<T>): T {
  const strict: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(loose)) {
    if (value !== undefined) strict[key] = value
  }
  return strict as T
}

function text(holder: JsonObject, field: string): string {
  const value = holder[field]
  if (typeof value !== 'string') throw wrong(field, 'a text')
  return value
}

function optionalText(holder: JsonObject, field: string): string | undefined {
  const value = holder[field]
  return value === undefined || value === null ? undefined : text(holder, field)
}

function optionalBoolean(holder: JsonObject, field: string): boolean | undefined {
  const value = holder[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw wrong(field, 'true or false')
  return value
}

function integer(holder: JsonObject, field: string): number {
  const value = holder[field]
  const whole = typeof value === 'bigint' ? Number(value) : value
  if (typeof whole !== 'number' || !Number.isSafeInteger(whole)) {
    throw wrong(field, 'a whole number below 2^53')
  }
  return whole
}

function optionalInteger(holder: JsonObject, field: string): number | undefined {
  const value = holder[field]
  return value === undefined || value === null ? undefined : integer(holder, field)
}

function textMap(holder: JsonObject, field: string)
  : Readonly<Record<string, string | null>> | undefined {
  const value = holder[field]
  if (value === undefined || value === null) return undefined
  if (!isJsonObject(value)) throw wrong(field, 'a map')
  for (const item of Object.values(value)) {
    if (item !== null && typeof item !== 'string') throw wrong(field, 'a map of texts')
  }
  return value as Readonly<Record<string, string | null>>
}

function withoutNulls(map: Readonly<Record<string, string | null>>)
  : Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(map)
    .filter((entry): entry is [string, string] => entry[1] !== null))
}

function textList(holder: JsonObject, field: string): readonly string[] | undefined {
  const value = holder[field]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw wrong(field, 'a list')
  const items = value as readonly JsonValue[]
  if (!items.every((item): item is string => typeof item === 'string')) {
    throw wrong(field, 'a list of texts')
  }
  return items
}
