/** A process whose only business is one channel: answers what comes, ends when the other does. */
import { ByteChannel } from '../../dist/gateway/byte-channel.js'
import { SocketPoller } from '../../dist/gateway/socket-poller.js'

const [port, way] = process.argv.slice(2)
const channel = await ByteChannel.connected({ port: Number(port), host: '127.0.0.1' },
  way === 'Node' ? null : SocketPoller.ofProcess())
channel.handler = {
  onBytes: (chunk) => {
    console.log(chunk.toString())
    channel.write(chunk)
    return 'passed'
  },
  onEnd: () => channel.finish(),
  onDrain: () => {},
  onClose: () => console.log('closed'),
}
channel.resume()
