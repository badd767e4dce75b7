import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { level, levels } from '../../../../page/level.js';
import { Resampler } from '../../../../page/resampler.js';
import { wavSamples } from '../../../../page/sample.js';

/** Amplitude of a sine after conversion, fed in blocks of 128 as the browser does. */
function converted(fromHz, toneHz) {
  const resampler = new Resampler(fromHz, 16_000);
  const out = [];
  for (let block = 0; block < fromHz / 128; block += 1) {
    const input = Float32Array.from({ length: 128 }, (_, at) => Math.sin((2 * Math.PI * toneHz * (block * 128 + at)) / fromHz));
    out.push(...resampler.push(input));
  }
  const settled = out.slice(2_000, -2_000);
  return { count: out.length, rms: Math.sqrt(settled.reduce((sum, value) => sum + value * value, 0) / settled.length) };
}

for (const fromHz of [44_100, 48_000, 96_000, 8_000]) {
  test(`${fromHz} Hz becomes 16 kHz: as long, as loud`, () => {
    const { count, rms } = converted(fromHz, 1_000);
    assert.ok(Math.abs(count - 16_000) < 200, `${count} samples`);
    assert.ok(Math.abs(rms - Math.SQRT1_2) < 0.01, `rms ${rms}`);
  });
}

test('what 16 kHz cannot hold is filtered out', () => {
  assert.ok(converted(48_000, 12_000).rms < 0.003);
});

test('levels: silence, full scale, one for every 20 ms', () => {
  assert.equal(level(new Int16Array(320)), 0);
  assert.ok(level(new Int16Array(320).fill(32_767)) > 0.99);
  assert.equal(levels(new Int16Array(1600)).length, 5);
});

test('the sample is eleven seconds of 16 kHz mono', () => {
  const file = readFileSync(new URL('../../../../page/sample.wav', import.meta.url));
  assert.equal(wavSamples(file.buffer.slice(file.byteOffset, file.byteOffset + file.length)).length, 176_000);
});
