// Drives the console in a browser. Arguments: the address of the console, the folder with
// node_modules, dmarcd and the demonstration, and the names of the parts to run (all
// without): ways, pages, shots.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [base, work, ...parts] = process.argv.slice(2);
const require = createRequire(path.resolve(work, "node_modules", "x.js"));
const { chromium } = require("playwright-core");
const { HtmlValidate } = require("html-validate");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const password = "correct horse battery";
let failures = 0;
const fail = (what) => { failures++; console.log("FAIL", what); };
const expect = (what, ok) => { if (!ok) fail(what); };
const wanted = (part) => parts.length === 0 || parts.includes(part);

// dmarcd runs a command of the binary under test.
const dmarcd = (args, input = "") =>
  execFileSync(path.join(work, "dmarcd"), [...args, "-c", path.join(work, "data", "dmarcd.yaml")], { input, encoding: "utf8" });

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });

// visit opens a browser of its own; each problem that it reports is a failure.
async function visit({ width = 1280, scheme = "light", lang = "en", scripts = true, user } = {}) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, locale: lang, javaScriptEnabled: scripts, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.on("console", (m) => { if (m.type() === "error" && !m.text().includes("status of 4")) fail(`${page.url()}: ${m.text()}`); });
  page.on("pageerror", (e) => fail(`${page.url()}: ${e}`));
  page.on("request", (r) => { if (!r.url().startsWith(base)) fail(`${page.url()} loads ${r.url()}`); });
  if (user) {
    await page.goto(base + "/login");
    await page.fill("#name", user);
    await page.fill("#password", password);
    await page.click("button.go");
    await page.waitForLoadState();
    expect(`${user} logs in`, !page.url().includes("/login"));
  }
  return { context, page, go: (to) => page.goto(base + to) };
}

const text = (page) => page.locator("main").innerText();

// ways are those of people: each answer within three clicks.
async function ways() {
  const guest = await visit();
  await guest.go("/");
  expect("without users: reading, and said so", (await guest.page.innerText("body")).includes("Nobody has a user yet"));
  await guest.context.close();
  dmarcd(["user", "add", "aiko", "--role", "admin"], password + "\n");
  dmarcd(["user", "add", "ben", "--role", "viewer", "--domain", "acme.example"], password + "\n");
  await new Promise((done) => setTimeout(done, 100));

  const { page, go, context } = await visit({ user: "aiko" });
  await go("/mail");
  await page.selectOption('select[name="action"]', "reject");
  await page.click("button.go");
  await page.locator("tbody tr th a").first().click();
  expect("a rejected message says why", (await page.locator(".verdict").innerText()).includes("Rejected"));
  expect("what to tell the sender", (await text(page)).includes("What to tell the sender"));
  const id = (await page.locator("h1 .mono").innerText()).trim();
  await page.fill("#find", id);
  await page.press("#find", "Enter");
  await page.waitForURL("**/mail/m/**");

  await go("/analysis?period=90d");
  await page.getByRole("link", { name: "View by sending source" }).first().click();
  await page.locator(".toggle").first().click();
  expect("a source opens", (await page.locator("tr.level-2").count()) > 0);
  await page.getByRole("link", { name: /^View details/ }).first().click();
  for (const [key, value] of [["ip", "10.1.0.0/99"], ["ip", "192.0.2"]]) {
    await page.fill(`input[name="${key}"]`, value);
    await page.click("button.go");
    await page.waitForLoadState();
    expect(`the filter ${value} is answered`, (await page.locator(".wrong").count()) === (value.includes("/99") ? 1 : 0));
  }
  await go("/analysis/details?period=90d");
  await page.locator("tbody tr th a").first().click();
  expect("a record is told in a sentence", (await page.locator(".verdict p").innerText()).length > 40);

  await go("/analysis/source/sendgrid.net?period=90d&domain=acme.example");
  if (await page.locator("#label").count()) {
    await page.selectOption("#label", "authorised");
    await page.fill("#note", "newsletters");
    await page.click("form.form button.go");
    expect("a source is labelled", (await text(page)).includes("newsletters"));
  }

  await go("/analysis/config/acme.example/generate");
  await page.selectOption("#g-p", "reject");
  await page.click("form.form button.go");
  expect("a record is generated", (await text(page)).includes("v=DMARC1; p=reject"));
  await page.getByRole("link", { name: "Verify" }).last().click();
  expect("the record is verified", /Not yet|In effect/.test(await page.locator("h1").innerText()));
  await go("/analysis/readiness/acme.example");
  expect("readiness is told", /Ready|Not yet/.test(await text(page)));

  await go("/policy/simulate");
  await page.fill("#file", "default:\n  dmarc: {actions: {reject: quarantine}}\n");
  await page.selectOption("#since", "30d");
  await page.click("main button.go");
  expect("a policy is simulated", (await text(page)).includes("would be treated otherwise"));
  await page.fill("#file", "default:\n  dmrc: {}\n");
  await page.click("main button.go");
  expect("a fault is told", (await page.locator(".wrong").count()) > 0);

  await go("/analysis/reports");
  await page.setInputFiles("#file", [{ name: "nothing.xml", mimeType: "text/xml", buffer: Buffer.from("<feedback><x/></feedback>") }]);
  await page.getByRole("button", { name: "Upload" }).click();
  expect("an upload is answered", (await text(page)).includes("nothing.xml"));

  const other = await visit({ user: "aiko" });
  await go("/account");
  await page.getByRole("button", { name: "End all other sessions" }).click();
  await other.go("/mail");
  expect("an ended session is over", other.page.url().includes("/login"));
  await other.context.close();
  await context.close();

  const ben = await visit({ user: "ben" });
  expect("a customer lands on their domain", ben.page.url().includes("domain=acme.example"));
  const seen = await ben.page.innerText("body");
  expect("and sees no other", !seen.includes("globex") && !seen.includes("initech"));
  await ben.context.close();

  const plain = await visit({ user: "aiko", scripts: false });
  for (const to of addresses) {
    const got = await plain.go(to);
    expect(`${to} without JavaScript`, got.status() === ({ "/nothing": 404, "/analysis?domain=a..b": 400 }[to] ?? 200));
  }
  await plain.context.close();
}

const addresses = [
  "/", "/mail", "/mail/held", "/mail/status", "/policy", "/policy/acme.example?why=bank.example&ip=192.0.2.1", "/policy/history", "/policy/simulate",
  "/analysis?period=90d", "/analysis/sources?period=90d&open=sendgrid.net", "/analysis/source/sendgrid.net?period=90d", "/analysis/details?period=90d", "/analysis/trends?period=90d&show=source",
  "/analysis/reports", "/analysis/reporters", "/analysis/config", "/analysis/config/acme.example", "/analysis/config/acme.example/generate", "/analysis/readiness/acme.example",
  "/outgoing", "/outgoing/suppressed", "/settings", "/users", "/users/ben", "/users/ben/remove", "/users/audit", "/account", "/help", "/find?q=192.0.2.1", "/nothing", "/analysis?domain=a..b",
];

// message is the address of a refused message.
async function message(go, page) {
  await go("/mail?action=reject");
  return page.locator("tbody tr th a").first().getAttribute("href");
}

// pages holds each page to axe-core and html-validate, in both colours.
async function pages() {
  const validator = new HtmlValidate({ extends: ["html-validate:standard"], rules: {
    "no-redundant-role": "off", "prefer-native-element": "off", "long-title": "off", "void-style": "off", "no-trailing-whitespace": "off", "valid-autocomplete": "off",
    "wcag/h30": "off", "no-inline-style": "error", "doctype-style": "off", "no-implicit-button-type": "off", "attribute-boolean-style": "off", "attribute-empty-style": "off",
  } });
  for (const [scheme, lang] of [["light", "en"], ["dark", "ja"]]) {
    for (const width of [1280, 390]) {
      const { page, go, context } = await visit({ user: "aiko", scheme, lang, width });
      for (const to of [...addresses, await message(go, page)]) {
        const got = await go(to);
        const body = await got.text();
        expect(`${to} weighs ${body.length}`, body.length < 150_000);
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        expect(`${to} at ${width} (${lang}) scrolls sideways by ${over}`, over <= 0);
        if (width === 1280 && lang === "en") {
          const report = await validator.validateString(body);
          for (const r of report.results) for (const m of r.messages) fail(`${to}: HTML ${m.line}: ${m.ruleId}: ${m.message}`);
        }
        await page.evaluate(() => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
        await page.evaluate(axe);
        const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        for (const v of found.violations) fail(`${to} (${scheme}, ${width}): axe ${v.id}: ${v.nodes.length}x ${v.nodes[0].html.slice(0, 160)} ${v.nodes[0].failureSummary?.split("\n")[1] ?? ""}`);
      }
      await context.close();
    }
  }
  for (const width of [320, 1024, 1920]) {
    const { page, go, context } = await visit({ user: "aiko", width, lang: width === 320 ? "ja" : "en" });
    for (const to of addresses) {
      await go(to);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(`${to} at ${width} scrolls sideways by ${over}`, over <= 0);
    }
    await context.close();
  }
}

// shots takes a picture of every page.
async function shots() {
  const out = path.join(work, "shots");
  mkdirSync(out, { recursive: true });
  for (const width of [1280, 390]) {
    for (const scheme of ["light", "dark"]) {
      for (const lang of ["en", "ja"]) {
        const { page, go, context } = await visit({ user: "aiko", width, scheme, lang });
        for (const to of [...addresses, await message(go, page)]) {
          await go(to);
          const name = to.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").slice(0, 50) || "home";
          await page.screenshot({ path: path.join(out, `${name}-${width}-${scheme}-${lang}.png`), fullPage: true });
        }
        await context.close();
      }
    }
  }
}

try {
  if (wanted("ways")) await ways();
  if (wanted("pages")) await pages();
  if (wanted("shots")) await shots();
} finally {
  await browser.close();
}
console.log(failures === 0 ? "browser: all is well" : `browser: ${failures} failures`);
process.exit(failures === 0 ? 0 : 1);
