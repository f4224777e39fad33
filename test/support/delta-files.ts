/** Data files and checkpoints for tests of the Delta library, written by our own olap room. */
import { randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AddFile } from '../../src/delta/actions.ts'
import { physicalName } from '../../src/delta/column-mapping.ts'
import type { DataType, StructType } from '../../src/delta/schema.ts'
import { buildStats, statValueOf } from '../../src/delta/stats.ts'
import { DuckDb } from '../../src/olap/duckdb.ts'
import { ParquetFiles } from '../../src/olap/parquet-files.ts'
import { copyToParquet } from '../../src/olap/parquet-writer.ts'
import { LocalStorage } from '../../src/storage/local.ts'

/** A folder of its own and a DuckDB that may write into it. */
export class DeltaLab implements AsyncDisposable {
  readonly folder: string
  readonly duckdb: DuckDb
  readonly checkpoints: ParquetFiles

  private constructor(folder: string, duckdb: DuckDb) {
    this.folder = folder
    this.duckdb = duckdb
    this.checkpoints = new ParquetFiles(duckdb)
  }

  /** `others`: more folders that its DuckDB may read. */
  static async open(others: readonly string[] = []): Promise<DeltaLab> {
    const folder = await mkdtemp(join(tmpdir(), 'slipway delta '))
    const duckdb = await DuckDb.open({ threads: 1, memoryLimit: '1GB',
      tempDirectory: join(folder, 'spill'), directories: [folder, ...others], macros: [] })
    return new DeltaLab(folder, duckdb)
  }

  storage(name: string): LocalStorage {
    return new LocalStorage({ root: join(this.folder, name) })
  }

  /** Runs SELECT; its columns must be those of the schema, in order. */
  async writeFile(storage: LocalStorage, schema: StructType, select: string): Promise<AddFile> {
    const connection = await this.duckdb.connect()
    try {
      const path = `part-${randomUUID()}.parquet`
      await mkdir(storage.root, { recursive: true })
      const names = schema.fields.map(physicalName)
      const list = names.map((name, at) => `column${at} AS "${name.replaceAll('"', '""')}"`)
      const [file] = await copyToParquet(connection, {
        select: `SELECT ${list.join(', ')} FROM (${select}) AS s(`
          + `${names.map((_, at) => `column${at}`).join(', ')})`,
        columns: schema.fields.map((field, at) => ({ attnum: at + 1,
          physicalName: names[at] ?? '', mirror: { kind: kindOf(field.type) } })),
        target: { kind: 'file', path: storage.localPath(path) },
      })
      if (file === undefined) throw new Error('COPY returned nothing')
      await storage.sync(path)
      return { path, partitionValues: {}, size: file.sizeBytes, modificationTime: Date.now(),
        dataChange: true, stats: statsOf(schema, file.rows, file.columns) }
    } finally {
      connection.closeSync()
    }
  }

  async query(sql: string): Promise<readonly (readonly string[])[]> {
    const connection = await this.duckdb.connect()
    try {
      const result = await connection.runAndReadAll(sql)
      return result.getRows().map((row) => row.map(String))
    } finally {
      connection.closeSync()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.duckdb[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Parquet's encodings are chosen by whether a column is a float. */
function kindOf(type: DataType): 'float8' | 'text' {
  return type === 'float' || type === 'double' ? 'float8' : 'text'
}

function statsOf(schema: StructType, rows: number, columns: readonly {
  readonly physicalName: string; readonly min: string | null; readonly max: string | null
  readonly nullCount: number | null; readonly hasNaN: boolean }[]): string {
  return buildStats({ numRecords: rows, tightBounds: true,
    columns: columns.map((column) => {
      const field = schema.fields.find((one) => physicalName(one) === column.physicalName)
      const type = typeof field?.type === 'string' ? field.type : 'array'
      return { path: [column.physicalName], nullCount: column.nullCount, hasNaN: column.hasNaN,
        min: column.min === null ? null : statValueOf(type, column.min),
        max: column.max === null ? null : statValueOf(type, column.max) }
    }) })
}
