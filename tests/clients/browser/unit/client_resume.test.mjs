import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hands, chunk, listen, pair, until } from '../scripted.mjs';

const resumed = (next_seq, last_n, more = {}) => ({
  session_id: 's1', room: 's1', resume_token: 'second', provider: 'local', language: 'en', next_seq, from_ms: next_seq * 100, last_n, recovered: true, ...more,
});

/** A stream that runs, has sent so many chunks, and what it says. */
async function running(t, count, options = {}) {
  const { server, client } = await pair(t, options);
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const caller = await server.caller();
  await caller.begin('s1');
  await until(() => stream.live, 'the session');
  for (let mark = 0; mark < count; mark += 1) stream.send(chunk(mark));
  await caller.hears(count);
  return { server, client, stream, said, caller };
}

test('a session goes on where the service says, and no chunk is lost or doubled', async (t) => {
  const { server, stream, said, caller } = await running(t, 6);
  caller.final('s1', 1, 'one');
  caller.final('s1', 2, 'two');
  caller.ack('s1', 1);
  await until(() => said.includes('final 2 two'), 'the finals');
  caller.cut();
  await until(() => !stream.live, 'the loss');
  stream.send(chunk(6));
  const second = await server.caller();
  const asked = await second.next('resume');
  assert.deepEqual(asked, { type: 'resume', session_id: 's1', resume_token: 'token of s1', next_seq: 7, last_n: 2 });
  stream.send(chunk(7));
  assert.deepEqual(second.heard, [], 'no audio before the answer');
  second.say('session_resumed', resumed(3, 3));
  second.final('s1', 2, 'two', { recovered: true });
  second.final('s1', 3, 'three', { recovered: true });
  await second.hears(5);
  stream.send(chunk(8));
  await second.hears(6);
  assert.deepEqual(second.heard, [3, 4, 5, 6, 7, 8]);
  await until(() => said.includes('final 3 three'), 'the recovered final');
  assert.deepEqual(said, ['session s1 at 0', 'final 1 one', 'final 2 two', 'resumed at 3', 'final 3 three']);
});

test('repeated finals and old interims are passed over, and a hole is named', async (t) => {
  const { said, caller } = await running(t, 1);
  const interim = { is_final: false };
  caller.final('s1', 1, 'on', interim);
  caller.final('s1', 1, 'one');
  caller.final('s1', 1, 'one');
  caller.final('s1', 1, 'on', interim);
  caller.final('another', 2, 'of another session');
  caller.say('gap', { session_id: 's1', n: 2, from_ms: 100, to_ms: 200, reason: 'provider_away' });
  caller.final('s1', 5, 'five');
  await until(() => said.includes('final 5 five'), 'the last final');
  assert.deepEqual(said.slice(1), ['interim 1 on', 'final 1 one', 'gap 100-200 provider_away', 'missing 3-4', 'final 5 five']);
});

test('finals after last_n are void, and are said again', async (t) => {
  const { server, said, caller } = await running(t, 5);
  for (const [n, text] of [[1, 'one'], [2, 'too'], [3, 'tree']]) caller.final('s1', n, text);
  await until(() => said.includes('final 3 tree'), 'the finals');
  caller.cut();
  const second = await server.caller();
  assert.equal((await second.next('resume')).last_n, 3);
  second.say('session_resumed', resumed(1, 1));
  await second.hears(4);
  second.final('s1', 2, 'two');
  second.final('s1', 3, 'three');
  await until(() => said.includes('final 3 three'), 'the new finals');
  assert.deepEqual(said.slice(4), ['void after 1', 'resumed at 1', 'final 2 two', 'final 3 three']);
  assert.deepEqual(second.heard, [1, 2, 3, 4]);
});

test('a void final settles nothing: another session hears its audio again', async (t) => {
  const { server, said, caller } = await running(t, 4);
  caller.final('s1', 1, 'one');
  caller.final('s1', 2, 'two');
  await until(() => said.includes('final 2 two'), 'the finals');
  caller.cut();
  const second = await server.caller();
  await second.next('resume');
  second.say('session_resumed', resumed(1, 1));
  await second.hears(3);
  second.cut();
  const third = await server.caller();
  await third.next('resume');
  third.say('error', { code: 'not_found', message: 'too long ago', retryable: false });
  await third.begin('s2');
  await third.hears(3);
  assert.deepEqual(third.heard, [1, 2, 3]);
  assert.deepEqual(said.slice(-2), ['problem not_found', 'session s2 at 100 after not_found']);
});

test('finals that cannot be told again are named', async (t) => {
  const { server, said, caller } = await running(t, 2);
  caller.final('s1', 1, 'one');
  await until(() => said.includes('final 1 one'), 'a final');
  caller.cut();
  const second = await server.caller();
  await second.next('resume');
  second.say('session_resumed', resumed(2, 4, { recovered: false, transcript: '/sessions/s1/transcript.json' }));
  second.final('s1', 5, 'five');
  await until(() => said.includes('final 5 five'), 'the next final');
  assert.deepEqual(said.slice(2), ['missing 2-4', 'resumed at 2', 'final 5 five']);
});

test('audio that no longer fits is given up from the oldest, and the service is told', async (t) => {
  const { server, stream, caller } = await running(t, 3, { keep: { seconds: 0.5 } });
  caller.ack('s1', 0);
  caller.final('s1', 1, 'one');
  caller.cut();
  await until(() => !stream.live, 'the loss');
  for (let mark = 3; mark < 10; mark += 1) stream.send(chunk(mark));
  const second = await server.caller();
  const asked = await second.next('resume');
  assert.deepEqual([asked.next_seq, asked.first_seq, asked.first_ms], [10, 5, 500]);
  second.say('session_resumed', resumed(5, 1));
  second.say('gap', { session_id: 's1', n: 2, from_ms: 100, to_ms: 500, reason: 'client_buffer' });
  await second.hears(5);
  assert.deepEqual(second.heard, [5, 6, 7, 8, 9]);
});

test('the bound in bytes holds as well', async (t) => {
  const { server, stream, caller } = await running(t, 1, { keep: { bytes: 4 * 3_200 } });
  caller.cut();
  await until(() => !stream.live, 'the loss');
  for (let mark = 1; mark < 9; mark += 1) stream.send(chunk(mark));
  const second = await server.caller();
  assert.equal((await second.next('resume')).first_seq, 5);
});

test('audio that was given up before it was sent would number the rest wrongly: the session is taken up anew', async (t) => {
  const { server, stream } = await running(t, 1, { keep: { seconds: 0.5 } });
  for (let mark = 1; mark < 60; mark += 1) stream.send(chunk(mark));
  const second = await server.caller();
  const asked = await second.next('resume');
  assert.deepEqual([asked.next_seq, asked.first_seq, asked.first_ms], [60, 55, 5_500]);
});

test('a refused resume begins another session with what no final covers, and the gap is told', async (t) => {
  const { server, stream, said, caller } = await running(t, 4, { keep: { seconds: 0.5 } });
  caller.final('s1', 1, 'one', { end_ms: 150 });
  await until(() => said.includes('final 1 one'), 'a final');
  caller.cut();
  await until(() => !stream.live, 'the loss');
  for (let mark = 4; mark < 8; mark += 1) stream.send(chunk(mark));
  const second = await server.caller();
  await second.next('resume');
  second.say('error', { code: 'conflict', message: 'the session is over', retryable: false });
  await second.begin('s2');
  await second.hears(5);
  assert.deepEqual(second.heard, [3, 4, 5, 6, 7]);
  second.final('s2', 1, 'four');
  await until(() => said.includes('final 1 four'), 'words of the new session');
  assert.deepEqual(said.slice(2), ['problem conflict', 'session s2 at 300 after conflict', 'gap 150-300 client_buffer', 'final 1 four']);
});

test('a service that cannot resume is given the audio after the last final, cut where that ends', async (t) => {
  const { server, client } = await pair(t);
  const stream = client.start({ lang: 'en' });
  const said = listen(stream);
  const caller = await server.caller();
  await caller.begin('s1', {});
  for (let mark = 0; mark < 5; mark += 1) stream.send(chunk(mark));
  await caller.hears(5);
  caller.ack('s1', 0);
  caller.final('s1', 1, 'one', { end_ms: 250 });
  await until(() => said.includes('final 1 one'), 'a final');
  caller.cut();
  const second = await server.caller();
  await second.begin('s2', {});
  await second.hears(3);
  assert.deepEqual([second.heard, second.lengths], [[2, 3, 4], [800, 1_600, 1_600]]);
  assert.equal(said.at(-1), 'session s2 at 250 after lost');
});

test('a stop while away is kept: everything is sent first, then the end is waited for', async (t) => {
  const { server, stream, said, caller } = await running(t, 2);
  caller.cut();
  await until(() => !stream.live, 'the loss');
  stream.send(chunk(2));
  const ended = stream.stop();
  const second = await server.caller();
  await second.next('resume');
  second.say('session_resumed', resumed(0, 0));
  await second.next('stop_streaming');
  assert.deepEqual(second.heard, [0, 1, 2]);
  const report = { received_ms: 300, transcribed_ms: 300, lost_ms: 0, lost: {} };
  second.final('s1', 1, 'all');
  second.say('streaming_stopped', { message: 'Streaming stopped successfully', session_id: 's1', report });
  assert.deepEqual(await ended, { outcome: 'finished', report });
  assert.deepEqual(said.slice(-2), ['final 1 all', 'ended finished']);
});

test('a stop whose answer was lost is answered on the next socket, and nothing is sent twice', async (t) => {
  const { server, stream, said, caller } = await running(t, 3);
  const ended = stream.stop();
  await caller.next('stop_streaming');
  caller.cut();
  const second = await server.caller();
  assert.equal((await second.next('resume')).next_seq, 3);
  const report = { received_ms: 300, transcribed_ms: 300, lost_ms: 0, lost: {} };
  second.say('session_resumed', resumed(3, 1, { stopped: true }));
  second.final('s1', 1, 'all');
  await until(() => said.includes('final 1 all'), 'the final');
  second.cut();
  const third = await server.caller();
  assert.equal((await third.next('resume')).last_n, 1);
  third.say('session_resumed', resumed(3, 1, { stopped: true }));
  third.say('streaming_stopped', { message: 'Streaming stopped successfully', session_id: 's1', report });
  assert.deepEqual(await ended, { outcome: 'finished', report });
  assert.deepEqual([second.heard, third.heard], [[], []]);
  assert.deepEqual(said.slice(1), ['resumed at 3', 'final 1 all', 'resumed at 3', 'ended finished']);
});

test('what was said after a session was over begins another', async (t) => {
  const { server, stream, said, caller } = await running(t, 2);
  caller.cut();
  await until(() => !stream.live, 'the loss');
  stream.send(chunk(2));
  const second = await server.caller();
  await second.next('resume');
  second.say('session_resumed', resumed(2, 0, { stopped: true }));
  second.say('streaming_stopped', { message: 'Streaming stopped successfully', session_id: 's1' });
  await second.begin('s2');
  await second.hears(1);
  assert.deepEqual(second.heard, [2]);
  assert.equal(said.at(-1), 'session s2 at 200 after stopped');
});

test('refused chunks have no number, so the rest is numbered anew', async (t) => {
  const { server, caller } = await running(t, 2);
  caller.say('error', { code: 'overloaded', message: 'too much audio waits', retryable: true });
  const second = await server.caller();
  assert.equal((await second.next('resume')).next_seq, 2);
});

test('a session that fails for a while is begun anew with its audio; one that fails for good ends', async (t) => {
  const { said, caller, stream } = await running(t, 2);
  caller.say('error', { code: 'provider_unavailable', message: 'away', retryable: true, session_id: 's1' });
  await caller.begin('s2');
  await caller.hears(4);
  assert.deepEqual(caller.heard, [0, 1, 0, 1]);
  caller.say('error', { code: 'provider_rejected', message: 'no', retryable: false, session_id: 's2' });
  assert.equal((await stream.ended).outcome, 'failed');
  assert.deepEqual(said.slice(1), ['problem provider_unavailable', 'session s2 at 0 after provider_unavailable', 'problem provider_rejected', 'ended failed']);
});

test('a resume that has to wait is asked for again, elsewhere where the replica goes away', async (t) => {
  const { server, caller } = await running(t, 2);
  caller.cut();
  const second = await server.caller();
  await second.next('resume');
  second.say('error', { code: 'dependency_unavailable', message: 'away', retryable: true });
  await second.next('resume');
  second.say('error', { code: 'shutting_down', message: 'draining', retryable: true });
  const third = await server.caller();
  await third.next('resume');
  third.say('session_resumed', resumed(0, 0));
  await third.hears(2);
});

test('a session that has heard nothing is not gone on with, but begun again', async (t) => {
  const { server, stream, caller } = await running(t, 0);
  caller.cut();
  const second = await server.caller();
  await second.begin('s2');
  await until(() => stream.live, 'the new session');
});

test('a session that is refused again and again is given up', async (t) => {
  const { server, client } = await pair(t);
  const stream = client.start({ lang: 'en' });
  const caller = await server.caller();
  stream.send(chunk(0));
  for (let count = 0; count <= 6; count += 1) {
    await caller.begin(`s${count}`);
    await caller.hears(count + 1);
    caller.say('error', { code: 'rate_limited', message: 'too many sessions', retryable: true, session_id: `s${count}` });
  }
  assert.equal((await stream.ended).error.code, 'rate_limited');
});

test('audio longer than a message is sent in pieces, and none stays behind', async (t) => {
  const { stream, caller } = await running(t, 0);
  stream.send(new Int16Array(100_000).fill(7));
  await caller.hears(4);
  assert.deepEqual(caller.lengths, [32_000, 32_000, 32_000, 4_000]);
});

test('kept audio goes out at four times real time', async (t) => {
  const clock = new Hands();
  const { server, client } = await pair(t, { clock });
  const stream = client.start({ lang: 'en' });
  for (let mark = 0; mark < 20; mark += 1) stream.send(chunk(mark));
  const caller = await server.caller();
  await caller.begin('s1');
  await caller.hears(4);
  for (const count of [8, 12, 16, 20]) {
    assert.equal(caller.heard.length, count - 4);
    clock.advance(100);
    await caller.hears(count);
  }
  stream.send(chunk(20));
  await until(() => stream.backlog.waiting === 1, 'what is ahead of its time');
  clock.advance(100);
  stream.send(chunk(21));
  await caller.hears(22);
});

test('a stream that is closed leaves a socket on which the next can start', async (t) => {
  const { server, client } = await pair(t);
  const early = client.start({ lang: 'en' });
  const first = await server.caller();
  await first.next('start_streaming');
  early.close();
  const stream = client.start({ lang: 'fr' });
  const second = await server.caller();
  assert.equal((await second.begin('s2')).lang, 'fr');
  await until(() => stream.live, 'the session');
  stream.close();
  await second.next('stop_streaming');
  client.start({ lang: 'de' });
  assert.equal((await second.begin('s3')).lang, 'de');
});
