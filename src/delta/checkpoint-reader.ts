/**
 * Checkpoint reader: what a checkpoint says, whatever its form.
 *
 * R1  Classic, multi-part and V2 (JSON or Parquet, with sidecars) give the same state.
 * R2  A row group at a time is given out.
 * R3  What cannot be read is `delta-corrupt` with the file's name.
 *
 * Source: PROTOCOL.md "Checkpoints".
 */
import { SlipwayError } from '../base/errors.ts'
import { tableName, type Storage } from '../storage/storage.ts'
import { decodeActions } from './action-codec.ts'
import type { Sidecar } from './actions.ts'
import { parquetParts, type CheckpointPart } from './checkpoint-parquet.ts'
import { parseDataPath } from './data-path.ts'
import { damagedAt } from './file-block.ts'
import type { CheckpointFiles } from './log-segment.ts'
import { SIDECAR_DIRECTORY } from './version.ts'

/** R3. Parts in the order of the files; sidecars are followed. */
export async function* readCheckpoint(storage: Storage, checkpoint: CheckpointFiles)
  : AsyncGenerator<CheckpointPart> {
  const sidecars: Sidecar[] = []
  for (const file of checkpoint.files) {
    for (const part of await readParts(storage, file.path, checkpoint.format)) {
      for (const action of part.actions) {
        if ('sidecar' in action) sidecars.push(action.sidecar)
      }
      yield part
    }
  }
  for (const sidecar of sidecars) yield* await readParts(storage, sidecarPath(sidecar), 'parquet')
}

function sidecarPath(sidecar: Sidecar): string {
  const parsed = parseDataPath(sidecar.path)
  if (parsed.kind !== 'relative') {
    throw new SlipwayError('delta-unsupported', 'a sidecar lies outside of its table')
  }
  // A bare name lies in _sidecars; Spark writes only those.
  return parsed.path.includes('/') ? parsed.path : `${SIDECAR_DIRECTORY}/${parsed.path}`
}

/** R3. */
async function readParts(storage: Storage, path: string, format: 'json' | 'parquet')
  : Promise<Iterable<CheckpointPart>> {
  const body = await storage.get(path)
  if (body === null) throw new SlipwayError('delta-corrupt', `${path} is missing`)
  return naming(path, format === 'json' ? jsonParts(body)
    : parquetParts(body, `${tableName(storage)}: ${path}`))
}

function* jsonParts(body: Buffer): Generator<CheckpointPart> {
  yield { actions: decodeActions(body), files: null, tombstones: null }
}

function* naming(path: string, parts: Iterable<CheckpointPart>): Generator<CheckpointPart> {
  try {
    yield* parts
  } catch (error) {
    throw damagedAt(path, error)
  }
}
