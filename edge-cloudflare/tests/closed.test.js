// Fail closed: without its secrets a deployment serves nobody, and says why in its log without showing any of them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Place } from "./support/place.js";

let place;
let good;
before(async () => {
  place = await Place.start();
  good = place.bindings;
});
after(() => place.stop());

const changed = (change) => {
  const bindings = structuredClone(good);
  change(bindings, bindings.PAY_ONCE);
  return bindings;
};

for (const [name, bindings, why] of [
  ["no configuration", () => changed((all) => delete all.PAY_ONCE), /PAY_ONCE is not set/],
  ["a member that nobody knows", () => changed((_, it) => (it.extra = 1)), /unknown field `extra`/],
  ["no key of the PSP", () => changed((all) => delete all.PAY_ONCE_PSP_KEY), /secret PAY_ONCE_PSP_KEY is not set/],
  ["an empty webhook secret", () => changed((all) => (all.PAY_ONCE_WEBHOOK_SECRET = " ")), /webhook_secret is empty/],
  ["webhooks that nobody signs", () => changed((_, it) => delete it.psps.stripe.webhook_secret_env), /"stripe" has no webhook secret/],
  ["a merchant without a key", () => changed((_, it) => (it.merchants.shop.api_key_sha256 = [])), /"shop" has no key/],
  ["digests that are not set", () => changed((_, it) => (it.merchants.shop.api_key_sha256_env = "NO")), /secret NO is not set/],
  ["a key in place of its digest", () => changed((_, it) => (it.merchants.shop.api_key_sha256 = ["sk_live_1"])), /digest 1 is not 64/],
  ["a key in place of a list of digests", () => changed((_, it) => (it.merchants.shop.api_key_sha256 = "sk_live_1")), /a string, expected a sequence at line 1/],
  ["no name of the installation", () => changed((_, it) => (it.psps.stripe.base_url = "https://psp.example")), /installation is missing/],
  ["a name with a space in it", () => changed((_, it) => (it.installation = "our shop")), /installation must have at most 64/],
  ["credentials in a URL", () => changed((_, it) => Object.assign(it, { installation: "test" }).psps.stripe.base_url = "https://ada:sk_live_1@psp.example"), /has credentials in it/],
  ["a merchant who needs no key", () => changed((_, it) => (it.open_merchant = "shop")), /open_merchant "shop"/],
]) {
  test(name, async () => {
    await place.crash();
    place.lines.length = 0;
    place.bindings = bindings();
    await place.up();
    const body = { amount: 1, currency: "GBP", payment_method: "pm_card_visa" };
    for (const token of ["suite-token-of-shop", undefined]) {
      const answer = await place.post("/charge", "k", body, { token });
      assert.deepEqual([answer.status, answer.json.error.code], [503, "NOT_CONFIGURED"]);
      const read = await place.send("GET", "/attempts/pa_00000000000000000000000000", { token });
      assert.equal(read.status, 503);
    }
    const webhook = await place.send("POST", "/webhooks/stripe", { body: {} });
    assert.equal(webhook.status, 404);
    assert.deepEqual(await place.wholeLedger(), {});
    await place.waitFor("the reason", () => place.log().some((line) => why.test(line.why)));
    assert.doesNotMatch(place.lines.join("\n"), /sk_suite|whsec_suite|sk_live_1/);
  });
}

test("digests may be a secret", async () => {
  await place.crash();
  place.bindings = changed((all, it) => {
    all.SHOP_KEY_SHA256 = it.merchants.shop.api_key_sha256.join("\n");
    it.merchants.shop = { psp: "stripe", api_key_sha256_env: "SHOP_KEY_SHA256" };
    // As text, which is how a deployment may carry it too.
    all.PAY_ONCE = JSON.stringify(it);
  });
  await place.up();
  const answer = await place.post("/attempts", "k", { order_id: "o", amount: 1, currency: "GBP" });
  assert.equal(answer.status, 201);
  assert.equal((await place.post("/attempts", "k", {}, { token: "sk_live_1" })).status, 401);
});
