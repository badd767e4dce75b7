/** What must hold for a person whose network, or whose replica, goes away while they speak. */

import { readFileSync } from 'node:fs';
import { DESKTOP } from './browser.mjs';
import { Visit, check } from './visit.mjs';
import { CUT_ERROR_RATE, wordErrorRate, words } from './words.mjs';

const MAX_WORDS_OFF = 3;
const AWAY_MS = 3_000;
const LOST = '.notice[data-subject="connection"]';
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @param {any} setup @param {string} written */
function checkWords(setup, written) {
  if (!setup.exact) {
    const rate = wordErrorRate(setup.expect, written);
    check(rate <= CUT_ERROR_RATE, `word error rate ${rate.toFixed(3)}: "${written}"`);
    const off = words(written).length - words(setup.expect).length;
    check(Math.abs(off) <= MAX_WORDS_OFF, `${off} words too many: "${written}"`);
    return `word error rate ${rate.toFixed(3)}`;
  }
  const [wanted, got] = [setup.expect, written].map((text) => text.split(/\s+/).filter(Boolean));
  const at = wanted.findIndex((word, place) => got[place] !== word);
  check(at < 0, `word ${at} is ${got[at]}, not ${wanted[at]}; ${got.length} of ${wanted.length} came`);
  check(got.length === wanted.length, `${got.length} words came for ${wanted.length}`);
  return `all ${got.length} words, each once`;
}

/** How often the page said that the connection was lost. @param {Visit} visit */
async function countLosses({ page }) {
  await page.evaluate((subject) => {
    globalThis.losses = 0;
    const look = () => document.querySelector(subject) && (globalThis.losses += 1);
    new MutationObserver(look).observe(document.querySelector('#notices'), { childList: true });
  }, LOST);
  return () => page.evaluate(() => globalThis.losses);
}

/** Speaks, through the microphone or, where each word counts, as the sample, and does something to the service after the first final. */
async function disturbed(setup, fault, lossesSaid = 1) {
  return Visit.with(setup, { ...DESKTOP, colorScheme: 'light' }, async (visit) => {
    const { page } = visit;
    if (setup.exact) await page.route('**/sample.wav', (route) => route.fulfill({ body: readFileSync(setup.wav), contentType: 'audio/wav' }));
    await visit.untilStatus('Connected');
    const losses = await countLosses(visit);
    const spokenBy = performance.now() + (setup.seconds + 2) * 1000;
    await page.click(setup.exact ? '#sample' : '#record');
    await visit.until('#body .final', 30_000);
    const facts = await fault(visit);
    if (!setup.exact) {
      await pause(Math.max(0, spokenBy - performance.now()));
      await visit.untilStatus('Live');
      await page.click('#record');
    }
    await visit.untilPhase('idle', 40_000);
    check((await page.locator('.notice[data-tone="error"], .notice[data-subject="gap"]').count()) === 0, `a message is left: ${await page.locator('#notices').innerText()}`);
    const told = await losses();
    check(lossesSaid > 0 || told === 0, 'the page said that the connection was lost');
    return `${facts}, ${checkWords(setup, await visit.finalText())}`;
  });
}

const cut = (setup) =>
  disturbed(setup, async (visit) => {
    setup.crossroads.cut();
    await visit.until(LOST);
    await pause(AWAY_MS);
    setup.crossroads.restore();
    await visit.untilStatus('Live');
    return `the network away for ${AWAY_MS / 1000} s`;
  });

/** The browser itself has no network: sockets are not closed, but nothing passes. */
const offline = (setup) =>
  disturbed(setup, async (visit) => {
    await visit.context.setOffline(true);
    await visit.until(LOST);
    await pause(AWAY_MS);
    await visit.context.setOffline(false);
    await visit.page.locator(LOST).waitFor({ state: 'hidden' });
    return `offline, told and ${AWAY_MS / 1000} s more`;
  });

const killed = (setup) =>
  disturbed(setup, async (visit) => {
    const startedAt = performance.now();
    setup.crossroads.kill();
    await visit.until(LOST);
    await visit.untilStatus('Live');
    return `killed and gone on with after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  });

/** The page goes before it has to: nobody is told that anything was lost. */
const drained = (setup) =>
  disturbed(setup, async ({ page }) => {
    const moved = page.waitForEvent('websocket');
    setup.crossroads.drain();
    await moved;
    return 'drained';
  }, 0);

export const DISTURBANCES = { cut, offline, killed, drained };
