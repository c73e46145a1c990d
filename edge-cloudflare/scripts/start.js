// `npm start`: builds the Worker and serves it on this machine, storage kept in ./data, with the sandbox PSP beside it.
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";

const folder = join(import.meta.dirname, "..");
const root = join(folder, "..");
const PORT = 8787;

const built = spawnSync("cargo", ["build", "--locked", "--quiet", "-p", "pay-once-sandbox"], { cwd: root, stdio: "inherit" });
if (built.status !== 0) process.exit(1);
const target = process.env.CARGO_TARGET_DIR ?? join(root, "target");

const inherit = { cwd: folder, stdio: "inherit" };
// The address, and the secret, are those of wrangler.sandbox.toml.
const sandbox = spawn(
  join(target, "debug/pay-once-sandbox"),
  ["--listen", "127.0.0.1:8081", "--data", "data/sandbox", "--webhook-url", `http://127.0.0.1:${PORT}/webhooks`],
  inherit,
);
const wrangler = spawn(
  process.execPath,
  ["node_modules/wrangler/bin/wrangler.js", "dev", "--config", "wrangler.sandbox.toml", "--local", "--ip", "127.0.0.1"]
    .concat(["--port", String(PORT), "--persist-to", "data", "--show-interactive-dev-session=false"]),
  { ...inherit, env: { ...process.env, WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" } },
);
console.log(`
Once it is ready, pay once:
  curl -i -X POST http://127.0.0.1:${PORT}/charge -H 'Authorization: Bearer sk_shop' -H 'Idempotency-Key: k1' \\
       -H 'Prefer: wait=5' -d '{"order_id": "ord_123", "amount": 2599, "currency": "GBP"}'
As often as you like. What happened to the money:
  curl http://127.0.0.1:8081/ledger
`);

const stop = () => {
  sandbox.kill();
  wrangler.kill();
};
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, stop);
for (const child of [sandbox, wrangler]) {
  child.on("exit", (code) => {
    process.exitCode ||= code ?? 0;
    stop();
  });
}
