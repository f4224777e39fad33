/**
 * Row tracking: the ids and versions by which a row is known again in later versions.
 *
 * RT1  A new file gets row ids that no row of the table ever had, and the version that brings it;
 *      the high-water mark moves with the same commit.
 * RT2  A file that comes again, with another vector or by RESTORE, has the ids that it had.
 * RT3  Rows that are copied into new files keep their ids: each is written beside its row, in a
 *      column that no schema names (`rowIdColumns`).
 *
 * Source: PROTOCOL.md "Row Tracking".
 */
import { SlipwayError } from '../base/errors.ts'
import type { AddFile, DomainMetadata, Metadata, Protocol } from './actions.ts'
import { isJsonObject, parseJson } from './exact-json.ts'
import { hasFeature } from './protocol.ts'
import type { Snapshot } from './snapshot.ts'
import { numRecordsOf } from './stats.ts'
import type { Version } from './version.ts'

const DOMAIN = 'delta.rowTracking'
const ENABLED = 'delta.enableRowTracking'
const SUSPENDED = 'delta.rowTrackingSuspended'
const ID_COLUMN = 'delta.rowTracking.materializedRowIdColumnName'
const VERSION_COLUMN = 'delta.rowTracking.materializedRowCommitVersionColumnName'

/** Names of the columns of RT3. */
export interface RowIdColumns {
  readonly id: string
  readonly commitVersion: string
}

/** Whether new files get row ids. */
export function tracksRows(protocol: Protocol, metadata: Metadata): boolean {
  return hasFeature(protocol, 'rowTracking') && metadata.configuration[SUSPENDED] !== 'true'
}

/** null: ids of rows are not kept when they are copied, as long as tracking is not enabled. */
export function rowIdColumns(metadata: Metadata): RowIdColumns | null {
  const { [ENABLED]: enabled, [ID_COLUMN]: id, [VERSION_COLUMN]: commitVersion }
    = metadata.configuration
  return enabled !== 'true' || id === undefined || commitVersion === undefined ? null
    : { id, commitVersion }
}

/** Throws `usage` where `metadata` enables tracking that the files which stay do not have. */
export function requireRowIds(base: Snapshot, metadata: Metadata, staying: Iterable<AddFile>)
  : void {
  const { configuration } = metadata
  if (configuration[ENABLED] !== 'true' || base.metadata.configuration[ENABLED] === 'true') return
  const named = rowIdColumns(metadata) !== null && tracksRows(base.protocol, metadata)
  if (named && everyHasRowId(staying)) return
  throw new SlipwayError('usage', `${ENABLED} needs the feature rowTracking, the names of its `
    + 'columns and row ids in every file')
}

function everyHasRowId(files: Iterable<AddFile>): boolean {
  for (const { baseRowId } of files) if (baseRowId === undefined) return false
  return true
}

/** RT1, RT2. `isNew`: no version before had the file. The domain is null where nothing is new. */
export function withRowIds(base: Snapshot, version: Version,
  adds: Iterable<{ readonly file: AddFile; readonly isNew: boolean }>)
  : { readonly adds: readonly AddFile[]; readonly domain: DomainMetadata | null } {
  let highest = highWaterMark(base)
  const before = highest
  const tracked = [...adds].map(({ file, isNew }): AddFile => {
    const known = isNew ? base.file(file.path) : file
    if (known?.baseRowId !== undefined) {
      const { baseRowId, defaultRowCommitVersion } = known
      return { ...file, baseRowId,
        ...defaultRowCommitVersion === undefined ? {} : { defaultRowCommitVersion } }
    }
    const rows = numRecordsOf(file.stats)
    if (rows === null) {
      throw new SlipwayError('usage', 'the table tracks rows: a file must say its numRecords')
    }
    const baseRowId = highest + 1
    highest += rows
    return { ...file, baseRowId, defaultRowCommitVersion: version }
  })
  return { adds: tracked, domain: highest === before ? null : { domain: DOMAIN, removed: false,
    configuration: JSON.stringify({ rowIdHighWaterMark: highest }) } }
}

/** -1 before the first row. */
function highWaterMark(snapshot: Snapshot): number {
  const text = snapshot.domain(DOMAIN)
  if (text === null) return -1
  const document = parseJson(text)
  const mark = isJsonObject(document) ? document.rowIdHighWaterMark : undefined
  if (typeof mark === 'number' && Number.isSafeInteger(mark)) return mark
  throw new SlipwayError('delta-corrupt', `the domain ${DOMAIN} has no high-water mark`)
}
