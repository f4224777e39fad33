/** Certificates of a test's own, made by openssl. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

export interface Certificate { readonly certFile: string; readonly keyFile: string }

/** Self-signed: an authority, or a server that is trusted by name. */
export function selfSigned(folder: string, name: string, extensions: readonly string[] = [])
  : Certificate {
  const files = filesOf(folder, name)
  openssl(['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`,
    ...extensions.flatMap((extension) => ['-addext', extension]),
    '-keyout', files.keyFile, '-out', files.certFile])
  return files
}

/** Signed by `authority`; `name` is its common name. */
export function signedBy(authority: Certificate, folder: string, name: string): Certificate {
  const files = filesOf(folder, name)
  const request = join(folder, 'request.pem')
  openssl(['req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`,
    '-keyout', files.keyFile, '-out', request])
  openssl(['x509', '-req', '-in', request, '-days', '2', '-CA', authority.certFile,
    '-CAkey', authority.keyFile, '-CAcreateserial', '-out', files.certFile])
  return files
}

function filesOf(folder: string, name: string): Certificate {
  const stem = join(folder, name.replaceAll(/\W/g, '_'))
  return { certFile: `${stem}.crt`, keyFile: `${stem}.key` }
}

function openssl(args: readonly string[]): void {
  execFileSync('openssl', [...args], { stdio: 'pipe' })
}
