// What the first request of a fresh workerd takes, over that of a Worker of a few lines of JavaScript with an object that reads and
// writes one key: the same machine, the same run, in turns; medians are compared. The other Worker has no module to compile.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Place } from "./support/place.js";
import { freePort, start } from "./support/process.js";

const TURNS = 7;
// What must never be: a module that has grown out of all measure. The figure itself is in README; a busy machine doubles it.
const RATIO_MAX = 8;
const body = { order_id: "ord_1", amount: 2599, currency: "GBP", payment_method: "pm_card_visa" };

async function took(ask) {
  const before = process.hrtime.bigint();
  const status = await ask();
  return [Number(process.hrtime.bigint() - before) / 1e6, status];
}

test("the first request of a fresh instance is of the order of an empty one's", { timeout: 180_000 }, async (t) => {
  const place = await Place.start();
  const directory = mkdtempSync(join(tmpdir(), "pay-once-bare-"));
  const port = await freePort();
  const script = join(import.meta.dirname, "support/workerd.js");
  const options = JSON.stringify({ port, directory, bare: true });
  const ours = [];
  const empty = [];
  try {
    for (let nth = 0; nth < TURNS; nth += 1) {
      await place.crash();
      await place.up();
      const [ms, status] = await took(async () => (await place.post("/attempts", `k-${nth}`, body)).status);
      assert.equal(status, 201);
      ours.push(ms);
      const { child } = await start(process.execPath, [script, options], (line) => line.startsWith("ready "));
      const [bareMs, bareStatus] = await took(async () => {
        const headers = { "idempotency-key": `k-${nth}`, authorization: "Bearer suite-token-of-shop" };
        const url = `http://127.0.0.1:${port}/attempts`;
        const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
        await answer.text();
        return answer.status;
      });
      assert.equal(bareStatus, 200);
      empty.push(bareMs);
      await child.ended();
    }
  } finally {
    await place.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  const median = (times) => times.toSorted((a, b) => a - b)[times.length >> 1];
  const ratio = median(ours) / median(empty);
  t.diagnostic(`ours ${ours.map(Math.round)} ms, empty ${empty.map(Math.round)} ms: ${ratio.toFixed(2)}`);
  assert.ok(ratio <= RATIO_MAX, ratio.toFixed(2));
});
