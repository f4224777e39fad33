/** The HTTP interface, as /openapi.json describes it. */
const ERROR = {
  description: 'A problem document (RFC 9457).',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}
const ROW_STREAM = { schema: { type: 'string', format: 'binary' } }
const TABLES = {
  type: 'object', required: ['tables'],
  properties: { tables: { type: 'array', items: { type: 'object' } } },
}

export const OPENAPI = {
  openapi: '3.1.0',
  info: { title: 'Slipway', version: '1', description: 'SQL over HTTP.' },
  components: {
    securitySchemes: { role: { type: 'http', scheme: 'basic',
      description: 'A PostgreSQL role and its password.' } },
    schemas: {
      Problem: {
        type: 'object', required: ['type', 'title', 'status', 'detail', 'sqlstate'],
        properties: {
          type: { type: 'string' }, title: { type: 'string' }, status: { type: 'integer' },
          detail: { type: 'string' }, sqlstate: { type: 'string' }, hint: { type: 'string' },
          position: { type: 'integer' },
        },
      },
      Statement: {
        type: 'object', required: ['sql'], additionalProperties: false,
        properties: {
          sql: { type: 'string' }, params: { type: 'array' },
          maxRows: { type: 'integer', minimum: 0 }, freshness: { type: 'string' },
          asOf: { type: 'string' },
        },
      },
      Result: {
        type: 'object', required: ['columns', 'rows', 'route', 'readLsn', 'elapsedMs'],
        properties: {
          columns: { type: 'array', items: { type: 'object', required: ['name', 'type'],
            properties: { name: { type: 'string' }, type: { type: 'string' } } } },
          rows: { type: 'array', items: { type: 'array' } },
          route: { enum: ['columnar', 'postgres'] },
          readLsn: { type: ['string', 'null'] }, elapsedMs: { type: 'number' },
        },
      },
    },
  },
  paths: {
    '/v1/sql': { post: {
      security: [{ role: [] }],
      requestBody: { required: true, content: {
        'application/json': { schema: { $ref: '#/components/schemas/Statement' } } } },
      responses: {
        200: { description: 'The rows.', content: {
          'application/json': { schema: { $ref: '#/components/schemas/Result' } },
          'application/x-ndjson': ROW_STREAM, 'text/csv': ROW_STREAM,
          'application/vnd.apache.arrow.stream': ROW_STREAM,
        } },
        default: ERROR,
      },
    } },
    '/v1/tables': { get: {
      security: [{ role: [] }],
      responses: { 200: { description: 'Rows of slipway.tables.',
        content: { 'application/json': { schema: TABLES } } }, default: ERROR },
    } },
    '/v1/tables/{table}': { get: {
      security: [{ role: [] }],
      parameters: [{ name: 'table', in: 'path', required: true, schema: { type: 'string' },
        description: 'schema.table' }],
      responses: { 200: { description: 'One row of slipway.tables.',
        content: { 'application/json': { schema: { type: 'object' } } } }, default: ERROR },
    } },
    '/healthz': { get: { responses: { 200: { description: 'Alive.' } } } },
    '/readyz': { get: { responses: {
      200: { description: 'Serving.' }, 503: { description: 'Not serving yet.' } } } },
    '/metrics': { get: { responses: { 200: { description: 'Prometheus text.' } } } },
    '/openapi.json': { get: { responses: { 200: { description: 'This document.' } } } },
  },
} as const
