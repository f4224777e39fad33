/**
 * Clustering: the columns that a table wants its rows clustered by (feature `clustering`).
 *
 * CL1  They are physical names: a rename does not touch them.
 * CL2  They stay columns of the table, which has no partitions.
 *
 * Source: PROTOCOL.md "Clustered Table"; a column is a path there in what delta-spark writes.
 */
import { SlipwayError } from '../base/errors.ts'
import type { Metadata } from './actions.ts'
import { physicalName } from './column-mapping.ts'
import { isJsonObject, parseJson, type JsonValue } from './exact-json.ts'
import { parseSchema } from './schema.ts'

export const CLUSTERING_DOMAIN = 'delta.clustering'
/** The `clusteringProvider` of the files that we cluster. */
export const CLUSTERING_PROVIDER = 'slipway'

/**
 * `configuration`: of the domain, null without it. Each column outermost name first; none:
 * nothing is clustered (any more). Throws `delta-corrupt`.
 */
export function clusteringColumns(configuration: string | null)
  : readonly (readonly string[])[] {
  if (configuration === null) return []
  const document = parseJson(configuration)
  const columns = isJsonObject(document) ? document.clusteringColumns : undefined
  if (!Array.isArray(columns)) throw malformed()
  return (columns as readonly JsonValue[]).map((name) => {
    const path = Array.isArray(name) ? name as readonly JsonValue[] : [name]
    if (!path.every((part): part is string => typeof part === 'string')) throw malformed()
    return path
  })
}

/** CL2. Throws `usage`. */
export function requireClusterable(columns: readonly (readonly string[])[], metadata: Metadata)
  : void {
  if (columns.length === 0) return
  if (metadata.partitionColumns.length > 0) {
    throw new SlipwayError('usage', 'a clustered table cannot be partitioned')
  }
  const names = new Set(parseSchema(metadata.schemaString).fields.map(physicalName))
  if (columns.every(([name = '']) => names.has(name))) return
  throw new SlipwayError('usage', 'the columns that a table is clustered by stay its columns')
}

function malformed(): SlipwayError {
  return new SlipwayError('delta-corrupt', `the domain ${CLUSTERING_DOMAIN} is malformed`)
}
