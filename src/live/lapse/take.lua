-- Takes sessions that are to be given up, each for one replica. One whose time has come is called first:
-- where nobody could put anything off for a while, their owners have time to.
-- KEYS: due, called. ARGV: milliseconds after the call; after which another replica tries; how many.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, session in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', KEYS[1], session)
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[1]), session)
end
local taken = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])
for _, session in ipairs(taken) do
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2]), session)
end
return taken
