import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chunk, listen, pair, until } from '../scripted.mjs';

const migrate = { session_id: 's1', reconnect_after_ms: 0, deadline_ms: 60_000 };
const replaced = { code: 4501, reason: 'replaced', reconnect: false };
const resumed = (next_seq, last_n) => ({ session_id: 's1', resume_token: 'second', next_seq, from_ms: next_seq * 100, last_n, recovered: true });

/** A stream that runs on its first socket, whose replica says that it goes away. */
async function leaving(t, more = {}) {
  const { server, client } = await pair(t);
  const states = [];
  client.addEventListener('state', ({ detail }) => states.push(detail.state));
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const old = await server.caller();
  await old.begin('s1');
  for (const mark of [0, 1]) stream.send(chunk(mark));
  await old.hears(2);
  old.say('migrate', { ...migrate, ...more });
  return { server, client, stream, said, old, states };
}

test('the new socket takes over before the old one is left, and audio flows until it is asked to', async (t) => {
  const { server, client, stream, said, old, states } = await leaving(t);
  const next = await server.caller();
  const asked = await next.next('resume');
  assert.equal(asked.next_seq, 2);
  assert.equal(old.closed, false, 'the old socket is kept until the answer');
  stream.send(chunk(2));
  old.final('s1', 1, 'one');
  await until(() => said.includes('final 1 one'), 'last words on the old socket');
  assert.deepEqual([old.heard, next.heard], [[0, 1], []], 'nobody is sent audio while the resume is asked for');
  next.say('session_resumed', resumed(1, 1));
  next.final('s1', 1, 'one', { recovered: true });
  await next.hears(2);
  await old.gone();
  stream.send(chunk(3));
  await next.hears(3);
  next.final('s1', 2, 'two');
  await until(() => said.includes('final 2 two'), 'words on the new socket');
  assert.deepEqual(next.heard, [1, 2, 3]);
  assert.deepEqual(said, ['session s1 at 0', 'final 1 one', 'resumed at 1', 'final 2 two']);
  assert.deepEqual([states, client.state], [['connecting', 'connected'], 'connected'], 'nothing was lost');
});

test('the old socket may hear that it is replaced before the new one is answered', async (t) => {
  const { server, stream, said, old } = await leaving(t);
  const next = await server.caller();
  await next.next('resume');
  old.say('closing', replaced);
  old.socket.close(4501, 'replaced');
  await old.gone();
  next.say('session_resumed', resumed(2, 0));
  await until(() => said.includes('resumed at 2'), 'the answer');
  stream.send(chunk(2));
  await next.hears(1);
  assert.deepEqual(next.heard, [2]);
});

test('a new socket that dies after the old one was replaced is made again', async (t) => {
  const { server, stream, old } = await leaving(t);
  const next = await server.caller();
  await next.next('resume');
  old.say('closing', replaced);
  old.socket.close(4501, 'replaced');
  await old.gone();
  next.cut();
  const third = await server.caller();
  await third.next('resume');
  third.say('session_resumed', resumed(0, 0));
  await third.hears(2);
  assert.equal(stream.live, true);
});

test('a replica that drains too is tried again, and the old one goes on meanwhile', async (t) => {
  const { server, stream, old } = await leaving(t);
  const next = await server.caller();
  await next.next('resume');
  stream.send(chunk(2));
  next.say('error', { code: 'shutting_down', message: 'draining', retryable: true });
  await old.hears(3);
  const third = await server.caller();
  await third.next('resume');
  third.say('session_resumed', resumed(3, 0));
  await old.gone();
  stream.send(chunk(3));
  await third.hears(1);
  assert.deepEqual([old.heard, third.heard], [[0, 1, 2], [3]]);
});

test('one whose session cannot be resumed elsewhere stays until it is finished, and goes on in another', async (t) => {
  const { server, stream, said, old } = await leaving(t);
  const next = await server.caller();
  await next.next('resume');
  next.say('error', { code: 'conflict', message: 'cannot be gone on with', retryable: false });
  await next.gone();
  stream.send(chunk(2));
  await old.hears(3);
  old.final('s1', 1, 'all', { end_ms: 300 });
  old.say('streaming_stopped', { session_id: 's1' });
  const third = await server.caller();
  await third.next('resume');
  third.say('error', { code: 'conflict', message: 'cannot be gone on with', retryable: false });
  await third.begin('s2');
  stream.send(chunk(3));
  await third.hears(1);
  assert.deepEqual(third.heard, [3]);
  assert.deepEqual(said, ['session s1 at 0', 'final 1 all', 'problem conflict', 'session s2 at 300 after conflict']);
});

test('somebody else who takes the session over ends the stream, and the socket is not made again', async (t) => {
  const { server, client } = await pair(t);
  const stream = client.start({ lang: 'en' });
  const caller = await server.caller();
  await caller.begin('s1');
  await until(() => stream.live, 'the session');
  caller.say('closing', replaced);
  caller.socket.close(4501, 'replaced');
  assert.equal((await stream.ended).outcome, 'replaced');
  assert.deepEqual([client.state, server.waiting], ['closed', 0]);
});
