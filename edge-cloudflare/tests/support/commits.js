// Durable steps, counted where they are durable: the transactions in the write-ahead log of an object's SQLite file, after
// `kill -9` (nobody has tidied the log up).
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Transactions in a write-ahead log: frames of its present salt that end one (SQLite, “WAL file format”). */
function transactions(file) {
  const log = readFileSync(file);
  if (log.length === 0) return 0;
  const frame = 24 + log.readUInt32BE(8);
  const salt = log.subarray(16, 24);
  let count = 0;
  for (let at = 32; at + frame <= log.length; at += frame) {
    if (!log.subarray(at + 8, at + 16).equals(salt)) break;
    if (log.readUInt32BE(at + 4) !== 0) count += 1;
  }
  return count;
}

/** Transactions of each object under a folder. */
export function commits(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".sqlite-wal") && !name.includes("metadata"))
    .map((name) => transactions(join(folder, name)));
}
