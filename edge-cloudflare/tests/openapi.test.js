// What the Worker answers is what ../openapi says, by a tester that nobody here wrote (../peers/contract).
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { run } from "./support/process.js";
import { Place } from "./support/place.js";

const CONTRACT = join(import.meta.dirname, "../../peers/contract");

let place;
before(async () => (place = await Place.start()));
after(() => place.stop());

test("the contract's document", { timeout: 300_000 }, async () => {
  const { code, output } = await run(CONTRACT, [place.url, "suite-token-of-rival"]);
  assert.equal(code, 0, output);
});
