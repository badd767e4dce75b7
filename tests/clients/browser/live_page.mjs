/**
 * Drives the live page in real Chromium, as a person would, against a running service.
 *
 *   node --experimental-websocket live_page.mjs URL#token=TOKEN WAV [--expect "words of the WAV"] [--out DIR] [--only NAME,NAME]
 *                      [--replica URL,PID]... [--exact]
 *
 * With replicas, what happens to them is looked at instead: each scenario may take the first of them
 * away. With --exact the WAV is played as the sample, and its words must come exactly.
 *
 * Exits 0 when every scenario holds, 1 with the reasons when one does not, 2 when called wrongly.
 */

import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { paddedWav, wavSeconds } from './browser.mjs';
import { Crossroads } from './crossroads.mjs';
import { DISTURBANCES } from './replicas.mjs';
import { SCENARIOS } from './scenarios.mjs';

const SAMPLE_TEXT = 'And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.';
const SCENARIO_DEADLINE_MS = 120_000;

function usage(text) {
  console.error(`${text}\nusage: node live_page.mjs URL#token=TOKEN WAV [--expect WORDS] [--out DIR] [--only NAMES]`);
  process.exit(2);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    expect: { type: 'string', default: SAMPLE_TEXT },
    out: { type: 'string' },
    only: { type: 'string' },
    replica: { type: 'string', multiple: true, default: [] },
    exact: { type: 'boolean', default: false },
  },
});
const [url, wav] = positionals;
if (!url || !wav) usage('an address and a WAV file are needed');
if (!new URLSearchParams(new URL(url).hash.slice(1)).get('token')) usage('the address must end in #token=TOKEN');
if (values.out) mkdirSync(values.out, { recursive: true });

const wanted = values.only?.split(',');
const replicas = values.replica.map((given) => ({ url: given.split(',')[0], pid: Number(given.split(',')[1]) }));
const known = replicas.length > 0 ? DISTURBANCES : SCENARIOS;
const scenarios = Object.entries(known).filter(([name]) => !wanted || wanted.includes(name));
if (scenarios.length === 0) usage(`scenarios are ${Object.keys(known).join(', ')}`);

const crossroads = replicas.length > 0 ? await Crossroads.before(replicas) : null;
const setup = {
  url: crossroads ? `${crossroads.origin}/app/${new URL(url).hash}` : url,
  crossroads,
  wav,
  exact: values.exact,
  speech: paddedWav(wav),
  seconds: wavSeconds(wav),
  expect: values.expect,
  sampleText: SAMPLE_TEXT,
  out: values.out,
};

let failed = 0;
for (const [name, run] of scenarios) {
  const startedAt = performance.now();
  let timer;
  const deadline = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${SCENARIO_DEADLINE_MS / 1000} s`)), SCENARIO_DEADLINE_MS);
  });
  try {
    const facts = await Promise.race([run(setup), deadline]);
    console.log(`ok    ${name.padEnd(12)} ${((performance.now() - startedAt) / 1000).toFixed(1)} s  ${facts}`);
  } catch (error) {
    failed += 1;
    console.error(`FAIL  ${name.padEnd(12)} ${error instanceof Error ? error.message : error}`);
  } finally {
    clearTimeout(timer);
  }
}
crossroads?.close();
console.log(failed ? `${failed} of ${scenarios.length} scenarios failed` : `all ${scenarios.length} scenarios hold`);
process.exit(failed ? 1 : 0);
