/** ByteChannel (B1-B5) and SocketPoller (O1-O3): by system calls and by Node, the same. */
import { execFile } from 'node:child_process'
import { randomBytes, createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ByteChannel, type ChannelHandler } from '../../src/gateway/byte-channel.ts'
import { SocketPoller, type Taken } from '../../src/gateway/socket-poller.ts'
import { poll } from '../support/poll.ts'

const run = promisify(execFile)
const CHILD = new URL('./channel-child.js', import.meta.url).pathname

it('Linux has the system calls', () => {
  expect(SocketPoller.ofProcess() !== null).toBe(process.platform === 'linux')
})

const ways = new Map<string, SocketPoller | null>([['Node', null]])
const ofProcess = SocketPoller.ofProcess()
if (ofProcess !== null) ways.set('system calls', ofProcess)

describe.each([...ways])('a channel by %s', (_name, poller) => {
  let server: Server
  let port: number
  let events: string[]
  let received: Buffer[]
  /** Of everything that a channel got. */
  const bytes = (): Buffer => Buffer.concat(received)

  beforeEach(async () => {
    events = []
    received = []
    server = createServer({ allowHalfOpen: true, pauseOnConnect: true })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    ;({ port } = server.address() as AddressInfo)
  })
  afterEach(() => { server.close() })

  function recorder(taken: (chunk: Buffer) => Taken = () => 'taken'): ChannelHandler {
    return {
      onBytes: (chunk) => {
        received.push(Buffer.from(chunk))
        return taken(chunk)
      },
      onEnd: () => events.push('end'), onDrain: () => events.push('drain'),
      onClose: () => events.push('close'),
    }
  }

  /** An accepted channel and the client that Node has of it. */
  async function accepted(handler: ChannelHandler): Promise<[ByteChannel, Socket]> {
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    client.on('error', () => {})
    const [socket] = await once(server, 'connection') as [Socket]
    const channel = ByteChannel.accepted(socket, poller)
    channel.handler = handler
    if (client.connecting) await once(client, 'connect')
    return [channel, client]
  }

  it('what is sent arrives, in order, and the end behind it', async () => {
    const [channel, client] = await accepted(recorder())
    channel.resume()
    const sent = Array.from({ length: 300 }, () => randomBytes(Math.floor(Math.random() * 20_000)))
    for (const piece of sent) client.write(piece)
    client.end()
    await poll('the end', 5_000, () => events.includes('end') || null)
    expect(bytes().equals(Buffer.concat(sent))).toBe(true)
    expect(channel.bytesRead).toBe(bytes().length)
    channel.write(Buffer.from('an answer'))
    channel.finish()
    expect(Buffer.concat(await client.toArray() as Buffer[]).toString()).toBe('an answer')
    await poll('the close', 5_000, () => events.includes('close') || null)
    expect(events).toEqual(['end', 'close'])
  })

  it('reads nothing before resume, and nothing while paused', async () => {
    const [channel, client] = await accepted(recorder(() => 'full'))
    client.write('one')
    await delay(50)
    expect(received).toEqual([])
    channel.resume()
    await poll('the first bytes', 5_000, () => received.length > 0 || null)
    client.write('two')
    await delay(50)
    expect(bytes().toString()).toBe('one')
    channel.resume()
    await poll('the rest', 5_000, () => received.length > 1 || null)
    expect(bytes().toString()).toBe('onetwo')
    channel.pause()
    channel.resume()
    client.end('three')
    await poll('the end', 5_000, () => {
      channel.resume()
      return events.includes('end') || null
    })
    expect(bytes().toString()).toBe('onetwothree')
    channel.destroy()
  })

  it('a connected one splices megabytes to a slow reader and back, and holds none of them',
    async () => {
      const [front, client] = await accepted(recorder())
      const back = await connectBack()
      let heldMost = 0
      const pass = (from: ByteChannel, to: ByteChannel): ChannelHandler => ({
        onBytes: (chunk) => {
          to.write(chunk)
          heldMost = Math.max(heldMost, chunk.length)
          return to.isPending ? 'full' : 'passed'
        },
        onEnd: () => to.end(), onDrain: () => to.resume(), onClose: () => { from.destroy() },
      })
      front.handler = pass(front, back.channel)
      back.channel.handler = pass(back.channel, front)
      front.resume()
      back.channel.resume()
      const sent = randomBytes(30_000_000)
      client.end(sent)
      await delay(100)
      const echoed = createHash('sha256')
      let length = 0
      client.on('data', (chunk: Buffer) => {
        length += chunk.length
        echoed.update(chunk)
      })
      back.peer.pipe(back.peer)
      await once(client, 'end')
      expect(length).toBe(sent.length)
      expect(echoed.digest('hex')).toBe(createHash('sha256').update(sent).digest('hex'))
      expect(heldMost).toBeLessThanOrEqual(64 * 1024)
      client.destroy()
    })

  async function connectBack(): Promise<{ channel: ByteChannel; peer: Socket }> {
    const [channel, [peer]] = await Promise.all([
      ByteChannel.connected({ port, host: '127.0.0.1' }, poller),
      once(server, 'connection') as Promise<[Socket]>,
    ])
    return { channel, peer }
  }

  it('a reset ends it, once, whether it reads or not', async () => {
    for (const reads of [true, false]) {
      events = []
      const [channel, client] = await accepted(recorder())
      if (reads) channel.resume()
      client.write('some')
      await delay(20)
      client.resetAndDestroy()
      await delay(20)
      channel.resume()
      channel.write(Buffer.from('more'))
      channel.write(Buffer.from('and more'))
      channel.finish()
      await poll('the close', 5_000, () => events.includes('close') || null)
      expect(events.filter((event) => event === 'close')).toHaveLength(1)
      expect(events.at(-1)).toBe('close')
      channel.write(Buffer.from('nobody'))
      expect(channel.isClosed).toBe(true)
    }
  })

  it('one destroyed by its own handler, and by another one\'s, is not read again', async () => {
    const [first, firstClient] = await accepted(recorder())
    const [second, secondClient] = await accepted(recorder())
    const killing: ChannelHandler = { ...recorder(() => {
      first.destroy()
      second.destroy()
      return 'passed'
    }) }
    first.handler = killing
    second.handler = killing
    firstClient.write('x')
    secondClient.write('y')
    await delay(20)
    first.resume()
    second.resume()
    await poll('both', 5_000, () => events.length === 2 || null)
    expect(events).toEqual(['close', 'close'])
    expect(received).toHaveLength(1)
    firstClient.destroy()
    secondClient.destroy()
  })

  it('descriptors that are used again bring nobody another one\'s bytes', async () => {
    server.on('connection', (peer: Socket) => {
      peer.on('error', () => {})
      peer.pipe(peer)
    })
    for (let round = 0; round < 100; round++) {
      const got: string[] = []
      const channels = await Promise.all(['a', 'b', 'c'].map(async (name) => {
        const channel = await ByteChannel.connected({ port, host: '127.0.0.1' }, poller)
        channel.handler = { ...recorder(), onBytes: (chunk) => {
          got.push(`${name}${chunk.toString()}`)
          return 'passed'
        } }
        channel.resume()
        channel.write(Buffer.from(name))
        return channel
      }))
      await poll('all echoes', 5_000, () => got.length === 3 || null, 1)
      expect(got.sort()).toEqual(['aa', 'bb', 'cc'])
      for (const [index, channel] of channels.entries()) {
        if (index === round % 3) channel.finish()
        else channel.destroy()
      }
    }
  })

  it('more at once than one wait tells', async () => {
    const count = 400
    const peers: Socket[] = []
    server.on('connection', (peer: Socket) => peers.push(peer))
    const channels = await Promise.all(Array.from({ length: count }, () =>
      ByteChannel.connected({ port, host: '127.0.0.1' }, poller)))
    await poll('all accepted', 5_000, () => peers.length === count || null)
    for (const peer of peers) peer.write('x')
    await delay(50)
    let closed = 0
    for (const channel of channels) {
      channel.handler = { ...recorder(), onClose: () => closed++ }
      channel.resume()
    }
    await poll('all read', 5_000, () => received.length === count || null)
    for (const channel of channels) channel.destroy()
    await poll('all closed', 5_000, () => closed === count || null)
    for (const peer of peers) peer.destroy()
  })

  it('timers, promises and Node\'s own sockets go on beside a stream of bytes', async () => {
    const [left, leftClient] = await accepted(recorder())
    let turns = 0
    left.handler = { ...recorder(), onBytes: (chunk) => {
      turns++
      left.write(chunk)
      return 'passed'
    } }
    left.resume()
    leftClient.on('data', (chunk: Buffer) => leftClient.write(chunk))
    leftClient.write('ping')
    let ticks = 0
    const timer = setInterval(() => ticks++, 2)
    let answers = 0
    server.on('connection', (peer: Socket) => peer.pipe(peer))
    const until = performance.now() + 300
    while (performance.now() < until) {
      const own = connect({ port, host: '127.0.0.1' })
      own.write('hello')
      await once(own, 'data')
      answers++
      own.destroy()
    }
    clearInterval(timer)
    expect({ turns: turns > 20, ticks: ticks > 20, answers: answers > 20 })
      .toEqual({ turns: true, ticks: true, answers: true })
    leftClient.destroy()
    left.destroy()
  })
})

it.each([...ways.keys()])('the process lives while a channel reads by %s, and no longer',
  async (way) => {
    const server = createServer((socket) => {
      setTimeout(() => socket.write('late'), 300)
      socket.on('data', () => socket.end())
      socket.on('error', () => {})
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const { stdout } = await run(process.execPath, [CHILD, String(port), way],
      { timeout: 10_000 })
    server.close()
    expect(stdout).toBe('late\nclosed\n')
  })
