/** One visit of the page: a browser, what it asked of whom, and what can be read off the page. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { launch } from './browser.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** @param {unknown} held @param {string} text */
export function check(held, text) {
  if (!held) throw new Error(text);
}

export class Visit {
  /** @type {string[]} requests to any other host */
  strangers = [];
  /** @type {string[]} */
  faults = [];

  /**
   * Opens the page, works with it, and closes the browser whatever happens.
   * @template T
   * @param {any} setup
   * @param {any} view context options of the browser
   * @param {(visit: Visit) => Promise<T>} work
   */
  static async with(setup, { allowed = true, hosts = '', url = setup.url, ...view }, work) {
    const browser = await launch(setup.speech, allowed, hosts);
    try {
      const context = await browser.newContext({ ...view, permissions: allowed && !hosts ? ['microphone', 'clipboard-read', 'clipboard-write'] : [] });
      const visit = new Visit(setup, context, await context.newPage());
      await visit.page.goto(url);
      const result = await work(visit);
      check(visit.strangers.length === 0, `asked other hosts: ${visit.strangers.join(' ')}`);
      check(visit.faults.length === 0, `faults on the page: ${visit.faults.join(' | ')}`);
      return result;
    } finally {
      await browser.close();
    }
  }

  constructor(setup, context, page) {
    Object.assign(this, { setup, context, page });
    const home = new URL(setup.url).host;
    const seen = (address) => {
      const { protocol, host } = new URL(address);
      if (!['blob:', 'data:', 'about:'].includes(protocol) && host !== home) this.strangers.push(address);
    };
    context.on('request', (request) => seen(request.url()));
    page.on('websocket', (socket) => seen(socket.url()));
    page.on('pageerror', (error) => this.faults.push(String(error)));
    page.on('console', (message) => {
      // A browser reports whatever a request for a ticket is refused with; the page says it in its own words.
      const ticket = message.location().url.endsWith('/auth/stream-ticket');
      const expected = ticket || /ERR_INTERNET_DISCONNECTED|WebSocket connection to/.test(message.text());
      if (message.type() === 'error' && !expected) this.faults.push(message.text());
    });
  }

  /** @param {string} selector @param {number} [timeoutMs] */
  async until(selector, timeoutMs = 15_000) {
    await this.page.locator(selector).first().waitFor({ state: 'visible', timeout: timeoutMs }).catch(() => {
      throw new Error(`never saw ${selector}`);
    });
  }

  /** @param {string} text */
  async untilStatus(text, timeoutMs = 15_000) {
    const place = this.page.locator('#status', { hasText: text });
    await place.waitFor({ timeout: timeoutMs }).catch(async () => {
      throw new Error(`status never said "${text}"; it says "${await this.page.locator('#status').innerText()}"`);
    });
  }

  /** Walks with the Tab key to the control, then makes sure that its focus can be seen. @param {string} id */
  async tabTo(id) {
    for (let steps = 0; steps < 30; steps += 1) {
      await this.page.keyboard.press('Tab');
      const focus = await this.page.evaluate(() => {
        const style = document.activeElement && getComputedStyle(document.activeElement);
        return { id: document.activeElement?.id, ring: style?.outlineStyle !== 'none' && parseFloat(style?.outlineWidth ?? '0') >= 2 };
      });
      check(focus.id === '' || focus.id === undefined || focus.ring, `focus on #${focus.id} cannot be seen`);
      if (focus.id === id) return;
    }
    throw new Error(`the Tab key never reaches #${id}`);
  }

  /** Final text on the page, without times. */
  async finalText() {
    return (await this.page.locator('#body .final').allInnerTexts()).join(' ');
  }

  /** @param {string} id @param {string} phase @param {number} [timeoutMs] */
  async untilPhase(phase, timeoutMs = 20_000) {
    await this.until(`#record[data-phase="${phase}"]`, timeoutMs);
  }

  async checkNoSideways(where) {
    const [wide, view] = await this.page.evaluate(() => [document.scrollingElement.scrollWidth, innerWidth]);
    check(wide <= view, `${where}: the page is ${wide} px wide in a window of ${view} px`);
    const out = await this.page.evaluate(() =>
      [...document.querySelectorAll('button, select, input, summary, .text, dd')]
        .filter((node) => node.checkVisibility() && node.getBoundingClientRect().right > innerWidth + 0.5)
        .map((node) => node.id || node.className || node.tagName),
    );
    check(out.length === 0, `${where}: beyond the right edge: ${out.join(' ')}`);
  }

  /** WCAG 2.2 A and AA, as far as a machine can tell. @param {string} where */
  async checkAccessible(where) {
    await this.page.evaluate(AXE);
    await this.page.evaluate(() => {
      const passing = document.getAnimations().filter((moving) => moving.effect?.getComputedTiming().iterations !== Infinity);
      return Promise.allSettled(passing.map((moving) => moving.finished));
    });
    const faults = await this.page.evaluate(async () => {
      const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
      const { violations } = await globalThis.axe.run(document, options);
      return violations.map(({ id, nodes }) => `${id} at ${nodes.map((node) => `${node.target} (${node.any[0]?.message ?? node.failureSummary})`).join(', ')}`);
    });
    check(faults.length === 0, `${where}: ${faults.join('; ')}`);
  }

  /** @param {string} name */
  async picture(name) {
    if (this.setup.out) await this.page.screenshot({ path: path.join(this.setup.out, `${name}.png`) });
  }
}
