// The least that a Durable Object can do for a request: read one key, write one key. What the benchmark measures against.
export class Bare {
  constructor(ctx) {
    this.storage = ctx.storage;
  }

  async fetch(request) {
    await request.text();
    const count = (await this.storage.get("count")) ?? 0;
    await this.storage.put("count", count + 1);
    return new Response(`{"count":${count}}`, { headers: { "content-type": "application/json" } });
  }
}

export default {
  fetch(request, env) {
    const name = request.headers.get("idempotency-key");
    return env.BARE.get(env.BARE.idFromName(name)).fetch(request);
  },
};
