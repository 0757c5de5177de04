// Numbers and times in words, as the command line says them.

export function bytes(size) {
  for (const [unit, scale] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ]) {
    if (size >= scale) return `${(size / scale).toFixed(size < 10 * scale ? 2 : 1)} ${unit}`;
  }
  return `${size} B`;
}

export const rate = (value) => (value >= 10 ? Math.round(value).toLocaleString("en") : value.toFixed(1));
export const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)}%` : "–");
export const count = (value, what) => `${value.toLocaleString("en")} ${what}${value === 1 ? "" : "s"}`;
export const seconds = (value) =>
  value < 1 ? `${Math.round(1000 * value)} ms` : `${value.toFixed(value < 10 ? 1 : 0)} s`;

/** Which part of the list a time belongs to. */
export function day(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const days = Math.ceil((midnight - time * 1000) / 86_400_000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  return days <= 7 ? "Last 7 days" : "Earlier";
}
