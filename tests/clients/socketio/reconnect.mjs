// A stock client at its default transports whose token ends: prints, as JSON, whether it came back.
// Usage: node reconnect.mjs URL TOKEN NEXT_TOKEN
import { io } from "socket.io-client";

const [url, ...tokens] = process.argv.slice(2);
const seen = { users: [], transport: null, code: null, reason: null };
const socket = io(`${url}/audio-stream`, { auth: (give) => give({ token: tokens.shift() }) });
socket.on("closing", ({ code }) => {
  seen.code = code;
  seen.transport = socket.io.engine.transport.name;
});
socket.on("disconnect", (reason) => (seen.reason = reason));
socket.on("connected", ({ user_id: user }) => {
  if (seen.users.push(user) < 2) return;
  console.log(JSON.stringify(seen));
  process.exit(0);
});
