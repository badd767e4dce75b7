-- Renews viewers of one room, takes out those that left, and counts.
-- KEYS: the viewers. ARGV: expiry in milliseconds, how many leave, who leaves, then who is there.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local leaving = tonumber(ARGV[2])
for at = 3, #ARGV do
  if at < 3 + leaving then
    redis.call('ZREM', KEYS[1], ARGV[at])
  else
    redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[at])
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if #ARGV >= 3 + leaving then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
