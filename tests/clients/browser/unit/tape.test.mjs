import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tape } from '../../../../page/tape.js';

const chunk = (mark) => new Int16Array(1600).fill(mark);
const sendAll = (tape) => {
  const sent = [];
  for (let piece = tape.take(); piece; piece = tape.take()) sent.push(piece);
  return sent;
};

test('audio after the last final is sent again, cut where the final ends', () => {
  const tape = new Tape();
  for (let mark = 1; mark <= 5; mark += 1) tape.push(chunk(mark));
  sendAll(tape);
  tape.settle(250);
  assert.equal(tape.rewind(), 250);
  const again = sendAll(tape);
  assert.deepEqual(again.map((piece) => [piece.pcm[0], piece.pcm.length, piece.startMs]), [[3, 800, 250], [4, 1600, 300], [5, 1600, 400]]);
});

test('a second loss cuts nothing twice', () => {
  const tape = new Tape();
  for (let mark = 1; mark <= 3; mark += 1) tape.push(chunk(mark));
  sendAll(tape);
  tape.settle(150);
  assert.equal(tape.rewind(), 150);
  assert.equal(tape.rewind(), 150);
  assert.equal(sendAll(tape).reduce((sum, piece) => sum + piece.pcm.length, 0), 2400);
});

test('it keeps 30 s and counts only what was never sent', () => {
  const tape = new Tape();
  for (let at = 0; at < 100; at += 1) tape.push(chunk(1));
  sendAll(tape);
  for (let at = 0; at < 260; at += 1) tape.push(chunk(2));
  assert.equal(tape.lostMs, 0);
  assert.equal(sendAll(tape).length, 260);
  tape.rewind();
  for (let at = 0; at < 350; at += 1) tape.push(chunk(3));
  assert.equal(sendAll(tape).length, 300);
  assert.equal(Math.round(tape.lostMs), 35_000);
});

test('nothing kept starts at the end', () => {
  const tape = new Tape();
  assert.equal(tape.rewind(), 0);
  tape.push(chunk(1));
  sendAll(tape);
  tape.settle(100);
  assert.equal(tape.rewind(), 100);
  assert.equal(tape.drained, true);
});
