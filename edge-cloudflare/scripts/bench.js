// `npm run bench`: creates, fresh and replayed, against a bare Durable Object that reads and writes one key; the same
// requests, the same machine, turn by turn, so that both have the same share of its good and bad seconds. For people: it
// fails on a wrong answer, never on a slow machine.
import { Agent, request } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Place } from "../tests/support/place.js";
import { freePort, start } from "../tests/support/process.js";

const IN_FLIGHT = Number(process.env.IN_FLIGHT ?? 16);
const TURNS = Number(process.env.TURNS ?? 12);
const PER_TURN = Number(process.env.PER_TURN ?? 200);
const body = JSON.stringify({ order_id: "ord_1", amount: 2599, currency: "GBP", payment_method: "pm_card_visa" });

function post(agent, port, key) {
  const headers = {
    authorization: "Bearer suite-token-of-shop",
    "idempotency-key": key,
    "content-length": body.length,
  };
  return new Promise((done, failed) => {
    const asked = request({ agent, port, host: "127.0.0.1", method: "POST", path: "/attempts", headers }, (answer) => {
      answer.resume();
      answer.on("end", () => done(answer.statusCode));
    });
    asked.on("error", failed);
    asked.end(body);
  });
}

/** Sends one request for each key; the milliseconds that it took. */
async function turn(side, keys, expected) {
  // Of its own: connections that were idle for another's turn may have been closed.
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const before = process.hrtime.bigint();
  const left = keys.values();
  const worker = async () => {
    for (const key of left) {
      const status = await post(agent, side.port, key).catch((error) => {
        throw new Error(`${side.name}: ${error.message}`);
      });
      if (status !== (side.bare ? 200 : expected)) throw new Error(`${status} instead of ${expected}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  agent.destroy();
  return Number(process.hrtime.bigint() - before) / 1e6;
}

const place = await Place.start();
const directory = mkdtempSync(join(tmpdir(), "pay-once-bare-"));
const port = await freePort();
const script = join(import.meta.dirname, "../tests/support/workerd.js");
const options = JSON.stringify({ port, directory, bare: true });
const { child } = await start(process.execPath, [script, options], (line) => line.startsWith("ready "));
const sides = [
  { name: "pay once", port: place.port, bare: false },
  { name: "bare", port, bare: true },
];

try {
  const names = (what, nth) => Array.from({ length: PER_TURN }, (_, at) => `${what}-${nth}-${at}`);
  const known = names("known", 0);
  for (const side of sides) await turn(side, known, 201);
  for (const [what, keys, status] of [
    ["fresh create", (nth) => names("fresh", nth), 201],
    ["replayed create", () => known, 200],
  ]) {
    const took = { "pay once": 0, bare: 0 };
    for (let nth = 0; nth < TURNS; nth += 1) {
      // Who goes first changes, too.
      for (const side of nth % 2 ? sides : sides.toReversed()) took[side.name] += await turn(side, keys(nth), status);
    }
    const rate = (name) => Math.round((TURNS * PER_TURN * 1000) / took[name]);
    const ratio = took.bare / took["pay once"];
    console.log(`${what}: ${rate("pay once")}/s, bare object ${rate("bare")}/s, ratio ${ratio.toFixed(2)} (${IN_FLIGHT} in flight)`);
  }
} finally {
  await child.ended();
  await place.stop();
  rmSync(directory, { recursive: true, force: true });
}
process.exit(0);
