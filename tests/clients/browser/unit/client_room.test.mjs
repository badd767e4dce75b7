import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listen, pair, until } from '../scripted.mjs';

const final = (n, transcript, offset) => ({ room: 'r', session_id: 's1', n, transcript, is_final: true, epoch: 7, offset });

test('a room is watched across lost connections, each final once', async (t) => {
  const { server, client } = await pair(t);
  const room = client.join('r', { share: 'key' });
  const said = [];
  for (const name of ['transcription', 'session_ended', 'missing']) room.addEventListener(name, ({ detail }) => said.push(detail.transcript ?? name));
  const first = await server.caller();
  assert.deepEqual(await first.next('join'), { type: 'join', room: 'r', share: 'key' });
  first.say('joined', { room: 'r', epoch: 7, offset: 3, recovered: false, snapshot: [{ type: 'transcription', ...final(3, 'three', 3) }], viewers: 1 });
  first.say('transcription', final(4, 'four', 4));
  first.say('transcription', { ...final(9, 'elsewhere', 9), room: 'other' });
  await until(() => said.includes('four'), 'a final');
  first.cut();
  const second = await server.caller();
  assert.deepEqual((await second.next('join')).resume, { epoch: 7, offset: 4, session_id: 's1', n: 4 });
  second.say('joined', { room: 'r', epoch: 7, offset: 6, recovered: true });
  for (const [n, text] of [[4, 'four'], [5, 'five']]) second.say('transcription', final(n, text, n));
  second.say('session_ended', { ...final(6, undefined, 6), outcome: 'finished' });
  await until(() => said.includes('session_ended'), 'the end');
  assert.deepEqual(said, ['three', 'four', 'five', 'session_ended']);
  room.leave();
  assert.deepEqual(await second.next('leave'), { type: 'leave', room: 'r' });
});

test('what was said while away and cannot be told again is named', async (t) => {
  const { server, client } = await pair(t);
  const room = client.join('r');
  let missing = 0;
  room.addEventListener('missing', () => (missing += 1));
  const first = await server.caller();
  await first.next('join');
  first.say('joined', { room: 'r', epoch: 7, offset: 3, recovered: false });
  await until(() => room.position, 'a place');
  assert.equal(missing, 0, 'who comes first has missed nothing');
  first.cut();
  const second = await server.caller();
  await second.next('join');
  second.say('joined', { room: 'r', epoch: 8, offset: 1, recovered: false, snapshot: [] });
  await until(() => missing === 1, 'what is missing');
  assert.deepEqual(room.position, { epoch: 8, offset: 1 });
});

test('a room that may not be seen is not asked for again; one that cannot be seen now is', async (t) => {
  const { server, client } = await pair(t);
  const room = client.join('r');
  const refused = new Promise((resolve) => room.addEventListener('refused', ({ detail }) => resolve(detail.code)));
  const caller = await server.caller();
  await caller.next('join');
  caller.say('error', { room: 'r', code: 'dependency_unavailable', message: 'away', retryable: true });
  await caller.next('join');
  caller.say('error', { room: 'r', code: 'forbidden', message: 'not yours', retryable: false });
  assert.equal(await refused, 'forbidden');
});

test('a share token opens the socket itself, and an error of a room is none of the stream', async (t) => {
  const guest = await pair(t, { share: 'sealed' });
  guest.client.join('r');
  const caller = await guest.server.caller();
  assert.deepEqual([caller.protocols, guest.server.asked], ['share, sealed', []]);
  const { server, client } = await pair(t);
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const room = client.join('r');
  const refused = new Promise((resolve) => room.addEventListener('refused', resolve));
  const speaker = await server.caller();
  speaker.say('error', { room: 'r', code: 'forbidden', message: 'not yours', retryable: false });
  await refused;
  assert.deepEqual([said, stream.phase], [[], 'starting']);
});
