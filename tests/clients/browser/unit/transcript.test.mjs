import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plainText, timedText } from '../../../../page/export.js';
import { Transcript } from '../../../../page/transcript.js';

const begun = (lang = 'en') => {
  const transcript = new Transcript();
  transcript.beginRecording(lang, 0);
  return transcript;
};
const event = (n, text, startMs, endMs, more = {}) => ({
  transcript: text, is_final: true, speech_final: false, confidence: 1, session_id: 's1', n, start_ms: startMs, end_ms: endMs, ...more,
});
const interim = { is_final: false };

test('finals join into a paragraph and interims follow them', () => {
  const transcript = begun();
  transcript.accept(event(1, 'and', 0, 300, interim), 0);
  assert.deepEqual(transcript.interim.map((run) => run.text), ['and']);
  transcript.accept(event(1, 'And so,', 0, 1000), 0);
  transcript.accept(event(2, 'my fellow', 1100, 1500, interim), 0);
  assert.deepEqual(transcript.interim.map((run) => [run.text, run.breaks]), [['my fellow', false]]);
  transcript.accept(event(2, 'my fellow Americans', 1100, 2000), 0);
  assert.equal(plainText(transcript.paragraphs), 'And so, my fellow Americans');
});

test('finals that are void go, with the paragraphs that they leave empty, and are said again', () => {
  const transcript = begun();
  transcript.accept(event(1, 'One.', 0, 1000, { speech_final: true }), 0);
  transcript.accept(event(2, 'too', 1100, 1500, { speech_final: true }), 0);
  transcript.accept(event(3, 'Tree.', 9_000, 9_500), 0);
  transcript.accept(event(4, 'fo', 9_600, 9_800, interim), 0);
  transcript.takeBack('another', 0);
  assert.equal(transcript.paragraphs.length, 2);
  transcript.takeBack('s1', 1);
  assert.deepEqual([plainText(transcript.paragraphs), transcript.interim], ['One.', []]);
  transcript.accept(event(2, 'two', 1100, 1500), 0);
  assert.equal(plainText(transcript.paragraphs), 'One. two');
});

test('a paragraph begins after a pause, not at every breath', () => {
  const transcript = begun();
  transcript.accept(event(1, 'One.', 0, 1000, { speech_final: true }), 0);
  transcript.accept(event(2, 'Two.', 1500, 2000, { speech_final: true }), 0);
  transcript.accept(event(3, 'Three.', 62_000, 63_000, { speech_final: true }), 0);
  assert.equal(timedText(transcript.paragraphs), '[0:00] One. Two.\n[1:02] Three.\n');
});

test('speakers get paragraphs of their own', () => {
  const transcript = begun();
  const word = (text, speaker, startMs) => ({ word: text, punctuated_word: text, speaker, start_ms: startMs, end_ms: startMs + 100, confidence: 1 });
  transcript.accept(event(1, 'Hello. Hi you.', 0, 900, { words: [word('Hello.', 0, 0), word('Hi', 1, 500), word('you.', 1, 600)] }), 0);
  assert.equal(plainText(transcript.paragraphs), 'Speaker 1: Hello.\n\nSpeaker 2: Hi you.');
});

test('times go on across sessions of one recording', () => {
  const transcript = begun();
  transcript.accept(event(1, 'before', 0, 1000, { speech_final: true }), 0);
  transcript.accept(event(1, 'after', 500, 900, { session_id: 's2' }), 60_000);
  assert.equal(timedText(transcript.paragraphs), '[0:00] before\n[1:00] after\n');
});

test('text heard but never final is kept when the recording ends, and a clear can be undone', () => {
  const transcript = begun();
  transcript.accept(event(1, 'half a sent', 0, 1000, interim), 0);
  transcript.keepInterim();
  assert.equal(plainText(transcript.paragraphs), 'half a sent');
  const restore = transcript.clear();
  assert.equal(transcript.empty, true);
  restore();
  assert.equal(plainText(transcript.paragraphs), 'half a sent');
});

test('languages without spaces are joined without them', () => {
  const transcript = begun('ja');
  transcript.accept(event(1, 'こんにちは', 0, 900), 0);
  transcript.accept(event(2, '世界', 1000, 1500), 0);
  assert.equal(plainText(transcript.paragraphs), 'こんにちは世界');
});

test('an empty final takes the interim away and adds nothing', () => {
  const transcript = begun();
  transcript.accept(event(1, 'uh', 0, 300, interim), 0);
  transcript.accept(event(1, '', 0, 400), 0);
  assert.deepEqual([transcript.interim, transcript.paragraphs], [[], []]);
});
