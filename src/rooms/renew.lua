-- Renews viewers of one room, takes out those that left, counts, and tells the room if that changed.
-- KEYS: the viewers. ARGV: expiry in milliseconds, the channel, how many leave, who leaves, then who is
-- there.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before = redis.call('ZCARD', KEYS[1])
local first = 4 + tonumber(ARGV[3])
for at = 4, #ARGV do
  if at < first then
    redis.call('ZREM', KEYS[1], ARGV[at])
  else
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[at])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if #ARGV >= first then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
local count = redis.call('ZCARD', KEYS[1])
if count ~= before then
  redis.call('PUBLISH', ARGV[2], 'V 0 ' .. count)
end
return count
