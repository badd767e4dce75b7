-- Notes that a replica is alive, and tells how many are, the time, and each with its last heartbeat.
-- KEYS: replicas. ARGV: this one's entry, milliseconds after which a silent one counts as gone, how
-- many are told at most.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - ARGV[2]))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local told = { tostring(redis.call('ZCARD', KEYS[1])), string.format('%.0f', now) }
for _, part in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[3] - 1, 'WITHSCORES')) do
    told[#told + 1] = part
end
return told
