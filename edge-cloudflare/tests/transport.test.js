// What became of a call whose way to the PSP broke (../suite/src/transport.rs).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { freePort, run } from "./support/process.js";
import { Place, SUITE } from "./support/place.js";

let place;
let listen;
before(async () => {
  place = await Place.start();
  listen = `127.0.0.1:${await freePort()}`;
  const { code, output } = await run(SUITE, ["transport-config", "--json", "--listen", listen]);
  assert.equal(code, 0, output);
  await place.crash();
  place.bindings.PAY_ONCE = JSON.parse(output);
  await place.up();
});
after(() => place.stop());

test("a call that reached the PSP is never told as not sent", { timeout: 180_000 }, async () => {
  const { code, output } = await run(SUITE, ["transport", "--base-url", place.url, "--listen", listen]);
  assert.equal(code, 0, output);
  assert.equal(output.trim().split("\n").length, 8, output);
});
