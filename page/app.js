/** Wires the page together. */

import { roomOf, watch } from './audience.js';
import { Transcriber } from './client/transcriber.js';
import { copyText, plainText, saveText, timedText } from './export.js';
import { Facts } from './facts.js';
import { closedMessage, expiringMessage, lostMessage, serviceMessage, tokenMessage } from './messages.js';
import { Microphone } from './microphone.js';
import { Notices } from './notices.js';
import { Options } from './options.js';
import { Paper } from './paper.js';
import { Sample } from './sample.js';
import { Status } from './status.js';
import { Studio } from './studio.js';
import { keepToken, takeToken } from './token.js';
import { Transcript } from './transcript.js';
import { Waveform } from './waveform.js';

const COPIED_MS = 1_600;
const UNDO_MS = 8_000;

/** @param {string} id @returns {any} */
const part = (id) => document.getElementById(id);

const watched = roomOf(location.hash);
const transcriber = new Transcriber({ url: location.origin, token: '', share: watched?.share });
const transcript = new Transcript();
const notices = new Notices(part('notices'));
const options = new Options(part('options'));
const status = new Status(part('status'), part('status-text'));
const paper = new Paper(transcript, { scroll: part('scroll'), body: part('body'), latest: part('latest'), spoken: part('spoken') });
const facts = new Facts({
  hint: part('hint'),
  list: part('facts'),
  language: part('fact-language'),
  engine: part('fact-engine'),
  latency: part('fact-latency'),
  final: part('fact-final'),
  elapsed: part('elapsed'),
});
const waveform = new Waveform(part('waveform'), part('meter'));
const studio = new Studio({ transcriber, transcript, paper, waveform, facts, notices, options });
let token = takeToken();
let watching = false;
/** Whether the token in use is about to end. */
let expiring = false;

/** @type {Record<string, string>} */
const RECORD_TEXTS = { idle: 'Start', opening: 'Starting', live: 'Stop', stopping: 'Finishing', done: 'Start' };

/** Shows what fits the moment: the welcome, the wait for words, or the words; and which buttons can be used. */
function refresh() {
  const phase = studio.recording?.phase ?? 'idle';
  const words = !transcript.empty || transcript.interim.length > 0;
  const wantsToken = !part('token-form').hidden;
  part('panel').hidden = wantsToken || watched !== null;
  part('welcome').hidden = wantsToken || watched !== null || words || phase !== 'idle';
  part('listening').hidden = wantsToken || words || !(watched || ['live', 'opening'].includes(phase));
  for (const id of ['copy', 'download', 'clear']) part(id).disabled = transcript.empty;
  part('record').dataset.phase = phase;
  part('record-text').textContent = RECORD_TEXTS[phase];
  part('record').disabled = phase === 'idle' && !token;
  part('sample').disabled = phase !== 'idle' || !token;
  const live = studio.recording?.streaming ?? false;
  document.documentElement.dataset.live = String(live);
  document.title = live ? '● Live transcription' : 'Live transcription';
  if (transcriber.state === 'connected') status.show(live ? 'live' : 'connected');
}

/** @param {import('./messages.js').Message | null} why */
function askToken(why) {
  part('token-form').hidden = false;
  part('token-why').hidden = !why;
  part('token-why').textContent = why ? `${why.title} ${why.text ?? ''}` : '';
  refresh();
  part('token').focus();
}

/** @param {import('./protocol.js').StateChange} change */
function connectionChanged({ state, retryInMs, reason, error }) {
  status.show(state, retryInMs);
  expiring = false;
  notices.hide('token');
  if (state === 'connected') notices.hide('connection');
  if (state === 'waiting') {
    const retry = { label: 'Try now', act: () => transcriber.connect() };
    notices.show('connection', lostMessage(studio.recording !== null, reason), { actions: [retry] });
  }
  if (state === 'closed' && reason) {
    const again = { label: 'Reconnect', act: () => transcriber.connect() };
    notices.show('connection', closedMessage(reason), { actions: [again] });
  }
  if (state === 'rejected') {
    notices.hide('connection');
    askToken(tokenMessage(reason, error));
  }
  refresh();
}

/** @param {number} leftMs */
function tokenExpires(leftMs) {
  expiring = true;
  const renew = { label: 'Enter a new token', act: () => askToken(null) };
  notices.show('token', expiringMessage(leftMs), { actions: [renew] });
}

/** @param {string} given */
function enter(given) {
  token = given;
  part('token').value = '';
  part('token-form').hidden = true;
  if (!expiring) transcriber.close();
  transcriber.authenticate(token);
  transcriber.connect();
  readAlong();
  refresh();
}

/** Watches the room of the address, once there is something to be let in by. */
function readAlong() {
  if (!watched || watching) return;
  watching = true;
  watch(transcriber.join(watched.name), { transcript, paper, notices }, refresh);
}

/** @param {import('./protocol.js').Source} source */
function record(source) {
  void studio.start(source);
}

async function copy() {
  const label = part('copy').querySelector('span');
  try {
    await copyText(plainText(transcript.paragraphs));
    label.textContent = 'Copied';
  } catch {
    label.textContent = 'Not copied';
  }
  setTimeout(() => (label.textContent = 'Copy'), COPIED_MS);
}

function clear() {
  const restore = transcript.clear();
  const undo = { label: 'Undo', act: () => (restore(), paper.rewrite(), refresh()) };
  paper.rewrite();
  refresh();
  notices.show('cleared', { tone: 'info', title: 'Transcript cleared.' }, { actions: [undo], forMs: UNDO_MS });
}

transcriber.addEventListener('state', ({ detail }) => connectionChanged(detail));
transcriber.addEventListener('token_expiring', ({ detail }) => tokenExpires(detail.expires_in_ms));
transcriber.addEventListener('renewal_refused', ({ detail }) => askToken(serviceMessage(detail)));
transcriber.addEventListener('authenticated', () => ((expiring = false), notices.hide('token')));
for (const name of ['phase', 'session', 'words']) studio.addEventListener(name, refresh);
part('record').addEventListener('click', () => (studio.recording ? void studio.stop() : record(new Microphone())));
part('sample').addEventListener('click', () => record(new Sample(new URL('./sample.wav', import.meta.url))));
part('copy').addEventListener('click', copy);
part('download').addEventListener('click', () => saveText(timedText(transcript.paragraphs), new Date()));
part('clear').addEventListener('click', clear);
part('token-form').addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
  event.preventDefault();
  const given = part('token').value.trim();
  if (!given) return;
  keepToken(given);
  enter(given);
  part('record').focus();
});
window.addEventListener('online', () => transcriber.state === 'waiting' && transcriber.connect());
window.addEventListener('hashchange', () => location.hash.includes('token=') && enter(takeToken()));

if (watched?.share) readAlong();
else if (token) enter(token);
else askToken(null);
