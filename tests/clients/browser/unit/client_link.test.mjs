import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CAP_MS, URGENT_CAP_MS, fullJitterMs } from '../../../../page/client/backoff.js';
import { Hands, chunk, listen, pair, until } from '../scripted.mjs';

test('waits grow to a cap and are spread over all of it', () => {
  assert.equal(fullJitterMs(0, 15_000, () => 0), 0);
  assert.equal(fullJitterMs(0, 15_000, () => 1), 500);
  assert.equal(fullJitterMs(3, 15_000, () => 0.5), 2_000);
  assert.equal(fullJitterMs(500, 15_000, () => 1), 15_000);
  assert.equal(fullJitterMs(500, 4_000, () => 1), 4_000);
});

/** The waits of a client whose service refuses every ticket. */
async function waits(t, random, speaks) {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock, random });
  server.refusals = Array.from({ length: 9 }, () => ({ status: 500, body: {} }));
  const told = [];
  client.addEventListener('state', ({ detail }) => detail.state === 'waiting' && told.push(detail.retryInMs));
  if (speaks) client.start({ lang: 'en' });
  else client.connect();
  for (let count = 1; count <= 9; count += 1) {
    await until(() => told.length === count, `wait ${count}`);
    if (told.at(-1) > 0) {
      clock.advance(told.at(-1) - 1);
      assert.equal(client.state, 'waiting', 'not a moment before');
    }
    clock.advance(1);
    assert.equal(client.state, 'connecting');
  }
  return told;
}

test('a lost service is asked at longer and longer waits, more often while someone speaks', async (t) => {
  assert.deepEqual(await waits(t, () => 1, false), [500, 1_000, 2_000, 4_000, 8_000, CAP_MS, CAP_MS, CAP_MS, CAP_MS]);
  assert.deepEqual(await waits(t, () => 0.5, true), [250, 500, 1_000, ...Array(6).fill(URGENT_CAP_MS / 2)]);
});

test('a connection that has lasted is lost as if for the first time', async (t) => {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock, random: () => 1 });
  server.refusals = [0, 1].map(() => ({ status: 500, body: {} }));
  const told = [];
  client.addEventListener('state', ({ detail }) => detail.state === 'waiting' && told.push(detail.retryInMs));
  client.connect();
  for (const [at, lastedMs] of [[1], [2], [3, 4_000], [4, 6_000]]) {
    if (lastedMs) {
      const caller = await server.caller();
      await until(() => client.state === 'connected', 'a connection');
      clock.advance(lastedMs);
      caller.cut();
    }
    await until(() => told.length === at, `wait ${at}`);
    clock.advance(told.at(-1));
  }
  assert.deepEqual(told, [500, 1_000, 2_000, 500]);
});

test('a service that says when to come back is not asked before', async (t) => {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock, random: () => 0 });
  server.refusals = [{ status: 503, body: { error: 'draining', code: 'shutting_down', retryable: true }, headers: { 'retry-after': '5' } }];
  const told = [];
  client.addEventListener('state', ({ detail }) => told.push([detail.state, detail.retryInMs]));
  client.connect();
  await until(() => client.state === 'waiting', 'the wait');
  assert.deepEqual(told.at(-1), ['waiting', 5_000]);
});

test('silence while audio flows is death after five seconds, and the session goes on elsewhere', async (t) => {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock });
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const caller = await server.caller();
  await caller.begin('s1');
  await until(() => stream.live, 'the session');
  const speak = async (seconds) => {
    for (let count = 0; count < seconds * 10; count += 1) {
      const before = caller.heard.length;
      stream.send(chunk(count));
      if (stream.live) await caller.hears(before + 1);
      clock.advance(100);
    }
  };
  await speak(4);
  assert.equal(stream.live, true);
  caller.say('transcription', { session_id: 's1', n: 1, transcript: 'still here', is_final: false });
  await until(() => said.includes('interim 1 still here'), 'a sign of life');
  await speak(4);
  assert.equal(stream.live, true, 'four seconds are no silence');
  clock.advance(30_000);
  assert.equal(stream.live, true, 'nor is it silence when nobody speaks');
  await speak(7);
  assert.equal(stream.live, false);
  clock.advance(0);
  const second = await server.caller();
  assert.equal((await second.next('resume')).session_id, 's1');
});

test('silence before the audio, as after a sleep, is no sign of death', async (t) => {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock });
  const stream = client.start({ lang: 'en' });
  const caller = await server.caller();
  await caller.begin('s1');
  await until(() => stream.live, 'the session');
  clock.nowMs = () => 60_000;
  stream.send(chunk(0));
  clock.advance(1_000);
  assert.equal(stream.live, true);
});

test('each socket is opened with a ticket of its own, given as a subprotocol', async (t) => {
  const { server, client } = await pair(t);
  client.connect();
  const first = await server.caller();
  await until(() => client.state === 'connected', 'a connection');
  first.cut();
  const second = await server.caller();
  assert.deepEqual([first.protocols, second.protocols], ['ticket, t1', 'ticket, t2']);
  assert.deepEqual(server.asked, ['Bearer secret', 'Bearer secret']);
});

test('a token that ends is renewed in the stream, by asking for another', async (t) => {
  const tokens = ['first', 'second'];
  const { server, client } = await pair(t, { token: async () => tokens.shift() });
  const told = [];
  for (const name of ['token_expiring', 'authenticated']) client.addEventListener(name, () => told.push(name));
  client.connect();
  const caller = await server.caller();
  caller.say('token_expiring', { expires_in_ms: 60_000 });
  assert.equal((await caller.next('authenticate')).token, 'second');
  caller.say('authenticated', { user_id: 'u1' });
  await until(() => told.includes('authenticated'), 'the answer');
  caller.cut();
  await server.caller();
  assert.deepEqual([told, server.asked], [['token_expiring', 'authenticated'], ['Bearer first', 'Bearer second']]);
});

test('a token that was refused is fetched anew once, and a person is asked after that', async (t) => {
  const { server, client } = await pair(t, { token: () => `token ${server.asked.length}` });
  const refused = { status: 401, body: { error: 'Invalid token', code: 'unauthenticated', retryable: false } };
  server.refusals = [refused, refused];
  client.connect();
  await until(() => client.state === 'rejected', 'the refusal');
  assert.deepEqual(server.asked, ['Bearer token 0', 'Bearer token 1']);
});

test('a token that is not renewable is refused at once, and a close that wants another too', async (t) => {
  const { server, client } = await pair(t);
  const changes = [];
  client.addEventListener('state', ({ detail }) => changes.push(`${detail.state} ${detail.reason ?? ''}`.trim()));
  client.connect();
  const caller = await server.caller();
  await until(() => client.state === 'connected', 'a connection');
  caller.socket.close(4003, 'token_expired');
  await until(() => client.state === 'rejected', 'the refusal');
  server.refusals = [{ status: 403, body: { error: 'no', code: 'forbidden', retryable: false } }];
  client.connect();
  await until(() => changes.includes('rejected forbidden'), 'the other refusal');
  assert.deepEqual(changes, ['connecting', 'connected', 'rejected token_expired', 'connecting', 'rejected forbidden']);
});

test('what a token is refused for is not taken for a failure of the session', async (t) => {
  const { server, client } = await pair(t);
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const caller = await server.caller();
  await caller.begin('s1');
  await until(() => stream.live, 'the session');
  client.authenticate('of somebody else');
  await caller.next('authenticate');
  const refused = new Promise((resolve) => client.addEventListener('renewal_refused', ({ detail }) => resolve(detail.code)));
  caller.say('error', { code: 'principal_mismatch', message: 'another user', retryable: false });
  assert.equal(await refused, 'principal_mismatch');
  assert.deepEqual([said, stream.live], [['session s1 at 0'], true]);
});
