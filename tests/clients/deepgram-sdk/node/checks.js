// What every npm generation of the SDK must see: settings from the environment, PASS and FAIL.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const url = process.env.DEEPGRAM_URL.replace(/\/$/, "");
export const socketUrl = url.replace(/^http/, "ws");
export const key = process.env.DEEPGRAM_KEY;
export const badKey = `wrong-${key}`;
export const audioUrl = process.env.DEEPGRAM_AUDIO_URL;
export const grants = process.env.DEEPGRAM_GRANTS === "yes";
export const file = readFileSync(process.env.DEEPGRAM_AUDIO);

const headerBytes = file.indexOf("data") + 8;
const chunkBytes = 3200;
let failures = 0;

/** Prints one line; the run fails when any check does. */
export function check(name, passed, detail = "") {
  if (!passed) failures += 1;
  console.log(`${passed ? "PASS" : "FAIL"} ${name}${passed ? "" : `: ${detail}`}`);
}

export function finish() {
  process.exit(failures ? 1 : 0);
}

const words = (text) => text.toLowerCase().replace(/[^\w\s]/g, "").split(/\s+/).filter(Boolean);

export const sameWords = (text) =>
  words(text).join(" ") === words(process.env.DEEPGRAM_EXPECTED).join(" ");

/** Gives the clip's audio to `send`, faster than it was spoken. */
export async function speak(send) {
  for (let at = headerBytes; at < file.length; at += chunkBytes) {
    send(file.subarray(at, Math.min(at + chunkBytes, file.length)));
    await sleep(5);
  }
}

/** Settles as `promise` does, or fails after some seconds. */
export function within(seconds, promise, what) {
  const late = sleep(seconds * 1000, undefined, { ref: false }).then(() => {
    throw new Error(`no ${what} in ${seconds} s`);
  });
  return Promise.race([promise, late]);
}

/** Runs the scenarios one after the other; one that throws is a failure. */
export async function run(scenarios) {
  for (const scenario of scenarios) {
    try {
      await within(30, scenario(), scenario.name);
    } catch (error) {
      check(scenario.name, false, error?.message ?? error);
    }
  }
  finish();
}
