/**
 * Checkpoint reader: the actions of a checkpoint, whatever its form.
 *
 * R1  Classic, multi-part and V2 (JSON or Parquet, with sidecars) give the same actions.
 * R2  A row group's actions at a time are given out.
 * R3  What cannot be read is `delta-corrupt` with the file's name.
 *
 * Source: PROTOCOL.md "Checkpoints".
 */
import { SlipwayError } from '../base/errors.ts'
import type { Storage, StoredObject } from '../storage/storage.ts'
import { decodeActions } from './action-codec.ts'
import type { Action, Sidecar } from './actions.ts'
import { parquetActions } from './checkpoint-parquet.ts'
import { parseDataPath } from './data-path.ts'
import type { CheckpointFiles } from './log-segment.ts'
import { SIDECAR_DIRECTORY } from './version.ts'

/** R3. Actions in the order of the files; sidecars are followed. */
export async function* readCheckpoint(storage: Storage, checkpoint: CheckpointFiles)
  : AsyncGenerator<readonly Action[]> {
  const sidecars: Sidecar[] = []
  for (const file of checkpoint.files) {
    const batches = checkpoint.format === 'json'
      ? readJson(storage, file) : readParquet(storage, file)
    for await (const actions of batches) {
      for (const action of actions) {
        if ('sidecar' in action) sidecars.push(action.sidecar)
      }
      yield actions
    }
  }
  for (const sidecar of sidecars) yield* readSidecar(storage, sidecar)
}

async function* readSidecar(storage: Storage, sidecar: Sidecar)
  : AsyncGenerator<readonly Action[]> {
  const parsed = parseDataPath(sidecar.path)
  if (parsed.kind !== 'relative') {
    throw new SlipwayError('delta-unsupported', 'a sidecar lies outside of its table')
  }
  // A bare name lies in _sidecars; Spark writes only those.
  const path = parsed.path.includes('/') ? parsed.path : `${SIDECAR_DIRECTORY}/${parsed.path}`
  const file = await storage.stat(path)
  if (file === null) throw new SlipwayError('delta-corrupt', `${path} is missing`)
  yield* readParquet(storage, file)
}

async function* readJson(storage: Storage, file: StoredObject)
  : AsyncGenerator<readonly Action[]> {
  const body = await storage.get(file.path)
  if (body === null) throw new SlipwayError('delta-corrupt', `${file.path} is missing`)
  let actions: readonly Action[]
  try {
    actions = decodeActions(body.toString('utf8'))
  } catch (error) {
    throw error instanceof SlipwayError ? naming(file, error) : error
  }
  yield actions
}

async function* readParquet(storage: Storage, file: StoredObject)
  : AsyncGenerator<readonly Action[]> {
  const body = await storage.get(file.path)
  if (body === null) throw new SlipwayError('delta-corrupt', `${file.path} is missing`)
  const bytes = body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength)
  try {
    yield* parquetActions(bytes as ArrayBuffer)
  } catch (error) {
    if (error instanceof SlipwayError) throw naming(file, error)
    // Whatever hyparquet throws means that the file is not what it should be.
    throw new SlipwayError('delta-corrupt', `${file.path} is not a readable Parquet file`,
      { cause: error })
  }
}

function naming(file: StoredObject, error: SlipwayError): SlipwayError {
  return new SlipwayError(error.code, `${file.path}: ${error.message}`, { cause: error })
}
