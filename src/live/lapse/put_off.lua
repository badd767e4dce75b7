-- Puts sessions off: nobody gives them up before so long from now.
-- KEYS: due, called. ARGV: milliseconds, then the sessions.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for at = 2, #ARGV do
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1]), ARGV[at])
  redis.call('ZREM', KEYS[2], ARGV[at])
end
return 0
