// Key stores for tests: one in a file, as durable as a test needs, and one that loses what it is given.

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { MemoryKeyStore } from '../src/index.js';
import type { KeyStore } from '../src/index.js';

/** A file of JSON lines. One process at a time uses it; a new instance is what a restarted process sees. */
export class FileKeyStore implements KeyStore {
  readonly #values = new MemoryKeyStore();
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) return;
    for (const line of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
      const [name, value] = JSON.parse(line) as [string, string];
      this.#values.keep(name, value);
    }
  }

  load(name: string): string | undefined {
    return this.#values.load(name);
  }

  keep(name: string, value: string): string {
    if (this.#values.load(name) === undefined) {
      appendFileSync(this.#path, `${JSON.stringify([name, value])}\n`, { flush: true } as object);
    }
    return this.#values.keep(name, value);
  }
}

/** A store that keeps nothing: what a caller has that forgets its keys in a crash. */
export class ForgetfulKeyStore implements KeyStore {
  load(): undefined {
    return undefined;
  }

  keep(_: string, value: string): string {
    return value;
  }
}
