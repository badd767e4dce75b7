/** What is said when something is in the way: what happened, then what to do. */

import { languageList, languageName } from './languages.js';
import { durationText } from './clock.js';

/** @typedef {{tone: 'info' | 'warning' | 'error', title: string, text?: string}} Message */

/** @type {Record<string, Message>} */
export const MICROPHONE = {
  refused: {
    tone: 'error',
    title: 'The microphone is blocked for this page.',
    text: 'Allow it with the icon beside the address (site settings, Microphone, Allow), then press Start again.',
  },
  missing: {
    tone: 'error',
    title: 'No microphone was found.',
    text: 'Connect one and press Start again, or play the sample to see how it works.',
  },
  busy: {
    tone: 'error',
    title: 'The microphone cannot be opened.',
    text: 'Another program may be holding it. Close that program and press Start again.',
  },
  insecure: {
    tone: 'error',
    title: 'Browsers give the microphone only to secure pages.',
    text: 'Open this page over https, or as http://127.0.0.1 on the machine itself. The sample works here too.',
  },
  failed: {
    tone: 'error',
    title: 'The microphone could not be started.',
    text: 'Press Start to try again. If it keeps failing, reload the page.',
  },
  silent: {
    tone: 'info',
    title: 'Nothing is heard.',
    text: 'Is the microphone muted, or is another one in use?',
  },
};

/** @type {Record<string, Message>} by the service's error code */
const SERVICE = {
  overloaded: { tone: 'warning', title: 'The service is busy.', text: 'Some words may come late or be missing.' },
  rate_limited: { tone: 'warning', title: 'Too many sessions at once.', text: 'Wait a moment, or stop another one.' },
  quota_exceeded: { tone: 'error', title: 'The allowance of this account is used up.' },
  unauthenticated: { tone: 'error', title: 'The token is no longer valid.' },
  principal_mismatch: { tone: 'error', title: 'That token belongs to somebody else.' },
  forbidden: { tone: 'error', title: 'This token may not transcribe live audio.' },
  provider_unavailable: { tone: 'warning', title: 'The speech engine cannot be reached.' },
  provider_rejected: { tone: 'error', title: 'The speech engine refused the request.' },
  shutting_down: { tone: 'warning', title: 'The service is restarting.' },
};

/** @param {string} text */
const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}` : '');

/**
 * @param {import('./protocol.js').ServiceError} error
 * @param {number} [retryInMs]
 * @returns {Message}
 */
export function serviceMessage(error, retryInMs) {
  const known = SERVICE[error.code ?? ''];
  const again = retryInMs === undefined ? '' : ` Trying again in ${durationText(Math.max(retryInMs, 1000))}.`;
  if (!known) return { tone: error.retryable ? 'warning' : 'error', title: sentence(error.message), text: again.trim() };
  const text = again ? again.trim() : (known.text ?? sentence(error.message));
  return { ...known, text };
}

/**
 * @param {string} lang the one that was asked for
 * @param {string[]} allowed
 * @returns {Message}
 */
export function languageMessage(lang, allowed) {
  const offer = allowed.length ? `It offers ${languageList(allowed)}.` : '';
  return { tone: 'error', title: `The speech engine here does not know ${languageName(lang)}.`, text: offer };
}

/** @type {Record<string, string>} what an option of the form does */
const ABILITIES = {
  diarize: 'tell speakers apart',
  punctuate: 'change how text is punctuated',
  smart_format: 'change how text is formatted',
  keyterm: 'take key terms',
};

/** @param {string} option @returns {Message | null} */
export function optionMessage(option) {
  const ability = ABILITIES[option];
  return ability ? { tone: 'warning', title: `The speech engine here cannot ${ability}.`, text: 'That is switched back: press Start again.' } : null;
}

/** @type {Message} */
export const TOKEN_REFUSED = {
  tone: 'error',
  title: 'The service refused the connection.',
  text: 'The token may have expired or been withdrawn. Your text stays on this page.',
};

/** @type {Record<string, Message>} by the reason of the close */
const TOKEN_ENDED = {
  token_expired: { tone: 'error', title: 'The token has expired.', text: 'Enter a new one. Your text stays on this page.' },
  credential_revoked: { tone: 'error', title: 'The token was withdrawn.', text: 'Enter another one. Your text stays on this page.' },
};

/**
 * @param {string | undefined} reason
 * @param {import('./protocol.js').ServiceError} [error] what the service said
 * @returns {Message}
 */
export function tokenMessage(reason, error) {
  if (error && error.code !== 'unauthenticated') return serviceMessage(error);
  return TOKEN_ENDED[reason ?? ''] ?? TOKEN_REFUSED;
}

/** @param {number} leftMs @returns {Message} */
export function expiringMessage(leftMs) {
  return { tone: 'warning', title: `The token expires in ${Math.ceil(leftMs / 1000)} seconds.`, text: 'With a new one of yours everything goes on.' };
}

/**
 * @param {string | undefined} reason the service's own word
 * @returns {Message}
 */
export function closedMessage(reason) {
  return { tone: 'error', title: 'The service closed the connection.', text: sentence(reason ?? '') };
}

/**
 * @param {boolean} recording
 * @param {string | undefined} reason
 * @returns {Message}
 */
export function lostMessage(recording, reason) {
  const kept = recording ? 'Your text is safe, and what you say now is kept for two minutes.' : 'Your text is safe.';
  return { tone: 'warning', title: 'Connection lost.', text: [sentence(reason ?? ''), 'Reconnecting.', kept].filter(Boolean).join(' ') };
}

/** @type {Record<string, string>} why audio has no text */
const GAPS = {
  client_buffer: 'The connection was away for longer than speech can be kept.',
  provider_away: 'The speech engine was away for too long.',
  backfill_failed: 'The speech engine could not go back to it.',
};

/** @param {import('./protocol.js').Gap} gap @returns {Message} */
export function gapMessage({ from_ms: fromMs, to_ms: toMs, reason }) {
  return { tone: 'warning', title: `${durationText(toMs - fromMs)} of speech was missed.`, text: GAPS[reason] };
}

/** @type {Message} */
export const FINALS_MISSING = { tone: 'warning', title: 'Some words are missing here.', text: 'They were said while the connection was away.' };
