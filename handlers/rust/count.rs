//! A message handler in Rust: it counts the messages and replies "<count> <content>".

#[link(wasm_import_module = "rmds_v1")]
extern "C" {
    fn msg_get(key: *const u8, key_len: usize, buf: *mut u8, cap: usize) -> i32;
    fn kv_get(key: *const u8, key_len: usize, buf: *mut u8, cap: usize) -> i32;
    fn kv_set(key: *const u8, key_len: usize, val: *const u8, val_len: usize) -> i32;
    fn reply(ptr: *const u8, len: usize) -> i32;
    fn note(key: *const u8, key_len: usize, val: *const u8, val_len: usize) -> i32;
}

const ACK: i32 = 0;
const FAILED: i32 = 1;
const REJECT: i32 = 65;

const MAX_CONTENT: i32 = 4096;

type Get = unsafe extern "C" fn(*const u8, usize, *mut u8, usize) -> i32;

/// Reads a value of any length, or returns the host's negative answer.
fn read(get: Get, key: &str) -> Result<Vec<u8>, i32> {
    let mut buf = vec![0; 64];
    loop {
        let n = unsafe { get(key.as_ptr(), key.len(), buf.as_mut_ptr(), buf.len()) };
        if n < 0 {
            return Err(n);
        }
        let fits = n as usize <= buf.len();
        buf.resize(n as usize, 0);
        if fits {
            return Ok(buf);
        }
    }
}

/// Sets key to value, or returns the host's negative answer.
fn set(key: &str, value: &str) -> Result<(), i32> {
    match unsafe { kv_set(key.as_ptr(), key.len(), value.as_ptr(), value.len()) } {
        n if n < 0 => Err(n),
        _ => Ok(()),
    }
}

fn reject(reason: &str) -> i32 {
    let key = "reason";
    unsafe { note(key.as_ptr(), key.len(), reason.as_ptr(), reason.len()) };
    REJECT
}

fn count() -> Result<u64, i32> {
    let stored = match read(kv_get, "count") {
        Err(-1) => return Ok(0), // there is none yet
        other => other?,
    };
    let text = String::from_utf8_lossy(&stored);
    text.parse().map_err(|_| FAILED)
}

fn handle() -> Result<i32, i32> {
    let content = read(msg_get, "content")?;
    if content.is_empty() {
        return Ok(reject("empty message"));
    }
    if content.len() as i32 > MAX_CONTENT {
        return Ok(reject("message over 4096 bytes"));
    }
    let count = (count()? + 1).to_string();
    set("count", &count)?;
    let out = [count.as_bytes(), b" ", &content].concat();
    match unsafe { reply(out.as_ptr(), out.len()) } {
        n if n < 0 => Err(n),
        _ => Ok(ACK),
    }
}

#[no_mangle]
pub extern "C" fn rmds_handle() -> i32 {
    handle().unwrap_or(FAILED)
}
