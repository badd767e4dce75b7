-- Counts one act by the generic cell rate algorithm, on the one clock that all replicas share.
-- Kept is when the subject's whole allowance is there again ("full at"), in microseconds.
-- Counts as gcra.rs does. KEYS: the subject. ARGV: acts a minute.
-- Answers: whether allowed, acts left, microseconds until all are back, until one is back, the time.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit = tonumber(ARGV[1])
local interval = math.floor(60000000 / limit)
local window = interval * limit
local full_at = tonumber(redis.call('GET', KEYS[1])) or now
-- A clock that was set back must not lock anybody out for longer than a window.
full_at = math.min(math.max(full_at, now), now + window)
local next = full_at + interval
local over = next - now - window
if over > 0 then
  return { 0, 0, full_at - now, over, now }
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000))
return { 1, math.floor(-over / interval), next - now, 0, now }
