// A message handler in AssemblyScript: it counts the messages and replies "<count> <content>".

@external("rmds_v1", "msg_get") declare function msg_get(key: usize, key_len: i32, buf: usize, cap: i32): i32;
@external("rmds_v1", "kv_get") declare function kv_get(key: usize, key_len: i32, buf: usize, cap: i32): i32;
@external("rmds_v1", "kv_set") declare function kv_set(key: usize, key_len: i32, val: usize, val_len: i32): i32;
@external("rmds_v1", "reply") declare function reply(ptr: usize, len: i32): i32;
@external("rmds_v1", "note") declare function note(key: usize, key_len: i32, val: usize, val_len: i32): i32;

const ACK: i32 = 0;
const FAILED: i32 = 1;
const REJECT: i32 = 65;

const MAX_CONTENT: i32 = 4096;

const COUNT = String.UTF8.encode("count");
const CONTENT = String.UTF8.encode("content");
const REASON = String.UTF8.encode("reason");

function at(b: ArrayBuffer): usize {
  return changetype<usize>(b);
}

function reject(reason: string): i32 {
  const text = String.UTF8.encode(reason);
  note(at(REASON), REASON.byteLength, at(text), text.byteLength);
  return REJECT;
}

export function rmds_handle(): i32 {
  const content = new ArrayBuffer(MAX_CONTENT);
  const size = msg_get(at(CONTENT), CONTENT.byteLength, at(content), MAX_CONTENT);
  if (size == 0) return reject("empty message");
  if (size > MAX_CONTENT) return reject("message over 4096 bytes"); // nothing was copied

  const stored = new ArrayBuffer(20);
  const length = kv_get(at(COUNT), COUNT.byteLength, at(stored), stored.byteLength);
  if (length > stored.byteLength || length < -1) return FAILED;
  // -1: there is none yet
  const count: u64 = length > 0 ? U64.parseInt(String.UTF8.decodeUnsafe(at(stored), length)) : 0;

  const text = String.UTF8.encode((count + 1).toString());
  if (kv_set(at(COUNT), COUNT.byteLength, at(text), text.byteLength) < 0) return FAILED;

  const out = new ArrayBuffer(text.byteLength + 1 + size);
  memory.copy(at(out), at(text), text.byteLength);
  store<u8>(at(out) + text.byteLength, 0x20);
  memory.copy(at(out) + text.byteLength + 1, at(content), size);
  return reply(at(out), out.byteLength) < 0 ? FAILED : ACK;
}
