/** Headless Chromium whose microphone hears a WAV file, once. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const HEAD_SECONDS = 0.6;
const TAIL_SECONDS = 30;

/**
 * The recording as the fake microphone wants it: 48 kHz mono, silence around it.
 * @param {string} wav
 * @returns {string} path of the padded file
 */
export function paddedWav(wav) {
  const out = path.join(mkdtempSync(path.join(tmpdir(), 'live-page-')), 'speech.wav');
  const pad = `adelay=${HEAD_SECONDS * 1000},apad=pad_dur=${TAIL_SECONDS}`;
  execFileSync('ffmpeg', ['-v', 'error', '-y', '-i', wav, '-ac', '1', '-ar', '48000', '-sample_fmt', 's16', '-af', pad, out]);
  return out;
}

/** @param {string} wav @returns {number} seconds */
export function wavSeconds(wav) {
  const args = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', wav];
  return Number(execFileSync('ffprobe', args, { encoding: 'utf8' }));
}

/**
 * @param {string} speech padded WAV for the microphone
 * @param {boolean} allowed whether the microphone may be used
 * @param {string} hosts resolver rules for made-up host names
 */
export function launch(speech, allowed = true, hosts = '') {
  const args = [
    '--no-sandbox',
    '--disable-gpu',
    '--use-fake-device-for-media-stream',
    `--use-file-for-fake-audio-capture=${speech}%noloop`,
    '--autoplay-policy=no-user-gesture-required',
    '--disable-background-networking',
    '--disable-component-update',
    '--no-first-run',
    '--disable-sync',
    '--disable-quic',
  ];
  if (hosts) args.push(`--host-resolver-rules=${hosts}`);
  if (allowed) args.push('--use-fake-ui-for-media-stream');
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args });
}

export const DESKTOP = { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 2 };
export const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
