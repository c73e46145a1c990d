// A PSP that says what a test has it say, for what the sandbox does not say: rejections, answers that are too large.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

export class Scripted {
  asked = [];
  /** The headers of what was asked, in the same order. */
  headers = [];
  script = new Map();

  /** Starts it; until it is told what to say it answers 500. */
  static async start() {
    const psp = new Scripted();
    psp.server = createServer((request, response) => {
      const asked = `${request.method} ${request.url.split("?")[0]}`;
      psp.asked.push(asked);
      psp.headers.push(request.headers);
      const [status, body] = psp.script.get(asked) ?? [500, ""];
      request.resume().on("end", () => {
        response.writeHead(status, { "content-type": "application/json", "request-id": "req_scripted" });
        response.end(body);
      });
    }).listen(0, "127.0.0.1");
    await once(psp.server, "listening");
    psp.url = `http://127.0.0.1:${psp.server.address().port}`;
    return psp;
  }

  /** From now on `asked` (method and path) is answered so. */
  says(asked, status, body) {
    this.script.set(asked, [status, typeof body === "string" ? body : JSON.stringify(body)]);
  }

  timesAsked(asked) {
    return this.asked.filter((known) => known === asked).length;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** The headers of an event whose bytes are `body`, signed as Stripe signs. */
export function signed(secret, body) {
  const at = Math.floor(Date.now() / 1000);
  const signature = createHmac("sha256", secret).update(`${at}.${body}`).digest("hex");
  return { "stripe-signature": `t=${at},v1=${signature}` };
}
