/**
 * LoginCertificate: by which the gateways log in to the embedded PostgreSQL as the role that a
 * client's own certificate has proved.
 *
 * L1  One self-signed certificate is PostgreSQL's, its only authority, and the gateways': who
 *     holds its key is Slipway. The key is a file of mode 0600 in the data directory.
 *
 * Nothing in Node makes certificates, hence the few lines of DER.
 * Source: RFC 5280, section 4.1; RFC 5480; X.690.
 */
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { CertificateFiles } from './target.ts'

/** Its common name, as pg_ident.conf knows it. */
export const LOGIN_NAME = 'slipway-gateway'

/** The files in `directory`, made when they are not there. */
export function loginCertificate(directory: string): CertificateFiles {
  const files = { certFile: join(directory, 'login.crt'), keyFile: join(directory, 'login.key') }
  if (existsSync(files.certFile) && existsSync(files.keyFile)) return files
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const body = toBeSigned(publicKey.export({ type: 'spki', format: 'der' }))
  const signature = sign('sha256', body, privateKey)
  const certificate = sequence(body, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature))
  writeFileSync(files.keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  writeFileSync(files.certFile,
    `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`)
  return files
}

function toBeSigned(publicKey: Buffer): Buffer {
  const name = sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(LOGIN_NAME)))))
  // The first bit clear: a positive integer.
  const serial = randomBytes(16)
  serial[0] = (serial[0] ?? 0) & 0x7f | 0x40
  return sequence(
    der(0xa0, der(0x02, Buffer.from([2]))), // version 3
    der(0x02, serial), ECDSA_SHA256, name,
    sequence(der(0x18, Buffer.from('20200101000000Z')), der(0x18, Buffer.from('21200101000000Z'))),
    name, publicKey,
    der(0xa3, sequence(sequence(BASIC_CONSTRAINTS, der(0x01, TRUE), der(0x04, sequence(
      der(0x01, TRUE)))))),
  )
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 0x80 ? [tag, length]
    : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, ...parts)
}

const TRUE = Buffer.from([0xff])
/** Object identifiers 1.2.840.10045.4.3.2, 2.5.4.3, 2.5.29.19. */
const ECDSA_SHA256 = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')))
const COMMON_NAME = der(0x06, Buffer.from('550403', 'hex'))
const BASIC_CONSTRAINTS = der(0x06, Buffer.from('551d13', 'hex'))
