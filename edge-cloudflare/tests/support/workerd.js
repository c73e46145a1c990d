// A Worker on real workerd, by miniflare, in a process of its own: `node workerd.js OPTIONS`, where OPTIONS is JSON
// `{port, directory, bindings}` for the built Worker, or `{port, directory, bare: true}` for the benchmark's other side.
// It prints `ready URL`, then the Worker's log lines, and ends with its standard input.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Log, LogLevel, Miniflare } from "miniflare";

const folder = join(import.meta.dirname, "../..");
const { port, directory, bindings, bare } = JSON.parse(process.argv[2]);

const payOnce = {
  name: "pay-once",
  compatibilityDate: "2026-07-01",
  modulesRoot: join(folder, "build"),
  modules: [
    { type: "ESModule", path: join(folder, "build/index.js") },
    { type: "CompiledWasm", path: join(folder, "build/index_bg.wasm") },
  ],
  bindings,
  durableObjects: { ATTEMPTS: { className: "Attempt", useSQLite: true } },
  kvNamespaces: ["FINALS", "SEARCH"],
  wrappedBindings: { MEASURES: "measures" },
};
// Analytics Engine drops its data points here. In its place they are lines of the log.
const measures = {
  name: "measures",
  modules: [
    {
      type: "ESModule",
      path: "measures.js",
      contents: `export default () => ({
        writeDataPoint: (point) => console.log(JSON.stringify({ data_point: point })),
      });`,
    },
  ],
};
const other = {
  name: "bare",
  compatibilityDate: "2026-07-01",
  modulesRoot: join(folder, "scripts"),
  modules: [{ type: "ESModule", path: join(folder, "scripts/bare.js") }],
  durableObjects: { BARE: { className: "Bare", useSQLite: true } },
};
const miniflare = new Miniflare({
  host: "127.0.0.1",
  port,
  cf: false,
  log: new Log(LogLevel.ERROR),
  durableObjectsPersist: join(directory, "objects"),
  kvPersist: join(directory, "kv"),
  workers: bare ? [other] : [payOnce, measures],
  handleRuntimeStdio(stdout, stderr) {
    for (const stream of [stdout, stderr]) {
      createInterface({ input: stream }).on("line", (line) => process.stdout.write(`${line}\n`));
    }
  },
});
const url = await miniflare.ready;
process.stdout.write(`ready ${url.origin}\n`);
process.stdin.on("end", async () => {
  await miniflare.dispose();
  process.exit(0);
});
process.stdin.resume();
