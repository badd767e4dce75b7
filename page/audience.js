/** A room that is read along: what others say, on the same paper. */

import { FINALS_MISSING, gapMessage, serviceMessage } from './messages.js';

/**
 * The room that an address names: `#room=NAME`, with `&share=TOKEN` for those who have no account.
 * @param {string} fragment
 * @returns {{name: string, share?: string} | null}
 */
export function roomOf(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, ''));
  const name = given.get('room');
  return name ? { name, share: given.get('share') ?? undefined } : null;
}

/**
 * @param {import('./client/transcriber.js').Room} room
 * @param {Pick<import('./studio.js').Parts, 'transcript' | 'paper' | 'notices'>} parts
 * @param {() => void} changed
 */
export function watch(room, { transcript, paper, notices }, changed) {
  let session = '';
  const write = () => {
    paper.write();
    changed();
  };
  /** Each session is a recording of its own. @param {{session_id: string, timestamp?: string}} said @param {number} endMs */
  const begin = ({ session_id: id, timestamp }, endMs) => {
    if (id === session) return;
    session = id;
    transcript.beginRecording('', timestamp ? Date.parse(timestamp) - endMs : Date.now());
  };
  room.addEventListener('transcription', ({ detail }) => {
    begin(detail, detail.end_ms);
    transcript.accept(detail, 0);
    write();
  });
  room.addEventListener('gap', ({ detail }) => {
    begin(detail, detail.to_ms);
    transcript.acceptGap(detail, 0);
    notices.show('gap', gapMessage(detail));
    write();
  });
  room.addEventListener('session_ended', () => {
    transcript.interim = [];
    write();
  });
  room.addEventListener('missing', () => notices.show('gap', FINALS_MISSING));
  room.addEventListener('refused', ({ detail }) => notices.show('room', serviceMessage(detail)));
}
