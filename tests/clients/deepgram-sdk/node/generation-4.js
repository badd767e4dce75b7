// @deepgram/sdk 4: event emitters.

import sdk from "deepgram-4";

import * as checks from "./checks.js";

const { createClient, LiveTranscriptionEvents: Events } = sdk;
const { check } = checks;

const client = (key) =>
  createClient(key, {
    global: { fetch: { options: { url: checks.url } }, websocket: { options: { url: checks.socketUrl } } },
  });

const asked = {
  model: "nova-3",
  language: "en",
  encoding: "linear16",
  sample_rate: 16000,
  interim_results: true,
  smart_format: true,
  utterance_end_ms: 1000,
  vad_events: true,
  keyterm: ["country", "fellow Americans"],
};

async function live() {
  const connection = client(checks.key).listen.live(asked);
  const results = [];
  const others = [];
  connection.on(Events.Transcript, (result) => results.push(result));
  connection.on(Events.SpeechStarted, () => others.push("started"));
  const summary = new Promise((resolve) => connection.on(Events.Metadata, resolve));
  const closed = new Promise((resolve) => connection.on(Events.Close, resolve));
  await checks.within(5, new Promise((resolve) => connection.on(Events.Open, resolve)), "open");
  await checks.speak((chunk) => connection.send(chunk));
  connection.keepAlive();
  connection.finalize();
  connection.requestClose();
  const metadata = await checks.within(5, summary, "metadata");
  const close = await checks.within(5, closed, "close");
  const finals = results.filter((result) => result.is_final);
  const text = finals.map((result) => result.channel.alternatives[0].transcript).join(" ");
  check("4 live words", checks.sameWords(text), text);
  check("4 live interims", results.some((result) => !result.is_final));
  check("4 live finalize", results.some((result) => result.from_finalize));
  check("4 live speech started", others.includes("started"));
  check("4 live duration", Math.abs(metadata.duration - 11) < 0.1, metadata.duration);
  check("4 live closed with 1000", close.code === 1000, close.code);
}

async function liveRefused() {
  const connection = client(checks.badKey).listen.live(asked);
  const error = await checks.within(
    5,
    new Promise((resolve) => connection.on(Events.Error, resolve)),
    "error",
  );
  const told = `${error?.statusCode ?? ""} ${error?.message ?? ""}`;
  check("4 live bad key", told.includes("401"), told);
}

async function recorded() {
  const door = client(checks.key).listen.prerecorded;
  const { result, error } = await door.transcribeFile(checks.file, { model: "nova-3", utterances: true });
  const text = result?.results.channels[0].alternatives[0].transcript ?? String(error);
  check("4 file words", checks.sameWords(text), text);
  check("4 file utterances", result?.results.utterances?.length > 0);
  const remote = await door.transcribeUrl({ url: checks.audioUrl }, { model: "nova-3" });
  const heard = remote.result?.results.channels[0].alternatives[0].transcript ?? String(remote.error);
  check("4 url words", checks.sameWords(heard), heard);
  const refused = await client(checks.badKey).listen.prerecorded.transcribeFile(checks.file, {});
  check("4 file bad key", refused.error?.status === 401, refused.error);
}

await checks.run([live, liveRefused, recorded]);
