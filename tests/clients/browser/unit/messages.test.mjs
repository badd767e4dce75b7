import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiringMessage, serviceMessage, tokenMessage } from '../../../../page/messages.js';

test('a token that ended is told from one that was withdrawn or refused', () => {
  assert.match(tokenMessage('token_expired').title, /expired/);
  assert.match(tokenMessage('credential_revoked').title, /withdrawn/);
  assert.match(tokenMessage(undefined).title, /refused/);
});

test('a token that ends soon says when', () => {
  assert.match(expiringMessage(59_990).title, / 60 seconds/);
  assert.equal(expiringMessage(1_000).tone, 'warning');
});

test('a token of somebody else is named', () => {
  const error = { message: 'the token belongs to another user', code: 'principal_mismatch', retryable: false };
  assert.match(serviceMessage(error).title, /somebody else/);
});
