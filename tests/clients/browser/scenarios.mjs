/** What must hold for a person in front of the page; each gives a line of facts or throws the reason. */

import { readFileSync } from 'node:fs';
import { Transcriber } from '../../../page/client/transcriber.js';
import { CHUNK_SAMPLES } from '../../../page/level.js';
import { wavSamples } from '../../../page/sample.js';
import { DESKTOP, PHONE } from './browser.mjs';
import { Visit, check } from './visit.mjs';
import { CUT_ERROR_RATE, wordErrorRate } from './words.mjs';

const MAX_ERROR_RATE = 0.15;
const pause = (page, ms) => page.waitForTimeout(ms);
const bare = (url) => url.split('#')[0];

/** @param {string} said @param {string} written @param {number} [most] */
function checkWords(said, written, most = MAX_ERROR_RATE) {
  const rate = wordErrorRate(said, written);
  check(rate <= most, `word error rate ${rate.toFixed(3)}: "${written}"`);
  return `word error rate ${rate.toFixed(3)}: ${written}`;
}

/** The clip is over when its last word has been heard and a pause has followed. */
const heard = (visit) => pause(visit.page, (visit.setup.seconds + 2) * 1000);

async function microphone(setup) {
  return Visit.with(setup, { ...DESKTOP, colorScheme: 'light' }, async (visit) => {
    const { page } = visit;
    await visit.untilStatus('Connected');
    check(!page.url().includes('token'), 'the token is still in the address');
    await visit.checkAccessible('welcome');
    await visit.picture('desktop-light-welcome');
    await visit.tabTo('record');
    await page.keyboard.press('Enter');
    await visit.untilPhase('live');
    await visit.until('#body .final, #body .interim', 30_000);
    await visit.picture('desktop-light-live');
    await visit.until('#body .final', 30_000);
    await heard(visit);
    await page.keyboard.press('Space');
    await visit.untilPhase('idle');
    await visit.checkAccessible('transcript');
    const facts = checkWords(setup.expect, await visit.finalText());
    const engine = await page.locator('#fact-engine').innerText();
    const latency = await page.locator('#facts').innerText();
    check(/\d (ms|s)\b/.test(latency), 'no latency is shown');
    check((await page.locator('#spoken p').count()) > 0, 'nothing is said to screen readers');
    await page.click('#copy');
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    checkWords(setup.expect, copied);
    const [file] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    check(/^transcript-.*\.txt$/.test(file.suggestedFilename()), `download is named ${file.suggestedFilename()}`);
    await page.click('#clear');
    check((await visit.finalText()) === '', 'clear leaves text');
    await page.click('.notice >> text=Undo');
    checkWords(setup.expect, await visit.finalText());
    await page.reload();
    await visit.untilStatus('Connected');
    return `${facts}, engine "${engine}", ${latency.replace(/\s+/g, ' ')}`;
  });
}

async function sample(setup) {
  return Visit.with(setup, { ...DESKTOP, colorScheme: 'dark' }, async (visit) => {
    const { page } = visit;
    await visit.untilStatus('Connected');
    await visit.checkAccessible('welcome, dark');
    await visit.picture('desktop-dark-welcome');
    await page.click('#sample');
    await visit.until('#body .final', 30_000);
    await visit.checkAccessible('live, dark');
    await visit.picture('desktop-dark-live');
    await visit.untilPhase('idle', 40_000);
    await visit.picture('desktop-dark-sample');
    return checkWords(setup.sampleText, await visit.finalText());
  });
}

async function lost(setup) {
  return Visit.with(setup, { ...DESKTOP, colorScheme: 'light' }, async (visit) => {
    const { page, context } = visit;
    await visit.untilStatus('Connected');
    await page.click('#record');
    await visit.until('#body .final', 30_000);
    await context.setOffline(true);
    await visit.until('.notice[data-subject="connection"]');
    const before = await page.locator('#body').innerText();
    await pause(page, 2_500);
    await visit.picture('desktop-light-lost');
    check((await page.locator('#body').innerText()) === before, 'text changed or was lost while offline');
    await visit.checkAccessible('lost connection');
    await context.setOffline(false);
    await visit.untilStatus('Live');
    await heard(visit);
    await page.click('#record');
    await visit.untilPhase('idle');
    check((await page.locator('.notice[data-subject="connection"]').count()) === 0, 'the message stays after recovery');
    return `2.5 s offline in mid-speech, ${checkWords(setup.expect, await visit.finalText(), CUT_ERROR_RATE)}`;
  });
}

async function denied(setup) {
  return Visit.with(setup, { ...DESKTOP, colorScheme: 'light', allowed: false }, async (visit) => {
    await visit.untilStatus('Connected');
    await visit.page.click('#record');
    await visit.until('.notice[data-tone="error"]:has-text("microphone is blocked")');
    await visit.checkAccessible('refused microphone');
    await visit.picture('desktop-light-denied');
    await visit.untilPhase('idle', 2_000);
    return visit.page.locator('.notice p').first().innerText();
  });
}

/** A page over plain http from another host: no browser gives it the microphone. */
async function insecure(setup) {
  const address = new URL(setup.url);
  address.hostname = 'live.test';
  return Visit.with({ ...setup, url: address.href }, { ...DESKTOP, hosts: 'MAP live.test 127.0.0.1' }, async (visit) => {
    await visit.page.click('#record');
    await visit.until('.notice[data-tone="error"]:has-text("only to secure pages")');
    return visit.page.locator('.notice p').first().innerText();
  });
}

async function token(setup) {
  const view = { ...DESKTOP, colorScheme: 'light', url: bare(setup.url) };
  return Visit.with(setup, view, async (visit) => {
    const { page } = visit;
    await visit.until('#token-form');
    check(!(await page.locator('#record').isVisible()), 'Start can be pressed without a token');
    await visit.checkAccessible('no token');
    await visit.picture('desktop-light-token');
    await page.keyboard.type('not-a-token');
    await page.keyboard.press('Enter');
    await visit.until('#token-why');
    await visit.checkAccessible('refused token');
    await visit.picture('desktop-light-refused');
    const why = await page.locator('#token-why').innerText();
    await page.fill('#token', new URLSearchParams(new URL(setup.url).hash.slice(1)).get('token'));
    await page.keyboard.press('Enter');
    await visit.untilStatus('Connected');
    check(!(await page.locator('#token-form').isVisible()), 'the note stays after a good token');
    return why;
  });
}

async function phoneIn(setup, colorScheme) {
  return Visit.with(setup, { ...PHONE, colorScheme, reducedMotion: 'reduce', url: bare(setup.url) }, async (visit) => {
    const { page } = visit;
    await visit.until('#token-form');
    await visit.checkNoSideways('token');
    await visit.picture(`phone-${colorScheme}-token`);
    await page.goto(setup.url);
    await visit.untilStatus('Connected');
    await visit.checkNoSideways('welcome');
    await visit.checkAccessible(`phone welcome, ${colorScheme}`);
    await visit.picture(`phone-${colorScheme}-welcome`);
    await page.tap('.more summary');
    await visit.checkNoSideways('options');
    await visit.checkAccessible(`phone options, ${colorScheme}`);
    await visit.picture(`phone-${colorScheme}-options`);
    await page.tap('.more summary');
    await page.tap('#sample');
    await visit.until('#body .final', 30_000);
    await visit.checkNoSideways('live');
    await visit.picture(`phone-${colorScheme}-live`);
    await page.tap('#record');
    await visit.untilPhase('idle');
    await visit.checkNoSideways('transcript');
  });
}

async function phone(setup) {
  for (const colorScheme of ['light', 'dark']) await phoneIn(setup, colorScheme);
  return '360 px, light and dark, reduced motion, nothing scrolls sideways';
}

/** A link that lets somebody without an account read along in a room. @param {string} origin @param {string} token @param {string} room */
async function shareOf(origin, token, room) {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const answer = await fetch(`${origin}/rooms/${room}/shares`, { method: 'POST', headers, body: '{}' });
  check(answer.status === 201, `a share was answered ${answer.status}`);
  return (await answer.json()).token;
}

/** A program speaks with the same library, and a person without a token reads along. */
async function room(setup) {
  const { origin, hash } = new URL(setup.url);
  const token = new URLSearchParams(hash.slice(1)).get('token') ?? '';
  const name = `hall-${Date.now()}`;
  const share = await shareOf(origin, token, name);
  const view = { ...DESKTOP, colorScheme: 'light', url: `${origin}/app/#room=${name}&share=${share}` };
  return Visit.with(setup, view, async (visit) => {
    await visit.untilStatus('Connected');
    check(!(await visit.page.locator('#record').isVisible()), 'a reader is offered to speak');
    await visit.checkAccessible('reading along');
    const transcriber = new Transcriber({ url: origin, token });
    try {
      const stream = transcriber.start({ lang: 'en', room: name });
      const file = readFileSync(setup.wav);
      const pcm = wavSamples(file.buffer.slice(file.byteOffset, file.byteOffset + file.length));
      for (let at = 0; at < pcm.length; at += CHUNK_SAMPLES) stream.send(pcm.slice(at, at + CHUNK_SAMPLES));
      const { outcome } = await stream.stop({ withinMs: 60_000 });
      check(outcome === 'finished', `the speaker's stream ended as ${outcome}`);
    } finally {
      transcriber.close();
    }
    await visit.page.waitForFunction(() => !document.querySelector('#body .interim'));
    await visit.picture('desktop-light-room');
    return `read along, ${checkWords(setup.expect, await visit.finalText())}`;
  });
}

export const SCENARIOS = { microphone, sample, lost, denied, insecure, token, phone, room };
