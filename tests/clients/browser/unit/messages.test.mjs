import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiringMessage, gapMessage, serviceMessage, tokenMessage } from '../../../../page/messages.js';

test('a token that ended is told from one that was withdrawn or refused', () => {
  assert.match(tokenMessage('token_expired').title, /expired/);
  assert.match(tokenMessage('credential_revoked').title, /withdrawn/);
  assert.match(tokenMessage(undefined).title, /refused/);
  assert.match(tokenMessage('unauthenticated', { code: 'unauthenticated', message: 'no' }).title, /refused/);
  assert.match(tokenMessage('forbidden', { code: 'forbidden', message: 'no' }).title, /may not transcribe/);
});

test('a token that ends soon says when', () => {
  assert.match(expiringMessage(59_990).title, / 60 seconds/);
  assert.equal(expiringMessage(1_000).tone, 'warning');
});

test('a token of somebody else is named', () => {
  const error = { message: 'the token belongs to another user', code: 'principal_mismatch', retryable: false };
  assert.match(serviceMessage(error).title, /somebody else/);
});

test('a gap says how long it is, and why', () => {
  const gap = (reason) => gapMessage({ session_id: 's1', from_ms: 1_000, to_ms: 13_000, reason });
  assert.deepEqual([gap('client_buffer').title, gap('provider_away').tone], ['12.0 s of speech was missed.', 'warning']);
  assert.match(gap('client_buffer').text, /connection/);
  assert.match(gap('provider_away').text, /speech engine/);
});
