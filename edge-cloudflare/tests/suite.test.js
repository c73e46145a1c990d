// The table of cases that every adapter must pass (../suite), byte for byte.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run } from "./support/process.js";
import { GOLDEN, Place, SUITE } from "./support/place.js";

let place;
before(async () => (place = await Place.start()));
after(() => place.stop());

test("the table of every adapter", { timeout: 180_000 }, async () => {
  const { code, output } = await run(SUITE, ["--base-url", place.url, "--psp-url", place.psp, "--check", GOLDEN]);
  assert.equal(code, 0, output);
});
