-- Makes a room an account's, if it is nobody else's, and gives out the next fence.
-- KEYS: the meta. ARGV: account, and the same sealed; the life in milliseconds.
-- Answers: 'foreign' | 'claimed', the fence.
local held = redis.call('HMGET', KEYS[1], 'account', 'fence')
if held[1] and held[1] ~= ARGV[1] then
  return { 'foreign' }
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = string.format('%.0f', math.max(now, tonumber(held[2] or 0) + 1))
redis.call('HSET', KEYS[1], 'account', ARGV[1], 'owner', ARGV[2], 'fence', fence)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { 'claimed', fence }
