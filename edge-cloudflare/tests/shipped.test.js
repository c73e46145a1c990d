// What is shipped: its size, and that wrangler takes it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { run } from "./support/process.js";

const folder = join(import.meta.dirname, "..");

test("the module is at most 1 MB, and 400 KB gzipped", (t) => {
  const wasm = readFileSync(join(folder, "build/index_bg.wasm"));
  const gzipped = gzipSync(wasm, { level: 9 });
  t.diagnostic(`${wasm.length} bytes, ${gzipped.length} gzipped`);
  assert.ok(wasm.length <= 1_000_000, `${wasm.length} bytes`);
  assert.ok(gzipped.length <= 400_000, `${gzipped.length} bytes gzipped`);
});

test("wrangler would deploy it", { timeout: 120_000 }, async () => {
  const env = { CI: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };
  const wrangler = join(folder, "node_modules/wrangler/bin/wrangler.js");
  const args = [wrangler, "deploy", "--dry-run", "--config", join(folder, "wrangler.toml")];
  const { code, output } = await run(process.execPath, args, { env });
  assert.equal(code, 0, output);
  for (const binding of ["ATTEMPTS", "FINALS", "SEARCH", "PAY_ONCE"]) assert.ok(output.includes(binding), output);
});
