// Child processes that end with the test, whatever becomes of it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill9();
});

/** A program in a process group of its own. Lines of its standard output go to `line`. */
export class Child {
  constructor(command, args, { env = {}, line = () => {} } = {}) {
    this.process = spawn(command, args, {
      detached: true,
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.exited = once(this.process, "exit");
    running.add(this);
    createInterface({ input: this.process.stdout }).on("line", line);
  }

  /** `kill -9` of the whole group: the machine is gone, nothing is tidied up. */
  kill9() {
    running.delete(this);
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch (error) {
      if (error.code !== "ESRCH") throw error;
    }
  }

  async ended() {
    this.kill9();
    await this.exited;
  }
}

/** Starts a program and waits for the line of its standard output that `found` makes something of. */
export async function start(command, args, found, options = {}) {
  let ready;
  const seen = new Promise((resolve) => (ready = resolve));
  const child = new Child(command, args, {
    ...options,
    line(text) {
      const what = found(text);
      if (what) ready(what);
      options.line?.(text);
    },
  });
  const gone = child.exited.then(([code]) => {
    throw new Error(`${command} ended (${code}) before it was ready`);
  });
  const late = sleep(60_000, undefined, { ref: false }).then(() => {
    throw new Error(`${command} was not ready within a minute`);
  });
  gone.catch(() => {});
  late.catch(() => {});
  return { child, found: await Promise.race([seen, gone, late]) };
}

/** Runs a program to its end; its output and its exit code. */
export async function run(command, args, options = {}) {
  const lines = [];
  const child = new Child(command, args, { ...options, line: (text) => lines.push(text) });
  child.process.stdin.end();
  const [code] = await child.exited;
  running.delete(child);
  return { code, output: lines.join("\n") };
}

/** A port of the loopback interface that nobody uses. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
