/**
 * Takes pictures of the running demo with a headless Chromium, into the folder that is given.
 *
 * It tells the browser what to do over the DevTools protocol: a picture is taken when its page shows what it is about,
 * and a schema has to be unfolded first.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

const PORTAL = 'http://127.0.0.1:7007';
const PATIENCE_MS = 60_000;
/** Until what fades or moves has done so. */
const SETTLE_MS = 2_000;

const GRAPH = new URLSearchParams([
  ['rootEntityRefs[]', 'component:demo/broker.logistics.shipping'],
  ['maxDepth', '2'],
  ['direction', 'LR'],
  ['showFilters', 'false'],
  // Owners and systems would be lines across all others.
  ...['api', 'component'].map(it => ['selectedKinds[]', it]),
]);

/** Which pages, how large in pixels, what they show when they are whole, and what is clicked then. */
const PICTURES = [
  {
    name: 'backstage-catalog',
    path: '/?filters[kind]=component&filters[user]=all',
    size: [1660, 1010],
    shows: ['shop/orders', 'analytics/clickstream', 'logistics/supplier-stock', 'storefront', 'Checkout', 'Sales'],
    click: 'Type',
  },
  {
    name: 'backstage-event-type',
    path: '/catalog/demo/api/eventtype.shop.order-created',
    size: [1280, 1360],
    shows: ['apiProvidedBy', 'apiConsumedBy', 'Providers', 'Consumers', 'Charges and refunds'],
  },
  {
    name: 'backstage-definition',
    path: '/catalog/demo/api/eventtype.shop.payment-authorized/definition',
    size: [1280, 1600],
    shows: ['Payload', 'Expand all'],
    click: 'Expand all',
  },
  {
    name: 'backstage-graph',
    path: `/catalog-graph?${GRAPH}`,
    size: [1280, 800],
    shows: ['logistics/shipping', 'com.example.logistics.parcel.packed', 'carrier-gateway'],
  },
];

/** One font for all texts, however a page asks for it: what is the default of a machine may be wide. */
const FONTS = `<?xml version="1.0"?>
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  ${['system-ui', 'sans-serif', 'sans']
    .map(
      it => `<match target="pattern">
    <test name="family"><string>${it}</string></test>
    <edit name="family" mode="prepend" binding="strong"><string>Liberation Sans</string></edit>
  </match>`,
    )
    .join('\n  ')}
</fontconfig>
`;

/** A browser with one page. It is spoken to through a pipe, which takes no port. */
class Browser {
  #process;
  #session;
  #answers = new Map();
  #lastId = 0;

  static async open(profile) {
    const browser = new Browser();
    const flags = ['--headless=new', '--disable-gpu', '--hide-scrollbars', '--remote-debugging-pipe'];
    // Chromium has no sandbox for root.
    const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    await writeFile(join(profile, 'fonts.conf'), FONTS);
    browser.#process = spawn('chromium', [...flags, ...sandbox, `--user-data-dir=${profile}`], {
      env: { ...process.env, FONTCONFIG_FILE: join(profile, 'fonts.conf') },
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    browser.#read(browser.#process.stdio[4]);
    const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
    browser.#session = sessionId;
    await browser.send('Page.enable');
    // The bar at the side is narrow, which leaves the room to what the pictures are about.
    await browser.send('Page.addScriptToEvaluateOnNewDocument', {
      source: "localStorage.setItem('sidebarPinState', 'false')",
    });
    return browser;
  }

  send(method, params = {}) {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers();
    this.#answers.set(id, { resolve, reject });
    this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.#session })}\0`);
    return promise;
  }

  async evaluate(expression) {
    const { result } = await this.send('Runtime.evaluate', { expression, returnByValue: true });
    return result.value;
  }

  async close() {
    const exit = once(this.#process, 'exit');
    this.#process.kill();
    await exit;
  }

  async #read(stream) {
    let rest = '';
    for await (const chunk of stream.setEncoding('utf8')) {
      const messages = (rest + chunk).split('\0');
      rest = messages.pop();
      for (const { id, result, error } of messages.map(it => JSON.parse(it))) {
        const answer = this.#answers.get(id);
        this.#answers.delete(id);
        error ? answer?.reject(new Error(error.message)) : answer?.resolve(result);
      }
    }
  }
}

async function take(browser, { name, path, size: [width, height], shows, click }) {
  await browser.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  await browser.send('Page.navigate', { url: `${PORTAL}${path}` });
  const isWhole = `${JSON.stringify(shows)}.every(it => document.body?.textContent.includes(it))`;
  for (const start = Date.now(); !(await browser.evaluate(isWhole)); await setTimeout(250)) {
    if (Date.now() - start > PATIENCE_MS) {
      throw new Error(`${path} does not show ${shows.join(', ')}`);
    }
  }
  await setTimeout(SETTLE_MS);
  if (click) {
    const isIt = `it.textContent.trim() === ${JSON.stringify(click)}`;
    await browser.evaluate(`[...document.querySelectorAll('button, [role=button]')].find(it => ${isIt}).click()`);
    await setTimeout(SETTLE_MS);
  }
  const { data } = await browser.send('Page.captureScreenshot', { format: 'png' });
  return Buffer.from(data, 'base64');
}

const [folder] = process.argv.slice(2);
const profile = await mkdtemp(join(tmpdir(), 'eventmesh-demo-'));
const browser = await Browser.open(profile);
try {
  await mkdir(folder, { recursive: true });
  for (const picture of PICTURES) {
    const file = join(folder, `${picture.name}.png`);
    await writeFile(file, await take(browser, picture));
    console.log(file);
  }
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true, maxRetries: 5 });
}
