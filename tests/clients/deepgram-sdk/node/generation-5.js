// @deepgram/sdk 5: generated clients.

import { DeepgramClient } from "deepgram-5";

import * as checks from "./checks.js";

const { check } = checks;

const environment = {
  base: checks.url,
  production: checks.socketUrl,
  agent: checks.socketUrl,
  agentRest: checks.url,
};
const client = (apiKey) => new DeepgramClient({ apiKey, environment, maxRetries: 0 });

const asked = {
  model: "nova-3",
  language: "en",
  encoding: "linear16",
  sample_rate: "16000",
  interim_results: "true",
  smart_format: "true",
  keyterm: ["country", "fellow Americans"],
  reconnectAttempts: 0,
};

async function live() {
  const socket = await client(checks.key).listen.v1.connect(asked);
  const messages = [];
  socket.on("message", (message) => messages.push(message));
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.connect();
  await checks.within(5, socket.waitForOpen(), "open");
  await checks.speak((chunk) => socket.sendMedia(chunk));
  socket.sendKeepAlive({ type: "KeepAlive" });
  socket.sendFinalize({ type: "Finalize" });
  socket.sendCloseStream({ type: "CloseStream" });
  const close = await checks.within(5, closed, "close");
  const results = messages.filter((message) => message.type === "Results");
  const finals = results.filter((result) => result.is_final);
  const text = finals.map((result) => result.channel.alternatives[0].transcript).join(" ");
  check("5 live words", checks.sameWords(text), text);
  check("5 live interims", results.some((result) => !result.is_final));
  check("5 live finalize", results.some((result) => result.from_finalize));
  check("5 live metadata last", messages.at(-1)?.type === "Metadata", messages.at(-1)?.type);
  check("5 live closed with 1000", close.code === 1000, close.code);
}

async function liveRefused() {
  const socket = await client(checks.badKey).listen.v1.connect(asked);
  const errors = [];
  socket.on("error", (error) => errors.push(error));
  socket.connect();
  const opened = await checks.within(5, socket.waitForOpen(), "refusal").then(
    () => true,
    (error) => (errors.push(error), false),
  );
  const told = errors.map((error) => error?.message).join("; ");
  check("5 live bad key", !opened && /401|refus|clos|error/i.test(told), told);
}

async function recorded() {
  const media = client(checks.key).listen.v1.media;
  const answer = await media.transcribeFile(checks.file, { model: "nova-3", utterances: true });
  const text = answer.results.channels[0].alternatives[0].transcript;
  check("5 file words", checks.sameWords(text), text);
  const remote = await media.transcribeUrl({ url: checks.audioUrl, model: "nova-3" });
  const heard = remote.results.channels[0].alternatives[0].transcript;
  check("5 url words", checks.sameWords(heard), heard);
  try {
    await client(checks.badKey).listen.v1.media.transcribeFile(checks.file, { model: "nova-3" });
    check("5 file bad key", false, "accepted");
  } catch (error) {
    check("5 file bad key", error.statusCode === 401, error);
  }
}

async function granted() {
  const grant = await client(checks.key).auth.v1.tokens.grant({ ttl_seconds: 30 });
  check("5 grant", grant.access_token?.length > 0 && grant.expires_in === 30, JSON.stringify(grant));
}

await checks.run([live, liveRefused, recorded, ...(checks.grants ? [granted] : [])]);
