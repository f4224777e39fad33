/**
 * Z85: ZeroMQ's base-85 text for bytes (rfc.zeromq.org/spec/32), 4 bytes as 5 characters.
 */
const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'
  + 'ABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'
const VALUES: ReadonlyMap<string, number> = new Map([...ALPHABET].map((char, at) => [char, at]))

/** Length a multiple of 4. Throws RangeError otherwise. */
export function encodeZ85(bytes: Uint8Array): string {
  if (bytes.length % 4 !== 0) throw new RangeError('Z85 takes bytes by four')
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    let word = (bytes[at] ?? 0) * 0x1000000 + ((bytes[at + 1] ?? 0) << 16)
      + ((bytes[at + 2] ?? 0) << 8) + (bytes[at + 3] ?? 0)
    let group = ''
    for (let digit = 0; digit < 5; digit++) {
      group = (ALPHABET[word % 85] ?? '') + group
      word = Math.floor(word / 85)
    }
    text += group
  }
  return text
}

/** Length a multiple of 5. Throws RangeError for any other text. */
export function decodeZ85(text: string): Buffer {
  if (text.length % 5 !== 0) throw new RangeError('Z85 comes by five characters')
  const bytes = Buffer.alloc(text.length / 5 * 4)
  for (let group = 0; group < text.length / 5; group++) {
    let word = 0
    for (const char of text.slice(group * 5, group * 5 + 5)) {
      const value = VALUES.get(char)
      if (value === undefined) throw new RangeError('a character is not of Z85')
      word = word * 85 + value
    }
    if (word > 0xffffffff) throw new RangeError('a Z85 group passes 32 bits')
    bytes.writeUInt32BE(word, group * 4)
  }
  return bytes
}
