import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockText, durationText } from '../../../../page/clock.js';
import { Latency } from '../../../../page/latency.js';
import { wordErrorRate } from '../words.mjs';

test('latency counts from the chunk in which the audio ends', () => {
  const latency = new Latency();
  for (let at = 1; at <= 10; at += 1) latency.sent(at * 100, at * 100 + 1_000);
  latency.arrived(450, false, 1_800);
  latency.arrived(800, true, 2_200);
  assert.deepEqual(latency.medians, { interimMs: 300, finalMs: 400 });
});

test('times as people read them', () => {
  assert.deepEqual([clockText(0), clockText(62_900), clockText(3_723_000)], ['0:00', '1:02', '1:02:03']);
  assert.deepEqual([durationText(184), durationText(1_440)], ['180 ms', '1.4 s']);
});

test('word error rate', () => {
  assert.equal(wordErrorRate('ask not what', 'Ask, not what!'), 0);
  assert.equal(wordErrorRate('ask not what', 'ask what'), 1 / 3);
  assert.equal(wordErrorRate('ask', 'ask ask'), 1);
});
