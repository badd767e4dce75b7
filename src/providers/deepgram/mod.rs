//! Deepgram over its WebSocket.
