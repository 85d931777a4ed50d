// Numbers and times as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => (Math.abs(n) < 100000 ? whole.format(n) : compact.format(n));

export function rate(n) {
  if (n == null || Number.isNaN(n)) return "–";
  if (n === 0) return "0";
  return n < 9.95 ? n.toFixed(1) : count(Math.round(n));
}

export function bytes(n) {
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (n < 1024) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} TiB`;
}

// span is a duration in seconds, in two units at most.
export function span(sec) {
  if (sec < 0.0995) return `${(sec * 1000).toFixed(sec < 0.00995 ? 1 : 0)} ms`;
  if (sec < 9.95) return `${sec.toFixed(1)} s`;
  sec = Math.round(sec);
  if (sec < 60) return `${sec} s`;
  if (sec < 3600) return two(sec, 60, "m", "s", 1);
  if (sec < 86400) return two(sec, 3600, "h", "m", 60);
  return two(sec, 86400, "d", "h", 3600);
}

function two(sec, big, bigName, smallName, small) {
  const rest = Math.floor((sec % big) / small);
  return `${Math.floor(sec / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

export const since = (text, now) => (text && !text.startsWith("0001") ? Math.max((now - Date.parse(text)) / 1000, 0) : null);

export function clock(ms) {
  const d = new Date(ms);
  const time = d.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return d.toDateString() === new Date().toDateString() ? time : `${d.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;
