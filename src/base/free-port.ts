/**
 * FreePort: a port for those who must name it before they, or others, listen there.
 *
 * F1  Nobody listened there a moment ago; it is not held.
 */
import { createServer, type AddressInfo } from 'node:net'

/** Rejects with the system's error when `host` cannot be listened on. */
export async function freePort(host: string): Promise<number> {
  const probe = createServer()
  const port = await new Promise<number>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, host, () => { resolve((probe.address() as AddressInfo).port) })
  })
  await new Promise((resolve) => { probe.close(resolve) })
  return port
}
